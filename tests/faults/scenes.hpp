// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Calls of every kind, each of which comes to a standstill: at one of its commands, which the agent
// does not answer, or in a pause.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ended.hpp"
#include "good_agent.hpp"

namespace faults {

/// What a stop does once the command of a scene is sent.
enum class Stop {
  ends,     ///< It ends the call.
  waits,    ///< It ends the call once the answer is there, or at the deadline.
  ignored,  ///< The call goes on to its end or to its deadline.
};

/// A call that comes to a standstill at one of its commands, or in a pause.
template <class Way>
struct Scene {
  std::string name = {};
  std::string command = {};  ///< The one that stays unanswered, or the last one before the pause.
  std::size_t times = 1;     ///< So often it is executed until then.
  Stop stop = Stop::ends;
  bool first = false;       ///< The command is the first one of the call.
  bool own_limits = false;  ///< The timeout of the client does not end the call.
  bool connected = true;
  std::function<void(ScriptedAgent&)> stand_still = {};
  std::function<void(Way&, Client&)> prepare = {};
  std::function<void(Way&, Client&, qga::CallOptions)> call = {};
};

/// A function that makes `call` in some way.
template <class Way, class Call>
auto calls(Call call) {
  return [call](Way& way, Client& client, qga::CallOptions options) {
    way.call(client, std::move(options), call);
  };
}

/// The command is never answered.
inline auto lost(const std::string& command) {
  return [command](ScriptedAgent& agent) { agent.on(command, script::nothing()); };
}
/// The command is not answered once.
inline auto lost_once(const std::string& command) {
  return [command](ScriptedAgent& agent) { agent.once(command, script::nothing()); };
}
/// The first read is answered.
inline void lose_second_read(ScriptedAgent& agent) {
  agent.once("guest-file-read", script::returns(three_bytes));
  agent.on("guest-file-read", script::nothing());
}
/// The file ends and its close is not answered.
inline void lose_close_of_read(ScriptedAgent& agent) {
  agent.on("guest-file-read", script::returns(end_of_file));
  agent.once("guest-file-close", script::nothing());
}

template <class Way>
std::vector<Scene<Way>> scenes() {
  const auto name = [](auto&& ga) { return ga.get_host_name(); };
  const auto run = [](auto&& ga) { return ga.run("/bin/true"); };
  const auto open = [](auto&& ga) { return ga.open("/x"); };
  const auto download = [](auto&& ga) {
    static std::ostringstream nowhere;  // which has to outlive an asynchronous call
    return ga.download("/x", nowhere);
  };
  const auto upload = [](auto&& ga) { return ga.write_file("/x", "abc"); };
  const auto read = [](auto&& ga) { return ga.read_file("/x"); };
  const auto freeze = [](auto&& ga) { return ga.freeze(); };
  const auto usage = [](auto&& ga) { return ga.usage(1h); };
  const auto ready = [](auto&& ga) { return ga.wait_ready(1h); };
  const auto frozen = std::make_shared<qga::Frozen>();
  const auto thaw = [frozen](auto&& ga) { return ga.thaw(*frozen); };
  const auto arm = [frozen, freeze](Way& way, Client& client) {
    *frozen = way.plain(client, freeze);
  };
  return {
      {.name = "a plain command",
       .command = "guest-get-host-name",
       .first = true,
       .stand_still = lost("guest-get-host-name"),
       .call = calls<Way>(name)},
      {.name = "run, not started",
       .command = "guest-exec",
       .stop = Stop::waits,
       .first = true,
       .stand_still = lost("guest-exec"),
       .call = calls<Way>(run)},
      {.name = "run, no status",
       .command = "guest-exec-status",
       .own_limits = true,
       .stand_still = lost("guest-exec-status"),
       .call = calls<Way>(run)},
      {.name = "run, in a pause",
       .command = "guest-exec-status",
       .times = 3,
       .own_limits = true,
       .call = calls<Way>(run)},
      {.name = "open",
       .command = "guest-file-open",
       .stop = Stop::waits,
       .first = true,
       .stand_still = lost("guest-file-open"),
       .call = calls<Way>(open)},
      {.name = "download, at open",
       .command = "guest-file-open",
       .stop = Stop::waits,
       .first = true,
       .stand_still = lost("guest-file-open"),
       .call = calls<Way>(download)},
      {.name = "download, in the middle",
       .command = "guest-file-read",
       .times = 2,
       .stand_still = lose_second_read,
       .call = calls<Way>(download)},
      {.name = "download, at close",
       .command = "guest-file-close",
       .stand_still = lose_close_of_read,
       .call = calls<Way>(download)},
      {.name = "upload, at the permissions",
       .command = "guest-exec",
       .stop = Stop::waits,
       .first = true,
       .stand_still = lost("guest-exec"),
       .call = calls<Way>(upload)},
      {.name = "upload, at open",
       .command = "guest-file-open",
       .stop = Stop::waits,
       .stand_still = lost_once("guest-file-open"),
       .call = calls<Way>(upload)},
      {.name = "upload, in the middle",
       .command = "guest-file-write",
       .stand_still = lost("guest-file-write"),
       .call = calls<Way>(upload)},
      {.name = "upload, at close",
       .command = "guest-file-close",
       .stand_still = lost_once("guest-file-close"),
       .call = calls<Way>(upload)},
      {.name = "read_file, at open",
       .command = "guest-file-open",
       .stop = Stop::waits,
       .first = true,
       .stand_still = lost("guest-file-open"),
       .call = calls<Way>(read)},
      {.name = "read_file, in the middle",
       .command = "guest-file-read",
       .times = 2,
       .stand_still = lose_second_read,
       .call = calls<Way>(read)},
      {.name = "read_file, at close",
       .command = "guest-file-close",
       .stand_still = lose_close_of_read,
       .call = calls<Way>(read)},
      {.name = "freeze",
       .command = "guest-fsfreeze-freeze",
       .first = true,
       .stand_still = lost("guest-fsfreeze-freeze"),
       .call = calls<Way>(freeze)},
      {.name = "thaw",
       .command = "guest-fsfreeze-thaw",
       .stop = Stop::ignored,
       .first = true,
       .stand_still = lost("guest-fsfreeze-thaw"),
       .prepare = arm,
       .call = calls<Way>(thaw)},
      {.name = "usage, in its pause",
       .command = "guest-get-load",
       .own_limits = true,
       .call = calls<Way>(usage)},
      {.name = "wait_ready, silent",
       .command = "guest-info",
       .first = true,
       .own_limits = true,
       .stand_still = lost("guest-info"),
       .call = calls<Way>(ready)},
      {.name = "wait_ready, in its pause",
       .own_limits = true,
       .connected = false,
       .call = calls<Way>(ready)},
  };
}
inline constexpr std::size_t number_of_scenes = 20;

}  // namespace faults
