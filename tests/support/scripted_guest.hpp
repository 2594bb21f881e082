// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A scripted agent that has a faked guest behind it, with what the tests of helpers need beside
// that: any program, keys, figures of usage.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "scripted_agent.hpp"

namespace qga_test {

class ScriptedGuest : public ScriptedAgent {
 public:
  explicit ScriptedGuest(Ids ids = Ids::echoed) : ScriptedAgent(ids, true) {
    using nlohmann::json;
    using qga::testing::returns;
    guest().set_mountpoints({"/home", "/srv"});
    guest().add_any_program([](const qga::testing::ProgramCall& call) {
      qga::testing::ProgramResult result{.out = "out"};
      // A program is found running once.
      result.runs_for =
          call.path == "/forever" ? qga::Clock::duration::max() : std::chrono::milliseconds(2);
      return result;
    });
    on("guest-get-time", returns(1'700'000'000'000'000'000));
    on("guest-get-load", returns({{"load1m", 1}, {"load5m", 1}, {"load15m", 1}}));
    for (const char* const list :
         {"guest-get-cpustats", "guest-get-diskstats", "guest-network-get-interfaces"}) {
      on(list, returns(json::array()));
    }
    const auto keys = std::make_shared<json>(json::array());  // used by the agent's thread only
    on("guest-ssh-get-authorized-keys", [keys](const Heard&) { return json{{"keys", *keys}}; });
    on("guest-ssh-add-authorized-keys", [keys](const Heard& heard) {
      for (const json& key : heard.arguments.at("keys")) keys->push_back(key);
      return json::object();
    });
  }

  /// Carries a request out and answers.
  Action behaves() const { return qga::testing::carries_out(); }
  /// Carries a request out and does not answer.
  Action loses_its_answer() const { return qga::testing::loses_reply(); }

  // ---- what it is like inside ----------------------------------------------------------------

  bool frozen() const { return guest().is_frozen(); }
  /// Thaws it as an administrator within the guest does.
  void thaw_inside() { guest().set_frozen(false); }
  std::size_t thaws() const { return executed("guest-fsfreeze-thaw"); }
  /// How many handles are open.
  std::size_t handles() const { return guest().open_handles(); }
  void put(const std::string& path, std::string bytes) { guest().files()[path] = std::move(bytes); }
  std::string get(const std::string& path) { return guest().files()[path]; }
  /// The handles are gone; the next ones begin from the start.
  void restart_agent() { guest().restart(); }
};

}  // namespace qga_test
