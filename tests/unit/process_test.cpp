// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that is started and followed, step by step: what is sent, how fast, and what becomes of
// a guest that fails or lies.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "helper_harness.hpp"
#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/encode.hpp"
#include "qga/helpers/process_end.hpp"
#include "qga/helpers/process_state.hpp"
#include "qga/helpers/read_process.hpp"
#include "qga/helpers/run.hpp"
#include "qga/helpers/start.hpp"
#include "qga/helpers/write_process.hpp"

using namespace helper_test;
using qga::ProcessOutput;
using qga::ProcessStatus;
using qga::ProcessStream;
using qga::detail::ProcessState;
using StatePtr = std::shared_ptr<ProcessState>;
using Strings = std::vector<std::string>;
using Start = Scripted<StatePtr, qga::detail::StartProgram>;
using Read = Scripted<ProcessOutput, qga::detail::ReadProcess>;
using Write = Scripted<void, qga::detail::WriteProcess>;
using CloseInput = Scripted<void, qga::detail::CloseInput>;
using Wait = Scripted<ProcessStatus, qga::detail::WaitProcess>;
using Ask = Scripted<ProcessStatus, qga::detail::AskProcess>;
using Signal = Scripted<void, qga::detail::SignalProcess>;
using Resize = Scripted<void, qga::detail::ResizeProcess>;
using RunFollowed = Scripted<qga::RunResult, qga::detail::Run>;

namespace process_test {

std::string base64(std::string_view bytes) {
  std::string text;
  qga::detail::base64_encode(bytes, text);
  return text;
}
Reply got(std::string_view bytes) {
  return {.json = {{"count", bytes.size()}, {"buf-b64", base64(bytes)}, {"eof", bytes.empty()}}};
}
Reply took(std::size_t bytes) { return {.json = {{"count", bytes}, {"eof", false}}}; }
Reply at(std::uint64_t position) { return {.json = {{"position", position}, {"eof", false}}}; }
Reply said(std::string_view out) {
  return {.json = {{"exited", true}, {"exitcode", 0}, {"out-data", base64(out)}}};
}
Reply ended_with(int code) { return {.json = {{"exited", true}, {"exitcode", code}}}; }
Reply handle(int number) { return {.json = number}; }
Reply pid(int number) { return {.json = {{"pid", number}}}; }
template <class Error>
Reply failed(Outcome outcome = Outcome::unknown) {
  return {.error = error<Error>(outcome)};
}

const Reply nothing = got("");
const Reply done{};
const Reply alive = nothing;
const Reply running{.json = {{"exited", false}}};
// Each has an error of its own, because helpers change what they pass on.
Reply refused() { return failed<qga::AgentError>(Outcome::refused); }
Reply gone() { return refused(); }
Reply lost() {
  return {.error = qga::detail::make_error<qga::BadReplyError>(
              "test", "skipped", Outcome::unknown, std::make_error_code(std::errc::no_message))};
}

const std::string look = R"(guest-file-read {"count":1,"handle":40})";
const std::string read_out = R"(guest-file-read {"count":65536,"handle":31})";
const std::string read_err = R"(guest-file-read {"count":65536,"handle":32})";
const std::string read_much = R"(guest-file-read {"count":131072,"handle":31})";
const std::string seek_out = R"(guest-file-seek {"handle":31,"offset":)";
const std::string status = R"(guest-exec-status {"pid":7})";
const std::string flush = R"(guest-file-flush {"handle":50})";
std::string write_of(std::string_view bytes) {
  return R"(guest-file-write {"buf-b64":")" + base64(bytes) + R"(","handle":50})";
}

/// A program that was started: outputs 31 and 32, input 50 and, on Linux, 40 for its life.
StatePtr program(std::size_t outputs = 1, bool is_linux = true) {
  auto state = std::make_shared<ProcessState>();
  state->pid = 7;
  state->directory = "/tmp/qga-x";
  state->outputs.resize(outputs);
  for (std::size_t i = 0; i < outputs; ++i) {
    state->outputs[i].file = file(31 + static_cast<std::int64_t>(i));
    state->outputs[i].stream = i == 0 ? ProcessStream::out : ProcessStream::err;
  }
  state->input = file(50);
  state->piece = 4;
  if (is_linux) state->life = file(40);
  return state;
}

template <class Script>
std::size_t count(const Script& script, const std::string& line) {
  return static_cast<std::size_t>(std::count(script.log.begin(), script.log.end(), line));
}
template <class Script>
Strings lines(const Script& script, std::size_t from, std::size_t to) {
  return {script.log.begin() + static_cast<std::ptrdiff_t>(from),
          script.log.begin() + static_cast<std::ptrdiff_t>(to)};
}

/// Reads once more, and gives what is told.
ProcessOutput read_on(const StatePtr& state, std::deque<Reply> replies) {
  Read read(state);
  read.run(std::move(replies));
  REQUIRE(read.finished);
  return *read.finished;
}

const Reply linux_setup = said("Linux\nnone\n1:2\n1:3\n");
Start start(qga::StartParams params = {}) {
  return Start(qga::detail::Program{"/bin/x", std::move(params)}, std::string());
}
}  // namespace process_test

