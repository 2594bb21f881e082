// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What happens to an agent and its socket in the course of time.
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "sockets.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::Outcome;
using Local = asio::local::stream_protocol;

TEMPLATE_TEST_CASE("late replies reach nobody", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  CHECK(ga.sync(1) == 1);
  for (std::int64_t round = 1; round <= 8; ++round) {
    agent.stop();
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto error =
          error_of<qga::TimeoutError>([&] { ga.with({.timeout = 30ms}).sync(1000 * round + i); });
      CHECK(error.code() == 1003);
      if (i > 0) CHECK(error.outcome() == Outcome::not_sent);  // never into silence
    }
    agent.resume();
    CHECK(ga.sync(round) == round);
    CHECK(ga.sync(-round) == -round);
  }
  CHECK(agent.alive());
}

TEMPLATE_TEST_CASE("a late reply of another kind reaches nobody", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  const qga::GuestAgentInfo info = ga.info();
  for (int round = 0; round < 4; ++round) {
    agent.stop();
    CHECK_THROWS_AS(ga.with({.timeout = 30ms}).info(), qga::TimeoutError);
    CHECK_THROWS_AS(ga.with({.timeout = 30ms}).file_open("/etc/os-release"), qga::TimeoutError);
    agent.resume();
    ga.ping();
    agent.stop();
    CHECK_THROWS_AS(ga.with({.timeout = 30ms}).sync(3), qga::TimeoutError);
    agent.resume();
    CHECK(ga.info() == info);
  }
}

TEMPLATE_TEST_CASE("an agent is replaced", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  const std::int64_t handle = ga.file_open("/etc/os-release");
  for (std::int64_t round = 0; round < 3; ++round) {
    agent.restart();
    const auto error = error_of<qga::UnreachableError>([&] { ga.sync(round); });
    CHECK((error.code() == 1001 || error.code() == 1002));
    CHECK_THROWS_AS(ga.sync(round), qga::ConnectError);
    ga.connect(agent.path());
    CHECK(ga.sync(round) == round);
    CHECK_THROWS_AS(ga.file_read(handle), qga::AgentError);  // the table of handles is lost
  }
}

TEMPLATE_TEST_CASE("handles outlive a client", "[agent]", Blocking, Async) {
  const Agent agent;
  std::int64_t handle = 0;
  {
    TestType ga(agent.path());
    handle = ga.file_open("/etc/os-release");
  }
  TestType ga(agent.path());
  CHECK(ga.file_read(handle, 4).count == 4);
  ga.file_close(handle);
}

