// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The system calls on a channel's descriptor: reading and writing without blocking or raising
// SIGPIPE, and waiting with a deadline and a stop request. Both runners use these.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/error.hpp>

#include "qga/detail/protocol/stop.hpp"
#include "qga/detail/system.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

/// Duplicates a descriptor. A child process does not inherit the copy.
/// @throws std::system_error where the process has no descriptor left
inline OwnedDescriptor duplicate(int fd) {
  OwnedDescriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy.get() < 0) throw std::system_error(last_error());
  return copy;
}

/// An open descriptor that somebody else owns.
struct Descriptor {
  int fd = -1;
  bool is_socket = true;
};

/// How far a read or a write got: nothing done and no error means that it would block.
struct IoResult {
  std::size_t bytes = 0;
  std::error_code err = {};
};

/// Makes `fd` non-blocking, keeps it from child processes, and finds out what it is.
/// @throws std::system_error
inline Descriptor prepare_descriptor(int fd) {
  set_flags(fd);
  int type = 0;
  socklen_t size = sizeof type;
  const bool is_socket = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  if (is_socket) disable_sigpipe(fd);
  return {fd, is_socket};
}

inline bool would_block(int err) {
#if EAGAIN != EWOULDBLOCK
  if (err == EWOULDBLOCK) return true;
#endif
  return err == EAGAIN;
}

inline IoResult io_result(ssize_t result) {
  if (result >= 0) return {static_cast<std::size_t>(result)};
  if (would_block(errno)) return {};
  return {0, last_error()};
}

inline IoResult read_some(Descriptor from, std::span<char> to) {
  ssize_t result = 0;
  do {
    result = ::read(from.fd, to.data(), to.size());
  } while (result < 0 && errno == EINTR);
  // A pty whose other end is closed reports EIO.
  if (result == 0 || (result < 0 && errno == EIO)) return {0, asio::error::eof};
  return io_result(result);
}

inline IoResult write_some(Descriptor to, std::string_view from) {
  ssize_t result = 0;
  do {
    result = to.is_socket ? send_some(to.fd, from) : ::write(to.fd, from.data(), from.size());
  } while (result < 0 && errno == EINTR);
  return io_result(result);
}

// ---- waiting ---------------------------------------------------------------------------------

/// The timeout for `poll`, rounded up, so as not to spin before the deadline.
inline int milliseconds_until(Clock::time_point deadline, Clock::time_point now) {
  if (deadline == Clock::time_point::max()) return -1;
  if (deadline <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
}

/// Makes a stop request visible to `poll`. It costs nothing for a token that cannot be stopped.
class StopSignal {
 public:
  /// @throws std::system_error where the process has no descriptor left
  explicit StopSignal(const StopToken& token) {
    if (!token.stop_possible()) return;
    signal_.open();
    callback_.emplace(token, Wake{&signal_});
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The descriptor is readable once a stop is requested; -1: no stop can be requested.
  int fd() const { return signal_.fd(); }

 private:
  struct Wake {
    const WakeSignal* signal;
    void operator()() const noexcept { signal->set(); }
  };

  WakeSignal signal_;
  std::optional<StopCallback<Wake>> callback_;  // destroyed before the signal
};

/// Waits for `events` on `fd` (-1: for none), or for `wake` to become readable (-1: not). Returns
/// what happened on `fd`; 0 where the deadline passed, a signal came, or `wake` did.
inline short wait_for(int fd, short events, Clock::time_point deadline, Clock::time_point now,
                      int wake) {
  pollfd fds[2] = {{fd, events, 0}, {wake, POLLIN, 0}};
  const int ready = ::poll(fds, wake < 0 ? 1 : 2, milliseconds_until(deadline, now));
  return ready > 0 ? fds[0].revents : short{0};
}

}  // namespace qga::inline v0_1::detail
