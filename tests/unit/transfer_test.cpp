// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Transfers step by step: what is in flight together, what ends a file, and what is cleaned up.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/transfer.hpp"

using namespace helper_test;
using qga::TransferParams;
using Strings = std::vector<std::string>;

namespace {

const Reply opened{.json = 3};
const Reply done{};
const Reply refused{.error = error<qga::AgentError>(Outcome::refused)};

Reply at(std::int64_t position) { return {.json = {{"position", position}, {"eof", false}}}; }
/// @param text of base64 characters that stand for themselves: "QUJD" is "ABC"
Reply read(const std::string& text, std::int64_t count, bool eof) {
  return {.json = {{"count", count}, {"buf-b64", text}, {"eof", eof}}};
}
const Reply abc = read("QUJD", 3, false);
const Reply last = read("QUJD", 3, true);
const Reply nothing = read("", 0, true);
Reply wrote(std::int64_t count) { return {.json = {{"count", count}, {"eof", false}}}; }

const std::string open_r = R"(guest-file-open {"mode":"r","path":"/f"})";
const std::string open_w = R"(guest-file-open {"mode":"w","path":"/f"})";
const std::string to_end = R"(guest-file-seek {"handle":3,"offset":0,"whence":"end"})";
const std::string to_start = R"(guest-file-seek {"handle":3,"offset":0,"whence":"set"})";
const std::string read_3 = R"(guest-file-read {"count":3,"handle":3})";
const std::string flush = R"(guest-file-flush {"handle":3})";
const std::string close_it = R"(guest-file-close {"handle":3})";
const std::string clean_up = " (cleans up)";

struct Download {
  explicit Download(TransferParams params = {})
      : run("/f", std::make_shared<qga::detail::StreamSink>(stream), small(std::move(params))) {}

  static TransferParams small(TransferParams params) {
    params.chunk = 3;
    return params;
  }

  std::ostringstream stream;
  Scripted<qga::TransferResult, qga::detail::Download> run;
};

struct Upload {
  explicit Upload(const std::string& text, TransferParams params = {}, bool sets_mode = false)
      : run(std::make_shared<qga::detail::TextSource>(text), "/f",
            Download::small(std::move(params)), sets_mode) {}

  Scripted<qga::TransferResult, qga::detail::Upload> run;
};

}  // namespace

TEST_CASE("download: reads ahead as far as the file reached, then one by one") {
  Download it;
  it.run.run({opened, at(8), at(0), abc, abc, abc, nothing, done});
  CHECK(it.run.log == Strings{open_r, to_end, to_start, read_3, read_3, read_3, read_3, close_it});
  REQUIRE(it.run.finished);
  CHECK(it.run.finished->bytes == 9);  // it has grown
  CHECK(it.stream.str() == "ABCABCABC");
}

TEST_CASE("download: keeps no more in flight than allowed") {
  Download it({.in_flight = 2});
  it.run.run({opened, at(300), at(0), abc, last, nothing, done});
  // Two were in flight when the first was answered, which made room for the third.
  CHECK(it.run.log.size() == 3 + 3 + 1);
  CHECK(it.stream.str() == "ABCABC");
}

TEST_CASE("download: a file ends with `eof`, or with nothing") {
  SECTION("POSIX: together with the last bytes") {
    Download it;
    it.run.run({opened, at(3), at(0), abc, last, done});
    CHECK(it.stream.str() == "ABCABC");
  }
  SECTION("Windows: by itself") {
    Download it;
    it.run.run({opened, at(2), at(0), abc, nothing, done});
    CHECK(it.stream.str() == "ABC");
  }
  SECTION("never said") {
    Download it;
    it.run.run({opened, at(2), at(0), abc, read("", 0, false), done});
    CHECK(it.stream.str() == "ABC");
  }
  SECTION("what has no size") {
    Download it;
    it.run.run({opened, refused, abc, last, done});
    CHECK(it.run.log == Strings{open_r, to_end, read_3, read_3, close_it});
    CHECK(it.stream.str() == "ABCABC");
  }
}

TEST_CASE("download: a guest that lies about counts") {
  const auto check = [](const Reply& reply) {
    Download it;
    it.run.run({opened, at(2), at(0), reply, done});
    CHECK(error_of<qga::BadReplyError>(it.run).command() == "guest-file-read");
    CHECK(it.run.log.back() == close_it + clean_up);
    CHECK(it.stream.str().empty());
  };
  check(read("QUJD", 2, true));
  check(read("QUJD", -3, true));
  check(read("QUJDQUJD", 6, true));  // more than was asked for
  check(read("", 3, true));
}

