// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Calls that cannot even be started, because the process has no descriptor left or the caller's
// executor does not fit. They fail, and neither the client nor a context is the worse for it.
#include <chrono>
#include <exception>
#include <future>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include <asio/basic_stream_socket.hpp>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/serial_port.hpp>
#include <asio/use_future.hpp>

#include "good_agent.hpp"
#include "no_descriptors.hpp"
#include "relay.hpp"

using namespace faults;

namespace {

/// The error of something asynchronous, that is thrown at once or that its handler is given.
template <class Start>
std::exception_ptr error_of_start(asio::io_context& context, Start start) {
  Answer<void> answer;
  try {
    start(asio::bind_executor(context, to(answer)));
    run_until(context, [&] { return answer.times > 0; });
    answer.get();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

/// A blocking call works, an asynchronous one too, and the context runs out of work.
template <class AnyClient>
void check_works(AnyClient& client, asio::io_context& context) {
  CHECK(client.with({.timeout = 20s}).get_host_name() == "good");
  Answer<std::string> answer;
  client.async(asio::bind_executor(context, to(answer)), {.timeout = 20s}).get_host_name();
  run_dry(context);
  CHECK(answer.get() == "good");
}

}  // namespace

TEST_CASE("initiation: an executor that does not fit", "[faults]") {
  using Local = asio::local::stream_protocol;
  using Stream = asio::basic_stream_socket<Local, asio::io_context::executor_type>;
  ScriptedAgent agent;
  behave(agent);
  asio::io_context context;
  auto client = qga::Client<Stream>::from_handle(connected_to(agent.path()).release(), patient());
  const bool helper = GENERATE(false, true);
  const auto finish = [](auto result) {
    if (result.wait_for(10s) == std::future_status::ready) static_cast<void>(result.get());
  };
  const auto wrong = [&] {
    auto calls = client.async(asio::use_future);  // whose executor is the system's
    helper ? finish(calls.supports("guest-ping")) : finish(calls.get_host_name());
  };
  CHECK_THROWS(wrong());
  check_works(client, context);
}

TEST_CASE("initiation: no descriptor for an asynchronous call over a serial port", "[faults]") {
  if (needs_descriptors()) return;
  ScriptedAgent agent;
  behave(agent);
  Terminal terminal;
  const Relay relay = terminal.relay_to(agent.path());
  asio::io_context context;
  qga::Client client(asio::serial_port(context, terminal.name()), patient());
  CHECK(client.get_host_name() == "good");
  std::exception_ptr error;
  {
    const NoDescriptors none;
    error = error_of_start(context, [&](auto token) { client.async(token).ping(); });
  }
  // A library that needs no descriptor for it has no reason to fail.
  if (error) CHECK_THROWS_AS(std::rethrow_exception(error), std::system_error);
  check_works(client, context);
}

TEST_CASE("initiation: no descriptor for a stop token", "[faults]") {
  if (needs_descriptors()) return;
  const bool helper = GENERATE(false, true);
  ScriptedAgent agent;
  behave(agent);
  asio::io_context context;
  qga::Client client(agent.path(), patient());
  client.ping();
  std::stop_source stop;
  auto calls = client.with({.stop = stop.get_token()});
  const auto call = [&] { helper ? void(calls.capabilities()) : calls.ping(); };
  {
    const NoDescriptors none;
    client.ping();  // which needs none
    CHECK_THROWS_AS(call(), std::system_error);
    CHECK(client.is_open());
    client.ping();
  }
  CHECK(client.is_open());
  CHECK_NOTHROW(call());
  check_works(client, context);
}

TEST_CASE("initiation: no descriptor to connect with", "[faults]") {
  if (needs_descriptors()) return;
  ScriptedAgent agent;
  behave(agent);
  asio::io_context context;
  qga::Client<> client(context, patient());
  {
    const NoDescriptors none;
    const auto error = error_of_start(context, [&](auto token) {
      client.async_connect(asio::local::stream_protocol::endpoint(agent.path()), token);
    });
    REQUIRE(error);
    CHECK_THROWS_AS(std::rethrow_exception(error), qga::ConnectError);
    CHECK_THROWS_AS(client.connect(agent.path()), qga::ConnectError);
  }
  client.connect(agent.path());
  check_works(client, context);
}
