// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A command that the library does not know, or that a user wants to send by hand.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/encode.hpp"

namespace qga::detail {

struct RawRequest {
  using Reply = nlohmann::json;

  std::string command;
  nlohmann::json arguments;  ///< an object, or null for none

  RawRequest(std::string_view command_, nlohmann::json arguments_)
      : command(command_), arguments(std::move(arguments_)) {}

  static void fields(auto& self, auto& visit) {
    if (self.arguments.is_null()) return;
    if (!self.arguments.is_object()) throw Unencodable("arguments must be an object or null");
    for (const auto& [key, value] : self.arguments.items()) visit(key, value);
  }

  /// Some commands need the same handling when they are sent by hand. This is a member: an overload
  /// of `handling_of` would only be called by code that includes this header.
  Handling handling() const {
    constexpr std::array<std::string_view, 4> silent{"guest-shutdown", "guest-suspend-disk",
                                                     "guest-suspend-ram", "guest-suspend-hybrid"};
    const bool is_silent = std::find(silent.begin(), silent.end(), command) != silent.end();
    // The longest string of a genuine reply is a program's output in base64: 22 MiB.
    const ReplyLimits limits{default_max_reply_size, 128, structured_reply_limits.elements,
                             24 << 20};
    return {limits, !is_silent, is_silent || command.starts_with("guest-fsfreeze-freeze")};
  }
};

}  // namespace qga::detail
