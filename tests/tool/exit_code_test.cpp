// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Exit codes: what a command that exits as a program does exits with where it fails itself, and
// what every command exits with where nobody reads its output.
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "scripted_guest.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::string_literals;

namespace {

namespace exit_codes {

/// Runs a line of a shell in which $Q is the tool.
Ended shell_line(const std::string& line) {
  return Running({"-c", "Q=" + tool_program + "; " + line}, "/dev/null", "/bin/sh").wait();
}

/// The tool's output goes to a pipe that nobody reads; its exit code goes to stderr.
Ended unread(const std::string& words) {
  // The file tells that the reader is gone.
  const TemporaryDirectory directory;
  const std::string gone = directory.file("gone");
  return shell_line("{ while ! [ -e " + gone + " ]; do sleep 0.01; done; $Q " + words +
                    "; echo $? >&2; } | { exec <&-; : >" + gone + "; }");
}

}  // namespace exit_codes

}  // namespace

using namespace exit_codes;

TEST_CASE("failures of the tool itself are 125 where it exits as a program does") {
  const std::vector<std::vector<std::string>> all{
      {"/no/socket", "run", "--", "x"},
      {"/no/socket", "run", "--shell", "x"},
      {"/no/socket", "shell"},
      {"/no/socket", "freeze", "--", "true"},
      {"a:b:c", "run", "--", "x"},
      {"run", "--", "x"},
      {"/no/socket", "run"},
      {"/no/socket", "run", "--no-such-option", "--", "x"},
      {"/no/socket", "run", "--for", "0", "--", "x"},
      {"/no/socket", "shell", "--no-such-option"},
      {"/no/socket", "freeze", "--leave", "--", "true"},
      {"/no/socket", "freeze", "--no-such-option", "--", "true"},
  };
  for (const auto& arguments : all) {
    std::string line;
    for (const std::string& word : arguments) line += word + " ";
    INFO(line);
    const Ended ended = run_tool(arguments);
    CHECK(ended.code == 125);
    CHECK(ended.err.starts_with("qga: "));
  }
  CHECK(run_tool({"/no/socket", "freeze"}).code == 3);
  CHECK(run_tool({"/no/socket", "wait", "--for", "0.1", "--run", "--", "x"}).code == 3);
}

TEST_CASE("the options of a program's time are told from those of the agent's") {
  const Agent agent;
  // Each call to the agent is short, but not the program.
  const Ended ended = run_tool(
      {agent.path(), "run", "--timeout", "0.4", "--", "sh", "-c", "sleep 1; echo x; exit 9"});
  CHECK(ended.code == 9);
  CHECK(ended.out == "x\n");
  CHECK(run_tool({agent.path(), "cp", "--for", "1", ":/etc/passwd", "-"}).code == 2);
}

TEST_CASE("a program that a real agent cannot start is 126 or 127, as env has it") {
  const Agent agent;
  const std::string plain = agent.put("plain", "");
  ::chmod(agent.file("").c_str(), 0755);
  const std::string ways = GENERATE("", "--buffered", "--cwd=/");
  INFO(ways);
  const auto code_of = [&](const std::string& program) {
    std::vector<std::string> arguments{agent.path(), "run"};
    if (!ways.empty()) arguments.push_back(ways);
    arguments.insert(arguments.end(), {"--", program});
    const Ended ended = run_tool(arguments);
    CHECK_FALSE(ended.err.empty());
    return ended.code;
  };
  CHECK(code_of("/no/such/program") == 127);
  CHECK(code_of("/no such/program") == 127);
  CHECK(code_of(plain) == 126);
  CHECK(code_of("/etc") == 126);
  CHECK(run_tool({agent.path(), "run", "--cwd", "/no/such", "--", "true"}).code == 125);
  CHECK(run_tool({agent.path(), "shell", "--", "/no/such/program"}).code == 127);
}

