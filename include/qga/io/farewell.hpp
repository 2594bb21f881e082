// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Leaving (leave.hpp) in the background of an executor, which has other guests to serve.
#pragma once

#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>
#include <asio/basic_waitable_timer.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include "qga/io/connect.hpp"
#include "qga/io/descriptor.hpp"
#include "qga/io/leave.hpp"
#include "qga/params.hpp"

namespace qga::io {

/// Where nobody runs the executor any more, its context blocks for what is left of the time when it
/// is destroyed.
template <class Executor>
class Farewell : public std::enable_shared_from_this<Farewell<Executor>> {
 public:
  /// Works on a duplicate of `socket`, which may be closed at once.
  /// @throws std::system_error where the process has no descriptor left
  static void begin(int socket, const Executor& executor) {
    ::shutdown(socket, SHUT_WR);
    OwnedDescriptor duplicate(::dup(socket));
    if (duplicate.get() < 0) throw std::system_error(last_error());
    const auto self = std::make_shared<Farewell>(std::move(duplicate), executor);
    const std::lock_guard lock(self->mutex_);
    self->timer_.async_wait([self](std::error_code) { self->end(); });
    self->listen();
  }

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
  asio::posix::basic_stream_descriptor<Executor> socket_;
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> timer_;
};

}  // namespace qga::io
