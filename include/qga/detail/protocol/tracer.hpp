// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Collects the lines of a trace while a connection is locked. They are given to the user's function
// after it is unlocked, because no user code runs under a lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/redact.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

class Tracer {
 public:
  explicit Tracer(Trace trace) : trace_(std::move(trace)) {}

  void record(TraceDirection direction, std::string_view lines) {
    while (trace_ && !lines.empty()) {
      const std::size_t length = std::min(lines.find('\n'), lines.size());
      collected_ += static_cast<char>(direction);
      (collected_ += redacted(lines.substr(0, length))) += '\n';
      lines.remove_prefix(std::min(length + 1, lines.size()));
    }
  }

  bool has_lines() const { return !collected_.empty(); }

  /// Gives the lines to the user's function, outside of the lock and in their order. Where another
  /// thread does this already, that thread delivers these lines, too.
  void deliver(std::unique_lock<std::mutex>& lock) {
    if (std::exchange(delivering_, true)) return;
    while (!collected_.empty()) {
      const std::string lines = std::exchange(collected_, std::string());
      lock.unlock();
      for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = lines.find('\n', at);
        const auto direction = static_cast<TraceDirection>(lines[at]);
        tell(direction, std::string_view(lines).substr(at + 1, end - at - 1));
        at = end + 1;
      }
      lock.lock();
    }
    delivering_ = false;
  }

 private:
  void tell(TraceDirection direction, std::string_view line) const {
    try {
      trace_(direction, line);
    } catch (...) {
      // An exception from a trace function must not lose a reply.
    }
  }

  const Trace trace_;
  std::string collected_;  ///< lines, each with its direction in front
  bool delivering_ = false;
};

}  // namespace qga::inline v0_1::detail
