// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Shows on a terminal how far a copy has got. The bar is that of Boost, which Debian 12 has.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include <unistd.h>
#include <boost/timer/progress_display.hpp>

#include "print.hpp"

namespace qga_tool {

class Progress {
 public:
  explicit Progress(bool wanted) : wanted_(wanted && ::isatty(STDERR_FILENO) != 0) {}

  /// Draws the bar, where the total is known.
  void show(std::uint64_t bytes, std::optional<std::uint64_t> total) {
    if (!wanted_ || !total || *total == 0) return;
    if (!bar_) bar_.emplace(*total, std::cerr, "");
    // The guest may send more bytes than it has announced, which the bar cannot show.
    const std::uint64_t reached = std::min<std::uint64_t>(bytes, bar_->expected_count());
    if (reached > bar_->count()) *bar_ += reached - bar_->count();
  }
  /// Draws a line about a copy whose end is not known, ten times a second at most.
  void show_files(std::uint64_t files, std::uint64_t bytes) {
    const auto now = qga::Clock::now();
    if (!wanted_ || now < next_line_) return;
    next_line_ = now + std::chrono::milliseconds(100);
    const std::string line = std::to_string(files) + " files, " + size_text(bytes);
    width_ = std::max(width_, line.size());
    std::cerr << '\r' << line << std::string(width_ - line.size(), ' ') << std::flush;
  }
  /// Ends the bar, and prints a line about the copy.
  void remark(const std::string& line) {
    end();
    if (wanted_) complain(line);
  }
  /// Ends the bar, of which a full one has done that itself, or removes the line.
  void end() {
    if (bar_ && bar_->count() < bar_->expected_count()) std::cerr << '\n';
    bar_.reset();
    if (const std::size_t width = std::exchange(width_, 0); width > 0) {
      std::cerr << '\r' << std::string(width, ' ') << '\r' << std::flush;
    }
  }
  ~Progress() { end(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  bool wanted_;
  std::optional<boost::timer::progress_display> bar_;
  qga::Clock::time_point next_line_;
  std::size_t width_ = 0;  ///< of the line; 0: there is none
};

}  // namespace qga_tool
