// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Base64 (RFC 4648, padded, no line breaks), straight between a buffer and its destination.
// A group takes four table look-ups.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qga::inline v0_1::detail {

namespace base64_detail {

inline constexpr char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A bit that marks bytes outside the alphabet in the tables. No valid group has it.
inline constexpr std::uint32_t invalid = 0x01000000;

/// Filled at run time, because compilers need 0.1 s for it in every file that includes this.
struct Tables {
  std::array<std::uint32_t, 256> first, second, third, fourth;  ///< what a character stands for
  std::array<std::array<char, 2>, 4096> pairs;                  ///< the characters for 12 bits

  Tables() {
    for (auto* const table : {&first, &second, &third, &fourth}) table->fill(invalid);
    for (std::uint32_t i = 0; i < 64; ++i) {
      const auto character = static_cast<unsigned char>(alphabet[i]);
      first[character] = i << 18;
      second[character] = i << 12;
      third[character] = i << 6;
      fourth[character] = i;
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {alphabet[i >> 6], alphabet[i & 63]};
  }
};

inline const Tables& tables() {
  static const Tables filled;
  return filled;
}

}  // namespace base64_detail

constexpr std::size_t base64_encoded_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

/// Appends the encoded `bytes` to `out`.
inline void base64_encode(std::string_view bytes, std::string& out) {
  using base64_detail::alphabet;
  const auto& pairs = base64_detail::tables().pairs;
  const std::size_t before = out.size();
  out.resize(before + base64_encoded_size(bytes.size()));
  char* to = out.data() + before;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 3; left -= 3, from += 3, to += 4) {
    const std::size_t group = std::size_t{from[0]} << 16 | std::size_t{from[1]} << 8 | from[2];
    const auto& high = pairs[group >> 12];
    const auto& low = pairs[group & 4095];
    to[0] = high[0];
    to[1] = high[1];
    to[2] = low[0];
    to[3] = low[1];
  }
  if (left == 0) return;
  const std::size_t group =
      std::size_t{from[0]} << 16 | (left == 2 ? std::size_t{from[1]} << 8 : 0);
  to[0] = alphabet[group >> 18];
  to[1] = alphabet[group >> 12 & 63];
  to[2] = left == 2 ? alphabet[group >> 6 & 63] : '=';
  to[3] = '=';
}

/// Decodes `text` into `out`, replacing what it holds. Returns false where `text` is not padded
/// base64 of the standard alphabet; `out` is unspecified then.
inline bool base64_decode(std::string_view text, std::string& out) {
  const auto& [first, second, third, fourth, pairs] = base64_detail::tables();
  if (text.size() % 4 != 0) return false;
  if (text.empty()) {
    out.clear();
    return true;
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(text.size() / 4 * 3 - padding);
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  char* to = out.data();
  std::uint32_t seen = 0;
  const std::size_t whole_groups = text.size() / 4 - (padding != 0 ? 1 : 0);
  for (std::size_t i = 0; i < whole_groups; ++i, from += 4, to += 3) {
    const std::uint32_t group = first[from[0]] | second[from[1]] | third[from[2]] | fourth[from[3]];
    seen |= group;
    to[0] = static_cast<char>(group >> 16);
    to[1] = static_cast<char>(group >> 8);
    to[2] = static_cast<char>(group);
  }
  if (padding != 0) {
    const std::uint32_t group =
        first[from[0]] | second[from[1]] | (padding == 1 ? third[from[2]] : 0);
    seen |= group;
    to[0] = static_cast<char>(group >> 16);
    if (padding == 1) to[1] = static_cast<char>(group >> 8);
  }
  return (seen & base64_detail::invalid) == 0;
}

}  // namespace qga::inline v0_1::detail
