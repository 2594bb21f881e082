// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Whatever happens while a guest is frozen, it is thawed. Against an agent that only pretends.
#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::chrono_literals;

namespace {

/// Two file systems, frozen and thawed.
class Freezer : public ScriptedAgent {
 public:
  Freezer() {
    on("guest-fsfreeze-freeze", script::returns("2"));
    on("guest-fsfreeze-freeze-list", script::returns("1"));
    on("guest-fsfreeze-thaw", script::returns("2"));
  }
  std::size_t thaws() const { return executed("guest-fsfreeze-thaw"); }
};

std::vector<std::string> freeze(const Freezer& agent, std::vector<std::string> more) {
  more.insert(more.begin(), {agent.path(), "freeze"});
  return more;
}

}  // namespace

TEST_CASE("freezes while a program runs here, and exits as it does") {
  const Freezer agent;
  const Ended ended =
      run_tool(freeze(agent, {"--", "sh", "-c", "echo \"$1\"; exit 5", "x", "[a,b]"}));
  CHECK(ended.code == 5);
  CHECK(ended.out == "[a,b]\n");
  CHECK(agent.thaws() == 1);
  CHECK(contains(ended.err, "froze 2 file systems"));
  CHECK(contains(ended.err, "thawed 2 file systems"));
}

TEST_CASE("freezes all but some, and shows what it would freeze") {
  Freezer agent;
  agent.on(
      "guest-get-fsinfo",
      script::returns(
          R"([ {"name": "sda1", "mountpoint": "/", "type": "ext4", "disk": []}, {"name": "sdb1", "mountpoint": "/scratch", "type": "ext4", "disk": []}])"));
  CHECK(run_tool(freeze(agent, {"--except", "/scratch", "--dry-run"})).out == "/\n");
  CHECK(agent.executed("guest-fsfreeze-freeze-list") == 0);
  CHECK(run_tool(freeze(agent, {"--except", "/scratch", "--", "true"})).code == 0);
  CHECK(agent.executed("guest-fsfreeze-freeze-list") == 1);
  CHECK(agent.executed("guest-fsfreeze-freeze") == 0);
  CHECK(run_tool(freeze(agent, {"--except", "/elsewhere", "--", "true"})).code != 0);
  CHECK(run_tool(freeze(agent, {"--except", "/elsewhere", "--dry-run"})).code == 2);
  CHECK(run_tool(freeze(agent, {"/", "--except", "/scratch"})).code == 2);
  CHECK(agent.executed("guest-fsfreeze-freeze-list") == 1);
}

TEST_CASE("runs the program without a freeze where that was asked for, and says so") {
  Freezer agent;
  agent.on("guest-fsfreeze-freeze", script::fails("the hook failed"));
  agent.on("guest-fsfreeze-status", script::returns("\"thawed\""));
  for (const auto& [program, code] : {std::pair("exit 0", 123), std::pair("exit 5", 5)}) {
    const Ended ended = run_tool(freeze(agent, {"--or-without", "--", "sh", "-c", program}));
    CHECK(ended.code == code);
    CHECK(contains(ended.err, "the program runs without a freeze"));
  }
  CHECK(run_tool(freeze(agent, {"--", "true"})).code == 125);
  // A guest that may still be frozen is left to people.
  agent.on("guest-fsfreeze-status", script::returns("\"frozen\""));
  CHECK(run_tool(freeze(agent, {"--or-without", "--", "true"})).code == 125);
  CHECK(run_tool(freeze(agent, {"--or-without"})).code == 2);
}

TEST_CASE("fails where the guest was thawed meanwhile, by others") {
  Freezer agent;
  agent.on("guest-fsfreeze-thaw", script::returns("0"));
  for (const auto& [program, code] : {std::pair("exit 0", 125), std::pair("exit 5", 5)}) {
    const Ended ended = run_tool(freeze(agent, {"--", "sh", "-c", program}));
    CHECK(ended.code == code);
    CHECK(contains(ended.err, "was thawed before its time"));
  }
}

