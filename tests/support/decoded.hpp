// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Decodes a text without limits, as a session decodes the value of a `return`.
#pragma once

#include <limits>
#include <string_view>

#include "qga/detail/protocol/decode.hpp"

namespace qga::test {

inline constexpr std::size_t without_end = std::numeric_limits<std::size_t>::max();
inline constexpr ReplyLimits no_limits{without_end, without_end, without_end, without_end};

/// @throws Malformed, WrongShape
template <class T>
T decoded(std::string_view text) {
  const detail::JsonIndex json(text, no_limits);
  return detail::decode_reply<T>(detail::Value(json));
}

}  // namespace qga::test
