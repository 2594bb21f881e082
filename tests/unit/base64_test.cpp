// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Base64 against RFC 4648 and against a slow reference that works bit by bit. A wrong byte that is
// let through would corrupt a file silently.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "qga/detail/protocol/base64.hpp"

using qga::detail::base64_decode;
using qga::detail::base64_encode;
using qga::detail::base64_encoded_size;

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encoded(std::string_view bytes) {
  std::string out;
  base64_encode(bytes, out);
  return out;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out = "what was there before";
  if (!base64_decode(text, out)) return std::nullopt;
  return out;
}

std::string reference_encoded(std::string_view bytes) {
  std::vector<bool> bits;
  for (const char byte : bytes) {
    for (int bit = 7; bit >= 0; --bit)
      bits.push_back((static_cast<unsigned char>(byte) >> bit) & 1);
  }
  while (bits.size() % 6 != 0) bits.push_back(false);
  std::string text;
  for (std::size_t i = 0; i < bits.size(); i += 6) {
    std::size_t index = 0;
    for (std::size_t bit = 0; bit < 6; ++bit) index = index * 2 + bits[i + bit];
    text += alphabet[index];
  }
  while (text.size() % 4 != 0) text += '=';
  return text;
}

std::optional<std::string> reference_decoded(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string_view data = text;
  for (int padding = 0; padding < 2 && data.ends_with('='); ++padding) data.remove_suffix(1);
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : data) {
    const std::size_t index = alphabet.find(c);
    if (index == std::string_view::npos) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(index)) & 0xFFFF;
    held += 6;
    if (held >= 8) bytes += static_cast<char>(bits >> (held -= 8) & 0xFF);
  }
  return bytes;
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xFF);
  return bytes;
}

}  // namespace

TEST_CASE("base64 of RFC 4648") {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string("\0\xFF\xFE\x7F", 4), "AP/+fw=="},
  };
  for (const auto& [bytes, text] : vectors) {
    CHECK(encoded(bytes) == text);
    CHECK(decoded(text) == bytes);
    CHECK(base64_encoded_size(bytes.size()) == text.size());
  }
}

TEST_CASE("base64 appends to what is there, and decodes in place of it") {
  std::string out = "{\"x\":\"";
  base64_encode("foob", out);
  CHECK(out == "{\"x\":\"Zm9vYg==");
  std::string bytes(1000, 'x');
  REQUIRE(base64_decode("Zm9v", bytes));
  CHECK(bytes == "foo");
  REQUIRE(base64_decode("", bytes));
  CHECK(bytes.empty());
}

TEST_CASE("base64 round trip of every length, as the reference has it") {
  std::mt19937 random(1);
  for (std::size_t size = 0; size <= 300; ++size) {
    const std::string bytes = random_bytes(random, size);
    const std::string text = encoded(bytes);
    REQUIRE(text.size() == base64_encoded_size(size));
    REQUIRE(text == reference_encoded(bytes));
    REQUIRE(decoded(text) == bytes);
  }
}

TEST_CASE("base64 refuses every byte outside the alphabet, wherever it stands") {
  for (const std::string_view valid :
       {"QUJDREVGR0hJSktM", "QUJDREVGR0hJSks=", "QUJDREVGR0hJSg=="}) {
    const std::size_t data = valid.find_last_not_of('=') + 1;
    REQUIRE(decoded(valid));
    for (int byte = 0; byte < 256; ++byte) {
      if (alphabet.find(static_cast<char>(byte)) != std::string_view::npos) continue;
      for (std::size_t i = 0; i < data; ++i) {
        // A '=' in the last place of the data is one more of padding, while there may be.
        if (byte == '=' && i + 1 == data && data + 2 > valid.size()) continue;
        std::string text(valid);
        text[i] = static_cast<char>(byte);
        INFO("byte " << byte << " at " << i << " of " << valid);
        REQUIRE_FALSE(decoded(text));
      }
    }
  }
}

TEST_CASE("base64 refuses wrong padding") {
  for (const std::string_view text :
       {"=",    "==",   "===",      "====",   "A",      "A=",       "A==",      "A===",     "AA",
        "AA=",  "AAA",  "AAAAA",    "AAAA=",  "AAAA==", "AAAA====", "AA==AAAA", "AAA=AAAA", "AA=A",
        "=AAA", "A=AA", "AAAAA===", "AA==\n", "AA== ",  " AA==",    "AAAA\n",   "AAAAAA==="}) {
    INFO(text);
    CHECK_FALSE(decoded(text));
  }
}

TEST_CASE("base64 agrees with the reference on any text") {
  std::mt19937 random(2);
  constexpr std::string_view strangers = "=== \n\r-_,.*\\\"\x01\x7F\x80\xFF";
  std::size_t valid = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text(4 * (random() % 6), 'A');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    if (random() % 4 == 0) text.resize(text.size() + random() % 4, '=');
    const std::size_t changes = text.empty() ? 0 : random() % 3;
    for (std::size_t i = 0; i < changes; ++i) {
      const std::size_t at =
          random() % 2 == 0 ? text.size() - 1 - i % text.size() : random() % text.size();
      text[at] = strangers[random() % strangers.size()];
    }
    const auto expected = reference_decoded(text);
    INFO(text);
    REQUIRE(decoded(text) == expected);
    if (expected) ++valid;
  }
  CHECK(valid > 5000);
  CHECK(valid < 15000);
}
