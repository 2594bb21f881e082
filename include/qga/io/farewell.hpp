// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Leaving while replies are due. An agent on a listening socket may exit when a client closes with
// replies unread: it is told that no more is coming, and what it still says is read and dropped.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include "qga/io/connect.hpp"
#include "qga/io/descriptor.hpp"
#include "qga/io/wait.hpp"
#include "qga/params.hpp"

namespace qga::io {

inline constexpr Clock::duration farewell_timeout = std::chrono::milliseconds(100);

/// Drops what is there, within reason. False: the peer has said everything.
inline bool drop_pending(Descriptor from) {
  constexpr int reads_in_a_row = 16;
  char unread[4096];
  for (int i = 0; i < reads_in_a_row; ++i) {
    const auto [bytes, err] = read_some(from, unread);
    if (err) return false;
    if (bytes == 0) break;
  }
  return true;
}

/// Blocks until the peer has said everything, or until `deadline`.
inline void take_leave(Descriptor from, Clock::time_point deadline) {
  ::shutdown(from.fd, SHUT_WR);
  while (drop_pending(from) && Clock::now() < deadline) wait_for(from.fd, POLLIN, deadline);
}

/// The same in the background of an executor, which has other guests to serve. Where nobody runs it
/// any more, its context blocks for what is left of the time when it is destroyed.
class Farewell : public std::enable_shared_from_this<Farewell> {
 public:
  /// Works on a duplicate of `socket`, which may be closed at once.
  /// @throws std::system_error where the process has no descriptor left
  template <class Executor>
  static void begin(int socket, const Executor& executor) {
    ::shutdown(socket, SHUT_WR);
    OwnedDescriptor duplicate(::dup(socket));
    if (duplicate.get() < 0) throw std::system_error(last_error());
    const auto self = std::make_shared<Farewell>(std::move(duplicate), executor);
    const std::lock_guard lock(self->mutex_);
    self->timer_.async_wait([self](std::error_code) { self->end(); });
    self->listen();
  }

  template <class Executor>
  Farewell(OwnedDescriptor socket, const Executor& executor)
      : deadline_(Clock::now() + farewell_timeout),
        socket_(executor, socket.get()),
        timer_(executor, deadline_) {
    socket.release();
  }
  ~Farewell() {
    if (socket_.is_open()) take_leave({socket_.native_handle()}, deadline_);
  }

 private:
  void listen() {
    if (!drop_pending({socket_.native_handle()})) {
      timer_.cancel();
      return;
    }
    socket_.async_wait(socket_.wait_read, [self = this->shared_from_this()](std::error_code err) {
      const std::lock_guard lock(self->mutex_);
      if (!err && self->socket_.is_open()) self->listen();
    });
  }

  void end() {
    const std::lock_guard lock(mutex_);
    std::error_code ignored;
    socket_.close(ignored);
  }

  const Clock::time_point deadline_;
  std::mutex mutex_;  ///< a context may run handlers on several threads
  asio::posix::stream_descriptor socket_;
  asio::steady_timer timer_;
};

}  // namespace qga::io
