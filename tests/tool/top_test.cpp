// SPDX-License-Identifier: LGPL-3.0-or-later
//
// top: what it shows, on a terminal and elsewhere, and that it ends.
#include <csignal>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

TEST_CASE("top shows processors, memory, disks and network") {
  const Agent agent;
  const Ended ended =
      run_tool({agent.path(), "top", "--count", "2", "--interval", "0.2", "--memory"});
  CHECK(ended.code == 0);
  for (const char* heading : {"CPU", "MEMORY", "DISK", "INTERFACE"}) {
    CHECK(contains(ended.out, heading));
  }
  CHECK_FALSE(contains(ended.out, "\x1b"));
}

TEST_CASE("top's JSON is a document for each picture") {
  const Agent agent;
  const Ended ended =
      run_tool({agent.path(), "--json", "top", "--count", "3", "--interval", "0.1", "--memory"});
  std::istringstream lines(ended.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json picture = json::parse(line);
    CHECK(picture.at("seconds") > 0.09);
    CHECK(picture.at("memory").at("total") > picture.at("memory").at("available"));
    CHECK_FALSE(picture.at("cpus").empty());
  }
  CHECK(count == 3);
}

TEST_CASE("top asks nothing that the guest logs, unless it is to show the memory") {
  for (const bool memory : {false, true}) {
    ScriptedAgent agent;
    agent.on("guest-get-load", script::returns(R"({"load1m": 0, "load5m": 0, "load15m": 0})"));
    std::vector<std::string> arguments{agent.path(), "top", "--count", "3", "--interval", "0.05"};
    if (memory) arguments.push_back("--memory");
    CHECK(run_tool(arguments).code == 0);
    for (const char* logged : {"guest-ping", "guest-exec", "guest-exec-status"}) {
      CHECK(agent.executed(logged) == 0);
    }
    CHECK((agent.executed("guest-file-open") > 0) == memory);
  }
}

TEST_CASE("top draws in place on a terminal, until Ctrl-C, and leaves it as it was") {
  const Agent agent;
  OnTerminal terminal({agent.path(), "top", "--interval", "0.1"});
  terminal.await("\x1b[J\x1b[H");  // the second picture over the first
  terminal.type("\x03");
  const Ended ended = terminal.wait();
  CHECK(ended.code == 130);
  CHECK(contains(ended.out, "\x1b[?7l"));
  CHECK(ended.out.rfind("\x1b[?7h") > ended.out.rfind("\x1b[H"));
}

TEST_CASE("top does with what there is, and escapes it") {
  ScriptedAgent agent;
  const Ended nothing = run_tool({agent.path(), "top", "--count", "1", "--interval", "0.1"});
  CHECK(nothing.code == 1);
  CHECK(nothing.out.starts_with("nothing to see"));
  CHECK(contains(nothing.err, "refused every question"));

  agent.on("guest-network-get-interfaces",
           script::returns(R"([{"name": "\u001b[2J", "statistics": {"rx-bytes": 0, )"
                           R"("rx-packets": 0, "rx-errs": 0, "rx-dropped": 0, )"
                           R"("tx-bytes": 18446744073709551615, "tx-packets": 0, )"
                           R"("tx-errs": 0, "tx-dropped": 0}}])"));
  const Ended some =
      run_tool({agent.path(), "top", "--count", "1", "--interval", "0.1", "--memory"});
  CHECK(some.code == 0);
  CHECK(contains(some.out, "\\x1b[2J"));
  CHECK(contains(some.out, "\nmissing: guest-get-cpustats\n"));
  CHECK(contains(some.out, "\nmissing: guest-file-open: "));
  CHECK_FALSE(contains(some.out, "\x1b"));
}
