// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Base64 against a slow decoder that goes bit by bit, and there and back for any bytes.
#include <optional>
#include <string>
#include <string_view>

#include "fuzz.hpp"
#include "qga/detail/protocol/base64.hpp"

namespace {

/// RFC 4648, 4. Like every common decoder it leaves the bits behind the last byte free.
std::optional<std::string> decoded_slowly(std::string_view text) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Bytes(data, size).rest();

  std::string bytes = "what was there before";
  const bool decodes = qga::detail::base64_decode(text, bytes);
  const auto expected = decoded_slowly(text);
  fuzz::require(decodes == expected.has_value(), "the same texts are base64");
  if (decodes) fuzz::require(bytes == *expected, "the same bytes come out");

  std::string encoded = "x";
  qga::detail::base64_encode(text, encoded);
  fuzz::require(encoded.size() == 1 + qga::detail::base64_encoded_size(text.size()),
                "the size is what is said");
  fuzz::require(qga::detail::base64_decode(encoded.substr(1), bytes), "what is encoded decodes");
  fuzz::require(bytes == text, "what is encoded comes back");
  return 0;
}
