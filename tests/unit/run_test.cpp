// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `run` sends, step by step, and what it makes of answers that get lost.
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/run.hpp"

using namespace helper_test;
using qga::RunParams;
using qga::Truncated;
using Run = Scripted<qga::RunResult, qga::detail::RunProgram>;

namespace {

const Reply started{.json = {{"pid", 7}}};
const Reply running{.json = {{"exited", false}}};
const Reply ended{.json = {{"exited", true}, {"exitcode", 0}}};

std::size_t count(const Run& run, const std::string& line) {
  return static_cast<std::size_t>(std::count(run.log.begin(), run.log.end(), line));
}

}  // namespace

TEST_CASE("run: asks at once, and then ever less often, up to once a second") {
  Run run("/bin/x", RunParams{.args = {"a"}});
  run.run({started, running, running, running, running, running, running, running, running, running,
           running, ended});
  const std::string ask = "guest-exec-status {\"pid\":7}";
  CHECK(run.log == std::vector<std::string>{
                       R"(guest-exec {"arg":["a"],"capture-output":true,"path":"/bin/x"})",
                       ask,
                       "pause 4",
                       ask,
                       "pause 8",
                       ask,
                       "pause 16",
                       ask,
                       "pause 32",
                       ask,
                       "pause 64",
                       ask,
                       "pause 128",
                       ask,
                       "pause 256",
                       ask,
                       "pause 512",
                       ask,
                       "pause 1000",
                       ask,
                       "pause 1000",
                       ask});
  CHECK(run.finished->exit_code == 0);
}

TEST_CASE("run: starts a program once, whatever becomes of the answer") {
  for (const auto& error :
       {helper_test::error<qga::TimeoutError>(), helper_test::error<qga::ReadError>(),
        helper_test::error<qga::BadReplyError>(), helper_test::error<qga::CancelledError>(),
        helper_test::error<qga::TimeoutError>(Outcome::not_sent)}) {
    Run run("/bin/x", RunParams{.kill = true});
    run.run({{.error = error}});
    CHECK(run.failed == error);
    CHECK(run.log.size() == 1);
  }
}

/// What the session says of an answer that did not come, though a later one did.
const std::exception_ptr answer_lost = std::make_exception_ptr(qga::BadReplyError(
    "lost", {.outcome = Outcome::unknown, .err = std::make_error_code(std::errc::no_message)}));

TEST_CASE("run: asks again where an answer is lost") {
  Run run("/bin/x", RunParams{});
  run.run({started, {.error = answer_lost, .takes = 60s}, running, ended});
  CHECK(run.finished);
  CHECK(count(run, "guest-exec-status {\"pid\":7}") == 3);
}

TEST_CASE("run: a malformed answer is not asked for again") {
  Run run("/bin/x", RunParams{});
  run.run({started, {.error = error<qga::BadReplyError>()}});
  CHECK(error_of<qga::BadReplyError>(run).outcome() == Outcome::unknown);
}

TEST_CASE("run: says where the answer that told the end was lost") {
  Run run("/bin/x", RunParams{});
  run.run({started,
           {.error = answer_lost, .takes = 60s},
           {.error = error<qga::AgentError>(Outcome::refused)}});
  const auto lost = error_of<qga::TimeoutError>(run);
  CHECK(std::string(lost.what()).find("process 7 has ended") != std::string::npos);

  Run other("/bin/x", RunParams{});  // the agent was restarted
  const auto refused = error<qga::AgentError>(Outcome::refused);
  other.run({started, running, {.error = refused}});
  CHECK(error_of<qga::AgentError>(other).outcome() == Outcome::unknown);
  CHECK(error_of<qga::ProgramError>(other).pid() == 7);
  CHECK_FALSE(error_of<qga::ProgramError>(other).ended());
}

