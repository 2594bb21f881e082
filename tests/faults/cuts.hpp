// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The cut test: what may go wrong on a channel, at every byte of a session, and what must hold then
// whatever the library does within. The session is played by an engine: a bare protocol session in
// memory, or a client behind a proxy.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iomanip>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "faulty_line.hpp"
#include "qga/error.hpp"
#include "qga/params.hpp"
#include "replay_agent.hpp"

namespace cuts {

using namespace std::chrono_literals;
using qga::Clock;
using qga::Outcome;
using qga_test::Effect;
using qga_test::Fault;
using qga_test::FaultyLine;
using qga_test::Way;

/// How calls end.
enum class End { success, refused, timeout, bad_reply, lost, closed, other };

struct Kind {
  Effect effect;
  std::string_view name;
  std::vector<End> ends;  ///< of calls that the fault may spoil, beside what they end with unharmed
};

/// A fault that breaks the connection, one that breaks the silence of a deadline, one that is only
/// odd, and those that spoil what is said: a request that is not understood is not answered, or
/// answered without an id, and a reply that is not understood is none.
inline const std::vector<Kind> kinds{
    {Effect::eof, "EOF", {End::lost, End::closed}},
    {Effect::reset, "reset", {End::lost, End::closed}},
    {Effect::stall, "silence, then late", {End::timeout}},
    {Effect::loss, "silence, then lost", {End::timeout}},
    {Effect::choke, "nothing is taken", {End::timeout}},
    {Effect::drip, "a byte at a time", {}},
    {Effect::duplicate, "a reply twice", {}},
    {Effect::late_lie, "a late lie", {}},
    {Effect::stray, "a stray 0xFF", {End::timeout, End::bad_reply}},
    {Effect::garbage, "a garbage line", {End::timeout, End::bad_reply}},
    {Effect::garble, "a garbled byte", {End::timeout, End::bad_reply}},
    {Effect::half_request, "half a request", {End::timeout, End::bad_reply}},
    {Effect::reorder, "lines reordered", {End::timeout, End::bad_reply}},
    {Effect::flood, "2000 garbage lines", {End::timeout, End::bad_reply}},
    {Effect::nameless_lie, "a lie without id", {End::timeout, End::bad_reply}},
};

struct Result {
  End end = End::other;
  Outcome outcome = Outcome::unknown;
  bool right = false;              ///< a success has the step's own reply
  bool after_strike = false;       ///< the fault had happened when it ended
  std::size_t batch = 0;           ///< which it was submitted in
  Clock::duration overshoot = {};  ///< from its deadline to its end
  std::string what = {};
};

/// How a call ended that threw.
inline Result failure(const std::exception_ptr& error) {
  Result result;
  try {
    std::rethrow_exception(error);
  } catch (const qga::GuestAgentError& caught) {
    result.outcome = caught.outcome();
    result.what = caught.what();
    if (dynamic_cast<const qga::AgentError*>(&caught) != nullptr) {
      result.end = End::refused;
    } else if (dynamic_cast<const qga::TimeoutError*>(&caught) != nullptr) {
      result.end = End::timeout;
    } else if (dynamic_cast<const qga::BadReplyError*>(&caught) != nullptr) {
      result.end = End::bad_reply;
    } else if (dynamic_cast<const qga::ConnectError*>(&caught) != nullptr) {
      result.end = End::closed;
    } else if (dynamic_cast<const qga::ReadError*>(&caught) != nullptr ||
               dynamic_cast<const qga::WriteError*>(&caught) != nullptr) {
      result.end = End::lost;
    }
  } catch (const std::exception& caught) {
    result.what = caught.what();
  }
  return result;
}

/// A session that was played: how its steps ended, in order, and what went over the first line.
struct Played {
  std::vector<Result> results;
  FaultyLine line;
};

/// Plays a session until the fault is two good batches away. An engine runs steps together, and
/// connects again where a call broke the connection.
template <class Engine>
Played play(Engine& engine, const Script& script, std::span<const std::size_t> batches) {
  Played played;
  std::size_t first = 0;
  int good = 0;
  for (std::size_t batch = 0; batch < batches.size() && good < 3; ++batch) {
    const std::span<const Step> steps(script.steps.data() + first, batches[batch]);
    first += steps.size();
    bool all_well = true;
    for (Result& result : engine.run(steps)) {
      result.batch = batch;
      result.after_strike = engine.struck();
      all_well = all_well && (result.end == End::success || result.end == End::refused);
      played.results.push_back(std::move(result));
    }
    good = engine.struck() && all_well ? good + 1 : 0;
    if (!all_well) engine.go_on();
  }
  played.line = engine.finish();
  return played;
}

}  // namespace cuts
