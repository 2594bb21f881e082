// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a scripted agent can be told to do about a request, in JSON text that may be wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "qga/testing/action.hpp"

namespace qga_test {
namespace script {

using qga::testing::Action;
using qga::testing::Request;

/// `$id` in `text` stands for the request's id.
inline std::string with_id(std::string text, const Request& request) {
  for (std::size_t at = text.find("$id"); at != std::string::npos; at = text.find("$id", at)) {
    text.replace(at, 3, request.id);
  }
  return text;
}

/// A reply line with `member` in it, and with the id where there is one to echo.
inline Action answers(std::string member) {
  return [=](const Request& request) {
    const std::string id = request.id.empty() ? "" : ", \"id\": " + request.id;
    return qga::testing::sends("{" + with_id(member, request) + id + "}\n");
  };
}
inline Action returns(const std::string& result) { return answers("\"return\": " + result); }
inline Action fails(const std::string& desc, const std::string& error_class = "GenericError") {
  return answers("\"error\": {\"class\": \"" + error_class + "\", \"desc\": \"" + desc + "\"}");
}
/// Bytes as they are, but for `$id`.
inline Action says(std::string bytes) {
  return [=](const Request& request) { return qga::testing::sends(with_id(bytes, request)); };
}
/// One byte at a time.
inline Action trickles(std::string bytes, qga::Clock::duration pause) {
  return [=](const Request& request) {
    return qga::testing::sends_slowly(with_id(bytes, request), pause);
  };
}
/// Sends `pattern` again and again: for so many bytes, until the agent is calmed, or until the
/// client is gone.
inline Action floods(std::string_view pattern, std::size_t bytes) {
  std::string block(pattern);
  while (block.size() < std::min<std::size_t>(bytes, 256 << 10)) block += pattern;
  const std::size_t blocks = (bytes - 1) / block.size() + 1;
  return qga::testing::sends(std::move(block), blocks);
}
inline Action nothing() { return qga::testing::ignores(); }
inline Action waits(qga::Clock::duration time) { return qga::testing::waits(time); }
inline Action hangs_up() { return qga::testing::disconnects(); }
inline Action resets() { return qga::testing::resets(); }
inline Action mutes() { return qga::testing::pauses(); }
/// What an agent does without a script.
inline Action behaves() { return qga::testing::carries_out(); }
/// One after the other.
template <class... Actions>
Action all(Actions... actions) {
  return qga::testing::in_order(std::move(actions)...);
}

}  // namespace script
}  // namespace qga_test
