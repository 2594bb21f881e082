// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A thaw that is due is not lost: neither by a second freeze that is refused, nor by a file that is
// waited for in vain, nor by the end of the context that was to send it.
#include <optional>
#include <thread>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

/// A client on a context, with a guest that it has frozen.
struct FreezerOnContext {
  FreezerOnContext() {
    ga->connect(guest.path());
    ga->async(asio::bind_executor(*context, to(answer))).freeze();
    run_dry(*context);
    frozen = answer.get();
  }

  ScriptedGuest guest;
  Answer<qga::Frozen> answer;
  std::optional<asio::io_context> context{std::in_place};
  std::optional<qga::Client<>> ga{std::in_place, *context, patient()};
  std::optional<qga::Frozen> frozen;
};

}  // namespace

TEMPLATE_TEST_CASE("lost thaw: a second freeze that fails leaves the first its guard", "[faults]",
                   Blocking, Async) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  std::optional<qga::Frozen> frozen = ga.freeze();
  SECTION("refused by the agent, because the guest is frozen") {
    CHECK_THROWS_AS(ga.freeze(), qga::AgentError);
  }
  SECTION("without time") { CHECK_THROWS_AS(ga.with({.timeout = 0s}).freeze(), qga::TimeoutError); }
  SECTION("refused by the client") { CHECK_THROWS_AS(ga.freeze({}), qga::RequestError); }
  REQUIRE(guest.frozen());
  frozen.reset();
  ga.settle();
  wait_until([&] { return !guest.frozen(); });
  CHECK(guest.thaws() == 1);
}

TEST_CASE("lost thaw: a context that ends sends it, although the connection has ended",
          "[faults]") {
  const bool client_first = GENERATE(true, false);
  const bool guard_first = GENERATE(false, true);
  CAPTURE(client_first, guard_first);
  FreezerOnContext freezer;
  Answer<qga::GuestFsfreezeStatus> status;
  freezer.guest.once("guest-fsfreeze-status", script::hangs_up());
  freezer.ga->async(asio::bind_executor(*freezer.context, to(status))).fsfreeze_status();
  run_dry(*freezer.context);
  CHECK_THROWS_AS(status.get(), qga::UnreachableError);
  REQUIRE(freezer.guest.frozen());
  // Nobody runs the context any more.
  if (guard_first) freezer.frozen.reset();
  if (client_first) freezer.ga.reset();
  freezer.context.reset();
  freezer.ga.reset();
  freezer.frozen.reset();
  wait_until([&] { return !freezer.guest.frozen(); });
  CHECK(freezer.guest.thaws() == 1);
}

TEST_CASE("lost thaw: a client that outlives its context has sent it", "[faults]") {
  const bool idle = GENERATE(true, false);  // after a second the thaw needs a handshake
  CAPTURE(idle);
  FreezerOnContext freezer;
  if (idle) std::this_thread::sleep_for(1200ms);
  freezer.frozen.reset();
  freezer.context.reset();
  // The client is still there, and nobody closes it.
  wait_until([&] { return !freezer.guest.frozen(); });
  CHECK(freezer.guest.thaws() == 1);
}

TEST_CASE("lost thaw: a file that nobody closes leaves it its time", "[faults]") {
  ScriptedGuest guest;
  guest.put("/there", "text");
  Blocking ga(guest.path());
  std::optional<qga::File> file = ga.open("/there");
  std::optional<qga::Frozen> frozen = ga.freeze();
  guest.mute();  // as a guest that is paused for its snapshot
  file.reset();  // takes 5 s, in vain
  std::jthread later([&] {
    std::this_thread::sleep_for(500ms);
    guest.mute(false);
  });
  frozen.reset();
  CHECK_FALSE(guest.frozen());  // it was waited for
  CHECK(guest.thaws() == 1);
}
