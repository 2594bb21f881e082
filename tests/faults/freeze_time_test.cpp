// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A freeze that takes longer than its call is thawed all the same: no timeout of the caller's
// shortens that. The thaw is written right behind the freeze, so that an agent which is still busy
// freezing has it, also when the client is gone by then.
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include "good_agent.hpp"
#include "lines.hpp"

using namespace faults;

namespace {

constexpr auto freeze_takes = 5s;
/// From the start of the freeze to the thaw.
constexpr auto thaw_within = 10s;

/// An agent that freezes slowly and does nothing else meanwhile.
struct SlowAgent : ScriptedAgent {
  /// @param answers false: the answer is lost, as on a channel whose other end is gone
  explicit SlowAgent(bool answers = true) {
    behave(*this);
    const auto answer = answers ? script::returns("2") : script::nothing();
    on("guest-fsfreeze-freeze", script::all(script::waits(freeze_takes), answer));
    on("guest-fsfreeze-status", script::returns("\"frozen\""));
  }

  /// The thaw is executed in time, and stands right behind the freeze.
  void check_thawed(qga::Clock::time_point begun) {
    while (executed("guest-fsfreeze-thaw") == 0 &&
           qga::Clock::now() < begun + thaw_within + tolerance) {
      std::this_thread::sleep_for(1ms);
    }
    REQUIRE(executed("guest-fsfreeze-freeze") == 1);
    REQUIRE(executed("guest-fsfreeze-thaw") >= 1);
    const std::string bytes = received();
    const std::size_t freeze = bytes.find("guest-fsfreeze-freeze");
    const std::size_t thaw = bytes.find("guest-fsfreeze-thaw");
    REQUIRE(freeze < thaw);
    CAPTURE(bytes.substr(freeze, thaw - freeze));
    CHECK(std::string_view(bytes).substr(freeze, thaw - freeze).find("guest-sync") ==
          std::string_view::npos);
  }
};

/// A freeze on a client that can be destroyed under it.
struct Freezing {
  explicit Freezing(const std::string& path, qga::CallOptions options = {}) {
    qga::ClientParams params = patient();
    params.trace = lines.trace();
    client.emplace(path, std::move(params));
    client
        ->async(
            asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))),
            std::move(options))
        .freeze();
  }
  void run_until_sent(std::string_view command) {
    run_until(context, [&] { return lines.sent(command); });
  }

  qga_test::Lines lines;
  Answer<qga::Frozen> answer;
  asio::cancellation_signal signal;
  asio::io_context context;
  std::optional<qga::Client<>> client;
};

}  // namespace

TEMPLATE_TEST_CASE("a freeze that outlasts its call is thawed", "[faults]", Blocking, Async) {
  SlowAgent agent;
  const auto begun = qga::Clock::now();
  SECTION("the timeout is the call's") {
    TestType ga(agent.path());
    ga.ping();
    CHECK_THROWS_AS(ga.with({.timeout = 1s}).freeze(), qga::TimeoutError);
    agent.check_thawed(begun);
  }
  SECTION("the deadline is the call's") {
    TestType ga(agent.path());
    ga.ping();
    CHECK_THROWS_AS(ga.with({.deadline = begun + 1s}).freeze(), qga::TimeoutError);
    agent.check_thawed(begun);
  }
  SECTION("the timeout is the client's") {
    TestType ga(agent.path(), {.timeout = 1s});
    ga.ping();
    CHECK_THROWS_AS(ga.freeze(), qga::TimeoutError);
    agent.check_thawed(begun);
  }
  SECTION("the client is destroyed as soon as the call has ended") {
    {
      TestType ga(agent.path(), {.timeout = 1s});
      ga.ping();
      CHECK_THROWS_AS(ga.freeze(), qga::TimeoutError);
    }
    agent.check_thawed(begun);
  }
  SECTION("the next call works") {
    TestType ga(agent.path());
    CHECK_THROWS_AS(ga.with({.timeout = 1s}).freeze(), qga::TimeoutError);
    CHECK(ga.get_host_name() == "good");
    agent.check_thawed(begun);
  }
}

TEST_CASE("a slow freeze is thawed although its client is gone", "[faults]") {
  SlowAgent agent(false);
  const auto begun = qga::Clock::now();
  SECTION("with its context, once the thaw is written") {
    std::optional<Freezing> freezing(std::in_place, agent.path(), qga::CallOptions{.timeout = 1s});
    freezing->run_until_sent("guest-fsfreeze-thaw");
    freezing.reset();
  }
  SECTION("while the freeze is unanswered") {
    Freezing freezing(agent.path());
    freezing.run_until_sent("guest-fsfreeze-freeze");
    freezing.client.reset();
    run_dry(freezing.context);
    CHECK_THROWS_AS(freezing.answer.get(), qga::GuestAgentError);
  }
  SECTION("with its context, while the freeze is unanswered") {
    std::optional<Freezing> freezing(std::in_place, agent.path());
    freezing->run_until_sent("guest-fsfreeze-freeze");
    freezing.reset();
  }
  SECTION("right after the freeze was cancelled") {
    Freezing freezing(agent.path());
    freezing.run_until_sent("guest-fsfreeze-freeze");
    freezing.signal.emit(asio::cancellation_type::terminal);
    freezing.client.reset();
    run_dry(freezing.context);
    CHECK_THROWS_AS(freezing.answer.get(), qga::CancelledError);
  }
  agent.check_thawed(begun);
}

TEST_CASE("a slow freeze whose client is closed is thawed", "[faults]") {
  SlowAgent agent(false);
  const auto begun = qga::Clock::now();
  Freezing freezing(agent.path());
  freezing.run_until_sent("guest-fsfreeze-freeze");
  freezing.client->close();
  run_dry(freezing.context);
  CHECK_THROWS_AS(freezing.answer.get(), qga::CancelledError);
  agent.check_thawed(begun);
}