using namespace process_test;

// ---- start -------------------------------------------------------------------------------------

TEST_CASE("start: a directory, the files, the program, and what tells that it lives") {
  Start starting = start();
  starting.run(
      {pid(6), linux_setup, handle(3), handle(4), handle(5), pid(7), handle(8), at(1 << 30)});
  REQUIRE(starting.finished);
  StatePtr state = *starting.finished;
  starting.finished.reset();
  const std::string directory = state->directory;
  CHECK(directory.starts_with("/tmp/qga-"));
  CHECK(directory.size() == 41);
  const std::string& setup = starting.log[0];
  CHECK(setup.starts_with(R"(guest-exec {"arg":["-c","eval \"$(cat)\""],)"));
  CHECK(lines(starting, 2, 8) ==
        Strings{R"(guest-file-open {"mode":"r","path":")" + directory + R"(/out"})",
                R"(guest-file-open {"mode":"r","path":")" + directory + R"(/err"})",
                R"(guest-file-open {"mode":"r+","path":")" + directory + R"(/in"})",
                R"(guest-exec {"arg":[")" + directory + R"(/run","none"],"path":"/bin/sh"})",
                R"(guest-file-open {"mode":"r","path":"/proc/7/cmdline"})",
                R"(guest-file-seek {"handle":8,"offset":1073741824,"whence":"set"} (to its end))"});
  CHECK(state->pid == 7);
  CHECK(state->life.is_open());
  CHECK(state->outputs.at(1).inode == "1:3");
  starting.drop();
  state.reset();
  CHECK(starting.log[8] == "guest-exec (guard)");  // which ends the program, before the files
  CHECK(count(starting, "guest-file-close (guard)") == 4);
  CHECK(starting.log.size() == 13);
}

TEST_CASE("start: a guest that says too much") {
  Start starting = start();
  const std::string lines(1 << 20, '\n');
  const std::string line(1 << 20, 'x');
  starting.run({pid(6), said("Linux\nnone\n" + line + "\n1:3\n" + lines), handle(3), handle(4),
                handle(5), pid(7), handle(8), at(1 << 30)});
  REQUIRE(starting.finished);
  CHECK((*starting.finished)->outputs[0].inode.empty());
  CHECK((*starting.finished)->outputs[1].inode == "1:3");
}

TEST_CASE("start: a guest without /proc, and one that refuses it") {
  Start other = start({.merge = true});
  other.run({pid(6), said("FreeBSD\nbsd\n"), handle(3), handle(4), pid(7)});
  REQUIRE(other.finished);
  CHECK_FALSE((*other.finished)->life.is_open());
  CHECK((*other.finished)->piece == 512);
  CHECK((*other.finished)->outputs.size() == 1);
  Start hidden = start();
  hidden.run({pid(6), said("Linux\nnone\n"), handle(3), handle(4), handle(5), pid(7), refused()});
  REQUIRE(hidden.finished);
  CHECK_FALSE((*hidden.finished)->life.is_open());
  CHECK((*hidden.finished)->outputs.at(0).inode.empty());
  Start unmoved = start();
  unmoved.run({pid(6), linux_setup, handle(3), handle(4), handle(5), pid(7), handle(8), refused()});
  REQUIRE(unmoved.finished);
  CHECK_FALSE((*unmoved.finished)->life.is_open());
}

TEST_CASE("start: a program that may be left behind has no guard, and its directory stays") {
  Start starting = start({.leave_behind = true});
  starting.run(
      {pid(6), linux_setup, handle(3), handle(4), handle(5), pid(7), handle(8), at(1 << 30)});
  starting.finished.reset();
  starting.drop();
  CHECK(count(starting, "guest-exec (guard)") == 0);
}

