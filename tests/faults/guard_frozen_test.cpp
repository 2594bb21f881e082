// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guard of a freeze belongs to the guest and not to a connection: where that has ended, it
// connects once more, asks, and thaws, unless the guest is thawed or a later freeze is at work.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

template <class Way>
void destroy(qga::Frozen& frozen, Way& ga) {
  { const qga::Frozen gone = std::move(frozen); }
  ga.settle();
}

/// Breaks the connection.
/// @param noticed the client has seen it
template <class Way>
void break_connection(Way& ga, ScriptedGuest& guest, bool noticed = true) {
  if (noticed) {
    guest.once("guest-ping", script::hangs_up());
    CHECK_THROWS_AS(ga.ping(), qga::UnreachableError);
  } else {
    guest.once("guest-ping", script::all(script::behaves(), script::hangs_up()));
    ga.ping();
  }
}

}  // namespace

TEMPLATE_TEST_CASE("frozen: a guard thaws its guest after its connection has broken", "[faults]",
                   Blocking, Async) {
  const bool noticed = GENERATE(true, false);
  ScriptedGuest guest;
  TestType ga(guest.path());
  qga::Frozen frozen = ga.freeze();
  break_connection(ga, guest, noticed);
  CAPTURE(noticed);
  SECTION("the client stays unconnected") {
    destroy(frozen, ga);
    CHECK(guest.connections() == 2);
  }
  SECTION("the client is connected again, and has the agent's only connection") {
    if (!noticed) ga.close();
    ga.connect(guest.path());
    destroy(frozen, ga);
    CHECK(ga.is_open());
    ga.ping();
  }
  SECTION("the client is gone") {
    ga.end();
    { const qga::Frozen gone = std::move(frozen); }
    ga.settle();
  }
  wait_until([&] { return !guest.frozen(); });
  CHECK(guest.thaws() == 1);
}

TEST_CASE("frozen: a guard on an executor sends its thaw as soon as it knows that it is needed",
          "[faults]") {
  ScriptedGuest guest;
  asio::io_context context;
  std::optional<qga::Client<>> ga(std::in_place, context);
  get(context, [&](auto token) { ga->async_connect(guest.path(), token); });
  std::optional<qga::Frozen> frozen =
      get<qga::Frozen>(context, [&](auto token) { ga->async(token).freeze(); });
  guest.once("guest-ping", script::hangs_up());
  CHECK_THROWS_AS(get(context, [&](auto token) { ga->async(token).ping(); }),
                  qga::UnreachableError);
  frozen.reset();
  // The deadline of the cleaning up wakes the connection, too, but seconds later.
  bool was_late = false;
  asio::steady_timer late(context, std::chrono::seconds(2));
  late.async_wait([&](const std::error_code& error) { was_late = !error && guest.frozen(); });
  context.restart();
  while (guest.frozen() && !was_late) context.run_one_for(std::chrono::milliseconds(10));
  late.cancel();
  ga.reset();
  context.run();
  CHECK_FALSE(was_late);
  CHECK(guest.thaws() == 1);
}

TEST_CASE("frozen: a guard whose client is connecting thaws over that connection", "[faults]") {
  const std::string end = GENERATE("connected", "connected elsewhere", "context");
  CAPTURE(end);
  ScriptedGuest guest, other;
  auto context = std::make_unique<asio::io_context>();
  qga::Client<> ga(*context, patient());
  ga.connect(guest.path());
  std::optional<qga::Frozen> frozen =
      get<qga::Frozen>(*context, [&](auto token) { ga.async(token).freeze(); });
  Answer<void> connected, pinged;
  if (end == "connected elsewhere") {
    ga.async_connect(other.path(), asio::bind_executor(*context, to(connected)));
  } else {
    ga.async_reconnect(asio::bind_executor(*context, to(connected)));
  }
  frozen.reset();
  if (end == "context") {
    context.reset();
  } else {
    const auto begun = qga::Clock::now();
    run_dry(*context);
    // The agent serves one client at a time: another connection would wait for 30 s.
    CHECK(qga::Clock::now() - begun < 10s);
    connected.get();
    CHECK(ga.is_open());
    ga.ping();
  }
  wait_until([&] { return !guest.frozen(); });
  CHECK(guest.thaws() == 1);
}

