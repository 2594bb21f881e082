// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The envelope of a reply: which of `return`, `error` and `id` a line has.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/detail/protocol/json_index.hpp"
#include "qga/detail/protocol/value.hpp"

namespace qga::inline v0_1::detail {

struct Envelope {
  Value reply = {};  ///< of `return`, or of `error` where `refused`
  bool refused = false;
  bool has_id = false;
  std::optional<std::uint64_t> id = {};  ///< empty where it is not one that this library makes

  /// Whether its `return` is this number.
  bool returns(std::uint64_t number) const {
    std::uint64_t returned = 0;
    return !refused && parse_integer(reply.text(), returned) && returned == number;
  }
};

/// The id, where the library can have made it.
inline std::optional<std::uint64_t> id_of(std::string_view text) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, ec] = std::from_chars(text.data(), end, id);
  if (ec != std::errc() || parsed != end) return {};
  return id;
}

/// Every name of the protocol is plain ASCII, and needs no escape.
inline bool is_plain(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
}

/// @throws Malformed where the line is not exactly one object with one of `return` and `error`.
inline Envelope envelope_of(const JsonIndex& line) {
  const Value whole(line);
  if (!whole.is_object()) throw Malformed("expected an object");
  Envelope envelope;
  int answers = 0;
  whole.each_element([&](const Value& member) {
    if (member.key == "return" || member.key == "error") {
      ++answers;
      envelope.reply = member.alone();
      envelope.refused = member.key == "error";
    } else if (member.key == "id") {
      if (std::exchange(envelope.has_id, true)) throw Malformed("more than one 'id'");
      envelope.id = id_of(member.text());
    } else if (!is_plain(member.key)) {
      throw Malformed("a member name that is not plain");
    }
  });
  if (answers > 1) throw Malformed("more than one of 'return' and 'error'");
  if (answers == 0) throw Malformed("neither 'return' nor 'error'");
  return envelope;
}

}  // namespace qga::inline v0_1::detail