TEST_CASE("start: what the guest's shell says is told, and nothing is left") {
  Start none = start();
  none.run(
      {pid(6), {.json = {{"exited", true}, {"exitcode", 1}, {"err-data", base64("no\x1b!\n")}}}});
  const auto why = error_of<qga::AgentError>(none);
  CHECK(why.outcome() == Outcome::refused);
  CHECK(std::string(why.what()).find("no\\x1b!") != std::string::npos);
  Start ended = start();
  ended.run({pid(6), {.json = {{"exited", true}, {"signal", 9}}}});
  CHECK(std::string(error_of<qga::AgentError>(ended).what()).find("does not say why") !=
        std::string::npos);
  Start without_shell = start();
  without_shell.run({refused()});
  CHECK(std::string(error_of<qga::AgentError>(without_shell).what()).find("/bin/sh") !=
        std::string::npos);
}

TEST_CASE("start: the directory is removed wherever it fails") {
  const auto removed = [](const Start& starting) {
    return std::any_of(starting.log.begin(), starting.log.end(), [](const std::string& line) {
      return line.starts_with(R"(guest-exec {"arg":["-rf","--","/tmp/qga-)") &&
             line.ends_with(" (cleans up)");
    });
  };
  SECTION("the answer to the script is lost") {
    Start starting = start();
    starting.run({failed<qga::TimeoutError>(), pid(8), ended_with(0)});
    error_of<qga::TimeoutError>(starting);
    CHECK(removed(starting));
  }
  SECTION("it is cancelled while the script runs, which may make the directory yet") {
    Start starting = start();
    starting.cancelled = error<qga::CancelledError>(Outcome::not_sent);
    starting.run({pid(6), running, pid(8), ended_with(0), ended_with(0), pid(9), ended_with(0)});
    CHECK(error_of<qga::CancelledError>(starting).outcome() == Outcome::unknown);
    CHECK(removed(starting));
  }
  SECTION("the agent was restarted while the script ran") {
    Start starting = start();
    starting.run({pid(6), refused(), pid(9), ended_with(0)});
    error_of<qga::AgentError>(starting);
    CHECK(removed(starting));
  }
  SECTION("a file cannot be opened") {
    Start starting = start();
    starting.run({pid(6), linux_setup, handle(3), refused(), handle(5), pid(9), ended_with(0)});
    error_of<qga::AgentError>(starting);
    CHECK(removed(starting));
    starting.drop();
    CHECK(count(starting, "guest-file-close (guard)") == 2);
  }
  SECTION("the program cannot be started") {
    Start starting = start();
    starting.run(
        {pid(6), linux_setup, handle(3), handle(4), handle(5), refused(), pid(9), ended_with(0)});
    error_of<qga::AgentError>(starting);
    CHECK(removed(starting));
  }
}

TEST_CASE("start: input that is there beforehand goes into a file of its own") {
  Start starting(qga::detail::Program{"/bin/x", {}, qga::detail::InputKind::file},
                 std::string("input"));
  starting.run({pid(6), linux_setup, handle(2), at(0), at(0), took(5), done, done, handle(3),
                handle(4), pid(7), handle(8), at(1 << 30)});
  REQUIRE(starting.finished);
  CHECK(starting.log[2].find("/input\"") != std::string::npos);
  CHECK_FALSE((*starting.finished)->input.is_open());
}

// ---- read --------------------------------------------------------------------------------------

TEST_CASE("read: what was written is told at once") {
  Read read(program());
  read.run({alive, got("abc")});
  CHECK(read.finished->bytes == "abc");
  CHECK(read.finished->stream == ProcessStream::out);
  CHECK(read.log == Strings{look, read_out});
}

TEST_CASE("read: it looks at once, and less and less often up to 250 ms") {
  const StatePtr state = program();
  Read read(state);
  std::deque<Reply> replies;
  for (int i = 0; i < 11; ++i) replies.insert(replies.end(), {alive, i < 10 ? nothing : got("x")});
  read.run(replies);
  Strings expected;
  for (const int pause : {2, 4, 8, 16, 32, 64, 128, 250, 250, 250}) {
    expected.insert(expected.end(),
                    {look, read_out, "pause " + std::to_string(pause) + " (or woken)"});
  }
  expected.insert(expected.end(), {look, read_out});
  CHECK(read.log == expected);
  Read next(state);  // where something was written there may be more
  next.run({alive, nothing, alive, got("y")});
  CHECK(next.log[2] == "pause 2 (or woken)");
}

