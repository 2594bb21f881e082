// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A command that the library does not know, or that a user wants to send by hand.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/encode.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1::detail {

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

  /// A transfer has more time the more bytes it moves, as in the typed requests. This is a
  /// template, so that only its users compile it.
  template <class Json = nlohmann::json>
  Clock::duration timeout() const {
    const bool reads = command == "guest-file-read";
    if (!reads && command != "guest-file-write") return special_command(command).timeout;
    const Json& given = arguments;
    const auto found = given.find(reads ? "count" : "buf-b64");  // in what is no object, the end
    constexpr std::int64_t most = 48 << 20;
    std::uint64_t bytes = reads ? 4096 : 0;
    if (found != given.end() && found->is_string()) {
      bytes = found->template get_ref<const std::string&>().size() / 4 * 3;
    } else if (found != given.end() && found->is_number_integer()) {
      bytes = static_cast<std::uint64_t>(
          std::clamp<std::int64_t>(found->template get<std::int64_t>(), 0, most));
    }
    return transfer_timeout(bytes);
  }

  ReplyLimits limits() const {
    // The longest string of other genuine replies is a program's output in base64: 22 MiB.
    constexpr ReplyLimits any{default_max_reply_size, 128, structured_reply_limits.elements,
                              24 << 20};
    return special_command(command).limits.value_or(any);
  }
};

}  // namespace qga::inline v0_1::detail