TEMPLATE_TEST_CASE("frozen: a guard asks on a later connection before it thaws", "[faults]",
                   Blocking, Async) {
  const bool connected = GENERATE(false, true);
  CAPTURE(connected);
  ScriptedGuest guest;
  TestType ga(guest.path());
  qga::Frozen frozen = ga.freeze();
  break_connection(ga, guest);
  if (connected) ga.connect(guest.path());
  SECTION("somebody has thawed the guest") {
    guest.thaw_inside();
    destroy(frozen, ga);
    wait_until([&] { return guest.executed("guest-fsfreeze-status") > 0; });
    if (connected) ga.ping();
    CHECK(guest.thaws() == 0);
  }
  SECTION("nobody has") {
    destroy(frozen, ga);
    wait_until([&] { return !guest.frozen(); });
    CHECK(guest.executed("guest-fsfreeze-status") >= 1);
    CHECK(guest.thaws() == 1);
  }
}

TEMPLATE_TEST_CASE("frozen: a guard does not thaw a later freeze", "[faults]", Blocking, Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  qga::Frozen first = ga.freeze();
  break_connection(ga, guest);
  guest.thaw_inside();
  ga.connect(guest.path());
  SECTION("that has a guard of its own") {
    qga::Frozen second = ga.freeze();
    destroy(first, ga);
    ga.ping();
    CHECK(guest.frozen());
    CHECK(guest.thaws() == 0);
    destroy(second, ga);
    wait_until([&] { return !guest.frozen(); });
    CHECK(guest.thaws() == 1);
  }
  SECTION("that takes the place of its guard") {
    first = ga.freeze();
    ga.settle();
    ga.ping();
    CHECK(guest.frozen());
    CHECK(guest.thaws() == 0);
    CHECK(ga.thaw(first).count == 2);
    CHECK_FALSE(guest.frozen());
  }
}

TEMPLATE_TEST_CASE("frozen: a guest is thawed through a later connection", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  qga::Frozen frozen = ga.freeze();
  break_connection(ga, guest);
  CHECK_THROWS_AS(ga.thaw(frozen), qga::ConnectError);
  CHECK(guest.frozen());
  ga.connect(guest.path());
  CHECK(ga.thaw(frozen).count == 2);
  CHECK_FALSE(guest.frozen());
  destroy(frozen, ga);
  ga.ping();
  CHECK(guest.thaws() == 1);
}

TEMPLATE_TEST_CASE("frozen: a guard outlives a thaw without an answer", "[faults]", Blocking,
                   Async) {
  const bool done = GENERATE(true, false);
  CAPTURE(done);
  ScriptedGuest guest;
  TestType ga(guest.path());
  qga::Frozen frozen = ga.freeze();
  guest.once("guest-fsfreeze-thaw",
             script::all(done ? guest.loses_its_answer() : script::nothing(), script::hangs_up()));
  CHECK_THROWS_AS(ga.thaw(frozen), qga::ReadError);
  CHECK(guest.frozen() == !done);
  destroy(frozen, ga);
  wait_until([&] { return !guest.frozen(); });
  wait_until([&] { return guest.executed("guest-fsfreeze-status") > 0; });
  CHECK(guest.thaws() == (done ? 1 : 2));
}

TEST_CASE("frozen: a guest that freezes while its client ends is thawed", "[faults]") {
  const bool destroyed = GENERATE(false, true);
  const bool slow = GENERATE(true, false);  // or the answer is lost
  CAPTURE(destroyed, slow);
  ScriptedGuest guest;
  guest.once("guest-fsfreeze-freeze",
             slow ? script::all(script::waits(300ms), guest.behaves()) : guest.loses_its_answer());
  Answer<qga::Frozen> answer;
  asio::io_context context;
  std::optional<qga::Client<>> ga(std::in_place, context, patient());
  ga->connect(guest.path());
  ga->async(asio::bind_executor(context, to(answer))).freeze();
  while (guest.executed("guest-fsfreeze-freeze") == 0) context.run_one_for(1ms);
  destroyed ? ga.reset() : ga->close();
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  wait_until([&] { return guest.thaws() > 0 && !guest.frozen(); });

  // The thaw is written right behind the freeze: a handshake would be answered too late.
  const std::string received = guest.received();
  const std::size_t freeze = received.find("guest-fsfreeze-freeze");
  const std::size_t thaw = received.find("guest-fsfreeze-thaw");
  REQUIRE(thaw != std::string::npos);
  CHECK(received.substr(freeze, thaw - freeze).find('\xFF') == std::string::npos);
}
