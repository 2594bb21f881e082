// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Walks JSON text without building anything: it finds where the values of one object lie and bounds
// depth and element count before a parser may allocate. Only the extents have to be right: each
// value that is used is parsed, and so validated, afterwards.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "qga/detail/protocol/json_index.hpp"
#include "qga/request.hpp"

namespace qga::detail {

/// The most characters of a number, far more than any number needs. To nlohmann/json a number is as
/// costly as a string.
inline constexpr std::size_t longest_number = 1024;

/// A cursor over the text of one reply.
class Scanner {
 public:
  Scanner(std::string_view text, const ReplyLimits& limits)
      : at_(text.data()), end_(text.data() + text.size()), limits_(limits) {}

  /// Calls `member(key, value)` for each member of the object at the cursor, with the texts as
  /// they stand: the key without its quotes, the value with them.
  template <class Member>
  void object(Member&& member) {
    expect('{');
    skip_space();
    if (skip_if('}')) return;
    do {
      skip_space();
      const std::string_view key = name();
      skip_space();
      expect(':');
      skip_space();
      member(key, value());
      skip_space();
    } while (skip_if(','));
    expect('}');
  }

  /// Checks that only white space follows.
  void finish() {
    skip_space();
    if (at_ != end_) throw Malformed("trailing characters");
  }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) ++at_;
  }

 private:
  /// Every name of the protocol is plain ASCII; none needs an escape.
  std::string_view name() {
    const std::string_view quoted = string();
    const std::string_view key = quoted.substr(1, quoted.size() - 2);
    for (const char c : key) {
      if (c < ' ' || c > '~' || c == '\\') throw Malformed("a member name that is not plain");
    }
    return key;
  }

  std::string_view value() {
    if (at_ == end_) throw Malformed("unexpected end");
    count_element();
    if (*at_ == '"') return string();
    const char* const start = at_;
    if (*at_ == '{' || *at_ == '[') {
      nested();
    } else {
      scalar();
      if (at_ == start) throw Malformed("a value is missing");
    }
    return {start, static_cast<std::size_t>(at_ - start)};
  }

  static bool ends_scalar(char c) {
    static constexpr auto table = [] {
      std::array<bool, 256> ends{};
      for (const char end : std::string_view(",:\"[]{} \t\r\n\0", 12)) {
        ends[static_cast<unsigned char>(end)] = true;
      }
      return ends;
    }();
    return table[static_cast<unsigned char>(c)];
  }

  /// A number or a word.
  void scalar() {
    const char* const start = at_;
    while (at_ != end_ && !ends_scalar(*at_)) ++at_;
    if (static_cast<std::size_t>(at_ - start) > longest_number) {
      throw Malformed("a number longer than the limit");
    }
  }

  void nested() {
    std::size_t depth = 1;  // the object around it
    do {
      if (at_ == end_) throw Malformed("unexpected end");
      switch (*at_) {
        case '"':
          string();
          continue;
        case '{':
        case '[':
          if (++depth > limits_.depth) throw Malformed("nested deeper than the limit");
          count_element();
          break;
        case '}':
        case ']':
          --depth;
          break;
        case ',':
          count_element();
          break;
        default:
          if (ends_scalar(*at_)) break;
          scalar();
          continue;
      }
      ++at_;
    } while (depth > 1);
  }

  std::string_view string() {
    const char* const start = at_;
    expect('"');
    const char* quote = nullptr;  // looked for again only when passed: a string may be all escapes
    for (;;) {
      if (quote == nullptr || quote < at_) {
        quote =
            static_cast<const char*>(std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_)));
      }
      if (quote == nullptr) throw Malformed("unexpected end of a string");
      const auto* escape =
          static_cast<const char*>(std::memchr(at_, '\\', static_cast<std::size_t>(quote - at_)));
      if (escape == nullptr) {
        at_ = quote + 1;
        const auto size = static_cast<std::size_t>(at_ - start);
        if (size - 2 > limits_.string) throw Malformed("a string longer than the limit");
        return {start, size};
      }
      if (end_ - escape < 2) throw Malformed("unexpected end of a string");
      at_ = escape + 2;
    }
  }

  void count_element() {
    if (++elements_ > limits_.elements) throw Malformed("more elements than the limit");
  }

  bool skip_if(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!skip_if(c)) throw Malformed(std::string("expected '") + c + "'");
  }

  const char* at_;
  const char* end_;
  const ReplyLimits& limits_;
  std::size_t elements_ = 0;
};

/// The members of one reply line.
struct Envelope {
  std::string_view result = {};  ///< the text of `return`; empty where there is none
  std::string_view error = {};   ///< the text of `error`; empty where there is none
  bool has_id = false;
  std::optional<std::uint64_t> id = {};  ///< empty where it is not one that this library makes
};

/// @throws Malformed where the line is not exactly one object with one of `return` and `error`.
inline Envelope parse_envelope(std::string_view line, const ReplyLimits& limits) {
  Envelope envelope;
  Scanner scanner(line, limits);
  scanner.skip_space();
  scanner.object([&](std::string_view key, std::string_view value) {
    if (key == "return" || key == "error") {
      if (!envelope.result.empty() || !envelope.error.empty()) {
        throw Malformed("more than one of 'return' and 'error'");
      }
      (key == "return" ? envelope.result : envelope.error) = value;
    } else if (key == "id") {
      if (envelope.has_id) throw Malformed("more than one 'id'");
      envelope.has_id = true;
      std::uint64_t id = 0;
      const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), id);
      const bool canonical = value == "0" || value.front() != '0';
      if (ec == std::errc() && end == value.data() + value.size() && canonical) {
        envelope.id = id;
      } else {
        check_json(value);
      }
    } else {
      check_json(value);
    }
  });
  scanner.finish();
  if (envelope.result.empty() && envelope.error.empty()) {
    throw Malformed("neither 'return' nor 'error'");
  }
  return envelope;
}

}  // namespace qga::detail
