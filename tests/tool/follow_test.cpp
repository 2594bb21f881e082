// SPDX-License-Identifier: LGPL-3.0-or-later
//
// run: output and input as they come, and what the guest's shell does for a program.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "agent.hpp"
#include "catch.hpp"
#include "guest_side.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::string_literals;

namespace {

/// A command of a shell that waits until a file is there.
std::string wait_for(const std::string& file) {
  return "; while [ ! -e " + file + " ]; do sleep 0.02; done; ";
}
void touch(const std::string& file) { std::ofstream(file) << "x"; }

/// Bytes of all values, in no order.
std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  unsigned state = 1;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 1103515245 + 12345) >> 16);
  return bytes;
}

}  // namespace

TEST_CASE("run shows each output before the program ends") {
  const Agent agent;
  const std::string first = agent.file("first");
  const std::string second = agent.file("second");
  Running running(
      {agent.path(), "run", "--shell",
       "echo one" + wait_for(first) + "echo two >&2" + wait_for(second) + "printf three; exit 5"});
  running.await_out("one\n");
  CHECK(running.err().empty());
  touch(first);
  running.await("two\n");
  CHECK(running.out() == "one\n");
  touch(second);
  const Ended ended = running.wait();
  CHECK(ended.code == 5);
  CHECK(ended.out == "one\nthree");
  CHECK(ended.err == "two\n");
}

TEST_CASE("run passes stdin on as it comes, until its end") {
  const Agent agent;
  const TemporaryDirectory host;
  const std::string fifo = host.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  Running running({agent.path(), "run", "-i", "--shell", "read a; echo got $a; cat; exit 3"}, fifo);
  std::ofstream input(fifo);
  input << "a line\n" << std::flush;
  running.await_out("got a line\n");
  input << "another" << std::flush;
  running.await_out("another");
  input.close();
  CHECK(running.wait().code == 3);
}

TEST_CASE("run passes on bytes of any value, more of them than a pipe or the agent holds") {
  const Agent agent;
  const std::string bytes = noise(1'500'000);
  const Ended both = run_tool({agent.path(), "run", "-i", "--", "cat"}, bytes);
  CHECK(both.code == 0);
  CHECK((both.out == bytes));
  CHECK(run_tool({agent.path(), "run", "-i", "--", "wc", "-c"}, bytes).out == "1500000\n");
  const Ended zeros = run_tool({agent.path(), "run", "--", "head", "-c", "20000000", "/dev/zero"});
  CHECK((zeros.out == std::string(20'000'000, '\0')));
}

TEST_CASE("run does without a program that reads its input") {
  const Agent agent;
  const Ended ended = run_tool(
      {agent.path(), "run", "-i", "--shell", "exec <&-; echo done; exit 4"}, noise(1'000'000));
  CHECK(ended.code == 4);
  CHECK(ended.out == "done\n");
  CHECK(ended.err == "");
}

TEST_CASE(
    "run has a directory, variables beside the others, and a shell without quotes of quotes") {
  const Agent agent;
  CHECK(run_tool({agent.path(), "run", "--cwd", "/usr", "--", "pwd"}).out == "/usr\n");
  const Ended line =
      run_tool({agent.path(), "run", "--env-add", "A=it's \"x\"", "--env-add", "B=", "--shell",
                R"(printf '%s|' "$A" "${B-unset}" "${PATH:+path}" a' 'b)"});
  CHECK(line.out == "it's \"x\"||path|a b|");
  // The buffered way has them, too.
  CHECK(run_tool({agent.path(), "run", "--buffered", "--cwd", "/usr", "--", "pwd"}).out ==
        "/usr\n");
  const Ended nowhere = run_tool({agent.path(), "run", "--cwd", "/no/such", "--", "pwd"});
  CHECK(nowhere.code == 125);
  CHECK(contains(nowhere.err, "/no/such"));
  CHECK(run_tool({agent.path(), "run", "--user", "no-such-user", "--", "id"}).code == 125);
}

