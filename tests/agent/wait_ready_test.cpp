// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waiting for a real agent that is not there yet, or has somebody else to serve.
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::ReadyState;

namespace {

/// A client that has not connected.
qga::ClientParams deferred() {
  qga::ClientParams params = patient();
  params.defer_connect = true;
  return params;
}

/// What an asynchronous wait comes to.
qga::Readiness wait_async(qga::Client<>& ga, qga::Clock::duration timeout) {
  Answer<qga::Readiness> answer;
  asio::io_context context;
  ga.async(asio::bind_executor(context, to(answer))).wait_ready(timeout);
  run_dry(context);
  return answer.get();
}

}  // namespace

TEMPLATE_TEST_CASE("an agent that answers is ready", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::Readiness ready = ga.wait_ready(long_enough);
  CHECK(ready.state == ReadyState::ready);
  CHECK(ready.version == ga.info().version);
  CHECK(ga.wait_ready(long_enough, "guest-exec"));
  CHECK(ga.wait_ready(long_enough, "guest-set-time").state == ReadyState::disabled);
  CHECK(ga.wait_ready(long_enough, "guest-no-such").state == ReadyState::disabled);
}

TEST_CASE("a client that has yet to connect is connected by waiting", "[agent]") {
  const Agent agent;
  qga::Client ga(agent.path(), deferred());
  CHECK_FALSE(ga.is_open());
  CHECK_THROWS_AS(ga.ping(), qga::ConnectError);
  CHECK(ga.wait_ready(long_enough));
  ga.ping();
  ga.close();

  qga::AnyClient any = qga::connect("unix:" + agent.path(), deferred());
  CHECK(any.wait_ready(long_enough));
  any.ping();
  any.close();

  qga::Client later(agent.path(), deferred());
  CHECK(wait_async(later, long_enough).state == ReadyState::ready);
  later.ping();
}

TEST_CASE("nothing to connect to, and then an agent", "[agent]") {
  Agent agent;
  agent.kill();
  std::filesystem::remove(agent.path());
  qga::Client ga(agent.path(), deferred());
  const qga::Readiness none = ga.wait_ready(200ms);
  CHECK(none.state == ReadyState::no_socket);
  CHECK(none.err == std::errc::no_such_file_or_directory);
  CHECK(none.waited >= 200ms);
  CHECK(wait_async(ga, 200ms).state == ReadyState::no_socket);

  auto waiting = std::async(std::launch::async, [&] { return ga.wait_ready(long_enough); });
  std::this_thread::sleep_for(100ms);
  agent.restart();
  CHECK(waiting.get().state == ReadyState::ready);
  agent.restart();  // the connection breaks
  CHECK(wait_async(ga, long_enough).state == ReadyState::ready);
}

TEST_CASE("a socket on which nobody answers, until somebody does", "[agent]") {
  Agent agent;
  agent.stop();
  qga::Client ga(agent.path(), patient());
  const qga::Readiness silent = ga.wait_ready(1500ms);
  CHECK(silent.state == ReadyState::silent);
  CHECK(silent.attempts == 2);
  CHECK(wait_async(ga, 300ms).state == ReadyState::silent);
  auto waiting = std::async(std::launch::async, [&] { return ga.wait_ready(long_enough); });
  std::this_thread::sleep_for(100ms);
  agent.resume();
  CHECK(waiting.get().state == ReadyState::ready);
}

TEST_CASE("an agent that serves another client is silent, until that has gone", "[agent]") {
  const Agent agent;
  auto other = std::make_optional<qga::Client<>>(agent.path(), patient());
  other->ping();
  qga::Client ga(agent.path(), patient());
  CHECK(ga.wait_ready(300ms).state == ReadyState::silent);
  auto waiting = std::async(std::launch::async, [&] { return ga.wait_ready(long_enough); });
  std::this_thread::sleep_for(100ms);
  other.reset();
  CHECK(waiting.get().state == ReadyState::ready);
}

TEST_CASE("waiting is cancelled by a stop request", "[agent]") {
  Agent agent;
  agent.kill();
  qga::Client ga(agent.path(), deferred());
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    return ga.with({.stop = stop.get_token()}).wait_ready(long_enough);
  });
  std::this_thread::sleep_for(100ms);
  stop.request_stop();
  CHECK_THROWS_AS(waiting.get(), qga::CancelledError);
}
