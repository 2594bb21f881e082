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

TEST_CASE("top prints a row for each of many guests") {
  const Agent agent;
  ScriptedAgent silent;
  silent.mute();
  const TemporaryDirectory directory;
  const std::vector<std::string> guests{"-s",          agent.path(), "-s",
                                        silent.path(), "-s",         directory.file("none")};
  std::vector<std::string> words = guests;
  words.insert(words.end(), {"top", "--count", "2", "--interval", "0.2"});
  const Ended table = run_tool(words);
  CHECK(table.code == 0);
  CHECK(table.out.starts_with("GUEST "));
  CHECK(contains(table.out, "\n\nGUEST "));
  CHECK(contains(table.out, "  ready "));
  CHECK(contains(table.out, "  asking "));  // nobody waits for the silent one
  CHECK(contains(table.out, "\nnone"));
  CHECK(contains(table.out, "  no channel "));
  CHECK(contains(table.out, "\nnone: cannot connect to "));
  CHECK_FALSE(contains(table.out, "\x1b"));

  words.emplace_back("--json");
  const Ended documents = run_tool(words);
  std::istringstream lines(documents.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json picture = json::parse(line);
    INFO(line);
    REQUIRE(picture.size() == 3);
    CHECK(picture[0].at("guest") == agent.path());
    CHECK(picture[0].at("state") == "ready");
    CHECK(picture[0].at("seconds") > 0.05);
    CHECK_FALSE(picture[0].at("cpus").empty());
    CHECK(picture[0].contains("memory"));
    CHECK(picture[0].contains("version"));
    CHECK(picture[1].at("state") == "asking");
    CHECK(picture[2].at("guest") == "none");
    CHECK(picture[2].at("state") == "no-socket");
    CHECK(contains(picture[2].at("error").get<std::string>(), "cannot connect"));
  }
  CHECK(count == 2);
}

TEST_CASE("top of many guests fails where nobody answers, and ends by a signal") {
  const TemporaryDirectory directory;
  const std::string none = directory.file("none");
  const Ended nobody = run_tool({"-s", none, "top", "--count", "1", "--interval", "0.1"});
  CHECK(nobody.code == 3);
  CHECK(contains(nobody.err, "no guest has answered"));
  const Ended nothing = run_tool({directory.file("*.sock"), "top", "--count", "1"});
  CHECK(nothing.code == 2);
  CHECK(contains(nothing.err, "no socket matches"));

  ScriptedAgent silent;
  silent.mute();
  Running running({"-s", silent.path(), "top", "--interval", "0.1"});
  running.await_out("asking");
  running.signal(SIGTERM);
  CHECK(running.wait().code == 128 + SIGTERM);
}
