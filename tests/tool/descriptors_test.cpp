// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool whose stdin, stdout or stderr is closed, full, or never comes to an end.
#include <csignal>
#include <string>
#include <vector>

#include "agent.hpp"
#include "catch.hpp"
#include "guest_side.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

/// The tool in a line of a shell, which redirects.
Ended by_shell(const std::string& socket, const std::string& arguments) {
  return Running({"-c", tool_program + " " + socket + " " + arguments}, "/dev/null", "/bin/sh")
      .wait();
}

}  // namespace

TEST_CASE("what is printed where stdout is closed does not go to the guest") {
  const std::string closed = GENERATE(">&-", "<&- >&-", "<&- >&- 2>&-", "2>&-", "<&-");
  INFO(closed);
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::returns("{\"host-name\": \"printed\"}"));
  const Ended ended =
      by_shell(agent.path(), "raw '{\"execute\": \"guest-get-host-name\"}' " + closed);
  CHECK_FALSE(contains(agent.received(), "printed"));
  CHECK(agent.executed("guest-get-host-name") == 1);
  CHECK(ended.code == (contains(closed, ">&-") && closed != "2>&-" ? 1 : 0));
}

TEST_CASE(
    "a program whose output cannot be written is killed, also where stdout is closed or full") {
  const Agent agent;
  const std::string text = unique_sleep();
  const std::string where = GENERATE(">&-", ">/dev/full", "2>&1 1>/dev/full");
  INFO(where);
  const Ended ended = by_shell(agent.path(), "run -- yes " + text + " " + where);
  CHECK(ended.code == 125);
  CHECK(contains(ended.err + ended.out, "cannot write to stdout"));
  CHECK(nothing_left(text));
}

TEST_CASE("run -i fails where stdin is closed, and leaves nothing in the guest") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  const Ended ended = by_shell(agent.path(), "run -i -- sleep " + seconds + " <&-");
  CHECK(ended.code == 125);
  CHECK(contains(ended.err, "cannot read stdin"));
  CHECK(nothing_left(seconds));
  CHECK(by_shell(agent.path(), "run -- echo x <&-").out == "x\n");
}

TEST_CASE("input without an end does not hold up a signal, or the end of the program") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  CHECK(by_shell(agent.path(), "run -i -- head -c 3 </dev/zero | tr '\\0' z").out == "zzz");
  Running running({agent.path(), "run", "-i", "--kill", "--", "sleep", seconds}, "/dev/zero");
  await_process(seconds);
  running.signal(SIGTERM);
  CHECK(running.wait().code == 128 + SIGTERM);
  CHECK(nothing_left(seconds));
}
