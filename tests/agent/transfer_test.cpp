// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Whole files to and from a real agent, and what is left where that fails: nothing.
#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/execution/blocking.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "sanitized.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::TransferParams;
namespace fs = std::filesystem;

namespace {

std::string random_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

std::string text_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The host's side, apart from the agent's.
class Host {
 public:
  fs::path file(const std::string& name) const { return directory_.file(name); }
  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }
  std::size_t files() const {
    const fs::directory_iterator all(file(""));
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

 private:
  TemporaryDirectory directory_;
};

/// Runs what it was given when told to, the latest first: several threads may do so too.
class Backwards {
 public:
  template <class Function>
  void execute(Function function) const {
    const auto kept = std::make_shared<Function>(std::move(function));
    waiting_->push_back([kept] { std::move (*kept)(); });
  }
  void run() const {
    for (auto all = std::exchange(*waiting_, {}); !all.empty(); all.pop_back()) all.back()();
  }
  Backwards require(asio::execution::blocking_t::never_t) const { return *this; }
  bool operator==(const Backwards&) const = default;

 private:
  using Functions = std::vector<std::function<void()>>;
  std::shared_ptr<Functions> waiting_ = std::make_shared<Functions>();
};

/// Throws when a transfer is halfway.
auto stop_at(std::uint64_t bytes) {
  return [bytes](std::uint64_t there, std::optional<std::uint64_t>) {
    if (there >= bytes) throw std::runtime_error("enough");
  };
}

}  // namespace

TEMPLATE_TEST_CASE("transfers keep every byte, of any length", "[agent]", Blocking, Async) {
  const Agent agent;
  const Host host;
  TestType ga(agent.path());
  const std::size_t chunk = TransferParams().chunk;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, chunk - 1, chunk, chunk + 1, 4 * chunk, 9 * chunk + 7}) {
    CAPTURE(size);
    const std::string bytes = random_bytes(size);
    const auto up = ga.upload(host.put("up", bytes), agent.file("there"), {.verify = true});
    CHECK(up.bytes == size);
    CHECK(agent.get("there") == bytes);
    const auto down = ga.download(agent.file("there"), host.file("down"), {.verify = true});
    CHECK(down.bytes == size);
    CHECK(down.sha256 == up.sha256);
    CHECK(text_of(host.file("down")) == bytes);
  }
  CHECK(agent.opened("there") == 0);
  CHECK(host.files() == 2);
}

TEMPLATE_TEST_CASE("transfers to and from streams and memory", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string bytes = random_bytes(700 << 10);
  std::istringstream in(bytes);
  CHECK(ga.upload(in, agent.file("there")).bytes == bytes.size());
  std::ostringstream out;
  CHECK(ga.download(agent.file("there"), out, {.chunk = 1000, .in_flight = 64}).bytes ==
        bytes.size());
  CHECK(out.str() == bytes);
  CHECK(ga.read_file(agent.file("there")) == bytes);
  CHECK_THROWS_AS(ga.read_file(agent.file("there"), bytes.size() - 1), qga::BadReplyError);
  ga.write_file(agent.file("there"), "short");
  CHECK(agent.get("there") == "short");
  CHECK(agent.opened("there") == 0);
}

TEMPLATE_TEST_CASE("downloads of what has no size", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  CHECK(ga.read_file("/proc/self/cmdline").find("qemu-ga") != std::string::npos);
  CHECK_THROWS_AS(ga.read_file("/dev/zero", 1 << 20), qga::BadReplyError);
  CHECK_THROWS_AS(ga.read_file("/no/such/file"), qga::AgentError);
  ga.ping();
}

TEMPLATE_TEST_CASE("64 MiB both ways take little memory", "[agent][native]", Blocking, Async) {
  const Agent agent;
  const Host host;
  const std::uint64_t size = 64 << 20;
  const std::string piece = random_bytes(1 << 20);
  {
    std::ofstream stream(host.file("up"), std::ios::binary);
    for (int i = 0; i < 64; ++i) stream << i << piece.substr(std::to_string(i).size());
  }
  TestType ga(agent.path());
  ::malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak so far
  std::vector<std::uint64_t> seen;
  const auto progress = [&](std::uint64_t bytes, std::optional<std::uint64_t> total) {
    CHECK(total == size);
    seen.push_back(bytes);
  };
  CHECK(ga.upload(host.file("up"), agent.file("there"), {.progress = progress}).bytes == size);
  CHECK(ga.download(agent.file("there"), host.file("down"), {.progress = progress}).bytes == size);

  std::ifstream status("/proc/self/status");
  std::uint64_t peak = 0;
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> peak;
  }
  std::system(("cmp " + host.file("up").string() + " " + host.file("down").string() + " && touch " +
               host.file("same").string())
                  .c_str());
  CHECK(fs::exists(host.file("same")));
  CHECK(std::is_sorted(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(seen.size() / 2)));
  CHECK(seen.back() == size);
  CHECK(peak > 0);
  if (sanitized) {
    WARN("skipped: under a sanitizer memory is not that of the library");
  } else {
    INFO("peak: " << peak << " kB");
    CHECK(peak < 24 << 10);
  }
}