TEST_CASE("run: leaves a program behind at its deadline, and says which") {
  Run run("/bin/x", RunParams{.timeout = 1s});
  run.run({started, running, {.json = {{"exited", false}}, .takes = 2s}});
  const auto left = error_of<qga::ProgramTimeoutError>(run);
  CHECK(left.pid() == 7);
  CHECK_FALSE(left.ended());

  Run silent("/bin/x", RunParams{.timeout = 1s});
  silent.run({started, {.error = error<qga::TimeoutError>(), .takes = 1s}});
  CHECK(error_of<qga::ProgramTimeoutError>(silent).pid() == 7);
}

TEST_CASE("run: asks shortly before its deadline, for a program that has ended in time") {
  Run run("/bin/x", RunParams{.timeout = 1s});
  std::deque<Reply> replies(13, running);
  replies.push_front(started);
  run.run(std::move(replies));
  std::vector<std::string> pauses;
  for (const std::string& line : run.log) {
    if (line.starts_with("pause ")) pauses.push_back(line.substr(6));
  }
  // Half of what is left, but not less than 50 ms: the last question comes 11 ms before the end.
  CHECK(pauses == std::vector<std::string>{"4", "8", "16", "32", "64", "128", "256", "246", "123",
                                           "61", "50", "11"});
  CHECK(error_of<qga::ProgramTimeoutError>(run).pid() == 7);
}

TEST_CASE("run: kills if asked to, and collects both the killer and the killed") {
  Run run("/bin/x", RunParams{.timeout = 1s, .kill = true});
  run.run({started,
           {.json = {{"exited", false}}, .takes = 1s},
           {.json = {{"pid", 8}}},
           running,
           ended,
           running,
           {.json = {{"exited", true}, {"signal", 9}}}});
  CHECK(error_of<qga::ProgramTimeoutError>(run).ended());
  CHECK(count(run,
              "guest-exec {\"arg\":[\"-c\",\"kill -KILL 7\"],\"path\":\"/bin/sh\"} (cleans up)") ==
        1);
  CHECK(count(run, "guest-exec-status {\"pid\":8} (cleans up)") == 2);
  CHECK(count(run, "guest-exec-status {\"pid\":7} (cleans up)") == 2);
}

TEST_CASE("run: a killer that cannot be started, or does not succeed, changes no error") {
  Run forbidden("/bin/x", RunParams{.timeout = 1s, .kill = true});
  forbidden.run({started,
                 {.json = {{"exited", false}}, .takes = 1s},
                 {.error = error<qga::CommandNotFoundError>(Outcome::refused)}});
  CHECK_FALSE(error_of<qga::ProgramTimeoutError>(forbidden).ended());

  Run immortal("/bin/x", RunParams{.timeout = 1s, .kill = true});
  immortal.run({started,
                {.json = {{"exited", false}}, .takes = 1s},
                {.json = {{"pid", 8}}},
                ended,
                {.json = {{"exited", false}}, .takes = 10s}});
  CHECK_FALSE(error_of<qga::ProgramTimeoutError>(immortal).ended());
}

TEST_CASE("run: kills where the caller cancels, and still says that it was cancelled") {
  Run run("/bin/x", RunParams{.kill = true});
  const auto cancelled = error<qga::CancelledError>();
  run.run({started, {.error = cancelled}, {.json = {{"pid", 8}}}, ended, ended});
  CHECK(error_of<qga::CancelledError>(run).outcome() == Outcome::unknown);
  CHECK(error_of<qga::ProgramError>(run).ended());

  Run pausing("/bin/x", RunParams{});
  pausing.cancelled = cancelled;
  pausing.run({started, running});
  CHECK(error_of<qga::CancelledError>(pausing).outcome() == Outcome::unknown);
  CHECK_FALSE(error_of<qga::ProgramError>(pausing).ended());
}

TEST_CASE("run: tells what was dropped by the rule of either kind of agent") {
  using qga::detail::truncation;
  const std::string full(16 << 20, 'x');
  CHECK(truncation(full, {}) == Truncated::no);
  CHECK(truncation("x", {}) == Truncated::no);
  CHECK(truncation({}, false) == Truncated::no);
  CHECK(truncation("x", false) == Truncated::no);
  CHECK(truncation(full, false) == Truncated::possibly);
  CHECK(truncation(full, true) == Truncated::yes);
}
