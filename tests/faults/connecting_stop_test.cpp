// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A stop token ends connecting of every kind, blocking and asynchronous, and so does the time that
// the caller allows for it.
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include "fate.hpp"
#include "faults.hpp"
#include "full_listener.hpp"

using namespace faults;

namespace {

using Endpoint = asio::local::stream_protocol::endpoint;

/// A client that was connected once, and for which there is no room now.
struct Unconnected {
  Unconnected() {
    ga.connect(listener.path());
    ga.close();
    listener.let_in();
    listener.fill();
  }

  void block(const std::string& kind, const qga::CallOptions& options) {
    if (kind == "connect to an endpoint") {
      ga.connect(Endpoint(listener.path()), options);
    } else if (kind == "connect to a path") {
      ga.connect(listener.path(), options);
    } else if (kind == "reconnect") {
      ga.reconnect(options);
    } else {
      ga.with(options).wait_ready(long_enough);
    }
  }
  /// @return what came of it
  std::function<Fate()> start(const std::string& kind, const qga::CallOptions& options) {
    auto handler = asio::bind_executor(context, to(connected));
    if (kind == "connect to an endpoint") {
      ga.async_connect(Endpoint(listener.path()), std::move(handler), options);
    } else if (kind == "connect to a path") {
      ga.async_connect(listener.path(), std::move(handler), options);
    } else if (kind == "reconnect") {
      ga.async_reconnect(std::move(handler), options);
    } else {
      ga.async(asio::bind_executor(context, to(ready)), options).wait_ready(long_enough);
      return [this] { return fate_of([&] { ready.get(); }); };
    }
    return [this] { return fate_of([&] { connected.get(); }); };
  }

  FullListener listener;
  Answer<void> connected;
  Answer<qga::Readiness> ready;
  asio::io_context context;
  qga::Client<> ga{context, patient()};
};

std::string stoppable_kinds() {
  return GENERATE("connect to an endpoint", "connect to a path", "reconnect", "wait_ready");
}

}  // namespace

TEST_CASE("connecting: a stop request ends it, blocking", "[faults]") {
  const std::string kind = stoppable_kinds();
  const bool before = GENERATE(true, false);
  CAPTURE(kind, before);
  Unconnected unconnected;
  std::stop_source stop;
  if (before) stop.request_stop();
  std::jthread stopping([&] { stop.request_stop(); });
  const auto start = qga::Clock::now();
  const Fate fate = fate_of([&] { unconnected.block(kind, {.stop = stop.get_token()}); });
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  CHECK(fate.outcome == Outcome::not_sent);
  CHECK(qga::Clock::now() - start < tolerance);
  CHECK_FALSE(unconnected.ga.is_open());
}

TEST_CASE("connecting: a stop request ends it, asynchronous", "[faults]") {
  const std::string kind = stoppable_kinds();
  const bool begun = GENERATE(false, true);
  CAPTURE(kind, begun);
  Unconnected unconnected;
  std::stop_source stop;
  const auto fate = unconnected.start(kind, {.stop = stop.get_token()});
  if (begun) unconnected.context.poll();
  std::jthread stopping([&] { stop.request_stop(); });
  const auto start = qga::Clock::now();
  run_dry(unconnected.context);
  INFO(fate());
  CHECK(fate().is<qga::CancelledError>());
  CHECK(qga::Clock::now() - start < tolerance);
  CHECK_FALSE(unconnected.ga.is_open());
}

TEST_CASE("connecting: the time of the call ends it", "[faults]") {
  const std::string kind = GENERATE("connect to an endpoint", "connect to a path", "reconnect");
  const bool blocking = GENERATE(true, false);
  const bool as_deadline = GENERATE(false, true);
  CAPTURE(kind, blocking, as_deadline);
  Unconnected unconnected;
  const auto begun = qga::Clock::now();
  qga::CallOptions options;
  if (as_deadline) {
    options.deadline = begun + brief;
  } else {
    options.timeout = brief;
  }
  Fate fate;
  if (blocking) {
    fate = fate_of([&] { unconnected.block(kind, options); });
  } else {
    const auto get = unconnected.start(kind, options);
    run_dry(unconnected.context);
    fate = get();
  }
  INFO(fate);
  CHECK(fate.is<qga::ConnectError>());
  fate.look<qga::GuestAgentError>(
      [](const auto& error) { CHECK(error.err() == std::errc::timed_out); });
  CHECK(qga::Clock::now() - begun >= brief);
  CHECK(qga::Clock::now() - begun < brief + tolerance);
}

TEST_CASE("connecting: closing from another thread ends it or is refused", "[faults]") {
  Unconnected unconnected;
  std::stop_source stop;
  Fate connecting;
  std::jthread other([&] {
    connecting =
        fate_of([&] { unconnected.block("connect to a path", {.stop = stop.get_token()}); });
  });
  const Fate closing = fate_of([&] { unconnected.ga.close(); });
  INFO(closing);
  CHECK((!closing.error || closing.is<qga::BusyError>()));
  stop.request_stop();
  other.join();
  INFO(connecting);
  CHECK(connecting.is<qga::CancelledError>());
  CHECK_FALSE(unconnected.ga.is_open());
}
