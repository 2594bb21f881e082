// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Agents that go away, at every byte: the error says what is known of the command, the client says
// that it is closed, and connecting again is all it takes.
#include <cstdint>
#include <string>
#include <thread>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"

using namespace faults;

namespace {

/// The outcome of a call that fails because the agent is gone.
template <class Way>
Outcome outcome_of_lost(Way& ga) {
  const auto error = error_of<qga::UnreachableError>([&] { ga.get_host_name(); });
  INFO(error.what());
  CHECK((error.code() == qga::err_cannot_read || error.code() == qga::err_cannot_write));
  CHECK(error.is_unreachable());
  CHECK(error.err());
  CHECK(error.command() == "guest-get-host-name");
  CHECK_FALSE(ga.is_open());
  const auto next = error_of<qga::ConnectError>([&] { ga.get_host_name(); });
  CHECK(next.outcome() == Outcome::not_sent);
  return error.outcome();
}

}  // namespace

TEMPLATE_TEST_CASE("an agent may hang up after any byte", "[faults]", Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "x"})"));
  TestType ga(agent.path());
  std::size_t lost_in_handshake = 0, lost_in_reply = 0;
  for (std::size_t bytes = 0;; ++bytes) {
    INFO("hung up after " << bytes << " bytes");
    const std::size_t executed = agent.executed("guest-get-host-name");
    agent.cut_after(bytes);
    try {
      if (!ga.is_open()) ga.connect(agent.path());
      const std::string name = ga.get_host_name();
      REQUIRE(name == "x");
      break;
    } catch (const qga::UnreachableError& error) {
      INFO(error.what());
      if (agent.executed("guest-get-host-name") > executed) {
        REQUIRE(error.code() == qga::err_cannot_read);
        REQUIRE(error.outcome() == Outcome::unknown);
        ++lost_in_reply;
      } else if (error.outcome() == Outcome::not_sent) {
        ++lost_in_handshake;
      }
      REQUIRE_FALSE(ga.is_open());
    }
  }
  CHECK(lost_in_handshake > 100);
  // The shortest reply has 30 bytes. The cut moves by a byte a round, but random ids of fewer
  // digits make some handshakes a byte or two shorter.
  CHECK(lost_in_reply >= 26);
}

TEMPLATE_TEST_CASE("an agent that hangs up at once has seen nothing", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on_connect(script::hangs_up());
  TestType ga(agent.path());
  CHECK(outcome_of_lost(ga) == Outcome::not_sent);
  agent.on_connect(script::resets());
  ga.connect(agent.path());
  CHECK(outcome_of_lost(ga) == Outcome::not_sent);
  ga.connect(agent.path());
  ga.ping();
}

TEMPLATE_TEST_CASE("an agent that hangs up within a handshake has seen no command", "[faults]",
                   Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  for (const auto& end :
       {script::hangs_up(), script::all(script::says("\xFF{\"return\": "), script::hangs_up()),
        script::all(script::behaves(), script::hangs_up())}) {
    agent.once("guest-sync-delimited", end);
    CHECK(outcome_of_lost(ga) == Outcome::not_sent);
    ga.connect(agent.path());
  }
  CHECK(agent.executed("guest-get-host-name") == 0);
  ga.ping();
}

TEMPLATE_TEST_CASE("an agent that hangs up over a command may have run it", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  for (const auto& end : {script::hangs_up(), script::all(script::says("{\"return\": {\"host-n"),
                                                          script::hangs_up())}) {
    ga.ping();
    agent.once("guest-get-host-name", end);
    CHECK(outcome_of_lost(ga) == Outcome::unknown);
    ga.connect(agent.path());
  }
  ga.ping();
  agent.once("guest-ping", script::all(script::behaves(), script::resets()));
  ga.ping();
  CHECK(outcome_of_lost(ga) == Outcome::unknown);  // the next input stays unread
  ga.connect(agent.path());
  ga.ping();
}

TEST_CASE("what was answered before the agent hung up is not lost to a later request", "[faults]") {
  ScriptedAgent agent;
  Answer<std::string> name;
  Answer<void> ping;
  Answer<std::int64_t> open;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "x"})"));
  ga.async(asio::bind_executor(context, to(name))).get_host_name();
  run_dry(context);
  agent.once("guest-ping", script::all(script::behaves(), script::hangs_up()));
  ga.async(asio::bind_executor(context, to(ping))).ping();
  std::this_thread::sleep_for(200ms);  // until the agent has gone; the reply is still unread
  ga.async(asio::bind_executor(context, to(open))).file_open("/x");
  run_dry(context);
  ping.get();
  CHECK_THROWS_AS(open.get(), qga::UnreachableError);
  CHECK(agent.executed("guest-file-open") == 0);
}

TEMPLATE_TEST_CASE("a shutdown that ends the connection may have worked", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  agent.on("guest-shutdown", script::hangs_up());
  TestType ga(agent.path());
  CHECK(error_of<qga::ReadError>([&] { ga.shutdown(); }).outcome() == Outcome::unknown);
  ga.connect(agent.path());
  ga.ping();
}

TEMPLATE_TEST_CASE("an agent that hangs up during a large write has not seen it whole", "[faults]",
                   Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  ga.ping();
  agent.once("guest-ping", script::all(script::behaves(), script::resets()));
  ga.ping();
  const std::string bytes(8 << 20, 'x');
  const auto error = error_of<qga::UnreachableError>([&] { ga.file_write(1, bytes); });
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK_FALSE(ga.is_open());
}

TEMPLATE_TEST_CASE("a client that connects to half a reply and half a request recovers", "[faults]",
                   Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-file-open", script::returns("3"));
  {
    const Descriptor predecessor = connected_to(agent.path());
    write_all(predecessor, "{\"execute\": \"guest-file-open\", \"arguments\": {\"path\": \"");
    wait_until([&] { return !unread_by_peer(predecessor); });
  }
  agent.on_connect(script::says("AAAA=\", \"eof\": false}, \"id\": 1}\n{\"return\": 9}\n"));
  TestType ga(agent.path());
  CHECK(ga.file_open("/x") == 3);
  CHECK(agent.executed("guest-file-open") == 1);
}
