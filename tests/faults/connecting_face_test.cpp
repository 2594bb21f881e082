// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Clients that are made unconnected, and connected later: by path, by address and by endpoint,
// blocking, under a callback and in a coroutine, and again to where they were.
#include <version>  // Asio's configuration asks what libstdc++ has, so this goes first

#include <exception>
#include <string>
#include <tuple>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/detail/config.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>
#endif

#include "fate.hpp"
#include "faults.hpp"
#include "relay.hpp"

using namespace faults;

namespace {

using Endpoint = asio::local::stream_protocol::endpoint;

}  // namespace

TEST_CASE("connecting: a client made of nothing is unconnected", "[faults]") {
  ScriptedAgent agent;
  qga::Client<> ga;
  CHECK_FALSE(ga.is_open());
  CHECK_THROWS_AS(ga.ping(), qga::ConnectError);
  CHECK_THROWS_AS(ga.reconnect(), qga::ConnectError);
  ga.close();
  SECTION("by path") { ga.connect(agent.path()); }
  SECTION("by path, within a time") { ga.connect(agent.path(), {.timeout = long_enough}); }
  SECTION("by endpoint") { ga.connect(Endpoint(agent.path())); }
  CHECK(ga.is_open());
  ga.ping();
}

TEST_CASE("connecting: a client made of nothing connects asynchronously", "[faults]") {
  ScriptedAgent agent;
  asio::io_context context;
  qga::Client<> ga;
  CHECK_THROWS_AS(get(context, [&](auto token) { ga.async_reconnect(token); }), qga::ConnectError);
  SECTION("by path") {
    get(context, [&](auto token) { ga.async_connect(agent.path(), token); });
  }
  SECTION("by path, within a time") {
    get(context,
        [&](auto token) { ga.async_connect(agent.path(), token, {.timeout = long_enough}); });
  }
  SECTION("by endpoint") {
    get(context, [&](auto token) { ga.async_connect(Endpoint(agent.path()), token); });
  }
  CHECK(ga.is_open());
  get(context, [&](auto token) { ga.async(token).ping(); });
}

TEST_CASE("connecting: again, to where the client was", "[faults]") {
  const bool broken = GENERATE(false, true);
  CAPTURE(broken);
  ScriptedAgent first, second;
  asio::io_context context;
  qga::Client<> ga;
  ga.connect(first.path());
  ga.ping();  // the agent counts a connection when it accepts it, which may be late
  ga.connect(second.path());
  ga.ping();
  const auto end = [&] {
    if (!broken) return ga.close();
    second.once("guest-ping", script::hangs_up());
    CHECK_THROWS_AS(ga.ping(), qga::UnreachableError);
  };
  end();
  ga.reconnect();
  ga.ping();
  end();
  get(context, [&](auto token) { ga.async_reconnect(token); });
  get(context, [&](auto token) { ga.async(token).ping(); });
  ga.reconnect();  // also while it is connected
  ga.ping();
  CHECK(second.connections() == 4);
  CHECK(first.connections() == 1);
}

TEST_CASE("connecting: to an address, a client for any stream", "[faults]") {
  ScriptedAgent agent;
  asio::io_context context;
  qga::AnyClient ga;
  TcpDoor door;
  const std::string tcp = "tcp:127.0.0.1:" + std::to_string(door.port());
  SECTION("asynchronously") {
    get(context, [&](auto token) { ga.async_connect(tcp, token); });
  }
  SECTION("blocking") { ga.connect(tcp); }
  auto line = door.relay_to(agent.path());
  get(context, [&](auto token) { ga.async(token).ping(); });
  ga.ping();
  CHECK(agent.executed("guest-ping") >= 2);
}

TEST_CASE("connecting: to a path, a client for any stream", "[faults]") {
  ScriptedAgent agent;
  asio::io_context context;
  qga::AnyClient ga;
  const std::string prefix = GENERATE("", "unix:");
  get(context, [&](auto token) { ga.async_connect(prefix + agent.path(), token); });
  ga.ping();
  ga.close();
  ga.reconnect();
  ga.ping();
}

TEST_CASE("connecting: to what is no address, or not there", "[faults]") {
  asio::io_context context;
  qga::AnyClient ga;
  const auto row = GENERATE(
      table<std::string, std::errc>({{"tcp:127.0.0.1", std::errc::invalid_argument},
                                     {"tcp:127.0.0.1:1", std::errc::connection_refused},
                                     {"/no/such/socket", std::errc::no_such_file_or_directory},
                                     {"/" + std::string(200, 'x'), std::errc::filename_too_long}}));
  const std::string& address = std::get<0>(row);
  const std::errc reason = std::get<1>(row);
  CAPTURE(address);
  const bool blocking = GENERATE(true, false);
  const Fate fate = fate_of([&] {
    if (blocking) return ga.connect(address);
    get(context, [&](auto token) { ga.async_connect(address, token); });
  });
  INFO(fate);
  CHECK(fate.is<qga::ConnectError>());
  fate.look<qga::GuestAgentError>([&](const auto& error) { CHECK(error.err() == reason); });
  CHECK_FALSE(ga.is_open());
}

#if defined(ASIO_HAS_CO_AWAIT)
TEST_CASE("connecting: in a coroutine", "[faults]") {
  ScriptedAgent agent;
  asio::io_context context;
  qga::Client<> ga;
  std::exception_ptr failed;
  const auto body = [&]() -> asio::awaitable<void> {
    co_await ga.async_connect(agent.path(), asio::use_awaitable);
    co_await ga.async(asio::use_awaitable).ping();
    co_await ga.async_close(asio::use_awaitable);
    CHECK_FALSE(ga.is_open());
    co_await ga.async_reconnect(asio::use_awaitable);
    co_await ga.async_connect(Endpoint(agent.path()), asio::use_awaitable);
    co_await ga.async(asio::use_awaitable).ping();
  };
  asio::co_spawn(context, body, [&](std::exception_ptr error) { failed = error; });
  run_dry(context);
  if (failed) std::rethrow_exception(failed);
  CHECK(agent.connections() == 3);
}
#endif