TEMPLATE_TEST_CASE("half a request was left behind", "[agent]", Blocking, Async) {
  Agent agent;
  for (const char* const rest :
       {"{\"execute\":\"guest-pi", "{\"execute\":\"guest-ping\",\"arguments\":{\"x\":\"y",
        "{\"execute\":\"guest-ping\"", "[[[[[[", "\"", "{\"execute\":\"guest-sync\",\"id\":1,",
        "{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"/etc/\\"}) {
    CAPTURE(rest);
    {
      const Descriptor other = connected_to(agent.path());
      write_all(other, rest);
    }
    TestType ga(agent.path());
    CHECK(ga.sync(42) == 42);
    CHECK(ga.sync(43) == 43);
  }
  CHECK(agent.alive());
}

TEMPLATE_TEST_CASE("one client at a time", "[agent]", Blocking, Async) {
  Agent agent;
  std::optional<TestType> first(std::in_place, agent.path());
  CHECK(first->sync(1) == 1);
  TestType second(agent.path());
  for (int i = 0; i < 2; ++i) {
    const auto error = error_of<qga::TimeoutError>([&] { second.with({.timeout = 50ms}).ping(); });
    CHECK(error.outcome() == Outcome::not_sent);
    CHECK(first->sync(i) == i);
  }
  first.reset();
  CHECK(second.sync(2) == 2);
  CHECK(agent.alive());
}

TEST_CASE("the second client's call waits for the first to leave", "[agent]") {
  const Agent agent;
  Answer<std::int64_t> answer;
  asio::io_context context;
  std::optional<qga::Client<>> first(std::in_place, agent.path(), patient());
  CHECK(first->sync(1) == 1);
  qga::Client<> second(agent.path(), patient());
  second.async(asio::bind_executor(context, to(answer))).sync(2);
  context.poll();
  CHECK(first->sync(3) == 3);
  CHECK_FALSE(answer.done());
  first.reset();
  run_dry(context);
  CHECK(answer.get() == 2);
}

TEMPLATE_TEST_CASE("many clients in a row", "[agent]", Blocking, Async) {
  Agent agent;
  for (std::int64_t i = 0; i < 50; ++i) {
    TestType ga(agent.path());
    if (i % 3 != 0) CHECK(ga.sync(i) == i);
  }
  CHECK(agent.alive());
}

TEMPLATE_TEST_CASE("leaving after a timeout does not end the agent", "[agent]", Blocking, Async) {
  Agent agent;
  const bool still_stopped = GENERATE(false, true);
  CAPTURE(still_stopped);
  for (std::int64_t round = 0; round < 6; ++round) {
    CAPTURE(round);
    {
      TestType ga(agent.path());
      CHECK(ga.sync(round) == round);
      agent.stop();
      CHECK_THROWS_AS(ga.with({.timeout = 20ms}).info(), qga::TimeoutError);
      if (!still_stopped) agent.resume();
    }
    agent.resume();
    {
      TestType ga(agent.path());
      CHECK(ga.sync(-round) == -round);
    }
    REQUIRE(agent.alive());
  }
}

TEST_CASE("leaving with asynchronous calls under way does not end the agent", "[agent]") {
  Agent agent;
  const bool context_runs_on = GENERATE(true, false);
  CAPTURE(context_runs_on);
  for (std::int64_t round = 0; round < 6; ++round) {
    CAPTURE(round);
    Answer<qga::GuestAgentInfo> one, two;
    std::optional<asio::io_context> context(std::in_place);
    {
      qga::Client<> ga(agent.path(), patient());
      ga.async(asio::bind_executor(*context, to(one))).info();
      ga.async(asio::bind_executor(*context, to(two))).info();
      if (round % 2 == 0) run_until(*context, [&] { return one.done(); });
    }
    if (context_runs_on) {
      run_dry(*context);
      CHECK(two.done());
    }
    context.reset();
    qga::Client<> ga(agent.path(), patient());
    CHECK(ga.sync(-round) == -round);
    REQUIRE(agent.alive());
  }
}

TEST_CASE("leaving silent agents does not hold an event loop up", "[agent]") {
  constexpr int agents = 40;
  std::vector<Descriptor> silent;
  asio::io_context context;
  std::vector<qga::Client<>> clients;
  for (int i = 0; i < agents; ++i) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    silent.emplace_back(pair[0]);
    clients.emplace_back(Local::socket(context, Local(), pair[1]));
    clients.back().async(asio::bind_executor(context, [](std::exception_ptr) {})).ping();
  }
  const auto start = std::chrono::steady_clock::now();
  clients.clear();
  run_dry(context);
  // One after another they would take 100 ms each.
  CHECK(std::chrono::steady_clock::now() - start < agents * 100ms / 2);
  char sent[4096];
  for (const Descriptor& peer : silent) {
    REQUIRE(::read(peer.get(), sent, sizeof sent) > 0);
    CHECK(::read(peer.get(), sent, sizeof sent) == 0);
  }
}

TEMPLATE_TEST_CASE("a pause", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  CHECK(ga.sync(1) == 1);
  // Longer than a channel is trusted: the client asks before it sends.
  std::this_thread::sleep_for(1100ms);
  agent.stop();
  const auto error = error_of<qga::TimeoutError>([&] { ga.with({.timeout = 50ms}).sync(2); });
  CHECK(error.outcome() == Outcome::not_sent);
  agent.resume();
  CHECK(ga.sync(3) == 3);
}

TEMPLATE_TEST_CASE("a dangerous command is not sent into silence", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  // Before any of them is sent.
  for (const auto& command : ga.info().supported_commands) {
    if (command.name == "guest-shutdown" || command.name.starts_with("guest-fsfreeze-freeze")) {
      REQUIRE_FALSE(command.enabled);
    }
  }
  agent.stop();
  CHECK(error_of<qga::TimeoutError>([&] { ga.with({.timeout = 50ms}).shutdown(); }).outcome() ==
        Outcome::not_sent);
  CHECK(error_of<qga::TimeoutError>([&] {
          ga.with({.timeout = 50ms}).fsfreeze_freeze();
        }).outcome() == Outcome::not_sent);
  agent.resume();
  CHECK(ga.sync(1) == 1);
}
