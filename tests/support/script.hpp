// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a scripted agent can be told to do about a request. scripted_agent.hpp includes this.
#pragma once

#include <cstddef>
#include <string>

#include "scripted_agent.hpp"

namespace qga_test {
namespace script {

using Action = ScriptedAgent::Action;

/// `$id` in `text` stands for the request's id.
inline std::string with_id(std::string text, const Heard& heard) {
  for (std::size_t at = text.find("$id"); at != std::string::npos; at = text.find("$id", at)) {
    text.replace(at, 3, heard.id);
  }
  return text;
}

inline Action returns(std::string result) {
  return [=](ScriptedAgent& agent, const Heard& heard) {
    agent.answer(heard, "\"return\": " + with_id(result, heard));
  };
}
inline Action fails(std::string desc, std::string error_class = "GenericError") {
  return [=](ScriptedAgent& agent, const Heard& heard) {
    agent.answer(heard,
                 "\"error\": {\"class\": \"" + error_class + "\", \"desc\": \"" + desc + "\"}");
  };
}
/// Bytes as they are, but for `$id`.
inline Action says(std::string bytes) {
  return [=](ScriptedAgent& agent, const Heard& heard) { agent.send(with_id(bytes, heard)); };
}
/// One byte at a time.
inline Action trickles(std::string bytes, ScriptedAgent::Duration pause) {
  return [=](ScriptedAgent& agent, const Heard& heard) {
    agent.trickle(with_id(bytes, heard), pause);
  };
}
inline Action floods(std::string pattern, std::size_t bytes) {
  return [=](ScriptedAgent& agent, const Heard&) { agent.flood(pattern, bytes); };
}
inline Action nothing() {
  return [](ScriptedAgent&, const Heard&) {};
}
inline Action waits(ScriptedAgent::Duration time) {
  return [=](ScriptedAgent& agent, const Heard&) { agent.wait(time); };
}
inline Action hangs_up() {
  return [](ScriptedAgent& agent, const Heard&) { agent.hang_up(); };
}
inline Action resets() {
  return [](ScriptedAgent& agent, const Heard&) { agent.reset(); };
}
inline Action mutes() {
  return [](ScriptedAgent& agent, const Heard&) { agent.mute(); };
}
/// What an agent does without a script.
inline Action behaves() {
  return [](ScriptedAgent& agent, const Heard& heard) { agent.built_in(heard); };
}
/// One after the other.
template <class... Actions>
Action all(Actions... actions) {
  return [=](ScriptedAgent& agent, const Heard& heard) { (actions(agent, heard), ...); };
}

}  // namespace script
}  // namespace qga_test