TEST_CASE("thaws whatever signal ends it") {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU}) {
    const Freezer agent;
    Running running(freeze(agent, {"--", "sleep", "100"}));
    running.await("froze");
    running.signal(number);
    CHECK(running.wait().code == 128 + number);
    CHECK(agent.thaws() == 1);
  }
  // SIGXFSZ, where a file that it writes to is too long: here that of its remarks.
  const Freezer agent;
  const TemporaryDirectory directory;
  const std::string line = "ulimit -f 0; exec '" + tool_program + "' '" + agent.path() +
                           "' freeze -- true 2>'" + directory.file("log") + "'";
  Running({"-c", line}, "/dev/null", "/bin/sh").wait();
  CHECK(agent.executed("guest-fsfreeze-freeze") == 1);
  CHECK(agent.thaws() == 1);
}

TEST_CASE("freezes nothing for a program that is not there") {
  const Freezer agent;
  for (const std::string program : {"/no/program", "no-such-program"}) {
    CHECK(run_tool(freeze(agent, {"--", program})).code == 127);
  }
  CHECK(agent.executed("guest-fsfreeze-freeze") == 0);
  CHECK(agent.thaws() == 0);
}

TEST_CASE("thaws where the program fails in any way") {
  const Freezer agent;
  SECTION("it cannot be run") { CHECK(run_tool(freeze(agent, {"--", "/etc"})).code == 126); }
  SECTION("a signal") {
    CHECK(run_tool(freeze(agent, {"--", "sh", "-c", "kill -9 $$"})).code == 137);
  }
  SECTION("time is up") {
    CHECK(run_tool(freeze(agent, {"--for", "0.2", "--", "sleep", "100"})).code == 124);
  }
  SECTION("time is up, and it does not care") {
    const Ended ended = run_tool(freeze(
        agent, {"--for", "0.2", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"}));
    CHECK(ended.code == 124);
    CHECK(contains(ended.err, "was killed"));
  }
  CHECK(agent.thaws() == 1);
}

TEST_CASE("a signal that asks the tool to end ends the program, and thaws") {
  const Freezer agent;
  const int number = GENERATE(SIGINT, SIGTERM, SIGHUP, SIGQUIT);
  Running running(freeze(agent, {"--", "sleep", "100"}));
  running.await("froze");
  running.signal(number);
  CHECK(running.wait().code == 128 + number);
  CHECK(agent.thaws() == 1);
}

TEST_CASE("signals that were to be ignored are") {
  const Freezer agent;
  Running running(
      {"-c", "trap '' HUP INT; exec " + tool_program + " " + agent.path() + " freeze --for 0.5"},
      "/dev/null", "/bin/sh");
  running.await("froze");
  running.signal(SIGHUP);
  running.signal(SIGINT);
  CHECK(running.wait().code == 0);
  CHECK(agent.thaws() == 1);
}

TEST_CASE("more signals do not keep it from thawing") {
  Freezer agent;
  agent.on("guest-fsfreeze-thaw", script::all(script::waits(1s), script::returns("2")));
  Running running(freeze(agent, {"--for", "100"}));
  running.await("froze");
  for (int i = 0; i < 20; ++i) {
    running.signal(i % 2 == 0 ? SIGINT : SIGTERM);
    std::this_thread::sleep_for(20ms);
  }
  const Ended ended = running.wait();
  CHECK(ended.code > 128);
  CHECK(contains(ended.err, "thawed 2"));
  CHECK(agent.thaws() == 1);
}

TEST_CASE("Ctrl-C while the guest still freezes thaws it") {
  Freezer agent;
  agent.on("guest-fsfreeze-freeze", script::all(script::waits(1s), script::returns("2")));
  Running running(freeze(agent, {"--", "sleep", "100"}));
  while (agent.executed("guest-fsfreeze-freeze") == 0) std::this_thread::sleep_for(10ms);
  running.signal(SIGINT);
  CHECK(running.wait().code == 130);
  CHECK(agent.thaws() == 1);
}

TEST_CASE("without a program it is held until somebody or the time ends it") {
  const Freezer agent;
  SECTION("time") { CHECK(run_tool(freeze(agent, {"--for", "0.3"})).code == 0); }
  SECTION("Enter") {
    OnTerminal terminal(freeze(agent, {}));
    terminal.await("Enter or Ctrl-C thaws");
    CHECK(agent.thaws() == 0);
    terminal.type("\n");
    CHECK(terminal.wait().code == 0);
  }
  SECTION("Ctrl-C") {
    OnTerminal terminal(freeze(agent, {}));
    terminal.await("Enter or Ctrl-C thaws");
    terminal.type("\x03");
    CHECK(terminal.wait().code == 130);
  }
  SECTION("Ctrl-Z does not stop it") {
    OnTerminal terminal(freeze(agent, {"--for", "1"}));
    terminal.await("Enter or Ctrl-C thaws");
    terminal.type("\x1a");
    CHECK(terminal.wait().code == 0);
  }
  SECTION("the end of a pipe") {
    const std::string line = "sleep 0.3 | " + tool_program + " " + agent.path() + " freeze";
    CHECK(Running({"-c", line}, "/dev/null", "/bin/sh").wait().code == 0);
  }
  CHECK(agent.thaws() == 1);
}

TEST_CASE("a terminal that goes away thaws") {
  const Freezer agent;
  {
    OnTerminal terminal(freeze(agent, {"-q", "--", "sleep", "100"}));
    while (agent.executed("guest-fsfreeze-freeze") == 0) std::this_thread::sleep_for(10ms);
    terminal.hang_up();
    for (int i = 0; i < 1000 && agent.thaws() == 0; ++i) std::this_thread::sleep_for(10ms);
  }
  CHECK(agent.thaws() == 1);
}

TEST_CASE("it is left frozen only where that was asked for") {
  const Freezer agent;
  CHECK(run_tool(freeze(agent, {"--leave"})).code == 0);
  CHECK(agent.thaws() == 0);
  CHECK(run_tool({agent.path(), "thaw"}).out == "thawed 2 file systems\n");
}

TEST_CASE("some mountpoints, or nothing at all") {
  Freezer agent;
  CHECK(run_tool(freeze(agent, {"/a", "/b", "--", "true"})).code == 0);
  CHECK(agent.executed().back().command == "guest-fsfreeze-thaw");
  agent.on("guest-fsfreeze-freeze-list", script::returns("0"));
  const Ended ended = run_tool(freeze(agent, {"/none", "--", "echo", "snapshot"}));
  CHECK(ended.code == 125);
  CHECK(ended.out.empty());
}

TEST_CASE("a thaw that fails is told, whatever the program did") {
  Freezer agent;
  agent.on("guest-fsfreeze-thaw", script::fails("hook failed"));
  agent.on("guest-fsfreeze-status", script::returns("\"thawed\""));
  const Ended ended = run_tool(freeze(agent, {"--", "true"}));
  CHECK(ended.code == 125);
  CHECK(contains(ended.err, "hook failed"));
}

TEST_CASE("JSON has stdout for itself") {
  const Freezer agent;
  const Ended ended = run_tool({agent.path(), "--json", "-q", "freeze", "--", "echo", "snapshot"});
  CHECK(ended.code == 0);
  CHECK(ended.err == "snapshot\n");
  const auto document = nlohmann::json::parse(ended.out);
  CHECK(document.at("frozen") == 2);
  CHECK(document.at("thawed") == 2);
}

TEST_CASE("going down is success, also where the guest does not say so") {
  ScriptedAgent agent;
  CHECK(run_tool({agent.path(), "reboot"}).code == 1);  // it does not know how
  agent.on("guest-shutdown", script::nothing());
  CHECK(run_tool({agent.path(), "shutdown"}).code == 0);
  agent.on("guest-shutdown", script::hangs_up());
  CHECK(run_tool({agent.path(), "shutdown", "--halt"}).code == 0);
  agent.on("guest-suspend-ram", script::mutes());
  CHECK(run_tool({agent.path(), "suspend", "--timeout", "0.5"}).code == 0);
  CHECK(run_tool({agent.path(), "shutdown", "--timeout", "0.5"}).code == 3);  // nobody is there
}
