// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes text that came from a guest, or that holds secrets, fit to be shown: in error messages and
// in traces.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace qga::protocol {

/// Longer texts are cut: a guest must not flood a log.
inline constexpr std::size_t max_shown_text = 1024;

inline std::string cut_remark(std::size_t bytes) {
  return "... (" + std::to_string(bytes) + " bytes)";
}

/// Escapes control characters (C0, DEL and, in UTF-8, C1): a guest must not drive a terminal.
inline std::string printable(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string shown;
  const std::string_view kept = text.substr(0, max_shown_text);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    auto byte = static_cast<unsigned char>(kept[i]);
    const bool c1 = byte == 0xC2 && i + 1 < kept.size() &&
                    static_cast<unsigned char>(kept[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(kept[i + 1]) < 0xA0;
    if (c1) byte = static_cast<unsigned char>(kept[++i]);
    if (byte >= 0x20 && byte != 0x7F && !c1 && byte != 0xFF) {
      shown += static_cast<char>(byte);
    } else {
      shown += "\\x";
      shown += hex[byte >> 4];
      shown += hex[byte & 15];
    }
  }
  if (kept.size() < text.size()) shown += cut_remark(text.size());
  return shown;
}

/// Replaces secrets and payloads in a line of the protocol by their size. Works on the text, so
/// that it covers typed and raw requests, replies, and what a guest echoes.
inline std::string redacted(std::string_view line) {
  constexpr std::array<std::string_view, 5> hidden{"\"password\"", "\"input-data\"", "\"buf-b64\"",
                                                   "\"out-data\"", "\"err-data\""};
  std::string shown;
  std::size_t at = 0;
  while (at < line.size() && shown.size() <= max_shown_text) {
    const std::string_view rest = line.substr(at);
    // A lexer that stops in a string quotes what it has of it.
    constexpr std::string_view quote = "stray '";
    if (rest.starts_with(quote)) {
      std::size_t end = at + quote.size();
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2U : 1U;
      end = std::min(end, line.size());
      shown += quote;
      shown += "<" + std::to_string(end - at - quote.size()) + " characters>";
      at = end;
      continue;
    }
    const auto key = std::find_if(hidden.begin(), hidden.end(),
                                  [&](std::string_view name) { return rest.starts_with(name); });
    if (key == hidden.end()) {
      shown += line[at++];
      continue;
    }
    const std::size_t value = line.find_first_not_of(": \t\r", at + key->size());
    if (value == std::string_view::npos || line[value] != '"') {
      shown += *key;
      at += key->size();
      continue;
    }
    std::size_t end = value + 1;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2U : 1U;
    shown += *key;
    shown += ": <" + std::to_string(std::min(end, line.size()) - value - 1) + " characters>";
    at = end + 1;
  }
  if (at >= line.size() && shown.size() <= max_shown_text) return printable(shown);
  return printable(shown.substr(0, max_shown_text)) + cut_remark(line.size());
}

}  // namespace qga::protocol
