// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The standard input of a program of a faked guest: a pipe, and the agent's handle that writes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "qga/testing/detail/arguments.hpp"

namespace qga::inline v0_1::testing::detail {

/// A pipe of Linux, which has 16 pages. What does not fit into the rest of a page begins another
/// one, so that less than 64 KiB can be in it.
struct Pipe {
  static constexpr std::size_t page = 4096;  ///< so much goes into it at once or not at all, too

  std::string bytes = {};  ///< that the program has not read yet
  bool closed = false;     ///< nothing more is written

  /// @return how many of the bytes were taken
  std::size_t put(std::string_view piece) {
    if (bytes.empty()) used_ = 0;
    const std::size_t rest = (page - used_ % page) % page;
    const std::size_t begin = piece.size() % page <= rest ? used_ : used_ + rest;
    std::size_t taken = std::min(piece.size(), size - std::min(begin, size));
    if (taken < piece.size() && piece.size() <= page) taken = 0;
    bytes += piece.substr(0, taken);
    if (taken > 0) used_ = begin + taken;
    return taken;
  }

 private:
  static constexpr std::size_t size = 16 * page;
  std::size_t used_ = 0;  ///< with what is lost at the ends of pages
};

/// The agent has a buffer before the pipe, and does not wait where the pipe is full.
class PipeWriter {
 public:
  explicit PipeWriter(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}

  /// @return how many bytes were taken
  std::size_t write(std::string_view piece) {
    unsent_ += piece;
    if (std::exchange(failed_, false) || (unsent_.size() > Pipe::page && !send())) {
      unsent_.clear();
      throw CommandFailed("failed to write to file: Resource temporarily unavailable");
    }
    return piece.size();
  }
  /// What cannot be sent is thrown away, and the next write fails, too.
  void flush() {
    if (send()) return;
    unsent_.clear();
    failed_ = true;
    throw CommandFailed("failed to flush file: Resource temporarily unavailable");
  }
  void close() {
    send();
    pipe_->closed = true;
  }

 private:
  /// @return whether all was sent
  bool send() {
    unsent_.erase(0, pipe_->put(unsent_));
    return unsent_.empty();
  }

  std::shared_ptr<Pipe> pipe_;
  std::string unsent_;
  bool failed_ = false;
};

}  // namespace qga::inline v0_1::testing::detail
