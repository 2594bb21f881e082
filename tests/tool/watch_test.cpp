// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a watch asks of a guest: as little as is said, and never again what was refused.
#include "../../examples/qga/watch.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>
#include <qga/detail/protocol/base64.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga_tool::GuestState;
using qga_tool::Look;

namespace watching {

namespace {

/// A watch of one guest, with its context.
class Watched {
 public:
  explicit Watched(const std::string& address, qga::Clock::duration timeout = 60s)
      : watch(std::in_place, context, qga_tool::GuestName{"web", address},
              qga::ClientParams{.timeout = timeout}) {}

  Look look() {
    std::optional<Look> result;
    watch->look([&](Look look) { result = std::move(look); });
    context.restart();
    while (!result && context.run_one() > 0) {
    }
    return result.value();
  }

  asio::io_context context{1};
  std::optional<qga_tool::Watch> watch;
};

constexpr std::string_view meminfo =
    "MemTotal:        2048 kB\nMemFree:         512 kB\nMemAvailable:   1024 kB\n";

/// A Linux guest that answers all, or all but the load.
void answer_all(ScriptedAgent& agent, bool load) {
  std::string commands;
  std::vector<std::string> names{"guest-get-cpustats",   "guest-get-diskstats",
                                 "guest-get-fsinfo",     "guest-network-get-interfaces",
                                 "guest-file-open",      "guest-file-read",
                                 "guest-file-seek",      "guest-file-close",
                                 "guest-fsfreeze-status"};
  if (load) names.emplace_back("guest-get-load");
  for (const std::string& name : names) {
    commands += (commands.empty() ? "" : ", ") + std::string(R"({"enabled": true, "name": ")") +
                name + R"(", "success-response": true})";
  }
  agent.on("guest-info",
           script::returns(R"({"version": "7.2", "supported_commands": [)" + commands + "]}"));
  for (std::size_t i = 0; i < 4; ++i) agent.on(names[i], script::returns("[]"));
  if (load) {
    agent.on("guest-get-load", script::returns(R"({"load1m": 1, "load5m": 2, "load15m": 3})"));
  }
  agent.on("guest-file-open", script::returns("1000"));
  agent.on("guest-file-close", script::returns("{}"));
  agent.on("guest-file-seek", script::returns(R"({"position": 0, "eof": false})"));
  std::string text;
  qga::detail::base64_encode(meminfo, text);
  agent.on("guest-file-read", script::returns(R"({"count": )" + std::to_string(meminfo.size()) +
                                              R"(, "buf-b64": ")" + text + R"(", "eof": true})"));
  agent.on("guest-fsfreeze-status", script::returns(R"("thawed")"));
}

/// The commands since the last time.
std::vector<std::string> asked(ScriptedAgent& agent) {
  std::vector<std::string> commands = agent.commands();
  agent.clear_requests();
  return commands;
}

using Commands = std::vector<std::string>;

}  // namespace

TEST_CASE("a look asks six commands at most, and memory with them") {
  for (const bool load : {false, true}) {
    ScriptedAgent agent;
    answer_all(agent, load);
    Watched guest(agent.path());
    Look look = guest.look();
    CHECK(look.state == GuestState::ready);
    CHECK(look.version == "7.2");
    CHECK(look.sample.cpus.has_value());
    CHECK(look.file_systems.has_value());
    CHECK(look.sample.load.has_value() == load);
    CHECK(look.missing == (load ? Commands() : Commands{"guest-get-load"}));
    REQUIRE(look.memory);
    CHECK(look.memory->total == 2048 * 1024);
    CHECK(look.memory->available == 1024 * 1024);
    Commands first = asked(agent);
    REQUIRE(first.size() >= 2);
    CHECK(first[0] == "guest-info");
    CHECK(first[1] == "guest-file-open");
    CHECK(first.size() <= 2 + 6);
    int reads = 0;
    for (int i = 0; i < 4; ++i) {
      look = guest.look();
      CHECK(look.memory);
      const Commands next = asked(agent);
      CHECK(next.size() == 6);
      for (const std::string& command : next) reads += int(command == "guest-file-read");
    }
    CHECK(reads == (load ? 2 : 4));
  }
}

TEST_CASE("a watch does not ask again what a guest has refused, nor what is disabled") {
  ScriptedAgent agent;
  answer_all(agent, true);
  agent.on("guest-get-diskstats", script::fails("not supported"));
  agent.on("guest-file-open", script::fails("no such file"));
  Watched guest(agent.path());
  Look look = guest.look();
  CHECK(look.state == GuestState::ready);
  CHECK(look.missing == Commands{"guest-get-diskstats", "guest-file-open"});
  CHECK_FALSE(look.memory);
  asked(agent);
  guest.look();
  CHECK(asked(agent) == Commands{"guest-get-load", "guest-get-cpustats",
                                 "guest-network-get-interfaces", "guest-get-fsinfo"});

  // On the next connection it asks again.
  agent.disconnect();
  CHECK(guest.look().state == GuestState::no_socket);
  agent.on("guest-get-diskstats", script::returns("[]"));
  CHECK(guest.look().sample.disks);
}

