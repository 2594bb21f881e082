// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The receive buffer: splits the input into lines and sentinels (0xFF), within a limit. While it
// looks for a sentinel it keeps nothing, so garbage of any length costs no memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace qga::inline v0_1::detail {

class Reader {
 public:
  enum class Item {
    none,      ///< more bytes are needed
    line,      ///< a line that is not blank: `line()`, valid until the next call
    sentinel,  ///< a byte 0xFF; `cut()` tells whether it was within a line
    overflow,  ///< a line is longer than the limit; its rest will be skipped
  };

  explicit Reader(std::size_t first_read) : first_read_(std::max<std::size_t>(first_read, 1)) {}

  /// Where the next bytes go; never empty.
  std::span<char> space() {
    if (end_ == capacity_) {
      if (begin_ > 0) {
        move_to_front();
      } else {
        resize(capacity_ == 0 ? first_read_ : capacity_ * 2);
      }
    }
    return {data_.get() + end_, capacity_ - end_};
  }

  void received(std::size_t bytes) { end_ += bytes; }

  /// True: drop everything up to the next sentinel.
  void hunt(bool hunting) { hunting_ = hunting; }

  /// What comes next. @param limit the longest line that is kept, in bytes
  Item next(std::size_t limit) {
    for (;;) {
      const std::size_t until = hunting_ ? end_ : next_newline();
      const char* const sentinel = find(data_.get() + scanned_, until - scanned_, '\xFF');
      if (sentinel != nullptr) {
        cut_ = !hunting_ && (skipping_ || offset(sentinel) > begin_);
        skipping_ = false;
        consume(offset(sentinel) + 1);
        return Item::sentinel;
      }
      if (!hunting_ && until < end_) {
        line_ = {data_.get() + begin_, until - begin_};
        consume(until + 1);
        if (std::exchange(skipping_, false)) continue;
        note_size(line_.size());
        if (line_.size() > limit) return Item::overflow;
        if (line_.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        return Item::line;
      }
      scanned_ = end_;
      if (hunting_ || skipping_) {
        consume(end_);
      } else if (end_ - begin_ > limit) {
        skipping_ = true;
        consume(end_);
        release();
        return Item::overflow;
      }
      if (begin_ == end_) release();
      return Item::none;
    }
  }

  /// True in the middle of a line.
  bool pending() const { return begin_ != end_ || skipping_; }

  std::string_view line() const { return line_; }
  bool cut() const { return cut_; }

  /// Releases a buffer larger than `little`, because no reply is expected for a while.
  void release_memory() {
    if (!pending() && capacity_ > std::max(little, first_read_)) release_buffer();
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  /// A buffer larger than `large` is released as soon as it is empty, because mapping it again
  /// costs little beside filling it. One larger than `small` is released after some small lines,
  /// and one larger than `little` when the client is idle.
  static constexpr std::size_t large = 4 << 20;
  static constexpr std::size_t small = 64 << 10;
  static constexpr std::size_t little = 8 << 10;
  static constexpr int small_lines_needed = 16;

  static const char* find(const char* from, std::size_t size, char wanted) {
    return size == 0 ? nullptr : static_cast<const char*>(std::memchr(from, wanted, size));
  }
  std::size_t offset(const char* at) const { return static_cast<std::size_t>(at - data_.get()); }

  /// The first newline in what is not scanned yet; `end_` where there is none. It is remembered, so
  /// that a flood of sentinels does not look for it again and again.
  std::size_t next_newline() {
    const std::size_t from = std::max(newline_, scanned_);
    const char* const newline = find(data_.get() + from, end_ - from, '\n');
    newline_ = newline != nullptr ? offset(newline) : end_;
    return newline_;
  }

  void consume(std::size_t until) { begin_ = scanned_ = until; }

  void note_size(std::size_t bytes) { small_lines_ = bytes > capacity_ / 8 ? 0 : small_lines_ + 1; }

  void release() {
    begin_ = end_ = scanned_ = newline_ = 0;
    if (capacity_ > std::max(large, first_read_) ||
        (capacity_ > std::max(small, first_read_) && small_lines_ >= small_lines_needed)) {
      release_buffer();
    }
  }

  void release_buffer() {
    data_.reset();
    capacity_ = begin_ = end_ = scanned_ = newline_ = 0;
  }

  void move_to_front() {
    std::memmove(data_.get(), data_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    newline_ = scanned_;
    begin_ = 0;
  }

  void resize(std::size_t capacity) {
    // realloc moves a large block by its page tables, without touching the bytes.
    char* const grown = static_cast<char*>(std::realloc(data_.get(), capacity));
    if (grown == nullptr) throw std::bad_alloc();
    static_cast<void>(data_.release());
    data_.reset(grown);
    capacity_ = capacity;
  }

  std::unique_ptr<char, Free> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;    ///< of the line under way
  std::size_t scanned_ = 0;  ///< no newline or sentinel before this
  std::size_t newline_ = 0;  ///< none between `scanned_` and this
  std::size_t end_ = 0;
  std::size_t first_read_;
  std::string_view line_ = {};
  int small_lines_ = 0;
  bool hunting_ = false;
  bool skipping_ = false;
  bool cut_ = false;
};

}  // namespace qga::inline v0_1::detail