TEST_CASE("read: only the call that reads is woken") {
  const StatePtr state = program();
  Wait wait(state);
  wait.run({alive, gone(), ended_with(0)});
  CHECK(wait.log[1] == "pause 2");
  Write write(program(), "a");
  write.run({took(1), refused(), took(0), alive, took(1), done});
  CHECK(count(write, "pause 2") == 1);
}

TEST_CASE("read: where there is much, several reads are in flight") {
  const StatePtr state = program();
  const std::string first(64 << 10, 'a');
  const std::string much(128 << 10, 'b');
  CHECK(read_on(state, {alive, got(first)}).bytes == first);
  Read read(state);
  read.run({alive, got(much), got(much), got("c"), nothing});
  CHECK(read.finished->bytes == much + much + "c");
  CHECK(read.log == Strings{look, read_much, read_much, read_much, read_much});
  Read next(state);
  next.run({alive, got("d")});
  CHECK(next.log == Strings{look, read_out});
}

TEST_CASE("read: two outputs are told apart, in the order in which they were read") {
  const StatePtr state = program(2);
  Read first(state);
  first.run({alive, got("out"), got("err")});
  CHECK(first.finished->stream == ProcessStream::out);
  CHECK(first.log == Strings{look, read_out, read_err});
  Read second(state);
  second.run({});
  CHECK(second.finished->stream == ProcessStream::err);
  CHECK(second.finished->bytes == "err");
  const ProcessOutput third = read_on(state, {alive, nothing, got("more")});
  CHECK(third.stream == ProcessStream::err);
  CHECK(third.bytes == "more");
}

TEST_CASE("read: after a failure it goes on where it was, without loss") {
  const StatePtr state = program(2);
  SECTION("a read without an answer") {
    Read read(state);
    read.run({alive, got("abc"), failed<qga::TimeoutError>()});
    const auto why = error_of<qga::TimeoutError>(read);
    CHECK(read_on(state, {}).bytes == "abc");
    Read next(state);
    next.run({alive, got("def"), at(0), got("err")});
    CHECK(next.log == Strings{look, read_out,
                              R"(guest-file-seek {"handle":32,"offset":0,"whence":"set"})",
                              read_err});
    CHECK(next.finished->bytes == "def");
    CHECK(read_on(state, {}).bytes == "err");
  }
  SECTION("several in flight, of which the second fails: the third may have been anywhere") {
    const std::string first(64 << 10, 'a');
    const std::string much(128 << 10, 'b');
    read_on(state, {alive, got(first), nothing});
    Read read(state);
    read.run({alive, got(much), failed<qga::CancelledError>(), got(much), got(much), nothing});
    error_of<qga::CancelledError>(read);
    CHECK(read_on(state, {}).bytes == much);
    Read next(state);
    next.run(
        {alive, at((64 << 10) + (128 << 10)), got("c"), nothing, nothing, nothing, at(0), got("")});
    CHECK(next.log[1] == seek_out + R"(196608,"whence":"set"})");
    CHECK(next.finished->bytes == "c");
  }
  SECTION("the look for life fails: what the reads behind it bring is read once more") {
    Read read(state);
    read.run({failed<qga::TimeoutError>(), got("abc"), nothing});
    error_of<qga::TimeoutError>(read);
    Read next(state);
    next.run({alive, at(0), got("abc"), at(0), nothing});
    CHECK(next.finished->bytes == "abc");
  }
  SECTION("the seek fails") {
    Read read(state);
    read.run({alive, failed<qga::TimeoutError>(), nothing});
    error_of<qga::TimeoutError>(read);
    Read unmoved(state);
    unmoved.run({alive, refused(), got("abc"), at(0), nothing});
    error_of<qga::AgentError>(unmoved);
    CHECK(read_on(state, {alive, at(0), got("abc"), at(0), nothing}).bytes == "abc");
  }
}

TEST_CASE("read: an error tells the program and whether it has ended") {
  Read read(program());
  read.run({alive, failed<qga::TimeoutError>()});
  const auto why = error_of<qga::ProgramError>(read);
  CHECK(why.pid() == 7);
  CHECK_FALSE(why.ended());
}

TEST_CASE("read: its time ends it between two looks") {
  Read read(program());
  read.until_ = read.now_ + 10ms;
  read.run({alive, nothing, alive, nothing, alive, nothing});
  const auto why = error_of<qga::TimeoutError>(read);
  CHECK(read.now_ == read.until_);
  CHECK(read.log.back() == "pause 4 (or woken)");
}

