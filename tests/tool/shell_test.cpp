// SPDX-License-Identifier: LGPL-3.0-or-later
//
// shell: a terminal of the guest on a terminal here, which is as before afterwards.
#include "../../examples/qga/escape_keys.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include "agent.hpp"
#include "catch.hpp"
#include "guest_side.hpp"
#include "tool.hpp"

using namespace qga_test;
using Modes = std::vector<unsigned>;

namespace {

const std::string hint = "~. at the beginning of a line leaves";

/// A shell whose prompt is known, on a terminal that is raw already.
struct Shell {
  explicit Shell(const Agent& agent, const std::vector<std::string>& program = {"/bin/sh"})
      : terminal(arguments(agent, program)), before(OnTerminal::first_modes()) {
    terminal.await(hint);
    terminal.await_change(before);
  }

  static std::vector<std::string> arguments(const Agent& agent,
                                            const std::vector<std::string>& program) {
    std::vector<std::string> all{agent.path(), "shell"};
    if (program.empty()) return all;
    all.push_back("--");
    all.insert(all.end(), program.begin(), program.end());
    return all;
  }

  /// How it ended; checks that the terminal is as before.
  Ended wait() {
    const Ended ended = terminal.wait();
    CHECK(terminal.modes() == before);
    return ended;
  }

  OnTerminal terminal;
  Modes before;
};

/// Changes a variable of the environment for a while.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* const set = std::getenv(name)) before_ = set;
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("shell shows what is typed and what is written, and exits as the program does") {
  const Agent agent;
  const Variable term("TERM", "vt220");
  Shell shell(agent);
  shell.terminal.type("echo a$((1 + 1))b $TERM; tty\r");
  shell.terminal.await("echo a$((1 + 1))b");
  shell.terminal.await("a2b vt220\r\n/dev/");
  shell.terminal.type("exit 7\r");
  CHECK(shell.wait().code == 7);
}

TEST_CASE("shell is the user's login shell where no program is named") {
  const Agent agent;
  Shell shell(agent, {});
  shell.terminal.type("echo \"$0:${HOME:+home}:${USER:+user}:$((40 + 2))\"\r");
  shell.terminal.await(":home:user:42\r\n");
  shell.terminal.type("exit 0\r");
  CHECK(shell.wait().code == 0);
}

TEST_CASE("the terminal of the guest has the size of the one here") {
  const Agent agent;
  Shell shell(agent);
  shell.terminal.type("trap 'echo changed' WINCH; echo ready-$((1 + 1))\r");
  shell.terminal.await("ready-2");
  shell.terminal.resize(31, 97);
  shell.terminal.resize(29, 91);
  for (int i = 100; i < 200; ++i) {
    const std::string number = std::to_string(i);
    shell.terminal.type("echo $(stty size)-$((" + number + "))-\r");
    const std::string shown = shell.terminal.await("-" + number + "-\r\n");
    if (contains(shown, "29 91-" + number)) break;
    if (i == 199) FAIL("another size: " << shown);
  }
  shell.terminal.await("changed");
  shell.terminal.type("exit\r");
  CHECK(shell.wait().code == 0);
}

TEST_CASE("the size at the start is that of the terminal here") {
  const Agent agent;
  // The tool runs on the terminal of `stty`, which sets its size first.
  OnTerminal terminal({"-c", "stty rows 41 cols 123; exec " + tool_program + " " + agent.path() +
                                 " shell -- stty size"},
                      "/bin/sh");
  const Ended ended = terminal.wait();
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "41 123\r\n"));
}

TEST_CASE("Ctrl-C is a key of the guest") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  Shell shell(agent);
  shell.terminal.type("sleep " + seconds + "\r");
  await_process(seconds);
  shell.terminal.type("\x03");
  shell.terminal.await("^C");
  shell.terminal.type("echo again-$((1 + 1)); exit 9\r");
  shell.terminal.await("again-2");
  CHECK(shell.wait().code == 9);
  CHECK(nothing_left(seconds));
}

TEST_CASE("the keys ~. leave, and the program in the guest ends") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  Shell shell(agent, {"sh", "-c", "echo up; exec sleep " + seconds});
  shell.terminal.await("up\r\n");
  shell.terminal.type("x~.y\r");
  shell.terminal.await("x~.y\r\n");
  shell.terminal.type("~");
  shell.terminal.type(".");
  const Ended ended = shell.wait();
  CHECK(ended.code == 125);
  CHECK(contains(ended.out, "qga: left"));
  CHECK(nothing_left(seconds));
}

TEST_CASE("a signal ends the shell, restores the terminal, and ends the program in the guest") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  const int number = GENERATE(SIGTERM, SIGHUP, SIGINT, SIGQUIT);
  Shell shell(agent, {"sh", "-c", "echo up; exec sleep " + seconds});
  shell.terminal.await("up\r\n");
  shell.terminal.signal(number);
  shell.terminal.signal(number);  // the second does not end it in the middle
  CHECK(shell.wait().code == 128 + number);
  CHECK(nothing_left(seconds));
}

