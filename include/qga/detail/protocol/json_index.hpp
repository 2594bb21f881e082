// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads the text of a reply once: checks that it is JSON and within its limits, and notes where its
// values are. It is the library's own, because replies of up to 64 MiB are read where they lie, in
// memory that is bounded, whatever a hostile guest sends. It accepts what nlohmann/json accepts,
// except a byte order mark in front of a text and a NUL behind it.
#pragma once

#include <algorithm>
#include <bit>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

/// A text that is not valid. The session catches it, because it knows the command.
struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The value of a number's text; infinite where it is too large.
inline double json_number(std::string_view text) {
  std::string copy(text);
  const std::size_t point = copy.find('.');
  if (point != std::string::npos) copy.replace(point, 1, std::localeconv()->decimal_point);
  return std::strtod(copy.c_str(), nullptr);
}

/// The value of four hexadecimal digits; the largest number where they are not such digits.
inline std::uint32_t json_code_unit(const char* digits) {
  std::uint32_t unit = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const char digit = digits[i];
    const char letter = static_cast<char>(digit | 0x20);
    unit <<= 4;
    if (digit >= '0' && digit <= '9') {
      unit |= static_cast<std::uint32_t>(digit - '0');
    } else if (letter >= 'a' && letter <= 'f') {
      unit |= static_cast<std::uint32_t>(letter - 'a' + 10);
    } else {
      return std::numeric_limits<std::uint32_t>::max();
    }
  }
  return unit;
}

inline constexpr bool is_high_surrogate(std::uint32_t unit) { return unit - 0xD800 < 0x400; }
inline constexpr bool is_low_surrogate(std::uint32_t unit) { return unit - 0xDC00 < 0x400; }

/// The most characters of a number, far more than any number needs. To nlohmann/json a number is as
/// costly as a string.
inline constexpr std::size_t longest_number = 1024;

/// Decodes the escapes in the characters of a valid string.
inline std::string json_unescaped(std::string_view characters) {
  std::size_t escape = characters.find('\\');
  if (escape == std::string_view::npos) return std::string(characters);
  std::string plain;
  plain.reserve(characters.size());
  while (escape != std::string_view::npos) {
    plain += characters.substr(0, escape);
    characters.remove_prefix(escape);
    std::size_t size = 2;
    if (characters[1] != 'u') {
      constexpr std::string_view letters = "bfnrt";
      const std::size_t letter = letters.find(characters[1]);
      plain += letter == std::string_view::npos ? characters[1] : "\b\f\n\r\t"[letter];
    } else {
      size = 6;
      std::uint32_t code = json_code_unit(characters.data() + 2);
      if (is_high_surrogate(code)) {
        size = 12;
        code = 0x10000 + ((code & 0x3FF) << 10 | (json_code_unit(characters.data() + 8) & 0x3FF));
      }
      // In UTF-8: all but the first byte carry six bits.
      constexpr std::uint32_t marks[] = {0, 0xC0, 0xE0, 0xF0};
      const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      plain += static_cast<char>(marks[more] | code >> 6 * more);
      for (int i = more - 1; i >= 0; --i) plain += static_cast<char>(0x80 | (code >> 6 * i & 0x3F));
    }
    characters.remove_prefix(size);
    escape = characters.find('\\');
  }
  plain += characters;
  return plain;
}

/// A valid JSON text, and where its values lie; value.hpp reads them.
class JsonIndex {
 public:
  JsonIndex() = default;
  /// Reads `text`; see `read`.
  JsonIndex(std::string_view text, const ReplyLimits& limits) { read(text, limits); }

  /// Reads another text, into the same memory.
  /// @param text must outlive the index, or its next `read`
  /// @param limits of depth, elements and strings. The outermost value is the first level of depth
  /// @throws Malformed where `text` is not JSON, or exceeds a limit
  void read(std::string_view text, const ReplyLimits& limits) {
    begin_ = at_ = text.data();
    end_ = begin_ + text.size();
    limits_ = &limits;
    open_ = none;
    depth_ = 0;
    escaped_names_ = false;
    nodes_.clear();
    constexpr std::size_t many = 4096;
    if (nodes_.capacity() > many && text.size() < many) release_memory();
    if (text.size() >= std::numeric_limits<NodeId>::max()) fail("a text of 4 GiB");
    constexpr std::size_t enough_for_most = 512;
    nodes_.reserve(std::min(text.size() / 8 + 2, enough_for_most));
    read_all();
  }

