// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `wait_ready` where answers are bad rather than late, where another call is using the client, and
// where the guest's name is not known yet.
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "fate.hpp"
#include "faults.hpp"

using namespace faults;

TEMPLATE_TEST_CASE("ready: a bad reply is not asked for again in a hurry", "[faults]", Blocking,
                   Async) {
  const std::string reply = GENERATE("[]", "null", "{\"version\": 1}");
  CAPTURE(reply);
  ScriptedAgent agent;
  agent.on("guest-info", script::returns(reply));
  TestType ga(agent.path());
  const qga::Readiness ready = ga.wait_ready(1s);
  CHECK_FALSE(ready);
  CHECK(ready.waited >= 1s);
  CHECK(ready.attempts > 1);
  CHECK(ready.attempts < 25);
  CHECK(agent.connections() < 25);
  CHECK(agent.executed("guest-info") < 25);
}

TEMPLATE_TEST_CASE("ready: replies that are too long are bad", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-info", script::returns("{\"version\": \"" + std::string(2000, '9') +
                                         "\", \"supported_commands\": []}"));
  TestType ga(agent.path(), {.timeout = long_enough, .max_reply_size = 256});
  CHECK_FALSE(ga.wait_ready(1s));
  CHECK(agent.connections() < 25);
}

TEMPLATE_TEST_CASE("ready: an agent that gets better is ready", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-info", script::returns("{\"version\": \"1\", \"supported_commands\": []}"));
  agent.once("guest-info", script::returns("[]"));
  agent.once("guest-info", script::returns("{}"));
  TestType ga(agent.path());
  const qga::Readiness ready = ga.wait_ready(long_enough);
  CHECK(ready);
  CHECK(ready.attempts == 3);
}

TEST_CASE("ready: another blocking call is using the client", "[faults]") {
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::nothing());
  Blocking ga(agent.path());
  std::stop_source stop;
  Fate first;
  std::jthread other(
      [&] { first = fate_of([&] { ga.with({.stop = stop.get_token()}).get_host_name(); }); });
  wait_until([&] { return agent.executed("guest-get-host-name") > 0; });
  const Fate fate = fate_of([&] { ga.wait_ready(1s); });
  stop.request_stop();
  other.join();
  INFO(fate);
  CHECK(fate.is<qga::BusyError>());
  CHECK(fate.is<qga::RequestError>());
  INFO(first);
  CHECK(first.is<qga::CancelledError>());
  CHECK(ga.is_open());
  CHECK(agent.connections() == 1);
}

TEST_CASE("ready: an asynchronous call is using the client", "[faults]") {
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::nothing());
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  Answer<std::string> answer;
  ga.async(asio::bind_executor(context, to(answer))).get_host_name();
  while (agent.executed("guest-get-host-name") == 0) context.run_one_for(1ms);
  const Fate fate = fate_of([&] { ga.wait_ready(1s); });
  INFO(fate);
  CHECK(fate.is<qga::BusyError>());
  CHECK(agent.connections() == 1);
  ga.close();
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
}

TEST_CASE("ready: a name that nobody knows yet is no error of constructing", "[faults]") {
  std::optional<qga::AnyClient> ga;
  const Fate made = fate_of([&] {
    ga.emplace(qga::connect("tcp:no-such-name.invalid:7000",
                            {.timeout = long_enough, .defer_connect = true}));
  });
  INFO(made);
  REQUIRE_FALSE(made.error);
  const auto start = qga::Clock::now();
  const qga::Readiness ready = ga->wait_ready(1s);
  CHECK(ready.state == qga::ReadyState::no_socket);
  CHECK(ready.err);
  CHECK(qga::Clock::now() - start >= 1s);
}

TEST_CASE("ready: what is no address is refused at once", "[faults]") {
  CHECK_THROWS_AS(qga::connect("tcp:no-port", {.defer_connect = true}), qga::ConnectError);
}

// 5 s is the default of most commands, and as good a limit as any other where a caller says so.
TEMPLATE_TEST_CASE("a client's own timeout of 5 s holds for slow commands too", "[faults]",
                   Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-fstrim", script::nothing());
  TestType ga(agent.path(), {.timeout = 5s});
  const auto start = qga::Clock::now();
  CHECK_THROWS_AS(ga.fstrim(), qga::TimeoutError);
  CHECK(qga::Clock::now() - start >= 5s);
  CHECK(qga::Clock::now() - start < 5s + tolerance);
}
