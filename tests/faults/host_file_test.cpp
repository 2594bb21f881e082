// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The host's side of a download: a disk that is full, a temporary file that nobody else may read,
// names of any length, links, and partial files that are gone on with and not copied.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include <sys/stat.h>

#include "agent.hpp"
#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;
namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}
void write(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw std::system_error(errno, std::system_category());
  return status;
}
mode_t mode_of(const fs::path& path) { return status_of(path).st_mode & 07777; }

/// Counts the bytes on disk of all files of a directory.
std::uint64_t allocated(const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    bytes += static_cast<std::uint64_t>(status_of(entry.path()).st_blocks) * 512;
  }
  return bytes;
}

/// A guest's file that is larger than anybody would hold in memory. Its last bytes are `end`.
void serve_large_file(ScriptedGuest& guest, std::uint64_t size, const std::string& end) {
  guest.put("/large", end);
  guest.on("guest-file-seek", [=](const Heard& heard) {
    const bool to_end = heard.arguments.at("whence") == "end" || heard.arguments.at("whence") == 2;
    const auto at = to_end ? size : heard.arguments.at("offset").get<std::uint64_t>();
    return script::returns("{\"position\": " + std::to_string(at) + ", \"eof\": false}");
  });
}

}  // namespace

TEMPLATE_TEST_CASE("host: a full disk is an error, partial files kept or not", "[faults]", Blocking,
                   Async) {
  const bool keep = GENERATE(false, true);
  CAPTURE(keep);
  ScriptedGuest guest;
  guest.put("/there", "shorter than a buffer");
  TestType ga(guest.path());
  const Fate fate = fate_of([&] { ga.download("/there", "/dev/full", {.keep_partial = keep}); });
  INFO(fate);
  CHECK(fate.is<std::system_error>());
  fate.look<std::system_error>(
      [](const auto& error) { CHECK(error.code() == std::errc::no_space_on_device); });
  CHECK(guest.handles() == 0);
  ga.ping();
}

TEMPLATE_TEST_CASE("host: nobody else may read what is not complete", "[faults]", Blocking, Async) {
  const std::optional<mode_t> existing =
      GENERATE(std::optional<mode_t>(), std::optional<mode_t>(0644), std::optional<mode_t>(0600),
               std::optional<mode_t>(0640), std::optional<mode_t>(04755));
  CAPTURE(existing.value_or(0));
  ScriptedGuest guest;
  guest.put("/there", std::string(10'000, 'x'));
  TestType ga(guest.path());
  const TemporaryDirectory host;
  const std::string to = host.file("to");
  if (existing) {
    write(to, "old");
    REQUIRE(::chmod(to.c_str(), *existing) == 0);
  }
  const mode_t mask = ::umask(022);
  ::umask(mask);
  int seen = 0;
  const auto progress = [&](std::uint64_t, std::optional<std::uint64_t>) {
    for (const auto& entry : fs::directory_iterator(host.file(""))) {
      if (existing && entry.path() == to) continue;
      ++seen;
      CHECK((mode_of(entry.path()) & ~mode_t{0600}) == 0);
    }
  };
  ga.download("/there", to, {.chunk = 4000, .progress = progress});
  CHECK(seen >= 2);
  CHECK(text_of(to) == guest.get("/there"));
  CHECK(mode_of(to) == existing.value_or(0666 & ~mask));
  CHECK(std::distance(fs::directory_iterator(host.file("")), {}) == 1);
}

TEMPLATE_TEST_CASE("host: a name may be as long as the system allows", "[faults]", Blocking,
                   Async) {
  const std::size_t length = GENERATE(std::size_t{230}, std::size_t{255});
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  const TemporaryDirectory host;
  const std::string to = host.file(std::string(length, 'x'));
  ga.download("/there", to);
  CHECK(text_of(to) == "text");
  ga.download("/there", to);  // also where there is one
  CHECK(std::distance(fs::directory_iterator(host.file("")), {}) == 1);
}

TEMPLATE_TEST_CASE("host: a link is followed, also one to nothing", "[faults]", Blocking, Async) {
  const bool dangling = GENERATE(false, true);
  CAPTURE(dangling);
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  const TemporaryDirectory host;
  fs::create_directory(host.file("elsewhere"));
  if (!dangling) write(host.file("elsewhere/file"), "old");
  fs::create_symlink("elsewhere/file", host.file("link"));
  ga.download("/there", host.file("link"));
  CHECK(fs::is_symlink(host.file("link")));
  CHECK(text_of(host.file("elsewhere/file")) == "text");
}

TEMPLATE_TEST_CASE("host: going on with a partial file does not copy it", "[faults]", Blocking,
                   Async) {
  constexpr std::uint64_t there = 256 << 20;
  constexpr std::uint64_t little = 4 << 20;
  const bool breaks = GENERATE(false, true);
  CAPTURE(breaks);
  ScriptedGuest guest;
  serve_large_file(guest, there + 5, "fresh");
  TestType ga(guest.path());
  const TemporaryDirectory host;
  const std::string to = host.file("to");
  write(to, "");
  fs::resize_file(to, there);  // a hole, which takes no space
  REQUIRE(allocated(host.file("")) < little);
  bool seen = false;
  const auto progress = [&](std::uint64_t, std::optional<std::uint64_t>) {
    seen = true;
    CHECK(allocated(host.file("")) < little);
    if (breaks) throw std::runtime_error("the caller has enough");
  };
  const qga::TransferParams params{.offset = there, .progress = progress};
  if (breaks) {
    CHECK_THROWS_AS(ga.download("/large", to, params), std::runtime_error);
    CHECK(fs::file_size(to) == there);  // as it was before
  } else {
    CHECK(ga.download("/large", to, params).bytes == 5);
    CHECK(fs::file_size(to) == there + 5);
    std::ifstream stream(to, std::ios::binary);
    stream.seekg(there);
    CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == "fresh");
  }
  CHECK(seen);
  CHECK(allocated(host.file("")) < little);
  CHECK(std::distance(fs::directory_iterator(host.file("")), {}) == 1);
}
