// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `run` with more input than fits into a pipe: through a file that does not stay.
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/run.hpp"

using namespace helper_test;
using qga::RunParams;
using Run = Scripted<qga::RunResult, qga::detail::Run>;
using Strings = std::vector<std::string>;

namespace {

const Reply started{.json = {{"pid", 7}}};
const Reply ended{.json = {{"exited", true}, {"exitcode", 0}}};
const Reply opened{.json = 3};
const Reply at_0{.json = {{"position", 0}, {"eof", false}}};
const Reply wrote{.json = {{"count", 65537}, {"eof", false}}};
const Reply done{};
const Reply refused{.error = error<qga::AgentError>(Outcome::refused)};

const std::string long_input(65537, 'x');
/// The file that the input goes through, by what makes it.
std::string file_of(const Run& run) {
  const std::string& line = run.log.at(0);
  const std::string before = R"(guest-exec {"arg":["-c","umask 077 && set -C && : >\"$0\"",")";
  const std::string behind = R"("],"capture-output":true,"path":"/bin/sh"})";
  REQUIRE(line.starts_with(before + "/tmp/qga-"));
  REQUIRE(line.ends_with(behind));
  return line.substr(before.size(), line.size() - before.size() - behind.size());
}
std::string removal_of(const std::string& file) {
  return R"(guest-exec {"arg":["-f","--",")" + file +
         R"("],"capture-output":true,"path":"/bin/rm"})";
}

Run with(const RunParams& params) { return Run("/bin/x", params); }

}  // namespace

TEST_CASE("run: a program is started once, with its input from a file") {
  Run run = with({.args = {"a"}, .env = {{"A=b"}}, .input = long_input});
  run.run({started, ended, opened, at_0, at_0, wrote, done, done, started, ended});
  CHECK(run.finished);
  CHECK(run.log[2] == R"(guest-file-open {"mode":"w","path":")" + file_of(run) + R"("})");
  CHECK(run.log[8] ==
        R"(guest-exec {"arg":["-c","exec <\"$0\" && /bin/rm -f -- \"$0\" && exec \"$@\"",)"
        R"(")" +
            file_of(run) +
            R"(","/bin/x","a"],"capture-output":true,"env":["A=b"],"path":"/bin/sh"})");
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
    run.run({started, ended, opened, at_0, at_0, refused, done, opened, done, started, ended});
    error_of<qga::AgentError>(run);
    CHECK(run.log[9] == removal_of(file_of(run)) + " (cleans up)");
  }
  SECTION("the program cannot be started, or not be waited for") {
    Run run = with({.input = long_input});
    run.run({started,
             ended,
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
    CHECK(run.log[9] == removal_of(file_of(run)) + " (cleans up)");
  }
}

TEST_CASE("run: no file, no program") {
  Run forbidden = with({.input = long_input});
  forbidden.run({refused});
  error_of<qga::AgentError>(forbidden);
  Run failing = with({.input = long_input});
  failing.run({started, {.json = {{"exited", true}, {"exitcode", 2}}}});
  error_of<qga::BadReplyError>(failing);
  Run lost = with({.input = long_input});
  lost.run({{.error = error<qga::TimeoutError>()}, started, ended});
  error_of<qga::TimeoutError>(lost);
  CHECK(lost.log[1] == removal_of(file_of(lost)) + " (cleans up)");
}

TEST_CASE("run: its time is for all of it, in every step") {
  Run run = with({.input = long_input, .timeout = 10s});
  run.run({started, ended, opened, at_0, at_0, wrote, done, done, started, ended});
  CHECK(run.latest == run.now_ + 10s);
}

TEST_CASE("run: what would make the file late has ended before the file is removed") {
  Run run = with({.input = long_input, .timeout = 10s});
  const Reply killer{.json = {{"pid", 8}}};
  const Reply still_running{.json = {{"exited", false}}, .takes = 11s};
  run.run({started, still_running, killer, ended, ended, started, ended});
  error_of<qga::TimeoutError>(run);  // its process concerns nobody
  CHECK(run.log[2] == R"(guest-exec {"arg":["-c","kill -KILL 7"],"path":"/bin/sh"} (cleans up))");
  CHECK(run.log[4] == R"(guest-exec-status {"pid":7} (cleans up))");
  CHECK(run.log[5] == removal_of(file_of(run)) + " (cleans up)");
}
