// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The envelope of a reply: which of `return`, `error` and `id` a line has.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/detail/protocol/json_index.hpp"
#include "qga/detail/protocol/value.hpp"

namespace qga::detail {

struct Envelope {
  Value reply = {};  ///< of `return`, or of `error` where `refused`
  bool refused = false;
  bool has_id = false;
  std::optional<std::uint64_t> id = {};  ///< empty where it is not one that this library makes

  /// Whether this is the text of its `return`.
  bool returns(std::string_view text) const { return !refused && reply.text() == text; }
};

/// The id, where the library can have made it.
inline std::optional<std::uint64_t> id_of(std::string_view text) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, ec] = std::from_chars(text.data(), end, id);
  if (ec != std::errc() || parsed != end) return {};
  return id;
}

/// @throws Malformed where the line is not exactly one object with one of `return` and `error`.
inline Envelope envelope_of(const JsonIndex& line) {
  if (line.kind(JsonIndex::root) != '{') throw Malformed("expected an object");
  Envelope envelope;
  JsonIndex::NodeId member = JsonIndex::root + 1;
  for (; member != line.next_sibling(JsonIndex::root); member = line.next_sibling(member)) {
    const std::string_view written = line.name(member);
    const bool plain = written.find('\\') == std::string_view::npos;
    const std::string unescaped = plain ? std::string() : json_unescaped(written);
    const std::string_view name = plain ? written : unescaped;
    const bool refused = name == "error";
    if (refused || name == "return") {
      if (envelope.reply.json != nullptr) throw Malformed("more than one of 'return' and 'error'");
      envelope.reply = Value(line, member);
      envelope.refused = refused;
    } else if (name == "id") {
      if (std::exchange(envelope.has_id, true)) throw Malformed("more than one 'id'");
      envelope.id = id_of(line.text(member));
    }
  }
  if (envelope.reply.json == nullptr) throw Malformed("neither 'return' nor 'error'");
  return envelope;
}

}  // namespace qga::detail