  /// Releases the memory for many values, because no reply is expected for a while.
  void release_memory() {
    constexpr std::size_t few = 16;
    if (nodes_.capacity() > few) std::vector<Node>().swap(nodes_);
  }

 private:
  friend struct Value;

  /// The number of a value in the order of the text: the first value in a list or an object comes
  /// right behind the list or the object itself.
  using NodeId = std::uint32_t;

  struct Node {
    std::uint32_t name;
    std::uint32_t name_size;
    std::uint32_t begin;
    std::uint32_t end;
    NodeId next_sibling;  ///< while a list or an object is open: the one around it
  };
  static constexpr NodeId none = std::numeric_limits<NodeId>::max();

  /// This is a loop, so that no depth overflows the stack.
  void read_all() {
    skip_space();
    do {
      std::string_view name(begin_, begin_);
      if (open_ != none && opens(open_) == '{') name = read_name();
      const auto node = static_cast<NodeId>(nodes_.size());
      if (node > limits_->elements) fail("more elements than the limit");
      nodes_.push_back(
          {offset(name.data()), static_cast<std::uint32_t>(name.size()), offset(at_), 0, node + 1});
      if (read_value(node)) climb();
    } while (open_ != none);
    if (at_ != end_) fail("trailing characters");
  }

  /// Reads a value. True: all of it; false: only the opening of a list or an object.
  bool read_value(NodeId node) {
    switch (peek()) {
      case '{':
      case '[':
        return enter(node);
      case '"':
        string();
        break;
      case 't':
        word("true");
        break;
      case 'f':
        word("false");
        break;
      case 'n':
        word("null");
        break;
      default:
        number();
    }
    at(node).end = offset(at_);
    return true;
  }

  bool enter(NodeId opened) {
    const char closing = *at_ == '{' ? '}' : ']';
    if (++depth_ > limits_->depth) fail("nested deeper than the limit");
    ++at_;
    at(opened).next_sibling = open_;
    open_ = opened;
    skip_space();
    if (peek() != closing) return false;
    close();
    return true;
  }

  /// Closes the lists and objects that end here, and goes to where the next value begins.
  void climb() {
    skip_space();
    while (open_ != none && !skip_if(',')) {
      if (peek() != (opens(open_) == '{' ? '}' : ']')) fail("expected ',' or a closing bracket");
      close();
      skip_space();
    }
    skip_space();
  }

  void close() {
    ++at_;
    --depth_;
    Node& closed = at(open_);
    closed.end = offset(at_);
    open_ = closed.next_sibling;
    closed.next_sibling = static_cast<NodeId>(nodes_.size());
  }

  std::string_view read_name() {
    if (peek() != '"') fail("expected a member name");
    const char* const start = at_ + 1;
    escaped_names_ |= string();
    const std::string_view name(start, static_cast<std::size_t>(at_ - 1 - start));
    skip_space();
    if (!skip_if(':')) fail("expected ':'");
    skip_space();
    return name;
  }

  void word(std::string_view expected) {
    const std::string_view left(at_, static_cast<std::size_t>(end_ - at_));
    if (!left.starts_with(expected)) fail("expected a value");
    at_ += expected.size();
  }

  void number() {
    const char* const start = at_;
    skip_if('-');
    if (!skip_if('0')) digits();
    if (skip_if('.')) digits();
    const bool scaled = skip_if('e') || skip_if('E');
    if (scaled) {
      if (!skip_if('+')) skip_if('-');
      digits();
    }
    const std::string_view text(start, static_cast<std::size_t>(at_ - start));
    if (text.size() > longest_number) fail("a number longer than the limit");
    const bool maybe_large = scaled || text.size() > std::numeric_limits<double>::max_exponent10;
    if (maybe_large && !std::isfinite(json_number(text))) fail("a number out of range");
  }

  void digits() {
    const char* const start = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    if (at_ == start) fail("expected a value");
  }

  /// Reads a string. True: it has escapes.
  bool string() {
    const char* const start = ++at_;
    bool escaped = false;
    for (;;) {
      skip_plain();
      const char c = peek();
      if (c == '"') break;
      if (c == '\\') {
        escaped = true;
        escape();
      } else if (static_cast<unsigned char>(c) >= 0x80) {
        wide();
      } else if (c < ' ') {
        fail("a control character in a string");
      } else {
        ++at_;
      }
    }
    if (static_cast<std::size_t>(at_ - start) > limits_->string) {
      fail("a string longer than the limit");
    }
    ++at_;
    return escaped;
  }

