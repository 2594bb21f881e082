// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that was started and then lost sight of: the error is what it would otherwise be, and a
// `ProgramError` that names the process and tells whether it is gone.
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

constexpr std::int64_t first_pid = 5000;

}  // namespace

TEMPLATE_TEST_CASE("program: lost in the pause behind its first status", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  guest.once("guest-exec-status", script::all(guest.behaves(), script::hangs_up()));
  const Fate fate = fate_of([&] { ga.run("/forever"); });
  INFO(fate);
  CHECK(fate.is<qga::UnreachableError>());
  CHECK(fate.outcome == Outcome::unknown);
  CHECK(fate.pid == first_pid);
  CHECK(fate.ended == false);
  CHECK(guest.executed("guest-exec") == 1);
}

TEMPLATE_TEST_CASE("program: the agent knows no status", "[faults]", Blocking, Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  SECTION("because it is forbidden") {
    guest.on("guest-exec-status", script::fails("disabled", "CommandNotFound"));
    const Fate fate = fate_of([&] { ga.run("/forever"); });
    INFO(fate);
    CHECK(fate.is<qga::CommandNotFoundError>());
    CHECK(fate.outcome == Outcome::unknown);
    CHECK(fate.pid == first_pid);
  }
  SECTION("because it was restarted") {
    guest.on("guest-exec-status", script::fails("PID 5000 does not exist"));
    const Fate fate = fate_of([&] { ga.run("/forever"); });
    INFO(fate);
    CHECK(fate.is<qga::AgentError>());
    CHECK(fate.outcome == Outcome::unknown);
    CHECK(fate.pid == first_pid);
  }
}

TEMPLATE_TEST_CASE("program: it takes too long", "[faults]", Blocking, Async) {
  const bool kill = GENERATE(false, true);
  CAPTURE(kill);
  ScriptedGuest guest;
  TestType ga(guest.path());
  SECTION("for what it was given") {
    const Fate fate = fate_of([&] { ga.run("/forever", {.timeout = brief, .kill = kill}); });
    INFO(fate);
    CHECK(fate.is<qga::ProgramTimeoutError>());
    CHECK(fate.is<qga::TimeoutError>());
    CHECK(fate.outcome == Outcome::unknown);
    CHECK(fate.pid == first_pid);
    CHECK(fate.ended == kill);
  }
  SECTION("for the call") {
    const auto start = qga::Clock::now();
    const Fate fate = fate_of([&] { ga.with({.timeout = brief}).run("/forever", {.kill = kill}); });
    INFO(fate);
    CHECK(qga::Clock::now() - start >= brief);
    CHECK(fate.is<qga::TimeoutError>());
    CHECK(fate.outcome == Outcome::unknown);
    CHECK(fate.pid == first_pid);
    CHECK(fate.ended == kill);
  }
}

TEST_CASE("program: a stop request ends the call, blocking", "[faults]") {
  const bool kill = GENERATE(false, true);
  CAPTURE(kill);
  ScriptedGuest guest;
  Blocking ga(guest.path());
  std::stop_source stop;
  std::jthread stopping([&] {
    wait_until([&] { return guest.executed("guest-exec-status") > 0; });
    stop.request_stop();
  });
  const Fate fate =
      fate_of([&] { ga.with({.stop = stop.get_token()}).run("/forever", {.kill = kill}); });
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  CHECK(fate.outcome == Outcome::unknown);
  CHECK(fate.pid == first_pid);
  CHECK(fate.ended == kill);
}

TEST_CASE("program: closing the client ends the call", "[faults]") {
  ScriptedGuest guest;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(guest.path());
  Answer<qga::RunResult> answer;
  ga.async(asio::bind_executor(context, to(answer))).run("/forever");
  while (guest.executed("guest-exec-status") == 0) context.run_one_for(1ms);
  ga.close();
  run_dry(context);
  const Fate fate = fate_of(answer.error);
  INFO(fate);
  CHECK(fate.is<qga::CancelledError>());
  CHECK(fate.outcome == Outcome::unknown);
  CHECK(fate.pid == first_pid);
  CHECK(fate.ended == false);
}

TEMPLATE_TEST_CASE("program: what was not started is no lost program", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  SECTION("refused") {
    guest.on("guest-exec", script::fails("no such program"));
    const Fate fate = fate_of([&] { ga.run("/none"); });
    INFO(fate);
    CHECK(fate.is<qga::AgentError>());
    CHECK(fate.outcome == Outcome::refused);
    CHECK_FALSE(fate.is<qga::ProgramError>());
  }
  SECTION("not sent") {
    ga.close();
    const Fate fate = fate_of([&] { ga.run("/none"); });
    INFO(fate);
    CHECK(fate.is<qga::ConnectError>());
    CHECK(fate.outcome == Outcome::not_sent);
    CHECK_FALSE(fate.is<qga::ProgramError>());
  }
}
