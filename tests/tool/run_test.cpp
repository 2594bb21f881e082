// SPDX-License-Identifier: LGPL-3.0-or-later
//
// run: what the tool exits with where the program's own code does not fit, and what it says of a
// program that cannot be started.
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

TEST_CASE("run exits with 255 where the program's exit code does not fit, and says the code") {
  struct End {
    std::string members;  ///< of the agent's reply
    int code;
    std::string said;
  };
  const End end = GENERATE(
      End{"\"exitcode\": 0", 0, ""}, End{"\"exitcode\": 255", 255, ""},
      End{"\"signal\": 9", 137, ""}, End{"\"exitcode\": 256", 255, "exit code 256 (0x00000100)"},
      End{"\"exitcode\": -1", 255, "exit code -1 (0xffffffff)"},
      End{"\"exitcode\": 259", 255, "exit code 259 (0x00000103)"},
      End{"\"exitcode\": -1073741510", 255, "exit code -1073741510 (0xc000013a)"},
      End{"\"exitcode\": 3221225786", 255, "exit code 3221225786 (0xc000013a)"},
      End{"\"exitcode\": 9223372036854775807", 255, "exit code 9223372036854775807;"},
      End{"\"exitcode\": -9223372036854775808", 255, "exit code -9223372036854775808;"},
      End{"\"signal\": -1073741819", 255, "signal or exception -1073741819 (0xc0000005)"},
      End{"\"signal\": 0", 255, "signal or exception 0 (0x00000000)"},
      End{"\"out-truncated\": false", 255, "the guest does not say how the program ended"});
  INFO(end.members);
  ScriptedAgent agent;
  agent.on("guest-exec", script::returns("{\"pid\": 7}"));
  agent.on(
      "guest-exec-status",
      script::returns("{\"exited\": true, \"out-data\": \"zvjo4ergDQo=\", " + end.members + "}"));
  for (const std::string option : {"--quiet", "--trace"}) {
    const Ended ended = run_tool({agent.path(), option, "run", "--", "x"});
    CHECK(ended.code == end.code);
    CHECK(ended.out == "\xce\xf8\xe8\xe1\xea\xe0\r\n");
    CHECK(contains(ended.err, end.said));
    if (end.said.empty()) CHECK_FALSE(contains(ended.err, "qga: "));
  }
}

TEST_CASE("run --json shows an exit code that does not fit") {
  ScriptedAgent agent;
  agent.on("guest-exec", script::returns("{\"pid\": 7}"));
  agent.on("guest-exec-status", script::returns("{\"exited\": true, \"exitcode\": -1073741510}"));
  const Ended ended = run_tool({agent.path(), "--json", "run", "--", "x"});
  CHECK(ended.code == 255);
  CHECK(json::parse(ended.out).at("exitcode") == -1073741510);
}

TEST_CASE("a program that cannot be started and has a space in its name is a line for a shell") {
  struct Line {
    std::string program;
    std::string hint;
  };
  const Line line =
      GENERATE(Line{"ls -l", "write -- ls -l, for a line of a shell -- sh -c 'ls -l'"},
               Line{"df -h | tail", "for a line of a shell -- sh -c 'df -h | tail'"},
               Line{"echo 'a'", "for a line of a shell -- sh -c 'echo '\\''a'\\'''"},
               Line{"/no/such/program", ""});
  INFO(line.program);
  ScriptedAgent agent;
  agent.on("guest-exec", script::fails("Failed to execute child process"));
  const Ended guest = run_tool({agent.path(), "run", "--", line.program});
  CHECK(guest.code == 126);
  CHECK(guest.err.starts_with("qga: guest-exec: Failed to execute child process"));
  CHECK(contains(guest.err, line.hint));
  CHECK(contains(guest.err, "'" + line.program + "'") == !line.hint.empty());

  // The same mistake with a program of this machine.
  agent.on("guest-fsfreeze-freeze", script::returns("1"));
  agent.on("guest-fsfreeze-thaw", script::returns("1"));
  const Ended host = run_tool({agent.path(), "freeze", "--", line.program});
  CHECK(host.code == 127);
  CHECK(contains(host.err, "qga: cannot run "));
  CHECK(contains(host.err, line.hint));
}

TEST_CASE("a line for a shell is no hint where the program was started, or may not be") {
  ScriptedAgent agent;
  const Ended forbidden = run_tool({agent.path(), "run", "--", "ls -l"});
  CHECK(forbidden.code == 125);
  CHECK_FALSE(contains(forbidden.err, "shell"));

  agent.on("guest-exec", script::returns("{\"pid\": 7}"));
  agent.on("guest-exec-status", script::fails("no such process"));
  const Ended started = run_tool({agent.path(), "run", "--", "C:\\Program Files\\x.exe"});
  CHECK(started.code == 125);
  CHECK_FALSE(contains(started.err, "shell"));
}
