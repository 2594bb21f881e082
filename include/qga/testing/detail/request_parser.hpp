// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Parses what a client writes as qemu-ga does: a stream of JSON values, however they are cut. A
// byte 0xFF, or any other byte that JSON does not allow, resets the parser, which then skips to
// where a value may begin. What one client leaves half written is there for the next one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace qga::inline v0_1::testing::detail {

class RequestParser {
 public:
  /// What `next` gives where the parser was reset.
  static constexpr std::string_view reset = "\xFF";

  void add(std::string_view bytes) { input_ += bytes; }
  /// Drops all input that was not parsed yet.
  void clear() {
    at_ = input_.size();
    extract();
    recovers_ = false;
  }

  /// The next value, which is an object where the client made no mistake, or `reset`. The agent
  /// answers each of them.
  /// @return none: more input has to come
  std::optional<std::string> next() {
    while (at_ < input_.size()) {
      const char c = input_[at_];
      const bool starts = at_ == 0;
      if (recovers_) {
        recovers_ = c != '\xFF' && !is_control(c) && !is_structural(c);
        if (recovers_) {
          input_.erase(0, 1);
          continue;
        }
      }
      if (c == '\xFF' || (quoted_ && is_control(c)) || (!quoted_ && is_beyond_ascii(c))) {
        ++at_;
        extract();
        recovers_ = true;
        return std::string(reset);
      }
      if (quoted_) {
        ++at_;
        const bool closes = c == '"' && !escaped_;
        escaped_ = c == '\\' && !escaped_;
        quoted_ = !closes;
        if (closes && depth_ == 0) return extract();
      } else if (depth_ > 0) {
        ++at_;
        if (c == '"') quoted_ = true;
        if (c == '{' || c == '[') ++depth_;
        if ((c == '}' || c == ']') && --depth_ == 0) return extract();
      } else if (starts && (is_control(c) || c == ' ')) {
        input_.erase(0, 1);
      } else if (starts) {
        ++at_;
        quoted_ = c == '"';
        depth_ = c == '{' || c == '[' ? 1 : 0;
        if (!quoted_ && is_structural(c) && depth_ == 0) return extract();
      } else {  // a word or a number that is in no object, up to what ends it
        if (is_control(c) || c == ' ' || c == '"' || is_structural(c)) return extract();
        ++at_;
      }
    }
    return std::nullopt;
  }

 private:
  static bool is_beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }
  static bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20; }
  static bool is_structural(char c) {
    return c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':';
  }

  /// Removes what was parsed from the input and returns it.
  std::string extract() {
    std::string value = input_.substr(0, at_);
    input_.erase(0, at_);
    at_ = 0;
    depth_ = 0;
    quoted_ = escaped_ = false;
    return value;
  }

  std::string input_;
  std::size_t at_ = 0;  ///< up to here `input_` belongs to the value that is being parsed
  int depth_ = 0;
  bool quoted_ = false;
  bool escaped_ = false;
  bool recovers_ = false;  ///< the parser was reset and skips to where a value may begin
};

}  // namespace qga::inline v0_1::testing::detail