TEST_CASE("read: the end is told when all was read, and nothing is left open") {
  const StatePtr state = program(2);
  CHECK(read_on(state, {gone(), got("last"), nothing}).bytes == "last");
  CHECK_FALSE(state->end);
  Read read(state);
  // A look that fails is a line in the guest's log, so that there is one. It may have written
  // between the look and its end, so it is read once more behind that.
  read.run({nothing, nothing, ended_with(3), got("very last"), nothing});
  CHECK(read.finished->bytes == "very last");
  CHECK(read.log[2] == status);
  Read last(state);
  last.run({nothing, nothing, done, done, done, done});
  CHECK_FALSE(*last.finished);
  CHECK(lines(last, 2, 6) == Strings{R"(guest-file-close {"handle":31} (to its end))",
                                     R"(guest-file-close {"handle":32} (to its end))",
                                     R"(guest-file-close {"handle":40} (to its end))",
                                     R"(guest-file-close {"handle":50} (to its end))"});
  CHECK(state->end->exit_code == 3);
  CHECK_FALSE(read_on(state, {}));
  CHECK_FALSE(read_on(state, {}));
}

TEST_CASE("read: a directory that stays is removed at the end, whatever ends the call") {
  const StatePtr state = program();
  state->leave_behind = true;
  state->end = ProcessStatus{true, 0, {}};
  Read read(state);
  read.run({nothing, done, done, done, pid(9), ended_with(0)});
  CHECK_FALSE(*read.finished);
  CHECK(read.log[4] ==
        R"(guest-exec {"arg":["-rf","--","/tmp/qga-x"],"path":"/bin/rm"} (cleans up))");
}

TEST_CASE("read: one call at a time, and the next one as soon as one has told its result") {
  const StatePtr state = program();
  Read read(state);
  read.run({alive, got("a")});
  REQUIRE(read.finished);
  Read next(state);  // the first one is not destroyed yet
  next.run({alive, failed<qga::TimeoutError>()});
  error_of<qga::TimeoutError>(next);
  Read third(state);
  third.run({alive, at(1), got("b")});
  REQUIRE(third.finished);
  state->reading = true;
  Read other(state);
  other.run({});
  CHECK(error_of<qga::RequestError>(other).err() == std::errc::device_or_resource_busy);
  CHECK(state->reading);
}

TEST_CASE("read: a destroyed call lets the next one read") {
  const StatePtr state = program();
  {
    Read read(state);
    CHECK_THROWS(read.run({alive}));  // it ends in the middle
    CHECK(state->reading);
    read.drop();
  }
  CHECK_FALSE(state->reading);
  CHECK(read_on(state, {alive, at(0), got("a")}).bytes == "a");
}

TEST_CASE("read: without /proc it asks ever less often") {
  const StatePtr state = program(1, false);
  Read read(state);
  std::deque<Reply> replies;
  // Asks in the first look, and then where 2, 4, 8 ... 2000 ms have passed since the last answer.
  Clock::duration now{}, ask_at{}, pace = 2ms, question = 2ms;
  std::size_t asked = 0;
  while (now < 20s) {
    replies.push_back(nothing);
    if (now >= ask_at) {
      replies.push_back(running);
      ++asked;
      ask_at = now + question;
      question = std::min<Clock::duration>(2 * question, 2s);
    }
    now += pace;
    pace = std::min<Clock::duration>(2 * pace, 250ms);
  }
  replies.push_back(got("x"));
  read.run(replies);
  CHECK(read.finished->bytes == "x");
  CHECK(count(read, status) == asked);
  CHECK(asked < 22);
}

TEST_CASE("read: parts that were read are given back to the guest's disk, where that works") {
  const StatePtr state = program();
  state->outputs[0].inode = "1:2";
  state->outputs[0].offset = (64 << 20) + 5000;
  Read read(state);
  read.run({pid(9), ended_with(0), alive, got("a")});
  CHECK(read.log[0].find(R"("1:2","67112960")") != std::string::npos);
  CHECK(state->outputs[0].given_back == 67112960);
  SECTION("once a part") { CHECK(read_on(state, {alive, got("b")}).bytes == "b"); }
  SECTION("never again where the guest cannot") {
    state->outputs[0].offset *= 2;
    CHECK(read_on(state, {pid(9), ended_with(1), alive, got("b")}).bytes == "b");
    CHECK(state->outputs[0].inode.empty());
  }
  SECTION("again where only the answer failed") {
    state->outputs[0].offset *= 2;
    CHECK(read_on(state, {failed<qga::TimeoutError>(), alive, got("b")}).bytes == "b");
    CHECK(state->outputs[0].inode == "1:2");
  }
}

