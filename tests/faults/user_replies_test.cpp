// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Replies that users' agents gave (data/user-replies.jsonl), and what must become of them.
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "faults.hpp"

using namespace faults;

namespace {

/// An agent that gives the reply of a case to its command.
struct Told {
  explicit Told(const nlohmann::json& entry) : reply(entry.at("reply")) {
    agent.on(entry.at("command"), script::answers(reply.substr(1, reply.size() - 2)));
    agent.on("guest-fsfreeze-status", script::returns("\"thawed\""));
    agent.on("guest-fsfreeze-thaw", script::returns("0"));
    agent.on("guest-exec", script::returns(R"({"pid": 7})"));
  }

  std::string reply;
  ScriptedAgent agent;
};

template <class Way>
using Check = std::function<void(Way&, ScriptedAgent&)>;

template <class Error, class Call>
void check_refused(Call&& call, std::string_view error_class) {
  const auto error = error_of<Error>(std::forward<Call>(call));
  CHECK(error.error_class() == error_class);
  CHECK(error.code() == qga::err_from_agent);
  CHECK(error.outcome() == Outcome::refused);
}

/// Whether an AgentError is a CommandNotFoundError.
template <class Call>
bool is_not_found(Call&& call) {
  try {
    call();
  } catch (const qga::CommandNotFoundError&) {
    return true;
  } catch (const qga::AgentError&) {
    return false;
  }
  throw std::logic_error("no error was thrown");
}

template <class Way>
void check_clock(Way& ga, ScriptedAgent& agent) {
  for (const bool set : {true, false}) {
    const auto asked = std::make_shared<int>(0);
    agent.on("guest-get-time", [=](const Heard&) {
      const auto now = std::chrono::system_clock::now().time_since_epoch() / 1ns;
      const auto behind = set && ++*asked > 1 ? 0 : 3600 * 1'000'000'000LL;
      return script::returns(std::to_string(now - behind));
    });
    const auto error = error_of<qga::ClockError>([&] { ga.set_clock(); });
    CHECK(error.is_set() == set);
    CHECK(std::string(error.what()).find(set ? "not the hardware clock" : "is not set") !=
          std::string::npos);
  }
}

/// By `what` of a case.
template <class Way>
std::map<std::string, Check<Way>> checks() {
  return {
      {"disabled by policy, agents 1.2 to 4.1",
       [](Way& ga, ScriptedAgent&) {
         check_refused<qga::CommandNotFoundError>([&] { ga.get_osinfo(); }, "GenericError");
         check_refused<qga::CommandNotFoundError>([&] { ga.execute("guest-get-osinfo"); },
                                                  "GenericError");
       }},
      {"the same sentence about another command",
       [](Way& ga, ScriptedAgent& agent) {
         agent.on("guest-exec",
                  script::fails("The command guest-get-osinfo has been disabled for this "
                                "instance"));
         CHECK_FALSE(is_not_found([&] { ga.exec("/bin/ls"); }));
         CHECK_FALSE(is_not_found([&] { ga.execute("guest-exec", {{"path", "/bin/ls"}}); }));
       }},
      {"disabled, agents before 1.2 and old Windows builds",
       [](Way& ga, ScriptedAgent&) {
         check_refused<qga::CommandNotFoundError>([&] { ga.network_get_interfaces(); },
                                                  "CommandDisabled");
       }},
      {"the guest's system lacks it, agents to 9.0",
       [](Way& ga, ScriptedAgent&) {
         check_refused<qga::CommandNotFoundError>([&] { ga.get_timezone(); }, "GenericError");
       }},
      {"an error without a class",
       [](Way& ga, ScriptedAgent&) {
         check_refused<qga::AgentError>([&] { ga.get_time(); }, "");
         CHECK_FALSE(is_not_found([&] { ga.get_time(); }));
       }},
      {"an interface without addresses, from an agent in Go",
       [](Way& ga, ScriptedAgent&) {
         const auto found = ga.network_get_interfaces();
         REQUIRE(found.size() == 2);
         CHECK(found[0].ip_addresses->size() == 1);
         CHECK(found[1].hardware_address == "52:54:00:aa:bb:cc");
         CHECK_FALSE(found[1].ip_addresses);
       }},
      {"no list at all", [](Way& ga, ScriptedAgent&) { CHECK(ga.get_fsinfo().empty()); }},
      {"null where a value is required",
       [](Way& ga, ScriptedAgent&) {
         const auto error = error_of<qga::BadReplyError>([&] { ga.get_host_name(); });
         CHECK(std::string(error.what()).find("host-name") != std::string::npos);
       }},
      {"a time from an agent whose numbers are doubles",
       [](Way& ga, ScriptedAgent&) { CHECK(ga.get_time().time_since_epoch() == 1764324000s); }},
      {"a number that is not whole",
       [](Way& ga, ScriptedAgent&) { CHECK_THROWS_AS(ga.file_open("/x"), qga::BadReplyError); }},
      {"a whole number too large for a double to be exact",
       [](Way& ga, ScriptedAgent&) { CHECK_THROWS_AS(ga.file_open("/x"), qga::BadReplyError); }},
      {"guest-info of an agent before 1.7",
       [](Way& ga, ScriptedAgent&) {
         const auto info = ga.info();
         REQUIRE(info.supported_commands.size() == 1);
         CHECK(info.supported_commands[0].enabled);
         CHECK(info.supported_commands[0].success_response);
       }},
      {"a Windows guest",
       [](Way& ga, ScriptedAgent&) {
         const auto found = ga.addresses();
         REQUIRE(found.size() == 1);
         CHECK(found[0].address == "192.0.2.45");
       }},
      {"a Windows program ended by Ctrl-C",
       [](Way& ga, ScriptedAgent&) {
         const auto ended = ga.run("C:\\x.exe");
         CHECK(ended.exit_code == -1073741510);
         CHECK(ended.out == "\xCE\xF8\xE8\xE1\xEA\xE0\r\n");
       }},
      {"the hook of a freeze failed",
       [](Way& ga, ScriptedAgent& agent) {
         check_refused<qga::AgentError>([&] { ga.freeze(); }, "GenericError");
         CHECK(agent.executed("guest-fsfreeze-thaw") == 1);
       }},
      {"nothing to freeze",
       [](Way& ga, ScriptedAgent& agent) {
         {
           const qga::Frozen frozen = ga.freeze();
           CHECK(frozen.count() == 0);
           CHECK(agent.executed("guest-fsfreeze-thaw") == 0);
         }
         ga.settle();
         CHECK(agent.executed("guest-fsfreeze-thaw") == 1);
       }},
      {"the clock was set, the hardware clock was not",
       [](Way& ga, ScriptedAgent& agent) { check_clock(ga, agent); }},
  };
}

}  // namespace

TEMPLATE_TEST_CASE("what users' agents answered becomes what it should", "[faults]", Blocking,
                   Async) {
  std::ifstream file(QGA_TEST_DATA "/user-replies.jsonl");
  auto all = checks<TestType>();
  std::size_t tried = 0;
  for (std::string line; std::getline(file, line); ++tried) {
    const auto entry = nlohmann::json::parse(line);
    const std::string what = entry.at("what");
    INFO(what);
    REQUIRE(all.contains(what));
    Told told(entry);
    TestType ga(told.agent.path());
    all.at(what)(ga, told.agent);
  }
  CHECK(tried == all.size());
}