TEST_CASE("download: positions that are none") {
  SECTION("negative: no size") {
    Download it;
    it.run.run({opened, at(-5), at(0), last, done});
    CHECK(it.stream.str() == "ABC");
  }
  SECTION("another than asked for") {
    Download it({.offset = 5});
    it.run.run({opened, at(9), at(4), done});
    CHECK(error_of<qga::BadReplyError>(it.run).command() == "guest-file-seek");
  }
}

TEST_CASE("download: goes on behind an offset") {
  Download it({.offset = 5});
  it.run.run({opened, at(8), at(5), abc, nothing, done});
  CHECK(it.run.log[2] == R"(guest-file-seek {"handle":3,"offset":5,"whence":"set"})");
  REQUIRE(it.run.finished);
  CHECK(it.run.finished->bytes == 3);
  Download beyond({.offset = 9});
  beyond.run.run({opened, at(8), at(9), done});
  CHECK(error_of<qga::RequestError>(beyond.run).err() == std::errc::invalid_argument);
}

TEST_CASE("download: a limit is exact") {
  Download fits({.limit = 6});
  fits.run.run({opened, at(5), at(0), abc, last, done});
  CHECK(fits.run.finished);
  Download too_long({.limit = 5});
  too_long.run.run({opened, at(5), at(0), abc, last, done});
  error_of<qga::BadReplyError>(too_long.run);
}

TEST_CASE("transfers tell how far they are") {
  std::vector<std::uint64_t> seen;
  std::optional<std::uint64_t> total;
  const auto progress = [&](std::uint64_t bytes, std::optional<std::uint64_t> all) {
    seen.push_back(bytes);
    total = all;
  };
  Download down({.offset = 2, .progress = progress});
  down.run.run({opened, at(8), at(2), abc, abc, nothing, done});
  CHECK(seen == std::vector<std::uint64_t>{5, 8});
  CHECK(total == 8);
  seen.clear();
  Upload up("ABCD", {.progress = progress});
  up.run.run({opened, at(0), at(0), wrote(3), wrote(1), done, done});
  CHECK(seen == std::vector<std::uint64_t>{3, 4});
  CHECK(total == 4);
}

TEST_CASE("what a progress callback throws ends the transfer, and the file is closed") {
  Download it({.progress = [](auto, auto) { throw std::runtime_error("enough"); }});
  it.run.run({opened, at(8), at(0), abc, abc, abc, done});
  CHECK(error_of<std::runtime_error>(it.run).what() == std::string("enough"));
  CHECK(it.run.log.back() == close_it + clean_up);
}

TEST_CASE("a host that cannot write") {
  Download it;
  it.stream.setstate(std::ios::badbit);
  it.run.run({opened, at(2), at(0), abc, done});
  CHECK(error_of<std::system_error>(it.run).code() == std::errc::io_error);
}

TEST_CASE("a failure waits for what is in flight, closes once, and is the first one") {
  Download it;
  it.run.run({opened, at(8), at(0), abc, {.error = error<qga::TimeoutError>()}, refused, refused});
  error_of<qga::TimeoutError>(it.run);
  CHECK(it.run.log.size() == 3 + 3 + 1);
  CHECK(it.run.log.back() == close_it + clean_up);
}

TEST_CASE("nothing is sent where nothing was opened, or nothing can be read on the host") {
  Download unopened;
  unopened.run.run({refused});
  CHECK(unopened.run.log == Strings{open_r});
  Scripted<qga::TransferResult, qga::detail::Upload> missing(
      std::make_shared<qga::detail::FileSource>("/no/such/file"), "/f", TransferParams());
  missing.run({});
  CHECK(error_of<std::system_error>(missing).code() == std::errc::no_such_file_or_directory);
  CHECK(missing.log.empty());
}

TEST_CASE("transfers: what is out of range is refused, and nothing is sent") {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  constexpr std::size_t largest = 47 << 20;
  for (const TransferParams& params :
       {TransferParams{.chunk = 0}, TransferParams{.chunk = largest + 1},
        TransferParams{.chunk = most}, TransferParams{.in_flight = 0},
        TransferParams{.in_flight = 65}, TransferParams{.in_flight = most},
        TransferParams{.mode = 010000}}) {
    CAPTURE(params.chunk, params.in_flight);
    Scripted<qga::TransferResult, qga::detail::Upload> up(
        std::make_shared<qga::detail::TextSource>("x"), "/f", params);
    up.run({});
    error_of<qga::RequestError>(up);
    CHECK(up.log.empty());
    std::string text;
    Scripted<qga::TransferResult, qga::detail::Download> down(
        "/f", std::make_shared<qga::detail::TextSink>(text), params);
    down.run({});
    error_of<qga::RequestError>(down);
    CHECK(down.log.empty());
  }
}