TEST_CASE("run makes UTF-8 of a guest's encoding, also of a character in two pieces") {
  const Agent agent;
  const auto of = [&](const std::string& encoding, const std::string& line) {
    return run_tool({agent.path(), "run", "--encoding", encoding, "--shell", line}).out;
  };
  CHECK(of("CP850", R"(printf '\204\224\201\341 x')") == "äöüß x");
  CHECK(of("UTF-8", R"(printf 'a\377b\303')") == "a\uFFFDb\uFFFD");
  CHECK(of("UTF-16LE", R"(printf 'a\000\000\334b\000c')") == "a\uFFFDb\uFFFD");
  // In these a mark may follow a letter, so that the letter waits.
  CHECK(of("CP1258", "printf ab") == "ab");
  CHECK(of("CP1255", R"(printf '\350')") == "\u05D8");
  CHECK(of("CP1258", R"(printf 'a\314')") == "\u00E0");
  // An encoding of Braille has no blank.
  CHECK(of("BRF", R"(printf '\377\377')") == "\uFFFD\uFFFD");
  const Ended buffered = run_tool({agent.path(), "run", "--buffered", "--encoding", "CP850",
                                   "--shell", R"(printf '\204'; printf '\201' >&2)"});
  CHECK(buffered.out == "ä");
  CHECK(buffered.err == "ü");

  const std::string go = agent.file("go");
  Running cut({agent.path(), "run", "--encoding", "UTF-16LE", "--shell",
               R"(printf 'a\000\344')" + wait_for(go) + R"(printf '\000b\000')"});
  cut.await_out("a");
  CHECK(cut.out() == "a");
  touch(go);
  CHECK(cut.wait().out == "aäb");
}

TEST_CASE("run converts much that is no text in the guest's encoding") {
  const Agent agent;
  const std::string line = R"(head -c 3000000 /dev/zero | tr '\0' '\377')";
  const std::string way = GENERATE("--buffered", "--quiet");
  const Ended ended = run_tool({agent.path(), "run", way, "--encoding", "UTF-8", "--shell", line});
  CHECK(ended.code == 0);
  CHECK(ended.out.size() == 9'000'000);
}

TEST_CASE("run escapes on a terminal, also a character in two pieces") {
  const Agent agent;
  const std::string go = agent.file("go");
  OnTerminal terminal({agent.path(), "run", "--shell",
                       R"(printf '\033[31mA\303')" + wait_for(go) + R"(printf '\244\377\303')"});
  terminal.await("\\x1b[31mA");
  touch(go);
  const Ended ended = terminal.wait();
  CHECK(contains(ended.out, "\\x1b[31mA\u00E4\\xff\\xc3"));
  CHECK_FALSE(contains(ended.out, "\x1b"));
  CHECK(
      contains(OnTerminal({agent.path(), "run", "--raw-output", "--shell", R"(printf '\033[31mA')"})
                   .wait()
                   .out,
               "\x1b[31mA"));
}