  /// Skips characters that mean themselves. It may stop before the last of them.
  void skip_plain() {
    constexpr std::uint64_t ones = 0x0101010101010101;
    const char* const soon = end_ - at_ > 64 ? at_ + 64 : end_;
    for (std::uint64_t eight = 0; soon - at_ >= 8; at_ += 8) {
      std::memcpy(&eight, at_, 8);
      const std::uint64_t special = (eight | (eight - ones * ' ') | ((eight ^ ones * '"') - ones) |
                                     ((eight ^ ones * '\\') - ones)) &
                                    ones << 7;
      if (special == 0) continue;
      if constexpr (std::endian::native == std::endian::little) {
        at_ += std::countr_zero(special) / 8;
      }
      return;
    }
    while (end_ - at_ >= block && is_plain(at_)) at_ += block;
  }

  /// This has no branch, so that compilers compare many bytes at once: payloads are long.
  static bool is_plain(const char* bytes) {
    unsigned char special = 0;
    for (std::ptrdiff_t i = 0; i < block; ++i) {
      const auto c = static_cast<signed char>(bytes[i]);
      special = static_cast<unsigned char>(special | (c < ' ') | (c == '"') | (c == '\\'));
    }
    return special == 0;
  }
  static constexpr std::ptrdiff_t block = 128;

  void escape() {
    if (end_ - at_ < 2) fail("unexpected end");
    if (at_[1] != 'u') {
      constexpr std::string_view letters = "\"\\/bfnrt";
      if (letters.find(at_[1]) == std::string_view::npos) fail("an unknown escape");
      at_ += 2;
      return;
    }
    const std::uint32_t unit = code_unit();
    if (unit > 0xFFFF || is_low_surrogate(unit)) fail("an escape of no character");
    if (is_high_surrogate(unit) && !is_low_surrogate(code_unit())) fail("half a surrogate pair");
  }

  std::uint32_t code_unit() {
    if (end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u') return none;
    at_ += 6;
    return json_code_unit(at_ - 4);
  }

  /// Reads a character beyond ASCII: UTF-8 in its shortest form, no surrogate, within Unicode.
  void wide() {
    const auto byte = [this](std::ptrdiff_t i) {
      return i < end_ - at_ ? static_cast<unsigned char>(at_[i]) : 0U;
    };
    const unsigned lead = byte(0);
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    bool valid = lead >= 0xC2 && lead <= 0xF4 && byte(1) >= low && byte(1) <= high;
    const std::ptrdiff_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    for (std::ptrdiff_t i = 2; i < size; ++i) valid = valid && (byte(i) & 0xC0) == 0x80;
    if (!valid) fail("a string that is not UTF-8");
    at_ += size;
  }

  // Without the checks of a vector's own operator, which debug builds have.
  Node& at(NodeId value) { return nodes_.data()[value]; }
  const Node& at(NodeId value) const { return nodes_.data()[value]; }

  bool is_named(NodeId value, std::string_view name) const {
    const std::string_view its = name_of(value);
    return its == name || (escaped_names_ && json_unescaped(its) == name);
  }
  std::string_view name_of(NodeId value) const {
    return {begin_ + at(value).name, at(value).name_size};
  }

  /// The first character of a value.
  char opens(NodeId value) const { return begin_[at(value).begin]; }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) ++at_;
  }

  char peek() const {
    if (at_ == end_) fail("unexpected end");
    return *at_;
  }

  bool skip_if(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  std::uint32_t offset(const char* at) const { return static_cast<std::uint32_t>(at - begin_); }

  [[noreturn]] void fail(const char* what) const {
    throw Malformed(std::string(what) + ", at byte " + std::to_string(at_ - begin_));
  }

  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  const char* at_ = nullptr;
  const ReplyLimits* limits_ = nullptr;  ///< while it reads
  std::vector<Node> nodes_;
  NodeId open_ = none;     ///< the innermost list or object that is still open
  std::size_t depth_ = 0;  ///< of `open_`
  bool escaped_names_ = false;
};

}  // namespace qga::inline v0_1::detail