TEST_CASE("upload: writes, flushes, closes") {
  Upload it("ABCABCA");
  it.run.run({opened, at(0), at(0), wrote(3), wrote(3), wrote(1), done, done});
  CHECK(it.run.log ==
        Strings{open_w, to_end, to_start, R"(guest-file-write {"buf-b64":"QUJD","handle":3})",
                R"(guest-file-write {"buf-b64":"QUJD","handle":3})",
                R"(guest-file-write {"buf-b64":"QQ==","handle":3})", flush, close_it});
  REQUIRE(it.run.finished);
  CHECK(it.run.finished->bytes == 7);
}

TEST_CASE("upload: has the guest make a file that others may not write, where it can") {
  const Reply started{.json = {{"pid", 7}}};
  const auto ended = [](int code) { return Reply{.json = {{"exited", true}, {"exitcode", code}}}; };
  const struct {
    std::optional<unsigned> mode;
    std::string given;
    std::deque<Reply> replies;
    bool is_set;
  } cases[] = {{{}, "", {started, ended(0)}, true},
               {0644, "0644", {started, ended(0)}, true},
               {07777, "7777", {started, ended(0)}, true},
               {0, "0000", {started, ended(1)}, false},
               {0600, "0600", {refused}, false}};
  for (const auto& [mode, given, replies, is_set] : cases) {
    CAPTURE(given, is_set);
    Upload it("ABC", {.mode = mode}, true);
    std::deque<Reply> all = replies;
    for (const Reply& reply : {opened, at(0), at(0), wrote(3), done, done}) all.push_back(reply);
    it.run.run(std::move(all));
    REQUIRE(it.run.finished);
    CHECK(it.run.finished->mode_set == is_set);
    CHECK(it.run.log.front().find("\"/f\",\"" + given + "\"]") != std::string::npos);
  }
  Upload wrong("ABC", {.mode = 010000}, true);
  wrong.run.run({});
  CHECK(wrong.run.log.empty());
  CHECK(wrong.run.failed);
}

TEST_CASE("upload: a file that is continued keeps its permissions") {
  Upload it("ABC", {.offset = 1}, true);
  it.run.run({opened, at(1), at(1), wrote(2), done, done});
  CHECK(it.run.log.front() == "guest-file-open {\"mode\":\"r+\",\"path\":\"/f\"}");
}

TEST_CASE("upload: nothing is a file too, and a multiple of the chunk has no end of its own") {
  Upload empty("");
  empty.run.run({opened, at(0), at(0), done, done});
  CHECK(empty.run.finished);
  Upload even("ABCABC");
  even.run.run({opened, at(0), at(0), wrote(3), wrote(3), done, done});
  CHECK(even.run.log.size() == 3 + 2 + 2);
}

TEST_CASE("upload: has no more ready than the session lets out, and the next") {
  const auto ready = [](std::size_t chunk) {
    Scripted<qga::TransferResult, qga::detail::Upload> upload(
        std::make_shared<qga::detail::TextSource>(std::string(8 * chunk, 'x')), "/f",
        TransferParams{.chunk = chunk, .in_flight = 4}, false);
    const Reply all = wrote(static_cast<std::int64_t>(chunk));
    std::deque<Reply> replies{opened, at(0), at(0), refused, all};
    if (chunk < 3100) replies.insert(replies.end(), {all, all});
    replies.insert(replies.end(), {done, opened, done});
    upload.run(std::move(replies));
    // Those before the refusal.
    return std::count_if(upload.log.begin(), upload.log.end(), [](const std::string& line) {
      return line.starts_with("guest-file-write");
    });
  };
  CHECK(ready(3000) == 4);  // 4000 bytes on the wire
  CHECK(ready(3100) == 2);
}

TEST_CASE("upload: after a failure the guest's file is empty") {
  const Reply again{.json = 4};
  const Strings cleaning{close_it + clean_up, open_w + clean_up,
                         R"(guest-file-close {"handle":4})" + clean_up};
  const auto check = [&](Upload& it, std::deque<Reply> replies) {
    replies.insert(replies.end(), {refused, again, done});
    it.run.run(std::move(replies));
    CHECK(it.run.failed);
    CHECK(Strings(it.run.log.end() - 3, it.run.log.end()) == cleaning);
  };
  SECTION("fewer bytes taken") {
    Upload it("ABC");
    check(it, {opened, at(0), at(0), wrote(2)});
    error_of<qga::BadReplyError>(it.run);
  }
  SECTION("a write refused") {
    Upload it("ABC");
    check(it, {opened, at(0), at(0), refused});
  }
  SECTION("a disk that is full when it is flushed") {
    Upload it("ABC");
    check(it, {opened, at(0), at(0), wrote(3), refused});
    error_of<qga::AgentError>(it.run);
  }
}