TEST_CASE("read: a guest that lies") {
  const StatePtr state = program();
  SECTION("about the count") {
    Read read(state);
    read.run({alive, {.json = {{"count", 4}, {"buf-b64", base64("abc")}, {"eof", false}}}});
    error_of<qga::BadReplyError>(read);
    CHECK(read_on(state, {alive, at(0), got("abc")}).bytes == "abc");
  }
  SECTION("with more than was asked for") {
    Read read(state);
    read.run({alive, got(std::string((64 << 10) + 1, 'x'))});
    error_of<qga::BadReplyError>(read);
    CHECK(state->unread.empty());
  }
  SECTION("about the end of the file") {
    Reply early = got("abc");
    early.json["eof"] = true;
    CHECK(read_on(state, {alive, early}).bytes == "abc");
    Reply never = nothing;
    never.json["eof"] = false;
    CHECK(read_on(state, {alive, never, alive, got("def")}).bytes == "def");
  }
  SECTION("about a position") {
    state->outputs[0].misplaced = true;
    Read read(state);
    read.run({alive, at(1), got("abc")});
    error_of<qga::BadReplyError>(read);
    CHECK(state->unread.empty());
  }
  SECTION("with a life that is over and a program that runs") {
    Read read(state);
    read.run({gone(), nothing, running, gone(), nothing, running, gone(), got("a")});
    CHECK(count(read, status) == 2);
    CHECK(read.log[3] == "pause 2 (or woken)");
  }
  SECTION("with an end that is none, and then another") {
    Wait wait(state);
    wait.run({gone(), ended_with(1)});
    Ask ask(state);
    ask.run({});
    CHECK(ask.finished->exit_code == 1);
  }
  SECTION("with a file that shrinks: it waits for more") {
    read_on(state, {alive, got("abc")});
    CHECK(read_on(state, {alive, nothing, alive, nothing, alive, got("x")}).bytes == "x");
  }
}

// ---- write -------------------------------------------------------------------------------------

TEST_CASE("write: in pieces, each of which is taken whole before the next") {
  const StatePtr state = program();
  Write write(state, "abcdefghij");
  write.run({took(4), done, took(4), done, took(2), done});
  CHECK(write.finished);
  CHECK(write.log ==
        Strings{write_of("abcd"), flush, write_of("efgh"), flush, write_of("ij"), flush});
  Write none(state, "");
  none.run({});
  CHECK(none.finished);
}

TEST_CASE("write: a piece and its flush fit into what is sent before an answer") {
  Start starting = start();
  starting.run({pid(6), linux_setup, handle(3), handle(4), handle(5), pid(7), refused()});
  const std::string piece((*starting.finished)->piece, '\xff');
  std::string text;
  qga::detail::encode_into(text,
                           qga::BasicGuestFileWriteRequest<std::string_view>(INT64_MAX, piece));
  std::string flushing;
  qga::detail::encode_into(flushing, qga::GuestFileFlushRequest(INT64_MAX));
  constexpr std::size_t id = 2 * 40;  // that the session adds
  CHECK(text.size() + flushing.size() + id <= qga::detail::window_bytes);
  CHECK(piece.size() <= 4096);  // which Linux takes whole or not at all
}

TEST_CASE("write: where the FIFO is full it waits, and sends the same piece again") {
  const StatePtr state = program();
  Write write(state, "abcdef");
  write.run({took(4), refused(), refused(), alive, took(4), refused(), took(0), alive, took(4),
             done, took(2), done});
  CHECK(write.finished);
  CHECK(write.log == Strings{write_of("abcd"), flush, write_of(""), look, "pause 2",
                             write_of("abcd"), flush, write_of(""), look, "pause 4",
                             write_of("abcd"), flush, write_of("ef"), flush});
}

TEST_CASE("write: what a call has left unanswered does not harm the next one") {
  const StatePtr state = program();
  Write cut(state, "abcd");
  cut.run({took(4), failed<qga::TimeoutError>()});
  error_of<qga::TimeoutError>(cut);
  // Had its flush failed late, the agent would refuse the next write, although it takes it.
  Write next(state, "ef");
  next.run({refused(), refused(), took(2), done});
  CHECK(next.finished);
  CHECK(next.log == Strings{flush, write_of(""), write_of("ef"), flush});
  Write third(state, "gh");
  third.run({took(2), done});
  CHECK(third.log == Strings{write_of("gh"), flush});
}

