// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Collects what a client traces.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "qga/params.hpp"

namespace qga_test {

class Lines {
 public:
  Lines() = default;
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  /// For `ClientParams`; this must outlive the client.
  qga::Trace trace() {
    return [this](qga::TraceDirection direction, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back({direction, std::string(line)});
    };
  }

  bool sent(std::string_view part) const { return seen(qga::TraceDirection::sent, part); }
  bool received(std::string_view part) const { return seen(qga::TraceDirection::received, part); }
  bool noted(std::string_view part) const { return seen(qga::TraceDirection::note, part); }
  bool any(std::string_view part) const { return sent(part) || received(part); }

 private:
  struct Line {
    qga::TraceDirection direction;
    std::string text;
  };

  bool seen(qga::TraceDirection direction, std::string_view part) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) {
      return line.direction == direction && line.text.find(part) != std::string::npos;
    });
  }

  mutable std::mutex mutex_;
  std::vector<Line> lines_;
};

}  // namespace qga_test