TEST_CASE("what agents say of a program that they cannot start makes the exit code") {
  const std::string failed =
      "Guest agent command failed, error was 'Failed to execute child process";
  const auto& [said, code] = GENERATE_COPY(
      std::pair(failed + " “x” (No such file or directory)'", 127),
      std::pair(failed + " \\\"x\\\" (No such file or directory)'", 127),
      std::pair(failed + " (No such file or directory)'", 127),
      std::pair("Failed to execute child process (No such file or directory)"s, 127),
      std::pair(failed + " “x” (Permission denied)'", 126),
      std::pair(failed + " “(No such file or directory)” (Exec format error)'", 126),
      std::pair("Guest agent command failed, error was 'Failed to fork (Cannot allocate memory)'"s,
                125),
      std::pair("Kindprozess konnte nicht ausgeführt werden"s, 125), std::pair(""s, 125));
  INFO(said);
  ScriptedAgent agent;
  agent.on("guest-exec", script::fails(said));
  CHECK(run_tool({agent.path(), "run", "--", "x"}).code == code);
  CHECK(run_tool({agent.path(), "run", "--json", "--", "x"}).code == code);
}

TEST_CASE("a program of this machine that cannot be started is 126 or 127, too") {
  ScriptedAgent agent;
  agent.on("guest-fsfreeze-freeze", script::returns("1"));
  agent.on("guest-fsfreeze-thaw", script::returns("1"));
  CHECK(run_tool({agent.path(), "freeze", "--", "/no/such/program"}).code == 127);
  CHECK(run_tool({agent.path(), "freeze", "--", "/etc/passwd"}).code == 126);
  CHECK(run_tool({agent.path(), "freeze", "--", "/etc"}).code == 126);
  CHECK(agent.executed("guest-fsfreeze-thaw") == 2);  // nothing was frozen for what is not there
}

TEST_CASE("a pipe that nobody reads any more ends every command silently, with 141") {
  const Agent agent;
  const std::string command =
      GENERATE("ls-commands", "--json ls-commands", "run -- yes", "run -- seq 100000",
               "run --buffered -- ls /", "--json run -- true", "cat /etc/passwd",
               "cp :/etc/passwd -", "top --interval 0.1", "--json top --interval 0.1", "wait",
               "shell -- yes", "raw '{\"execute\":\"guest-info\"}'");
  INFO(command);
  CHECK(unread(agent.path() + " " + command).err == "141\n");
}

TEST_CASE("help and manual end silently, too, where nobody reads them") {
  CHECK(unread("--help").err == "141\n");
  CHECK(unread("--man").err == "141\n");
  CHECK(unread("--completion bash").err == "141\n");
}

TEST_CASE("a pipe that nobody reads any more leaves no guest frozen") {
  ScriptedAgent agent;
  agent.on("guest-fsfreeze-freeze", script::returns("1"));
  agent.on("guest-fsfreeze-thaw", script::returns("1"));
  CHECK(unread(agent.path() + " -q --json freeze --for 0.1").err == "141\n");
  CHECK(agent.executed("guest-fsfreeze-thaw") == 1);
  // Nobody reads what the tool says, either: that ends nothing.
  CHECK(shell_line("$Q " + agent.path() + " freeze --for 0.1 2>&1 | :").code == 0);
  CHECK(agent.executed("guest-fsfreeze-thaw") == 2);
}

TEST_CASE("a terminal is as before where nobody reads stdout any more") {
  const Agent agent;
  const auto before = OnTerminal::first_modes();
  OnTerminal terminal(
      {"-c", tool_program + " " + agent.path() + " shell -- yes | head -1; exec sleep 0.2"},
      "/bin/sh");
  CHECK(contains(terminal.wait().out, "y\r\n"));
  CHECK(terminal.modes() == before);
}

TEST_CASE("a full disk is an error that is told, and no closed pipe") {
  const Agent agent;
  for (const auto& [command, code] :
       {std::pair("ls-commands", 1), std::pair("cat /etc/passwd", 1),
        std::pair("cp :/etc/passwd -", 1), std::pair("top --interval 0.1", 1),
        std::pair("run -- yes", 125), std::pair("run --buffered -- ls /", 125),
        std::pair("--json run -- ls /", 125)}) {
    INFO(command);
    const Ended ended = shell_line("$Q " + agent.path() + " " + command + " >/dev/full");
    CHECK(ended.code == code);
    CHECK(contains(ended.err, "qga: cannot write to stdout"));
  }
}
