// SPDX-License-Identifier: LGPL-3.0-or-later
//
// An agent without a guest, which does what a test tells it: qga::testing::Agent, with replies as
// JSON text, which may be wrong. script.hpp says what it can be told to do.
//
//   ScriptedAgent agent(Ids::rejected);
//   agent.on("guest-file-open", script::returns("1000"));
//   agent.once("guest-file-close", script::all(script::says("{\"ret"), script::hangs_up()));
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/testing/agent.hpp"
#include "script.hpp"
#include "sockets.hpp"

namespace qga_test {

using qga::testing::Ids;
using Heard = qga::testing::Request;

class ScriptedAgent : public qga::testing::Agent {
 public:
  using Action = qga::testing::Action;

  explicit ScriptedAgent(Ids ids = Ids::echoed, bool has_guest = false)
      : Agent({.ids = ids, .has_guest = has_guest}) {}

  /// Is asked about every request; nothing leaves it to the other rules.
  void before_all(std::function<std::optional<Action>(const Heard&)> choose) {
    intercept(std::move(choose));
  }
  void mute(bool on = true) { on ? pause() : resume(); }
  void deafen(bool on = true) { set_reading(!on); }
  /// Ends all floods.
  void calm() { cancel(); }
  void cut_after(std::size_t bytes) { disconnect_after(bytes); }

  std::vector<Heard> executed() const { return requests(); }
  std::size_t executed(std::string_view command) const { return count(command); }
};

}  // namespace qga_test
