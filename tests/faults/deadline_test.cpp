// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guests that never come to an end: a call ends at its deadline all the same, in constant memory,
// and the next one works once the guest behaves.
#include <cstdint>
#include <functional>
#include <string>

#include "faults.hpp"

using namespace faults;

namespace {

constexpr std::size_t endless = SIZE_MAX / 2;
constexpr std::size_t mebibyte = 1 << 20;

/// Runs `call`, calms the agent, and shows that the next call works.
template <class Way, class Call>
void then_works(ScriptedAgent& agent, Way& ga, Call call) {
  call();
  agent.calm();
  CHECK_NOTHROW(ga.ping());
}

}  // namespace

TEMPLATE_TEST_CASE("a flood before the handshake ends at the deadline", "[faults]", Blocking,
                   Async) {
  const std::string pattern =
      GENERATE(as<std::string>(), "x", "\n", "\xFF", "\xFF\n", "{\"return\": {}}\n",
               "\xFF{\"return\": 1}\n", "\xFF{\"return\": ", std::string("\0", 1));
  ScriptedAgent agent;
  agent.on_connect(script::floods(pattern, endless));
  TestType ga(agent.path());
  then_works(agent, ga, [&] {
    CHECK(outcome_at_deadline([&] { ga.with({.timeout = brief}).shutdown(); }) ==
          Outcome::not_sent);
  });
  CHECK(agent.executed("guest-shutdown") == 0);
}

TEMPLATE_TEST_CASE("a flood in the place of a reply ends at the deadline", "[faults]", Blocking,
                   Async) {
  const std::string pattern =
      GENERATE(as<std::string>(), "\n", "\xFF", "\xFF\n", "\r\n \n",
               "{\"return\": {}, \"id\": 1}\n", "\n\xFF{\"return\": 1, \"id\": \"x\"}\n");
  ScriptedAgent agent;
  agent.once("guest-get-osinfo", script::floods(pattern, endless));
  TestType ga(agent.path());
  ga.ping();
  then_works(agent, ga, [&] {
    CHECK(outcome_at_deadline([&] { ga.with({.timeout = brief}).get_osinfo(); }) ==
          Outcome::unknown);
  });
}

TEMPLATE_TEST_CASE("a reply without an end is broken off at its limit", "[faults]", Blocking,
                   Async) {
  const std::string pattern = GENERATE(as<std::string>(), "x", "[", "{\"a\":", " ");
  ScriptedAgent agent;
  agent.once("guest-get-host-name", script::floods(pattern, endless));
  TestType ga(agent.path());
  ga.ping();
  then_works(agent, ga, [&] {
    const auto error = error_of<qga::BadReplyError>([&] { ga.get_host_name(); });
    CHECK(error.outcome() == Outcome::unknown);
    CHECK(error.command() == "guest-get-host-name");
  });
}

TEMPLATE_TEST_CASE("a byte now and then does not put the deadline off", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  auto hasty = ga.with({.timeout = brief});
  SECTION("before the handshake") {
    ga.ping();
    agent.on_connect(script::trickles(std::string(10000, 'x'), 50ms));
    ga.connect(agent.path());
    then_works(agent, ga,
               [&] { CHECK(outcome_at_deadline([&] { hasty.ping(); }) == Outcome::not_sent); });
  }
  SECTION("in the handshake") {
    agent.once("guest-sync-delimited", script::trickles("\xFF{\"return\": 1234567890}\n", 50ms));
    then_works(agent, ga,
               [&] { CHECK(outcome_at_deadline([&] { hasty.ping(); }) == Outcome::not_sent); });
  }
  SECTION("in a reply") {
    agent.once("guest-get-host-name",
               script::trickles("{\"return\": {\"host-name\": \"slow\"}, \"id\": $id}\n", 50ms));
    ga.ping();
    then_works(agent, ga, [&] {
      CHECK(outcome_at_deadline([&] { hasty.get_host_name(); }) == Outcome::unknown);
    });
  }
}

TEMPLATE_TEST_CASE("a reply that takes its time is waited for", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-get-host-name",
           script::trickles("{\"return\": {\"host-name\": \"slow\"}, \"id\": $id}\n", 2ms));
  TestType ga(agent.path());
  CHECK(ga.get_host_name() == "slow");
}

TEMPLATE_TEST_CASE("garbage of any length is discarded in constant memory", "[faults]", Blocking,
                   Async) {
  const std::string pattern =
      GENERATE(as<std::string>(), "x", "{\"return\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}\n");
  ScriptedAgent agent;
  TestType ga(agent.path());
  ga.ping();
  ga.connect(agent.path());
  agent.once("guest-sync-delimited",
             script::all(script::floods(pattern, 200 * mebibyte), script::behaves()));
  const std::size_t before = resident_bytes();
  ga.ping();  // behind the flood
  CHECK(resident_bytes() < before + 8 * mebibyte);
}

TEMPLATE_TEST_CASE("floods of replies are discarded in constant memory", "[faults]", Blocking,
                   Async) {
  // Lines that nobody waits for, blank lines, sentinels; then the reply.
  const std::string pattern =
      GENERATE(as<std::string>(), "\n", "\xFF", "{\"return\": {}, \"id\": 1}\n");
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "x"})"));
  agent.once("guest-get-host-name", script::all(script::floods(pattern, 8 * mebibyte),
                                                script::returns(R"({"host-name": "x"})")));
  TestType ga(agent.path());
  ga.ping();
  const std::size_t before = resident_bytes();
  CHECK(ga.get_host_name() == "x");
  CHECK(resident_bytes() < before + 8 * mebibyte);
  CHECK(ga.get_host_name() == "x");
}

TEMPLATE_TEST_CASE("replies that are far too long do not stay in memory", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  agent.once("guest-file-open", script::all(script::floods("x", mebibyte / 8), script::says("\n")));
  agent.on("guest-file-open", script::all(script::floods("x", 20 * mebibyte), script::says("\n")));
  TestType ga(agent.path());
  // The first error brings code into memory, of which sanitizers make much.
  error_of<qga::BadReplyError>([&] { ga.file_open("/x"); });
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 5; ++i) {
    CHECK(error_of<qga::BadReplyError>([&] { ga.file_open("/x"); }).outcome() == Outcome::unknown);
    CHECK(resident_bytes() < before + 8 * mebibyte);
  }
  ga.ping();
}

TEMPLATE_TEST_CASE("a string of escapes is decoded well within the deadline", "[faults]", Blocking,
                   Async) {
  std::string escapes;
  while (escapes.size() < mebibyte) escapes += "\\\\";
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::returns("{\"host-name\": \"" + escapes + "\"}"));
  TestType ga(agent.path());
  ga.ping();
  const auto start = std::chrono::steady_clock::now();
  CHECK(ga.get_host_name().size() == escapes.size() / 2);
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}
