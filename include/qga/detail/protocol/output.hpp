// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The send buffer: what is to be written, and how much of it has reached the channel. Positions
// count all bytes that ever went out, so that they stay right while the buffer is emptied and cut.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/number.hpp"

namespace qga::inline v0_1::detail {

inline void append_id(std::string& out, std::uint64_t id) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, id).ptr;
  out += ",\"id\":";
  out.append(digits, end);
}

/// Appends a sync, but not its end.
/// @param command `guest-sync`, or `guest-sync-delimited` for a sentinel in front of the answer
inline void append_sync(std::string& out, std::string_view command, std::uint64_t sync_id) {
  ((out += "{\"execute\":\"") += command) += "\",\"arguments\":{\"id\":";
  out += std::to_string(sync_id);
  out += '}';
}

class Output {
 public:
  std::string_view unwritten() const { return std::string_view(text_).substr(at_); }
  bool all_written() const { return at_ == text_.size(); }

  std::uint64_t written() const { return base_ + at_; }
  std::uint64_t end() const { return base_ + text_.size(); }
  std::string_view from(std::uint64_t begin) const {
    return std::string_view(text_).substr(number_as<std::size_t>(begin - base_));
  }

  void wrote(std::size_t bytes) {
    at_ += bytes;
    if (all_written()) clear();
  }

  /// The buffer, to append to.
  std::string& text() { return text_; }

  /// Appends a request's text and leaves `request` empty, maybe with other memory.
  void append(std::string& request) {
    if (text_.empty()) {
      text_.swap(request);
    } else {
      text_ += request;
      request.clear();
    }
  }

  /// Drops the unwritten bytes behind `end`.
  void truncate(std::uint64_t end) { text_.resize(number_as<std::size_t>(end - base_)); }

  /// Drops all unwritten bytes.
  void clear() {
    base_ += at_;
    at_ = 0;
    text_.clear();
    if (text_.capacity() > large) text_.shrink_to_fit();
  }

 private:
  static constexpr std::size_t large = 4 << 20;

  std::string text_;
  std::size_t at_ = 0;      ///< bytes of `text_` that are written
  std::uint64_t base_ = 0;  ///< position of `text_`
};

}  // namespace qga::inline v0_1::detail
