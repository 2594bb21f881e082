// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The input of a program is closed only when the program has it open: what was written would be
// lost, or the program would wait for it for ever. And how a write is told that nobody reads it.
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/process_end.hpp"
#include "qga/helpers/write_process.hpp"

using namespace helper_test;
using qga::File;
using qga::detail::ProcessState;
using CloseInput = Scripted<void, qga::detail::CloseInput>;
using Strings = std::vector<std::string>;

namespace {

const Reply done{};
const Reply opened{.json = 8};
const Reply no_such_file{.error = error<qga::AgentError>(Outcome::refused)};
const Reply broken{.error = error<qga::ReadError>()};

const std::string open_script = R"(guest-file-open {"mode":"r","path":"/tmp/qga-x/run"})";
const std::string close_script = R"(guest-file-close {"handle":8} (to its end))";
const std::string close_input = R"(guest-file-close {"handle":3} (to its end))";

/// A program whose input is open.
struct InputOpen {
  InputOpen() {
    state->directory = "/tmp/qga-x";
    state->outputs.resize(1);
    state->input = File(3, std::make_unique<CloseInput::Logged>(guards, "closed by its guard"));
  }
  Strings guards;
  std::shared_ptr<ProcessState> state = std::make_shared<ProcessState>();
};

}  // namespace

TEST_CASE("close_input: waits until the script has removed itself") {
  InputOpen program;
  CloseInput close(program.state);
  close.run({opened, done, opened, done, no_such_file, done});
  CHECK(close.finished);
  CHECK(close.log == Strings{open_script, close_script, "pause 2", open_script, close_script,
                             "pause 4", open_script, close_input});
  CHECK_FALSE(program.state->input.is_open());
  CHECK(program.guards.empty());
}

TEST_CASE("close_input: a script that never begins is not awaited for ever") {
  InputOpen program;
  CloseInput close(program.state);
  close.run({{.json = 8, .takes = 6s}, done, {.json = 8, .takes = 6s}, done, done});
  CHECK(close.finished);
  CHECK(close.log.back() == close_input);
}

TEST_CASE("close_input: the input stays open where nobody answers") {
  InputOpen program;
  CloseInput close(program.state);
  close.run({broken});
  error_of<qga::ProgramError>(close);
  CHECK(program.state->input.is_open());
  program.state->input.forget();
}

TEST_CASE(
    "write: a program that has ended is told as a broken pipe, also where its files are closed") {
  InputOpen program;
  program.state->end = qga::ProcessStatus{.ended = true, .exit_code = 0};
  const bool closed = GENERATE(false, true);
  if (closed) program.state->input.forget();
  Scripted<void, qga::detail::WriteProcess> write(program.state, "bytes");
  write.run({});
  CHECK(write.log.empty());
  CHECK(error_of<qga::ProgramError>(write).err() == std::errc::broken_pipe);
  program.state->input.forget();
}

TEST_CASE("wait: the answer that tells the end may be that of another call") {
  InputOpen program;
  Scripted<qga::ProcessStatus, qga::detail::WaitProcess> wait(program.state);
  const bool other = GENERATE(false, true);
  // The agent forgets a program with the answer that tells its end.
  wait.on_reply = [&] {
    if (other) program.state->end = qga::ProcessStatus{.ended = true, .exit_code = 4};
  };
  wait.run({no_such_file});
  REQUIRE(wait.finished.has_value() == other);
  if (other) CHECK(wait.finished->exit_code == 4);
  program.state->input.forget();
}

TEST_CASE("SIGKILL also removes what its program has not removed yet, and tells its own failure") {
  const auto script = [](int signal) {
    return qga::detail::signal_arguments(signal, 7, "/tmp/qga-x", false).at(1);
  };
  CHECK(script(9).ends_with("; qga_end=$?; rm -rf -- \"$3\"; exit $qga_end"));
  CHECK_FALSE(script(15).ends_with("exit $qga_end"));
  CHECK(script(9).starts_with(script(15)));
}
