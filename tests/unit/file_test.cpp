// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Open files, step by step: a handle is closed once, whatever else goes wrong.
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/file.hpp"

using namespace helper_test;
using qga::File;
using Strings = std::vector<std::string>;

namespace {

const Reply done{};
const Reply refused{.error = error<qga::AgentError>(Outcome::refused)};

/// A guard that only counts.
struct Counted final : qga::detail::Guard {
  explicit Counted(int& closed_) : closed(&closed_) {}
  ~Counted() override {
    if (closed != nullptr) ++*closed;
  }
  void disarm() noexcept override { closed = nullptr; }
  void confirm() noexcept override {}
  bool act() noexcept override { return false; }
  void expect_answer(bool) noexcept override {}
  int* closed;
};
File opened(int& closed) { return File(3, std::make_unique<Counted>(closed)); }

using Close = Scripted<void, qga::detail::CloseFile>;
using Read = Scripted<std::string, qga::detail::ReadFrom>;
using Write = Scripted<void, qga::detail::WriteTo>;

}  // namespace

TEST_CASE("a file that was opened closes itself") {
  Scripted<File, qga::detail::OpenFile> open("/f", "w");
  open.run({{.json = 3}});
  REQUIRE(open.finished);
  CHECK(open.finished->is_open());
  CHECK(open.finished->handle() == 3);
  open.finished.reset();
  CHECK(open.log ==
        Strings{R"(guest-file-open {"mode":"w","path":"/f"})", "guest-file-close (guard)"});
}

TEST_CASE("closing flushes, and closes once") {
  int closed = 0;
  {
    File file = opened(closed);
    Close close(&file);
    close.run({done, done});
    CHECK(close.log == Strings{R"(guest-file-flush {"handle":3})",
                               R"(guest-file-close {"handle":3} (to its end))"});
    CHECK_FALSE(file.is_open());
    Close again(&file);
    again.run({});
    CHECK(error_of<qga::RequestError>(again).err() == std::errc::bad_file_descriptor);
  }
  CHECK(closed == 0);
}

TEST_CASE("closing: a full disk is told, and the handle is gone all the same") {
  int closed = 0;
  {
    File file = opened(closed);
    Close close(&file);
    close.run({refused, done});
    error_of<qga::AgentError>(close);
    CHECK_FALSE(file.is_open());
  }
  {
    File file = opened(closed);
    Close close(&file);
    close.run({done, {.error = error<qga::TimeoutError>(Outcome::unknown)}});
    CHECK_FALSE(file.is_open());
  }
  CHECK(closed == 0);
}

TEST_CASE("closing: what could not be sent leaves the file open") {
  int closed = 0;
  {
    File file = opened(closed);
    Close close(&file);
    const Reply unsent{.error = error<qga::TimeoutError>(Outcome::not_sent)};
    close.run({unsent, unsent});
    CHECK(file.is_open());
  }
  CHECK(closed == 1);
}

TEST_CASE("a file that was moved from is not open, and closed once") {
  int closed = 0;
  {
    File file = opened(closed);
    const File other = std::move(file);
    CHECK(other.is_open());
    CHECK_FALSE(file.is_open());  // NOLINT: that is the question
  }
  CHECK(closed == 1);
}

TEST_CASE("reading goes on to the count, or to the end of the file") {
  int closed = 0;
  const File file = opened(closed);
  const Reply short_one{.json = {{"count", 3}, {"buf-b64", "QUJD"}, {"eof", false}}};
  SECTION("the count") {
    Read read(&file, 5);
    read.run({short_one, {.json = {{"count", 2}, {"buf-b64", "QUI="}, {"eof", false}}}});
    CHECK(read.finished == "ABCAB");
    CHECK(read.log[1] == R"(guest-file-read {"count":2,"handle":3})");
  }
  SECTION("the end") {
    Read read(&file, 5);
    read.run({short_one, {.json = {{"count", 0}, {"buf-b64", ""}, {"eof", false}}}});
    CHECK(read.finished == "ABC");
  }
  SECTION("nothing") {
    Read read(&file, 0);
    read.run({});
    CHECK(read.finished == "");
    CHECK(read.log.empty());
  }
  SECTION("more than was asked for") {
    Read read(&file, 2);
    read.run({short_one});
    error_of<qga::BadReplyError>(read);
  }
}

TEST_CASE("writing sends everything, and checks what was taken") {
  int closed = 0;
  const File file = opened(closed);
  const auto wrote = [](std::int64_t count) {
    return Reply{.json = {{"count", count}, {"eof", false}}};
  };
  const std::int64_t piece = 1 << 20;
  Write write(&file, std::string((2 << 20) + 5, 'x'));
  write.run({wrote(piece), wrote(piece), wrote(5)});
  CHECK(write.finished);
  Write cut(&file, "ABC");
  cut.run({wrote(2)});
  error_of<qga::BadReplyError>(cut);
  Write refusing(&file, "ABC");
  refusing.run({refused});
  error_of<qga::AgentError>(refusing);
}

TEST_CASE("a file that is not open is refused without asking the guest") {
  File file;
  Read read(&file, 1);
  read.run({});
  error_of<qga::RequestError>(read);
  Write write(&file, "x");
  write.run({});
  error_of<qga::RequestError>(write);
  Scripted<std::int64_t, qga::detail::SeekIn> seek(&file, 0, qga::QGASeek::set);
  seek.run({});
  error_of<qga::RequestError>(seek);
  Scripted<void, qga::detail::FlushFile> flush(&file);
  flush.run({});
  error_of<qga::RequestError>(flush);
}