TEST_CASE("a close that could not be sent is sent as a part of cleaning up") {
  Download it;
  const Reply unsent{.error = error<qga::CancelledError>(Outcome::not_sent)};
  it.run.run({opened, at(2), at(0), last, unsent, done});
  error_of<qga::CancelledError>(it.run);
  CHECK(it.run.log == Strings{open_r, to_end, to_start, read_3, close_it, close_it + clean_up});
}

TEST_CASE("upload: what is there is left there where that is asked for, or came from before") {
  SECTION("keep_partial") {
    Upload it("ABC", {.keep_partial = true});
    it.run.run({opened, at(0), at(0), refused, done});
    CHECK(it.run.log.back() == close_it + clean_up);
  }
  SECTION("an offset") {
    Upload it("ABC", {.offset = 1});
    it.run.run({opened, at(1), at(1), refused, done});
    CHECK(it.run.log[0] == R"(guest-file-open {"mode":"r+","path":"/f"})");
    CHECK(it.run.log.back() == close_it + clean_up);
  }
  SECTION("an offset in a file that is longer than all") {
    Upload it("ABC", {.offset = 1});
    it.run.run({opened, at(4), at(1), wrote(2), done, done});
    error_of<qga::RequestError>(it.run);
  }
}

TEST_CASE("verify: looks for tools, and then compares what the guest has") {
  using Reason = qga::VerificationError::Reason;
  const std::string digest =  // of "ABC"
      "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78";
  const auto ran = [](const std::string& base64, int exit_code) {
    return Reply{.json = {{"exited", true}, {"exitcode", exit_code}, {"out-data", base64}}};
  };
  const Reply started{.json = {{"pid", 7}}};
  const std::string ok =  // digest and "  -\n"
      "YjVkNDA0NWMzZjQ2NmZhOTFmZTJjYzZhYmU3OTIzMmExYTU3Y2RmMTA0ZjdhMjZlNzE2ZTBhMWUyNzg5ZGY3OCAgLQo"
      "=";
  const Reply tools = ran(ok, 0);
  SECTION("the same") {
    Upload it("ABC", {.verify = true});
    it.run.run({started, tools, opened, at(0), at(0), wrote(3), done, done, started, ran(ok, 0)});
    REQUIRE(it.run.finished);
    CHECK(it.run.finished->sha256 == digest);
    CHECK(it.run.log[8].find(R"("sh","/f","1","3")") != std::string::npos);
  }
  SECTION("another: the file is emptied") {
    Upload it("ABD", {.verify = true});
    it.run.run({started, tools, opened, at(0), at(0), wrote(3), done, done, started, ran(ok, 0),
                opened, done});
    CHECK(error_of<qga::VerificationError>(it.run).reason() == Reason::mismatch);
    CHECK(error_of<qga::VerificationError>(it.run).bytes() == 3);
  }
  SECTION("no tools: nothing is transferred") {
    Upload it("ABC", {.verify = true});
    it.run.run({started, ran("", 127)});
    const auto missing = error_of<qga::VerificationError>(it.run);
    CHECK(missing.reason() == Reason::unavailable);
    CHECK(missing.outcome() == Outcome::not_sent);
    CHECK(it.run.log.size() == 2);
  }
  SECTION("no programs: nothing is transferred") {
    Download it({.verify = true});
    it.run.run({{.error = error<qga::CommandNotFoundError>(Outcome::refused)}});
    CHECK(error_of<qga::VerificationError>(it.run).reason() == Reason::unavailable);
    CHECK(it.run.log.size() == 1);
  }
  SECTION("not told: the file is left as it was transferred") {
    for (const Reply& answer : {ran("", 1), Reply{.error = error<qga::ReadError>()}}) {
      Upload it("ABC", {.verify = true});
      it.run.run({started, tools, opened, at(0), at(0), wrote(3), done, done, started, answer});
      CHECK(error_of<qga::TransferError>(it.run).bytes() == 3);
    }
  }
}

TEST_CASE("a transfer has its time in every step, and ten seconds more to clean up") {
  Download down({.verify = true, .timeout = 20s});
  const Reply started{.json = {{"pid", 7}}};
  const Reply no_tools{.json = {{"exited", true}, {"exitcode", 127}}};
  down.run.run({started, no_tools});
  CHECK(down.run.latest == down.run.now_ + 20s);
  Download plain({.timeout = 20s});
  plain.run.run({opened, at(2), at(0), last, done});
  CHECK(plain.run.latest == plain.run.now_ + 20s);
  Upload up("ABC", {.timeout = 20s});
  up.run.run({opened, at(0), at(0), wrote(3), done, done});
  CHECK(up.run.latest == up.run.now_ + 20s);
}

TEST_CASE("a transfer that is dropped closes its file") {
  Download it;
  CHECK_THROWS_AS(it.run.run({opened}), std::logic_error);  // no more replies
  it.run.drop();
  CHECK(it.run.log == Strings{open_r, to_end, "guest-file-close (guard)"});
}
