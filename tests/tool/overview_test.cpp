// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Commands of the tool that ask several questions: what one of them shows when the guest refuses
// some, and that it fails when the guest refuses all.
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

namespace {

struct Question {
  std::string command;  ///< of the agent
  std::string reply;
  std::string shown;  ///< what people see of the reply
};

struct Overview {
  std::vector<std::string> words;  ///< of the command line
  std::vector<Question> questions;
};

const std::string vcpus = R"([{"logical-id": 7, "online": true, "can-offline": false}])";
const std::string cpustats =
    R"([{"type": "linux", "cpu": 7, "user": 0, "nice": 0, "system": 0, "idle": 100}])";
const std::string diskstats =
    R"([{"name": "vdz", "major": 1, "minor": 2, "stats": {"read-sectors": 1}}])";
const std::string interfaces =
    R"([{"name": "eth7", "statistics": {"rx-bytes": 0, "rx-packets": 0, "rx-errs": 0, )"
    R"("rx-dropped": 0, "tx-bytes": 0, "tx-packets": 0, "tx-errs": 0, "tx-dropped": 0}}])";
const std::string load = R"({"load1m": 7.25, "load5m": 0, "load15m": 0})";

/// Every overview, with what it asks.
const std::vector<Overview> overviews{
    {{"info"},
     {{"guest-info", R"({"version": "4.5.6", "supported_commands": []})", "4.5.6"},
      {"guest-get-host-name", R"({"host-name": "alpha"})", "alpha"},
      {"guest-get-osinfo", R"({"kernel-release": "9.9", "machine": "riscv"})", "9.9 riscv"},
      {"guest-get-timezone", R"({"offset": 0, "zone": "XYZ"})", "XYZ"},
      {"guest-get-time", "86400000000000", "1970-01-02"},
      {"guest-get-load", load, "7.25"}}},
    {{"cpu"}, {{"guest-get-vcpus", vcpus, "online"}, {"guest-get-cpustats", cpustats, "100.0 %"}}},
    {{"top", "--count", "1", "--interval", "0.05"},
     {{"guest-get-diskstats", diskstats, "vdz"},
      {"guest-network-get-interfaces", interfaces, "eth7"},
      {"guest-get-load", load, "7.25"}}},
};

Ended run_overview(const ScriptedAgent& agent, const Overview& overview, bool as_json) {
  std::vector<std::string> arguments{agent.path()};
  if (as_json) arguments.emplace_back("--json");
  arguments.insert(arguments.end(), overview.words.begin(), overview.words.end());
  return run_tool(arguments);
}

/// Whether a document says that there is no answer to a command.
bool says_missing(const json& document, const std::string& command) {
  for (const json& reason : document.at("missing")) {
    const std::string text = reason;
    if (text.substr(0, text.find(':')) == command) return true;
  }
  return false;
}
bool says_missing(const std::string& text, const std::string& command) {
  return contains(text, "missing: " + command + ":") ||
         contains(text, "missing: " + command + "\n");
}

}  // namespace

TEST_CASE("an overview shows the other answers when the guest refuses a question") {
  struct Refusal {
    std::string desc;
    std::string error_class;
  };
  const Refusal refusal = GENERATE(Refusal{"has been disabled", "CommandNotFound"},
                                   Refusal{"open() failed", "GenericError"});
  for (const Overview& overview : overviews) {
    for (const Question& refused : overview.questions) {
      INFO(overview.words.front() << ": " << refused.command << ": " << refusal.error_class);
      ScriptedAgent agent;
      for (const Question& question : overview.questions) {
        agent.on(question.command, script::returns(question.reply));
      }
      agent.on(refused.command, script::fails(refusal.desc, refusal.error_class));

      const Ended people = run_overview(agent, overview, false);
      CHECK(people.code == 0);
      CHECK(people.err.empty());
      for (const Question& question : overview.questions) {
        INFO(people.out);
        CHECK(contains(people.out, question.shown) == (question.command != refused.command));
        CHECK(says_missing(people.out, question.command) == (question.command == refused.command));
      }

      const Ended programs = run_overview(agent, overview, true);
      CHECK(programs.code == 0);
      CHECK(programs.err.empty());
      const json document = json::parse(programs.out);
      for (const Question& question : overview.questions) {
        CHECK(says_missing(document, question.command) == (question.command == refused.command));
      }
      CHECK_FALSE(document.contains(refused.command));
    }
  }
}

TEST_CASE("an overview says why an answer is missing") {
  ScriptedAgent agent;
  agent.on("guest-get-vcpus", script::returns(vcpus));
  agent.on("guest-get-cpustats", script::fails("open(\\\"/proc/stat\\\") failed"));
  CHECK(contains(run_tool({agent.path(), "cpu"}).out,
                 "missing: guest-get-cpustats: open(\"/proc/stat\") failed"));
  const json document = json::parse(run_tool({agent.path(), "--json", "cpu"}).out);
  CHECK(document.at("missing") ==
        json{"guest-get-cpustats: open(\"/proc/stat\") failed (GenericError)"});
  CHECK(document.at("guest-get-vcpus") == json::parse(vcpus));
}

TEST_CASE("an answer that makes no sense is missing from an overview") {
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::returns(R"({"host-name": null})"));
  agent.on("guest-get-timezone", script::returns(R"({"offset": 0, "zone": "XYZ"})"));
  const Ended ended = run_tool({agent.path(), "info"});
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "XYZ"));
  CHECK(contains(ended.out, "missing: guest-get-host-name: "));
}

TEST_CASE("an overview fails when the guest refuses every question") {
  for (const Overview& overview : overviews) {
    INFO(overview.words.front());
    ScriptedAgent agent;
    for (const Question& question : overview.questions) {
      agent.on(question.command, script::fails("no"));
    }
    for (const bool as_json : {false, true}) {
      const Ended ended = run_overview(agent, overview, as_json);
      CHECK(ended.code == 1);
      CHECK(ended.err.starts_with("qga: "));
    }
  }
}

TEST_CASE("an overview fails when the guest stops answering") {
  for (const Overview& overview : overviews) {
    for (const Question& lost : overview.questions) {
      INFO(overview.words.front() << ": " << lost.command);
      ScriptedAgent agent;
      for (const Question& question : overview.questions) {
        agent.on(question.command, script::returns(question.reply));
      }
      agent.on(lost.command, script::hangs_up());
      CHECK(run_overview(agent, overview, false).code == 3);
      CHECK(run_overview(agent, overview, true).code == 3);
    }
  }
}

TEST_CASE("time does with an agent that refuses to be pinged") {
  ScriptedAgent agent;
  agent.on("guest-ping", script::fails("has been disabled", "CommandNotFound"));
  agent.on("guest-get-time", script::returns("86400000000000"));
  const Ended ended = run_tool({agent.path(), "time"});
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "1970-01-02"));
}
