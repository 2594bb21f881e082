// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool's time --set, with guests that have no hardware clock.
#include <chrono>
#include <memory>
#include <string>

#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

/// An agent that cannot set its hardware clock, and whose clock is an hour slow until it is set.
/// @param sets whether it sets the clock of its system, all the same
void lack_hardware_clock(ScriptedAgent& agent, bool sets) {
  const auto is_set = std::make_shared<bool>(false);
  agent.on("guest-get-time", [=](const Heard&) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto shown = *is_set ? now : now - std::chrono::hours(1);
    return script::returns(std::to_string(shown / std::chrono::nanoseconds(1)));
  });
  agent.on("guest-set-time", [=](const Heard&) {
    *is_set = sets;
    return script::fails("hwclock failed to set hardware clock to system time");
  });
}

}  // namespace

TEST_CASE("time --set: a clock that is set, but for the hardware clock, is no failure") {
  ScriptedAgent agent;
  lack_hardware_clock(agent, true);
  const Ended ended = run_tool({agent.path(), "time", "--set"});
  CHECK(ended.code == 0);
  CHECK(contains(ended.err, "not the hardware clock"));
  CHECK(contains(ended.out, "difference"));
}

TEST_CASE("time --set: a clock that is not set is a failure") {
  ScriptedAgent agent;
  lack_hardware_clock(agent, false);
  const Ended ended = run_tool({agent.path(), "time", "--set"});
  CHECK(ended.code == 1);
  CHECK(contains(ended.err, "the clock is not set"));
}
