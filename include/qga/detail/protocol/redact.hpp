// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Takes secrets and payloads out of the lines of a trace.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "qga/text.hpp"

namespace qga::inline v0_1::detail {

/// Longer texts are cut in errors and traces: a guest must not flood a log.
inline constexpr std::size_t max_shown_text = 1024;

/// `to_printable`, cut to what an error or a trace may hold.
inline std::string printable(std::string_view text) { return to_printable(text, max_shown_text); }

/// Replaces secrets and payloads in a line of the protocol by their size. It works on the text, so
/// that it covers typed and raw requests, replies, and what a guest echoes.
inline std::string redacted(std::string_view line) {
  constexpr std::array<std::string_view, 5> hidden{"\"password\"", "\"input-data\"", "\"buf-b64\"",
                                                   "\"out-data\"", "\"err-data\""};
  const auto end_of_string = [line](std::size_t at) {
    while (at < line.size() && line[at] != '"') at += line[at] == '\\' ? 2U : 1U;
    return std::min(at, line.size());
  };
  std::string shown;
  std::size_t at = 0;
  while (at < line.size() && shown.size() <= max_shown_text) {
    const std::string_view rest = line.substr(at);
    // An agent whose parser stops within a string quotes the part that it has read.
    constexpr std::string_view quote = "stray '";
    if (rest.starts_with(quote)) {
      const std::size_t begin = at + quote.size();
      at = end_of_string(begin);
      shown += quote;
      shown += "<" + std::to_string(at - begin) + " characters>";
      continue;
    }
    const auto key = std::find_if(hidden.begin(), hidden.end(),
                                  [&](std::string_view name) { return rest.starts_with(name); });
    if (key == hidden.end()) {
      shown += line[at++];
      continue;
    }
    shown += *key;
    at += key->size();
    const std::size_t value = line.find_first_not_of(": \t\r", at);
    if (value == std::string_view::npos || line[value] != '"') continue;
    const std::size_t end = end_of_string(value + 1);
    shown += ": <" + std::to_string(end - value - 1) + " characters>";
    at = end + 1;
  }
  if (at >= line.size() && shown.size() <= max_shown_text) return printable(shown);
  return to_printable(shown.substr(0, max_shown_text)) + "... (" + std::to_string(line.size()) +
         " bytes)";
}

}  // namespace qga::inline v0_1::detail