TEST_CASE("write: the program has ended") {
  const StatePtr state = program();
  Write write(state, "abcd");
  write.run({took(4), refused(), took(0), gone(), ended_with(0)});
  const auto why = error_of<qga::ProgramError>(write);
  CHECK(why.err() == std::errc::broken_pipe);
  CHECK(why.ended());
  Write again(state, "abcd");
  again.run({});
  CHECK(error_of<qga::AgentError>(again).err() == std::errc::broken_pipe);
}

TEST_CASE("write: one call at a time, and the input is not closed meanwhile") {
  const StatePtr state = program();
  state->writing = true;
  Write write(state, "a");
  write.run({});
  CHECK(error_of<qga::RequestError>(write).err() == std::errc::device_or_resource_busy);
  CloseInput closing(state);
  closing.run({});
  CHECK(error_of<qga::RequestError>(closing).err() == std::errc::device_or_resource_busy);
  CHECK(state->input.is_open());
  state->writing = false;
  CloseInput now(state);
  now.run({refused(), done});
  CHECK(now.finished);
  CloseInput twice(state);
  twice.run({});
  CHECK(twice.finished);
  Write late(state, "a");
  late.run({});
  CHECK(error_of<qga::RequestError>(late).err() == std::errc::bad_file_descriptor);
}

TEST_CASE("write: a guest that takes another number of bytes") {
  Write write(program(), "abcd");
  write.run({took(3), done});
  error_of<qga::BadReplyError>(write);
}

TEST_CASE("write: its time ends it where the program reads nothing") {
  Write write(program(), "abcd");
  write.until_ = write.now_ + 5ms;
  write.run({took(4), refused(), took(0), alive, took(4), refused(), took(0), alive});
  error_of<qga::TimeoutError>(write);
  CHECK(write.now_ == write.until_);
}

// ---- the end -----------------------------------------------------------------------------------

TEST_CASE("wait: looks until the process is gone(), and asks once") {
  const StatePtr state = program();
  Wait wait(state);
  wait.run({alive, alive, gone(), ended_with(255)});
  CHECK(wait.finished->exit_code == 255);
  CHECK(wait.log == Strings{look, "pause 2", look, "pause 4", look, status});
}

TEST_CASE("wait: without /proc it asks ever less often") {
  Wait wait(program(1, false));
  std::deque<Reply> replies(13, running);
  replies.push_back(ended_with(0));
  wait.run(replies);
  CHECK(wait.log[1] == "pause 2");
  // It looks at the clock four times a second, and asks every two seconds in the end.
  const std::size_t size = wait.log.size();
  CHECK(wait.log[size - 1] == status);
  CHECK(lines(wait, size - 9, size - 1) == Strings(8, "pause 250"));
  CHECK(wait.log[size - 10] == status);
}

TEST_CASE("wait: the answer that tells the end is lost") {
  const StatePtr state = program();
  SECTION("and that is noticed") {
    Wait wait(state);
    wait.run({gone(), lost(), refused()});
    CHECK(wait.finished->ended);
    CHECK_FALSE(wait.finished->exit_code);
  }
  SECTION("by a call that was cancelled, or out of time") {
    Wait cut(state);
    cut.run({gone(), failed<qga::CancelledError>()});
    error_of<qga::CancelledError>(cut);
    Wait wait(state);
    wait.run({refused()});
    CHECK(wait.finished->ended);
    CHECK_FALSE(wait.finished->exit_code);
  }
  SECTION("it was not, so the agent is another") {
    Wait wait(state);
    wait.run({gone(), refused()});
    CHECK_FALSE(error_of<qga::ProgramError>(wait).ended());
  }
  SECTION("it was another answer") {
    Wait wait(state);
    wait.run({gone(), lost(), running, gone(), refused()});
    error_of<qga::AgentError>(wait);
  }
  SECTION("and the agent may not answer now") {
    Wait wait(state);
    wait.run({gone(), lost(), failed<qga::CommandNotFoundError>(Outcome::refused)});
    error_of<qga::CommandNotFoundError>(wait);
    CHECK_FALSE(state->end);
  }
}

TEST_CASE("wait: another call was told the end meanwhile") {
  const StatePtr state = program();
  Ask ask(state);
  ask.on_reply = [&] { state->end = ProcessStatus{true, 3, {}}; };
  ask.run({refused()});
  REQUIRE(ask.finished);
  CHECK(ask.finished->exit_code == 3);
}

