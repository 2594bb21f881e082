// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every kind of connecting is ended by closing the client, by destroying it and by a second
// connecting. Whatever is connected in the end begins with a handshake.
#include <functional>
#include <optional>
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
struct Connecting {
  Connecting() {
    ga->connect(listener.path());
    ga->close();
    listener.let_in();
    listener.fill();
  }

  template <class Result>
  auto handler(Answer<Result>& to_fill) {
    return asio::bind_executor(context, to(to_fill));
  }
  void start(const std::string& kind) {
    if (kind == "async_connect to an endpoint") {
      ga->async_connect(Endpoint(listener.path()), handler(connected));
    } else if (kind == "async_connect to a path") {
      ga->async_connect(listener.path(), handler(connected));
    } else if (kind == "async_reconnect") {
      ga->async_reconnect(handler(connected));
    } else {
      ga->async(handler(ready)).wait_ready(long_enough);
    }
    if (begun) context.poll();
    REQUIRE(connected.times + ready.times == 0);
  }
  /// There is room now, for whoever still wants it.
  Fate end() {
    listener.let_in();
    run_dry(context);
    CHECK(connected.times + ready.times == 1);
    return fate_of(connected.times > 0 ? connected.error : ready.error);
  }

  const bool begun = GENERATE(true, false);  ///< or nothing has run since the call
  FullListener listener;
  Answer<void> connected;
  Answer<qga::Readiness> ready;
  asio::io_context context;
  std::optional<qga::Client<>> ga{std::in_place, context, patient()};
};

std::string kinds() {
  return GENERATE("async_connect to an endpoint", "async_connect to a path", "async_reconnect",
                  "wait_ready");
}

}  // namespace

TEST_CASE("connecting: closing ends it", "[faults]") {
  Connecting connecting;
  const std::string kind = kinds();
  CAPTURE(kind, connecting.begun);
  connecting.start(kind);
  connecting.ga->close();
  CHECK(connecting.connected.times + connecting.ready.times == 0);  // not within the call
  const Fate fate = connecting.end();
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  CHECK(fate.outcome == Outcome::not_sent);
  CHECK_FALSE(connecting.ga->is_open());
}

TEST_CASE("connecting: closing asynchronously ends it", "[faults]") {
  Connecting connecting;
  const std::string kind = kinds();
  CAPTURE(kind, connecting.begun);
  connecting.start(kind);
  Answer<void> closed;
  connecting.ga->async_close(connecting.handler(closed));
  const Fate fate = connecting.end();
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  closed.get();
  CHECK_FALSE(connecting.ga->is_open());
}

TEST_CASE("connecting: destroying the client ends it", "[faults]") {
  Connecting connecting;
  const std::string kind = kinds();
  CAPTURE(kind, connecting.begun);
  connecting.start(kind);
  SECTION("destroyed") { connecting.ga.reset(); }
  SECTION("assigned to") { *connecting.ga = qga::Client<>(connecting.context); }
  const Fate fate = connecting.end();
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
}

TEST_CASE("connecting: a second connecting ends the first", "[faults]") {
  ScriptedAgent agent;
  Connecting connecting;
  const std::string kind = kinds();
  const bool blocking = GENERATE(false, true);
  CAPTURE(kind, connecting.begun, blocking);
  connecting.start(kind);
  Answer<void> second;
  if (blocking) {
    connecting.ga->connect(agent.path());
  } else {
    connecting.ga->async_connect(Endpoint(agent.path()), connecting.handler(second));
  }
  const Fate fate = connecting.end();
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  if (!blocking) second.get();
  CHECK(connecting.ga->is_open());
  Answer<void> pinged;
  connecting.ga->async(connecting.handler(pinged)).ping();
  run_dry(connecting.context);
  pinged.get();
  CHECK(agent.received().starts_with("\n\xFF\n"));
}

TEST_CASE("connecting: of two at once the second counts, and makes a handshake", "[faults]") {
  ScriptedAgent first, second;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  Answer<void> one, two, pinged;
  const auto handler = [&](auto& answer) { return asio::bind_executor(context, to(answer)); };
  ga.async_connect(Endpoint(first.path()), handler(one));
  ga.async_connect(Endpoint(second.path()), handler(two));
  run_dry(context);
  CHECK(fate_of(one.error).is<qga::CancelledError>());
  two.get();
  ga.async(handler(pinged)).ping();
  run_dry(context);
  pinged.get();
  CHECK(first.executed().empty());
  CHECK(second.received().starts_with("\n\xFF\n"));
}

TEST_CASE("connecting: what is in flight ends, and the next connection makes a handshake",
          "[faults]") {
  const bool to_itself = GENERATE(true, false);
  CAPTURE(to_itself);
  ScriptedAgent first, second;
  first.on("guest-file-open", script::nothing());
  asio::io_context context;
  qga::Client<> ga(context, patient());
  Answer<void> one, two, pinged;
  Answer<std::int64_t> opened;
  const auto handler = [&](auto& answer) { return asio::bind_executor(context, to(answer)); };
  ga.async_connect(Endpoint(first.path()), handler(one));
  run_dry(context);
  one.get();
  ga.async(handler(opened)).file_open("/there");
  context.restart();
  while (first.executed("guest-file-open") == 0) context.run_one_for(1ms);
  const std::size_t before = first.received().size();
  ScriptedAgent& next = to_itself ? first : second;
  ga.async_connect(Endpoint(next.path()), handler(two));
  run_dry(context);
  two.get();
  CHECK(fate_of(opened.error).is<qga::CancelledError>());
  CHECK(fate_of(opened.error).outcome == Outcome::unknown);
  ga.async(handler(pinged)).ping();
  run_dry(context);
  pinged.get();
  CHECK(next.received().substr(to_itself ? before : 0).starts_with("\n\xFF\n"));
}

TEST_CASE("connecting: a client that was closed meanwhile can connect again", "[faults]") {
  ScriptedAgent agent;
  Connecting connecting;
  connecting.start("async_connect to an endpoint");
  connecting.ga->close();
  Answer<void> again;
  connecting.ga->async_connect(Endpoint(agent.path()), connecting.handler(again));
  CHECK(connecting.end().is<qga::CancelledError>());
  again.get();
  CHECK(connecting.ga->is_open());
  connecting.ga->close();
  run_dry(connecting.context);
  CHECK_FALSE(connecting.ga->is_open());
}