TEMPLATE_TEST_CASE("a full disk is an error, and no handle stays", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string bytes = random_bytes(1000);
  const auto error = error_of<qga::AgentError>([&] { ga.write_file("/dev/full", bytes); });
  CHECK(error.command() == "guest-file-flush");
  auto file = ga.open("/dev/full", "w");
  ga.write(file, "x");
  CHECK_THROWS_AS(ga.flush(file), qga::AgentError);
  file = ga.open("/dev/full", "w");
  ga.write(file, "x");
  CHECK_THROWS_AS(ga.close(file), qga::AgentError);
  CHECK_FALSE(file.is_open());
  CHECK_THROWS_AS(ga.file_flush(file.handle()), qga::AgentError);  // no such handle
}

TEMPLATE_TEST_CASE("a download that fails leaves the host's file as it was", "[agent]", Blocking,
                   Async) {
  const Agent agent;
  const Host host;
  TestType ga(agent.path());
  const std::string bytes = random_bytes(3 << 20);
  agent.put("there", bytes);
  const fs::path kept = host.put("kept", "old");
  CHECK_THROWS_AS(ga.download(agent.file("there"), kept, {.progress = stop_at(1 << 20)}),
                  std::runtime_error);
  CHECK(text_of(kept) == "old");
  CHECK_THROWS_AS(ga.download(agent.file("there"), host.file("new"), {.limit = 1 << 20}),
                  qga::BadReplyError);
  CHECK(host.files() == 1);
  CHECK(agent.opened("there") == 0);
  SECTION("or keeps what is there, to go on later") {
    CHECK_THROWS_AS(ga.download(agent.file("there"), host.file("new"),
                                {.progress = stop_at(1 << 20), .keep_partial = true}),
                    std::runtime_error);
    const auto there = fs::file_size(host.file("new"));
    CHECK(there >= 1 << 20);
    CHECK(there < bytes.size());
    const auto rest =
        ga.download(agent.file("there"), host.file("new"), {.offset = there, .verify = true});
    CHECK(rest.bytes == bytes.size() - there);
    CHECK(text_of(host.file("new")) == bytes);
  }
  SECTION("offsets that are not there") {
    CHECK_THROWS_AS(ga.download(agent.file("there"), kept, {.offset = 4}), std::system_error);
    CHECK_THROWS_AS(ga.download(agent.file("there"), host.file("new"), {.offset = 4}),
                    std::system_error);
    agent.put("there", "abc");
    host.put("kept", "0123456");
    CHECK_THROWS_AS(ga.download(agent.file("there"), kept, {.offset = 4}), qga::RequestError);
    CHECK(text_of(kept) == "0123456");
  }
  SECTION("a place where nothing can be written") {
    CHECK_THROWS_AS(ga.download(agent.file("there"), "/no/such/directory/x"), std::system_error);
    CHECK_THROWS_AS(ga.download(agent.file("there"), host.file("")), std::system_error);
  }
}

TEMPLATE_TEST_CASE("an upload that fails leaves an empty file, or what is there", "[agent]",
                   Blocking, Async) {
  const Agent agent;
  const Host host;
  TestType ga(agent.path());
  const std::string bytes = random_bytes(3 << 20);
  const fs::path from = host.put("up", bytes);
  agent.put("there", "old");
  CHECK_THROWS_AS(ga.upload(from, agent.file("there"), {.progress = stop_at(1 << 20)}),
                  std::runtime_error);
  CHECK(agent.get("there").empty());
  CHECK(agent.opened("there") == 0);

  CHECK_THROWS_AS(
      ga.upload(from, agent.file("there"), {.progress = stop_at(1 << 20), .keep_partial = true}),
      std::runtime_error);
  const auto there = fs::file_size(agent.file("there"));
  CHECK(there >= 1 << 20);
  CHECK(there < bytes.size());
  ga.upload(from, agent.file("there"), {.offset = there, .verify = true});
  CHECK(agent.get("there") == bytes);
  CHECK_THROWS_AS(ga.upload(from, agent.file("there"), {.offset = bytes.size() + 1}),
                  std::system_error);
  CHECK_THROWS_AS(ga.upload(host.file("missing"), agent.file("other")), std::system_error);
  CHECK_THROWS_AS(ga.upload(host.file(""), agent.file("other")), std::system_error);
  CHECK_FALSE(fs::exists(agent.file("other")));
}

TEMPLATE_TEST_CASE("an agent that goes in the middle of a transfer", "[agent]", Blocking, Async) {
  Agent agent;
  const Host host;
  TestType ga(agent.path());
  const std::string bytes = random_bytes(4 << 20);
  agent.put("there", bytes);
  const auto end_it = [&](std::uint64_t there, std::optional<std::uint64_t>) {
    if (there >= 1 << 20) agent.kill();
  };
  CHECK_THROWS_AS(ga.download(agent.file("there"), host.file("down"), {.progress = end_it}),
                  qga::UnreachableError);
  CHECK(host.files() == 0);
  agent.restart();
  ga.connect(agent.path());
  const fs::path up = host.put("up", bytes);
  CHECK_THROWS_AS(ga.upload(up, agent.file("there"), {.progress = end_it}), qga::UnreachableError);
  agent.restart();
  ga.connect(agent.path());
  ga.upload(up, agent.file("there"), {.verify = true});
}