TEST_CASE("a signal to the tool leaves the program in the guest, or kills it with --kill") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  const bool kill = GENERATE(false, true);
  std::vector<std::string> arguments{agent.path(), "run"};
  if (kill) arguments.push_back("--kill");
  arguments.insert(arguments.end(), {"--", "sleep", seconds});
  pid_t sleeper = -1;
  {
    Running running(arguments);
    for (int i = 0; i < 3000 && sleeper < 0; ++i) {
      for (const pid_t pid : processes_with("sleep\0"s + seconds)) {
        if (contains(contents("/proc/" + std::to_string(pid) + "/comm"), "sleep")) sleeper = pid;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    REQUIRE(sleeper > 0);
    running.signal(SIGTERM);
    const Ended ended = running.wait();
    CHECK(ended.code == 128 + SIGTERM);
    CHECK(contains(ended.err, "process " + std::to_string(sleeper)));
    CHECK(contains(ended.err, kill ? "was killed" : "may still run"));
  }
  CHECK(processes_with(seconds).size() == (kill ? 0 : 1));
  if (!kill) ::kill(sleeper, SIGKILL);
  CHECK(nothing_left(seconds));
}

TEST_CASE("a program that runs for too long is left behind, or killed with --kill") {
  const Agent agent;
  const std::string seconds = unique_sleep();
  const Ended ended = run_tool({agent.path(), "run", "--for", "0.2", "--", "sleep", seconds});
  CHECK(ended.code == 124);
  CHECK(contains(ended.err, "is left behind"));
  REQUIRE(processes_with(seconds).size() == 1);
  ::kill(processes_with(seconds).front(), SIGKILL);
  CHECK(nothing_left(seconds));
}

TEST_CASE("a guest that does not answer is waited for, and it says so") {
  Agent agent;
  const std::string go = agent.file("go");
  Running running(
      {agent.path(), "--timeout", "2", "run", "--shell", "echo up" + wait_for(go) + "echo again"});
  running.await_out("up\n");
  agent.stop();
  running.await("the guest does not answer; Ctrl-C ends the wait");
  touch(go);
  agent.resume();
  const Ended ended = running.wait();
  CHECK(ended.code == 0);
  CHECK(ended.out == "up\nagain\n");
}

TEST_CASE("a program is killed where nobody takes its output") {
  const Agent agent;
  const std::string text = unique_sleep();
  const Ended ended = Running({"-c", "{ " + tool_program + " " + agent.path() + " run -- yes " +
                                         text + "; echo $? >&2; } | head -n 1"},
                              "/dev/null", "/bin/sh")
                          .wait();
  CHECK(ended.out == text + "\n");
  CHECK(ended.err == "141\n");
  CHECK(nothing_left(text));
}

TEST_CASE("run leaves nothing in the guest") {
  const Agent agent;
  const std::string text = unique_sleep();
  CHECK(run_tool({agent.path(), "run", "--", "echo", text}).out == text + "\n");
  CHECK(nothing_left(text));
}

TEST_CASE("a guest without a shell or files has output in the end, and is asked once") {
  ScriptedAgent agent;
  int programs = 0;
  agent.on("guest-exec", [&](const Heard& heard) {
    if (heard.arguments.at("path") == "/bin/sh") return script::fails("no such program");
    ++programs;
    return script::returns("{\"pid\": 7}");
  });
  agent.on("guest-exec-status",
           script::returns("{\"exited\": true, \"exitcode\": 3, \"out-data\": \"aGkK\"}"));
  const Ended ended = run_tool({agent.path(), "run", "--", "x.exe"});
  CHECK(ended.code == 3);
  CHECK(ended.out == "hi\n");
  CHECK(programs == 1);
  // What only a shell can do is not left out.
  for (const std::string option : {"--cwd", "--user"}) {
    CHECK(run_tool({agent.path(), "run", option, "x", "--", "x.exe"}).code == 125);
  }
  CHECK(run_tool({agent.path(), "run", "--env-add", "A=b", "--", "x.exe"}).code == 125);
  CHECK(programs == 1);
}

TEST_CASE("run --buffered sends the program to the agent, and nothing else") {
  ScriptedAgent agent;
  std::string path;
  agent.on("guest-exec", [&](const Heard& heard) {
    path = heard.arguments.at("path");
    return script::returns("{\"pid\": 7}");
  });
  agent.on("guest-exec-status", script::returns("{\"exited\": true, \"exitcode\": 0}"));
  CHECK(run_tool({agent.path(), "run", "--buffered", "--", "x.exe"}).code == 0);
  CHECK(path == "x.exe");
  CHECK(agent.executed("guest-exec") == 1);
}

TEST_CASE("run --powershell gives the line to PowerShell as UTF-16 in base64") {
  ScriptedAgent agent;
  nlohmann::json arguments;
  agent.on("guest-exec", [&](const Heard& heard) {
    if (heard.arguments.at("path") == "/bin/sh") return script::fails("no such program");
    arguments = heard.arguments.at("arg");
    return script::returns("{\"pid\": 7}");
  });
  agent.on("guest-exec-status", script::returns("{\"exited\": true, \"exitcode\": 0}"));
  CHECK(run_tool({agent.path(), "run", "--powershell", "\"\u00E4\""}).code == 0);
  CHECK(arguments ==
        nlohmann::json{"-NoProfile", "-NonInteractive", "-EncodedCommand", "IgDkACIA"});
  CHECK(run_tool({agent.path(), "run", "--powershell", "\xff"}).code == 125);
}

TEST_CASE("run refuses what does not go together") {
  const std::vector<std::vector<std::string>> wrong{
      {"run", "--shell", "ls", "--", "ls"},
      {"run", "--shell", "ls", "--powershell", "ls"},
      {"run", "--encoding", "NO-SUCH", "--", "ls"},
      {"--json", "run", "--encoding", "CP850", "--", "ls"},
      {"run", "--env-add", "novalue", "--", "ls"},
      {"--json", "shell"},
      {"run", "--"},
      {"run", "ls"},
      {"run", "-e", "=x", "--", "ls"},
      {"run", "-e", "novalue", "--", "ls"},
  };
  for (std::vector<std::string> arguments : wrong) {
    INFO(arguments.at(0) << " " << arguments.at(1));
    arguments.insert(arguments.begin(), "/no/socket");
    CHECK(run_tool(arguments).code == 125);
  }
}