TEST_CASE("signal: to the session, or to the process") {
  Signal signal(program(), 15);
  signal.run({pid(9), ended_with(0)});
  CHECK(signal.finished);
  CHECK(signal.log[0].find(R"("sh","15","7",")") != std::string::npos);
  for (const int number : {0, 65, -9}) {
    Signal wrong(program(), number);
    wrong.run({});
    error_of<qga::RequestError>(wrong);
  }
}

TEST_CASE("signal: a program that has ended, whether that is known or not") {
  const StatePtr state = program();
  Signal unknown(state, 9);
  unknown.run({pid(9), ended_with(1), ended_with(0)});
  CHECK(error_of<qga::ProgramError>(unknown).err() == std::errc::no_such_process);
  CHECK(state->end->exit_code == 0);
  Signal known(state, 9);
  known.run({});
  CHECK(error_of<qga::ProgramError>(known).err() == std::errc::no_such_process);
  Signal forbidden(program(), 9);
  forbidden.run({pid(9),
                 {.json = {{"exited", true}, {"exitcode", 1}, {"err-data", base64("not yours")}}},
                 running});
  const auto why = error_of<qga::AgentError>(forbidden);
  CHECK(std::string(why.what()).find("not yours") != std::string::npos);
}

TEST_CASE("resize: the terminal's name is looked for where it is told, until it is") {
  const StatePtr state = program();
  state->terminal = file(60);
  Resize resize(state, 10, 20);
  resize.run({at(0), nothing, alive, at(0), got("/dev/pts/3\nmore"), pid(9), ended_with(0)});
  CHECK(resize.finished);
  CHECK(resize.log[0] == R"(guest-file-seek {"handle":60,"offset":0,"whence":"set"})");
  CHECK(resize.log[6].find(R"("10","20","/dev/pts/3"])") != std::string::npos);
  Resize again(state, 1, 65535);
  again.run({pid(9), ended_with(0)});
  CHECK(again.finished);
  for (const unsigned wrong : {0u, 65536u}) {
    Resize refused_one(state, wrong, 20);
    refused_one.run({});
    error_of<qga::RequestError>(refused_one);
  }
  Resize none(program(), 10, 20);
  none.run({});
  error_of<qga::RequestError>(none);
}

TEST_CASE("resize: a program that ends before it has a terminal") {
  const StatePtr state = program();
  state->terminal = file(60);
  Resize resize(state, 10, 20);
  resize.run({at(0), got("script: no terminal\n"), gone(), ended_with(1)});
  CHECK(error_of<qga::ProgramError>(resize).err() == std::errc::no_such_process);
}

TEST_CASE("a program of an earlier connection is refused by every call") {
  const auto check = [](auto&& call) {
    call.wrong_guard = error<qga::RequestError>(Outcome::not_sent);
    call.run({});
    error_of<qga::RequestError>(call);
    CHECK(call.log.empty());
  };
  const StatePtr state = program();
  state->terminal = file(60);
  check(Read(state));
  check(Write(state, "a"));
  check(CloseInput(state));
  check(Wait(state));
  check(Ask(state));
  check(Signal(state, 9));
  check(Resize(state, 1, 1));
  CHECK_FALSE(state->reading);
  CHECK_FALSE(state->writing);
}

// ---- run ---------------------------------------------------------------------------------------

TEST_CASE("run: at the end of the caller's time the program is killed, and its end awaited") {
  RunFollowed run("/bin/x", qga::RunParams{.output = [](auto, auto) {}, .kill = true});
  run.until_ = run.now_ + 1s;
  Reply late = nothing;
  late.takes = 2s;
  run.run({pid(6),
           linux_setup,
           handle(3),
           handle(4),
           pid(7),
           handle(8),
           at(1 << 30),
           alive,
           nothing,
           late,  //
           pid(9),
           running,
           ended_with(0),
           alive,
           gone(),
           {.json = {{"exited", true}, {"signal", 9}}}});
  const auto why = error_of<qga::ProgramTimeoutError>(run);
  CHECK(why.pid() == 7);
  CHECK(why.ended());
}

TEST_CASE("run: a program that is not to be killed has no guard that does") {
  RunFollowed run("/bin/x", qga::RunParams{.cwd = "/"});
  run.run({pid(6), linux_setup, handle(3), handle(4), pid(7), handle(8), at(1 << 30), alive,
           failed<qga::ReadError>(), nothing});
  CHECK_FALSE(error_of<qga::ProgramError>(run).ended());
  run.drop();
  CHECK(count(run, "guest-exec (guard)") == 0);
}
