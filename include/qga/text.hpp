// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes text that came from a guest safe to be shown, as this library does in its own errors.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

namespace qga::inline v0_1 {

/// Makes text that came from a guest safe to print: a guest must not drive a terminal or flood a
/// log. Control characters (C0, DEL and, in UTF-8, C1) and the byte 0xFF become `\xNN`.
/// @param text any bytes
/// @param longest bytes of `text` that are kept; the size of a longer text is added
/// @return the text; other bytes that are not ASCII stay as they are
inline std::string to_printable(std::string_view text,
                                std::size_t longest = std::numeric_limits<std::size_t>::max()) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string shown;
  const std::string_view kept = text.substr(0, longest);
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
  if (kept.size() < text.size()) shown += "... (" + std::to_string(text.size()) + " bytes)";
  return shown;
}

}  // namespace qga::inline v0_1
