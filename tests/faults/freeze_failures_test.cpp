// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A freeze that fails tells whether the guest is thawed, and tells the truth: its word is compared
// with the state of the guest. What frees the guest has its own time, however short the caller's.
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

const std::string freeze_command = "guest-fsfreeze-freeze";

/// A guest that takes its time to freeze, and does nothing else meanwhile.
void freeze_slowly(ScriptedGuest& guest, qga::Clock::duration time) {
  guest.once(freeze_command, script::all(script::waits(time), guest.behaves()));
}

}  // namespace

TEMPLATE_TEST_CASE("freeze: a guest that takes longer than the caller is thawed", "[faults]",
                   Blocking, Async) {
  const std::string limit =
      GENERATE("the call's timeout", "the client's timeout", "the call's deadline");
  CAPTURE(limit);
  ScriptedGuest guest;
  freeze_slowly(guest, 2s);
  qga::ClientParams params = patient();
  if (limit == "the client's timeout") params.timeout = brief;
  TestType ga(guest.path(), params);
  qga::CallOptions options;
  if (limit == "the call's timeout") options.timeout = brief;
  if (limit == "the call's deadline") options.deadline = qga::Clock::now() + brief;
  const Fate fate = fate_of([&] { ga.with(options).freeze(); });
  INFO(fate);
  CHECK(fate.is<qga::TimeoutError>());
  CHECK(fate.is<qga::FreezeError>());
  CHECK(fate.outcome == Outcome::unknown);
  CHECK(fate.thawed == true);
  CHECK_FALSE(guest.frozen());
  CHECK(guest.thaws() >= 1);
}

TEMPLATE_TEST_CASE("freeze: its error tells whether the guest is thawed", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  const auto nothing = script::nothing();
  const auto hangs_up = script::hangs_up();
  const auto bad = script::returns("[[]]");
  // What happens to the freeze, what to the first thaw, and whether the guest can be heard then.
  struct Row {
    std::string name;
    ScriptedAgent::Action freeze, thaw;
    bool heard;
    bool thawed;
  };
  const std::vector<Row> rows{
      {"refused", script::fails("a hook failed"), guest.behaves(), true, true},
      {"frozen, and the answer is lost", guest.loses_its_answer(), guest.behaves(), true, true},
      {"not frozen, and no answer", nothing, guest.behaves(), true, true},
      {"frozen, and a bad reply", script::all(guest.loses_its_answer(), bad), guest.behaves(), true,
       true},
      {"not frozen, and a bad reply", bad, guest.behaves(), true, true},
      {"frozen, the answer is lost, and the thaw fails", guest.loses_its_answer(),
       script::fails("a hook failed"), true, false},
      {"frozen, the answer is lost, and the thaw has a bad reply", guest.loses_its_answer(), bad,
       true, false},
      {"frozen, and hangs up", script::all(guest.loses_its_answer(), hangs_up), guest.behaves(),
       false, true},
      {"not frozen, and hangs up", hangs_up, guest.behaves(), false, true},
      {"frozen, the answer is lost, and the thaw hangs up", guest.loses_its_answer(), hangs_up,
       false, true},
  };
  const auto& row = rows[GENERATE(range(std::size_t{0}, std::size_t{10}))];
  CAPTURE(row.name);
  guest.on(freeze_command, row.freeze);
  if (row.thawed) {
    guest.once("guest-fsfreeze-thaw", row.thaw);
  } else {
    guest.on("guest-fsfreeze-thaw", row.thaw);
  }
  TestType ga(guest.path());
  const Fate fate = fate_of([&] { ga.with({.timeout = brief}).freeze(); });
  INFO(fate);
  REQUIRE(fate.is<qga::GuestAgentError>());
  CHECK(fate.is<qga::FreezeError>());
  CHECK(fate.says(fate.thawed == true ? "is thawed" : "may still be frozen"));
  if (fate.thawed == true) {
    CHECK_FALSE(guest.frozen());
  }
  if (row.heard) {
    CHECK(fate.thawed == row.thawed);
    CHECK(guest.frozen() == !row.thawed);
  }
  if (row.name == "refused") {
    CHECK(fate.outcome == Outcome::refused);
    CHECK(fate.is<qga::AgentError>());
  } else {
    CHECK(fate.outcome == Outcome::unknown);
  }
  // A guest that cannot be heard is thawed on another connection.
  ga.settle();
  if (row.thawed) wait_until([&] { return !guest.frozen(); });
}

TEMPLATE_TEST_CASE("freeze: nothing that was not sent leaves a guest frozen", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  SECTION("a client that is closed") {
    ga.close();
    const Fate fate = fate_of([&] { ga.freeze(); });
    INFO(fate);
    CHECK(fate.is<qga::ConnectError>());
    CHECK(fate.outcome == Outcome::not_sent);
    CHECK(fate.thawed.value_or(true));
  }
  SECTION("a guest that does not listen") {
    guest.mute();
    const Fate fate = fate_of([&] { ga.with({.timeout = brief}).freeze(); });
    INFO(fate);
    CHECK(fate.is<qga::TimeoutError>());
    CHECK(fate.outcome == Outcome::not_sent);
    CHECK(fate.thawed.value_or(true));
    guest.mute(false);
  }
  ga.settle();
  CHECK(guest.executed(freeze_command) == 0);
  CHECK(guest.thaws() == 0);
}

TEMPLATE_TEST_CASE("freeze: what somebody else has frozen stays frozen", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  {
    Blocking somebody(guest.path());
    somebody.fsfreeze_freeze();
  }
  TestType ga(guest.path());
  const Fate fate = fate_of([&] { ga.freeze(); });
  INFO(fate);
  CHECK(fate.is<qga::CommandNotFoundError>());
  CHECK(fate.thawed.value_or(false) == false);
  ga.settle();
  ga.end();
  CHECK(guest.frozen());
  CHECK(guest.thaws() == 0);
}

TEMPLATE_TEST_CASE("freeze: an empty list is refused, and freezes nothing", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  ga.ping();
  const std::size_t before = guest.executed().size();
  CHECK_THROWS_AS(ga.freeze(std::vector<std::string>{}), qga::RequestError);
  CHECK(guest.executed().size() == before);
  CHECK_FALSE(guest.frozen());
  {
    const qga::Frozen all = ga.freeze();
    CHECK(guest.frozen());
  }
  ga.settle();
  {
    const qga::Frozen some = ga.freeze(std::vector<std::string>{"/home"});
    CHECK(guest.frozen());
  }
  ga.settle();
  wait_until([&] { return !guest.frozen(); });
  CHECK(guest.executed(freeze_command) == 1);
  CHECK(guest.executed("guest-fsfreeze-freeze-list") == 1);
}
