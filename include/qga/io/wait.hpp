// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How the blocking driver waits: `poll` with a deadline, and a way to be woken by a stop request.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stop_token>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "qga/params.hpp"

namespace qga::io {

/// For `poll`: rounded up, so as not to spin before the deadline.
inline int milliseconds_until(Clock::time_point deadline, Clock::time_point now) {
  if (deadline == Clock::time_point::max()) return -1;
  if (deadline <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
}

/// Waits for `events` on `fd`, or for `wake` to become readable (-1: not). Returns what happened on
/// `fd`; 0 where the deadline passed, a signal came, or `wake` did.
inline short wait_for(int fd, short events, Clock::time_point deadline, Clock::time_point now,
                      int wake) {
  pollfd fds[2] = {{fd, events, 0}, {wake, POLLIN, 0}};
  const int ready = ::poll(fds, wake < 0 ? 1 : 2, milliseconds_until(deadline, now));
  return ready > 0 ? fds[0].revents : short{0};
}

inline short wait_for(int fd, short events, Clock::time_point deadline) {
  return wait_for(fd, events, deadline, Clock::now(), -1);
}

inline void wait_until(Clock::time_point time) {
  ::poll(nullptr, 0, milliseconds_until(time, Clock::now()));
}

/// Makes a stop request visible to `poll`. Costs nothing for a token that cannot be stopped.
class StopSignal {
 public:
  /// @throws std::system_error where the process has no descriptor left
  explicit StopSignal(const std::stop_token& token) {
    if (!token.stop_possible()) return;
    fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd_ < 0) throw std::system_error(errno, std::system_category());
    callback_.emplace(token, Wake{fd_});
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal() {
    callback_.reset();
    if (fd_ >= 0) ::close(fd_);
  }

  /// Readable once a stop is requested; -1 where none can be.
  int fd() const { return fd_; }

 private:
  struct Wake {
    int fd;
    void operator()() const noexcept {
      const std::uint64_t one = 1;
      static_cast<void>(!::write(fd, &one, sizeof one));
    }
  };

  int fd_ = -1;
  std::optional<std::stop_callback<Wake>> callback_;
};

}  // namespace qga::io