TEST_CASE("a watch asks a frozen guest only whether it still is") {
  std::atomic<bool> frozen = true;  // the agent's thread reads it, and ends before it
  ScriptedAgent agent;
  answer_all(agent, false);
  Watched guest(agent.path());
  guest.look();
  const auto thawed = guest.watch->last_thawed();
  REQUIRE(thawed);
  agent.before_all([&](const Heard& heard) -> std::optional<ScriptedAgent::Action> {
    if (!frozen || heard.command.starts_with("guest-sync")) return {};
    if (heard.command == "guest-fsfreeze-status") return script::returns(R"("frozen")");
    if (heard.command == "guest-info") return {};
    return script::fails("Command " + heard.command + " has been disabled: frozen",
                         "CommandNotFound");
  });
  asked(agent);
  CHECK(guest.look().state == GuestState::frozen);
  CHECK(asked(agent).size() <= 6);
  for (int i = 0; i < 2; ++i) {
    CHECK(guest.look().state == GuestState::frozen);
    CHECK(asked(agent) == Commands{"guest-fsfreeze-status"});
  }
  CHECK(guest.watch->last_thawed() == thawed);
  frozen = false;
  const Look look = guest.look();
  CHECK(look.state == GuestState::ready);
  CHECK(look.file_systems);
  CHECK(asked(agent).size() <= 6);
  CHECK(guest.look().sample.cpus);
}

TEST_CASE("a watch that begins with a frozen guest asks who it is when it is thawed") {
  ScriptedAgent agent;
  agent.on("guest-info",
           script::returns(R"({"version": "7.2", "supported_commands": [{"enabled": true, )"
                           R"("name": "guest-fsfreeze-status", "success-response": true}]})"));
  agent.on("guest-fsfreeze-status", script::returns(R"("frozen")"));
  Watched guest(agent.path());
  CHECK(guest.look().state == GuestState::frozen);
  CHECK_FALSE(guest.watch->last_thawed());
  answer_all(agent, true);
  CHECK(guest.look().sample.load);
  CHECK(guest.look().state == GuestState::ready);
}

TEST_CASE("a silent guest, a closed channel and no channel have states of their own") {
  ScriptedAgent agent;
  answer_all(agent, false);
  Watched guest(agent.path(), 100ms);
  agent.mute();
  Look look = guest.look();
  CHECK(look.state == GuestState::silent);
  CHECK(contains(look.error, "timed out"));
  agent.mute(false);
  Watched other("/does/not/exist.sock");
  CHECK(other.look().state == GuestState::no_socket);
  Watched wrong(std::string(200, 'x'));
  look = wrong.look();
  CHECK(look.state == GuestState::no_socket);
  CHECK_FALSE(look.error.empty());
}

TEST_CASE("a guest that was silent is asked anew who it is") {
  ScriptedAgent agent;
  answer_all(agent, false);
  Watched guest(agent.path(), 2s);
  CHECK(guest.look().state == GuestState::ready);
  agent.mute();
  CHECK(guest.look().state == GuestState::silent);
  agent.mute(false);
  asked(agent);
  Look look = guest.look();
  CHECK(look.state == GuestState::ready);
  CHECK(look.memory);
  // Another agent after a reboot: the handle is not known.
  agent.once("guest-file-seek", script::fails("handle '1000' has not been found"));
  guest.look();
  asked(agent);
  look = guest.look();
  CHECK(look.memory);
  CHECK(asked(agent).front() == "guest-info");
}

TEST_CASE("a watch of an agent that refuses all finds it ready") {
  ScriptedAgent agent;
  Watched guest(agent.path());
  const Look look = guest.look();
  CHECK(look.state == GuestState::ready);
  CHECK(look.missing.size() == 6);
  asked(agent);
  CHECK(guest.look().state == GuestState::ready);
  CHECK(asked(agent).size() == 1);
}

TEST_CASE("a watch that is destroyed during a look says nothing more") {
  ScriptedAgent agent;
  answer_all(agent, false);
  Watched guest(agent.path());
  guest.look();
  agent.mute();
  bool called = false;
  guest.watch->look([&called](const Look&) { called = true; });
  guest.context.restart();
  guest.context.run_for(20ms);
  guest.watch.reset();
  guest.context.restart();
  agent.mute(false);
  guest.context.run();
  CHECK_FALSE(called);
}

TEST_CASE("a watch of a real guest sees its memory change") {
  const qga_test::Agent agent;
  Watched guest(agent.path());
  std::optional<qga_tool::Memory> first;
  for (int i = 0; i < 1000; ++i) {
    const Look look = guest.look();
    REQUIRE(look.state == GuestState::ready);
    REQUIRE(look.memory);
    if (!first) first = look.memory;
    if (look.memory->available != first->available) return;
    std::this_thread::sleep_for(10ms);
  }
  FAIL("the memory has not changed");
}

}  // namespace watching
