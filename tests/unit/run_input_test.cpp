// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `run` with more input than fits into a pipe: through a file that does not stay.
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/run.hpp"

using namespace helper_test;
using qga::RunParams;
using Run = Scripted<qga::RunResult, qga::helpers::Run>;
using Strings = std::vector<std::string>;

namespace {

const Reply started{.json = {{"pid", 7}}};
const Reply ended{.json = {{"exited", true}, {"exitcode", 0}}};
const Reply made{.json = {{"exited", true}, {"exitcode", 0}, {"out-data", "L3RtcC94Cg=="}}};
const Reply opened{.json = 3};
const Reply at_0{.json = {{"position", 0}, {"eof", false}}};
const Reply wrote{.json = {{"count", 65537}, {"eof", false}}};
const Reply done{};
const Reply refused{.error = error<qga::AgentError>(Outcome::refused)};

const std::string long_input(65537, 'x');
const std::string remove_it =
    R"(guest-exec {"arg":["-f","--","/tmp/x"],"capture-output":true,"path":"/bin/rm"} (cleans up))";

Run with(const RunParams& params) { return Run("/bin/x", params); }

}  // namespace

TEST_CASE("run: a program is started once, with its input from a file") {
  Run run = with({.args = {"a"}, .env = {{"A=b"}}, .input = long_input});
  run.run({started, made, opened, at_0, at_0, wrote, done, done, started, ended});
  CHECK(run.finished);
  CHECK(run.log[0] == R"(guest-exec {"capture-output":true,"path":"mktemp"})");
  CHECK(run.log[2] == R"(guest-file-open {"mode":"w","path":"/tmp/x"})");
  CHECK(run.log[8] ==
        R"(guest-exec {"arg":["-c","exec <\"$0\" && /bin/rm -f -- \"$0\" && exec \"$@\"",)"
        R"("/tmp/x","/bin/x","a"],"capture-output":true,"env":["A=b"],"path":"/bin/sh"})");
}

TEST_CASE("run: what fits into a pipe goes with the program") {
  Run run = with({.input = std::string(65536, 'x')});
  run.run({started, ended});
  CHECK(run.finished);
  CHECK(run.log.size() == 2);
}

TEST_CASE("run: the file does not stay where something fails") {
  SECTION("the input does not fit") {
    Run run = with({.input = long_input});
    run.run({started, made, opened, at_0, at_0, refused, done, opened, done, started, ended});
    error_of<qga::AgentError>(run);
    CHECK(run.log[9] == remove_it);
  }
  SECTION("the program cannot be started, or not be waited for") {
    Run run = with({.input = long_input});
    run.run({started,
             made,
             opened,
             at_0,
             at_0,
             wrote,
             done,
             done,
             {.error = error<qga::TimeoutError>()},
             started,
             ended});
    error_of<qga::TimeoutError>(run);
    CHECK(run.log[9] == remove_it);
  }
}

TEST_CASE("run: no file, no program") {
  Run forbidden = with({.input = long_input});
  forbidden.run({refused});
  error_of<qga::AgentError>(forbidden);
  Run missing = with({.input = long_input});
  missing.run({started, ended});  // nothing was written
  error_of<qga::BadReplyError>(missing);
}

TEST_CASE("run: its time is for all of it, in every step") {
  Run run = with({.input = long_input, .timeout = 10s});
  run.run({started, made, opened, at_0, at_0, wrote, done, done, started, ended});
  CHECK(run.latest == run.now_ + 10s);
  Run slow = with({.input = long_input, .timeout = 10s});
  slow.run({started, {.json = {{"exited", false}}, .takes = 11s}});
  error_of<qga::ProgramTimeoutError>(slow);
}
