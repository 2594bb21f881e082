// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How far a copy has got, on a terminal. The bar is Boost's: Debian 12 has no other for C++.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>

#include <unistd.h>
#include <boost/timer/progress_display.hpp>

#include "print.hpp"

namespace qga_tool {

class Progress {
 public:
  explicit Progress(bool wanted) : wanted_(wanted && ::isatty(STDERR_FILENO) != 0) {}

  /// Without a total there is no bar.
  void show(std::uint64_t bytes, std::optional<std::uint64_t> total) {
    if (!wanted_ || !total || *total == 0) return;
    if (!bar_) bar_.emplace(*total, std::cerr, "");
    // A bar draws what it is told, and the guest may send more than it has announced.
    const std::uint64_t reached = std::min<std::uint64_t>(bytes, bar_->expected_count());
    if (reached > bar_->count()) *bar_ += reached - bar_->count();
  }
  /// What it came to.
  void remark(const std::string& line) {
    end();
    if (wanted_) complain(line);
  }
  ~Progress() { end(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  /// A bar that is full has ended its line itself.
  void end() {
    if (bar_ && bar_->count() < bar_->expected_count()) std::cerr << '\n';
    bar_.reset();
  }

  bool wanted_;
  std::optional<boost::timer::progress_display> bar_;
};

}  // namespace qga_tool
