// SPDX-License-Identifier: LGPL-3.0-or-later
//
// More calls that come to a standstill: those with an open file, those that wait for something in
// the guest, and the small helpers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "good_agent.hpp"
#include "scenes.hpp"

namespace faults {

/// The agent says that it has these commands.
inline void offer_commands(ScriptedAgent& agent) {
  agent.on("guest-info",
           script::returns(R"({"version": "9.9", "supported_commands": [)"
                           R"({"name": "guest-exec", "enabled": true, "success-response": true}, )"
                           R"({"name": "guest-network-get-interfaces", "enabled": true, )"
                           R"("success-response": true}]})"));
}

/// A command that is never answered, of an agent that offers its commands and has keys and a clock.
inline auto lost_among(const std::string& command) {
  return [command](ScriptedAgent& agent) {
    offer_commands(agent);
    agent.on("guest-ssh-get-authorized-keys", script::returns(R"({"keys": []})"));
    agent.on("guest-ssh-add-authorized-keys", script::returns("{}"));
    agent.on("guest-get-time", script::returns("1700000000000000000"));
    agent.on("guest-set-time", script::returns("{}"));
    agent.on(command, script::nothing());
  };
}

template <class Way>
std::vector<Scene<Way>> scenes_of_files() {
  const auto file = std::make_shared<qga::File>();
  const auto opened = [file](Way& way, Client& client) {
    *file = way.plain(client, [](auto&& ga) { return ga.open("/x", "r+"); });
  };
  return {
      {.name = "read",
       .command = "guest-file-read",
       .first = true,
       .stand_still = lost("guest-file-read"),
       .prepare = opened,
       .call = calls<Way>([file](auto&& ga) { return ga.read(*file, 3); })},
      {.name = "write",
       .command = "guest-file-write",
       .first = true,
       .stand_still = lost("guest-file-write"),
       .prepare = opened,
       .call = calls<Way>([file](auto&& ga) { return ga.write(*file, "abc"); })},
      {.name = "seek",
       .command = "guest-file-seek",
       .first = true,
       .stand_still = lost("guest-file-seek"),
       .prepare = opened,
       .call = calls<Way>([file](auto&& ga) { return ga.seek(*file, 1); })},
      {.name = "flush",
       .command = "guest-file-flush",
       .first = true,
       .stand_still = lost("guest-file-flush"),
       .prepare = opened,
       .call = calls<Way>([file](auto&& ga) { return ga.flush(*file); })},
      {.name = "close, at the close",
       .command = "guest-file-close",
       .stop = Stop::ignored,
       .stand_still = lost("guest-file-close"),
       .prepare = opened,
       .call = calls<Way>([file](auto&& ga) { return ga.close(*file); })},
  };
}

template <class Way>
std::vector<Scene<Way>> scenes_of_waiting() {
  const auto wait_for = [](auto&& ga) { return ga.wait_for("/bin/program", {}, 1h); };
  const auto wait_address = [](auto&& ga) {
    return ga.wait_address(qga::GuestIpAddressType::unknown, "", 1h);
  };
  return {
      {.name = "wait_for, silent",
       .command = "guest-info",
       .first = true,
       .own_limits = true,
       .stand_still = lost("guest-info"),
       .call = calls<Way>(wait_for)},
      {.name = "wait_for, not started",
       .command = "guest-exec",
       .stop = Stop::waits,
       .own_limits = true,
       .stand_still = lost_among("guest-exec"),
       .call = calls<Way>(wait_for)},
      {.name = "wait_for, while the program runs",
       .command = "guest-exec-status",
       .times = 2,
       .own_limits = true,
       .stand_still = offer_commands,
       .call = calls<Way>(wait_for)},
      {.name = "wait_address, without an answer",
       .command = "guest-network-get-interfaces",
       .own_limits = true,
       .stand_still = lost_among("guest-network-get-interfaces"),
       .call = calls<Way>(wait_address)},
      {.name = "wait_address, in its pause",
       .command = "guest-network-get-interfaces",
       .own_limits = true,
       .stand_still = offer_commands,
       .call = calls<Way>(wait_address)},
  };
}

template <class Way>
std::vector<Scene<Way>> scenes_of_small_helpers() {
  const auto add_keys = [](auto&& ga) { return ga.add_keys("user", {"ssh-rsa AAAA comment"}); };
  const auto set_clock = [](auto&& ga) { return ga.set_clock(); };
  return {
      {.name = "capabilities",
       .command = "guest-info",
       .first = true,
       .stand_still =
           [](ScriptedAgent& agent) {
             agent.on("guest-info", script::nothing());
             agent.on("guest-fsfreeze-status", script::nothing());
           },
       .call = calls<Way>([](auto&& ga) { return ga.capabilities(); })},
      {.name = "add_keys, at the question",
       .command = "guest-ssh-get-authorized-keys",
       .first = true,
       .stand_still = lost("guest-ssh-get-authorized-keys"),
       .call = calls<Way>(add_keys)},
      {.name = "add_keys, at the keys",
       .command = "guest-ssh-add-authorized-keys",
       .stand_still = lost_among("guest-ssh-add-authorized-keys"),
       .call = calls<Way>(add_keys)},
      {.name = "set_clock, at the question",
       .command = "guest-get-time",
       .stand_still = lost("guest-get-time"),
       .call = calls<Way>(set_clock)},
      {.name = "set_clock, at the clock",
       .command = "guest-set-time",
       .stand_still = lost_among("guest-set-time"),
       .call = calls<Way>(set_clock)},
      {.name = "run, with its input under way",
       .command = "guest-file-write",
       .stand_still =
           [](ScriptedAgent& agent) {
             agent.on("guest-file-write", script::nothing());
             agent.on("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 0})"));
           },
       .call = calls<Way>([](auto&& ga) {
         return ga.run("/bin/program", {.input = std::string(100 << 10, 'x')});
       })},
      {.name = "while_frozen, at the freeze",
       .command = "guest-fsfreeze-freeze",
       .first = true,
       .stand_still = lost("guest-fsfreeze-freeze"),
       .call = calls<Way>([](auto&& ga) { return ga.while_frozen([] {}); })},
  };
}

/// All scenes, those of scenes.hpp first.
template <class Way>
std::vector<Scene<Way>> all_scenes() {
  std::vector<Scene<Way>> all = scenes<Way>();
  for (auto more :
       {scenes_of_files<Way>(), scenes_of_waiting<Way>(), scenes_of_small_helpers<Way>()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}
inline constexpr std::size_t number_of_all_scenes = number_of_scenes + 17;

}  // namespace faults