TEST_CASE("a terminal here that goes away ends the program in the guest") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  Shell shell(agent, {"sh", "-c", "echo up; exec sleep " + seconds});
  shell.terminal.await("up\r\n");
  shell.terminal.hang_up();
  CHECK(shell.terminal.end() != 0);
  CHECK(nothing_left(seconds));
}

TEST_CASE("an agent that is restarted ends the shell with a message on a terminal as before") {
  Agent agent;
  Shell shell(agent, {"sh", "-c", "echo up; exec cat"});
  shell.terminal.await("up\r\n");
  agent.restart();
  const Ended ended = shell.wait();
  CHECK(ended.code == 125);
  CHECK(contains(ended.out, "the program is lost"));
}

TEST_CASE("a guest that is paused is waited for") {
  Agent agent;
  OnTerminal terminal({agent.path(), "--timeout", "3", "shell", "--", "/bin/sh"});
  terminal.await(hint);
  terminal.type("echo up-$((1 + 1))\r");
  terminal.await("up-2");
  agent.stop();
  terminal.await("the guest does not answer");
  agent.resume();
  terminal.type("echo again-$((2 + 2))\r");
  terminal.await("again-4");
  terminal.type("exit 3\r");
  CHECK(terminal.wait().code == 3);
  CHECK(terminal.modes() == OnTerminal::first_modes());
}

TEST_CASE("a program that cannot be started leaves the terminal as it was") {
  const Agent agent;
  OnTerminal terminal(Shell::arguments(agent, {"/no/such/program"}));
  const Modes before = OnTerminal::first_modes();
  const Ended ended = terminal.wait();
  CHECK(ended.code == 127);
  CHECK(contains(ended.out, "/no/such/program"));
  CHECK(terminal.modes() == before);
}

TEST_CASE("without a terminal here lines are passed on until the end of stdin") {
  const Agent agent;
  const Ended ended = run_tool({agent.path(), "shell"}, "echo a$((1 + 1))b; echo e >&2\nexit 6\n");
  CHECK(ended.code == 6);
  CHECK(ended.out == "a2b\n");
  CHECK(ended.err == "e\n");
  CHECK(run_tool({agent.path(), "shell", "--cwd", "/usr", "--", "sh"}, "pwd").out == "/usr\n");
}

TEST_CASE("without a terminal in the guest lines are passed on, and it says so") {
  // A guest that has all but `script` and python3.
  const TemporaryDirectory programs;
  std::filesystem::permissions(programs.file(""), std::filesystem::perms(0755));
  for (const char* name : {"cat", "env", "getent", "grep", "id", "mkdir", "mkfifo", "rm", "sed",
                           "setsid", "sh", "sleep", "stat", "uname"}) {
    for (const char* directory : {"/usr/bin/", "/bin/"}) {
      if (::access((std::string(directory) + name).c_str(), X_OK) != 0) continue;
      std::filesystem::create_symlink(std::string(directory) + name, programs.file(name));
      break;
    }
  }
  const Variable path("PATH", programs.file(""));
  const Agent agent;
  OnTerminal terminal({agent.path(), "shell"});
  const Modes before = OnTerminal::first_modes();
  terminal.await("no terminal, only lines: ");
  terminal.type("echo a$((1 + 1))b\n");
  terminal.await("a2b\r\n");
  CHECK(terminal.modes() == before);
  terminal.type("\x04");
  CHECK(terminal.wait().code == 0);
}

TEST_CASE("an editor edits a file in the guest") {
  std::string editor;
  for (const char* candidate : {"/usr/bin/vi", "/bin/vi"}) {
    if (editor.empty() && ::access(candidate, X_OK) == 0) editor = candidate;
  }
  if (editor.empty()) {
    std::cout << "skipped: an editor in the guest: there is no vi on this machine\n";
    return;
  }
  const Agent agent;
  const std::string file = agent.put("text", "one\ntwo\n");
  const Variable term("TERM", "xterm");
  Shell shell(agent, {editor, file});
  shell.terminal.await("two");
  shell.terminal.type("ddihello \x1b");
  shell.terminal.type(":wq\r");
  CHECK(shell.wait().code == 0);
  CHECK(agent.get("text") == "hello two\n");
}

TEST_CASE("keys for the tool are at the beginning of a line") {
  using qga_tool::EscapeKeys;
  const auto sent = [](std::vector<std::string> typed) {
    EscapeKeys keys;
    std::string all;
    for (const std::string& piece : typed) {
      const std::optional<std::string> some = keys.add(piece);
      if (!some) return all + "(leaves)";
      all += *some;
    }
    return all;
  };
  CHECK(sent({"~."}) == "(leaves)");
  CHECK(sent({"a\r", "~", "."}) == "a\r(leaves)");
  CHECK(sent({"a\n~."}) == "(leaves)");
  CHECK(sent({"a~.\r"}) == "a~.\r");
  CHECK(sent({"~~.\r"}) == "~.\r");
  CHECK(sent({"~", "~", "~."}) == "~~.");
  CHECK(sent({"~x~."}) == "~x~.");
  CHECK(sent({"~\r~."}) == "(leaves)");
  CHECK(sent({"~"}).empty());
  CHECK(sent({"\x03~."}) == "\x03~.");
}