TEST_CASE("a stop request ends a transfer, and cleans up", "[agent]") {
  const Agent agent;
  const Host host;
  Blocking ga(agent.path());
  agent.put("there", random_bytes(4 << 20));
  std::stop_source stop;
  const auto progress = [&](std::uint64_t, std::optional<std::uint64_t>) { stop.request_stop(); };
  CHECK_THROWS_AS(ga.with({.stop = stop.get_token()})
                      .download(agent.file("there"), host.file("down"), {.progress = progress}),
                  qga::CancelledError);
  CHECK(host.files() == 0);
  CHECK(agent.opened("there") == 0);
  ga.ping();
}

TEST_CASE("cancelling ends an asynchronous transfer, and cleans up", "[agent]") {
  const Agent agent;
  const Host host;
  agent.put("there", random_bytes(4 << 20));
  Answer<qga::TransferResult> answer;
  asio::io_context context;
  qga::Client ga(agent.path(), patient());
  asio::cancellation_signal cancel;
  const auto progress = [&](std::uint64_t, std::optional<std::uint64_t>) {
    asio::post(context, [&] { cancel.emit(asio::cancellation_type::terminal); });
  };
  ga.async(asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(context, to(answer))))
      .download(agent.file("there"), host.file("down"), {.progress = progress});
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  CHECK(host.files() == 0);
  CHECK(agent.opened("there") == 0);
  ga.ping();
}

TEST_CASE("a transfer keeps the order where handlers run in another", "[agent]") {
  const Agent agent;
  const std::string bytes = random_bytes(200'000);
  asio::io_context context;
  qga::Client ga(agent.path(), patient());
  Answer<void> bound;
  ga.async(asio::bind_executor(context, to(bound))).ping();
  run_dry(context);
  const Backwards executor;
  const auto finish = [&](const auto& answer) {
    while (answer.times == 0) {
      context.restart();
      context.run_for(20ms);  // several answers are there then
      executor.run();
    }
  };
  std::istringstream in(bytes);
  Answer<qga::TransferResult> up;
  ga.async(asio::bind_executor(executor, to(up)))
      .upload(in, agent.file("there"), {.chunk = 1000, .in_flight = 8});
  finish(up);
  CHECK(up.get().bytes == bytes.size());
  CHECK(agent.get("there") == bytes);

  std::ostringstream out;
  Answer<qga::TransferResult> down;
  ga.async(asio::bind_executor(executor, to(down)))
      .download(agent.file("there"), out, {.chunk = 10'000, .in_flight = 8});
  finish(down);
  CHECK(down.get().bytes == bytes.size());
  CHECK((out.str() == bytes));
}

TEST_CASE("a context that ends in the middle of a transfer takes it along", "[agent]") {
  const Agent agent;
  const Host host;
  agent.put("there", random_bytes(4 << 20));
  Answer<qga::TransferResult> answer;
  qga::Client ga(agent.path(), patient());
  {
    asio::io_context context;
    bool begun = false;
    const auto progress = [&](std::uint64_t, std::optional<std::uint64_t>) { begun = true; };
    ga.async(asio::bind_executor(context, to(answer)))
        .download(agent.file("there"), host.file("down"), {.progress = progress});
    run_until(context, [&] { return begun; });
    CHECK(agent.opened("there") == 1);
  }
  CHECK(answer.times == 0);
  CHECK(host.files() == 0);
  CHECK(agent.opened("there") == 0);
  ga.ping();
}

TEST_CASE("a transfer has a deadline", "[agent]") {
  Agent agent;
  const Host host;
  Blocking ga(agent.path());
  agent.put("there", random_bytes(4 << 20));
  const auto freeze = [&](std::uint64_t, std::optional<std::uint64_t>) { agent.stop(); };
  const auto begun = qga::Clock::now();
  CHECK_THROWS_AS(
      ga.download(agent.file("there"), host.file("down"), {.progress = freeze, .timeout = 500ms}),
      qga::TimeoutError);
  CHECK(qga::Clock::now() - begun >= 500ms);
  CHECK(qga::Clock::now() - begun < long_enough);
  agent.resume();
  CHECK(host.files() == 0);
  ga.ping();
}

TEST_CASE("the host's file keeps its permissions, and a link its place", "[agent]") {
  const Agent agent;
  const Host host;
  Blocking ga(agent.path());
  agent.put("there", "new");
  const fs::path file = host.put("file", "old");
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("file", host.file("link"));
  ga.download(agent.file("there"), host.file("link"));
  CHECK(fs::is_symlink(host.file("link")));
  CHECK(text_of(file) == "new");
  CHECK(fs::status(file).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  ga.download(agent.file("there"), "/dev/null");
  CHECK(fs::is_character_file("/dev/null"));
}
