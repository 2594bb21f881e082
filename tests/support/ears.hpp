// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How qemu-ga hears: a stream of values, however they are cut. A byte 0xFF, or whatever else JSON
// does not know, resets the parser, which then skips to where something may begin. What one client
// leaves half said is there for the next one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace qga_test {

class Ears {
 public:
  void add(std::string_view bytes) { input_ += bytes; }
  void forget() {
    at_ = input_.size();
    take();
    recovers_ = false;
  }

  /// The next value, which is an object where the client made no mistake; "\xFF" where the parser
  /// was reset. Each gets an answer. None: more has to come.
  std::optional<std::string> next() {
    while (at_ < input_.size()) {
      const char c = input_[at_];
      const bool starts = at_ == 0;
      if (recovers_) {
        recovers_ = c != '\xFF' && !control(c) && !structural(c);
        if (recovers_) {
          input_.erase(0, 1);
          continue;
        }
      }
      if (c == '\xFF' || (quoted_ && control(c)) || (!quoted_ && c < 0)) {
        ++at_;
        take();
        recovers_ = true;
        return "\xFF";
      }
      if (quoted_) {
        ++at_;
        const bool closes = c == '"' && !escaped_;
        escaped_ = c == '\\' && !escaped_;
        quoted_ = !closes;
        if (closes && depth_ == 0) return take();
      } else if (depth_ > 0) {
        ++at_;
        if (c == '"') quoted_ = true;
        if (c == '{' || c == '[') ++depth_;
        if ((c == '}' || c == ']') && --depth_ == 0) return take();
      } else if (starts && (control(c) || c == ' ')) {
        input_.erase(0, 1);
      } else if (starts) {
        ++at_;
        quoted_ = c == '"';
        depth_ = c == '{' || c == '[' ? 1 : 0;
        if (!quoted_ && structural(c) && depth_ == 0) return take();
      } else {  // a word or a number at the top, up to what ends it
        if (control(c) || c == ' ' || c == '"' || structural(c)) return take();
        ++at_;
      }
    }
    return std::nullopt;
  }

 private:
  static bool control(char c) { return c >= 0 && c < ' '; }
  static bool structural(char c) {
    return c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':';
  }

  std::string take() {
    std::string taken = input_.substr(0, at_);
    input_.erase(0, at_);
    at_ = 0;
    depth_ = 0;
    quoted_ = escaped_ = false;
    return taken;
  }

  std::string input_;  ///< not yet taken apart
  std::size_t at_ = 0;
  int depth_ = 0;
  bool quoted_ = false;
  bool escaped_ = false;
  bool recovers_ = false;  ///< after a reset
};

}  // namespace qga_test
