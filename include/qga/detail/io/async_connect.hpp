// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Connects without blocking: the steps of connect.hpp under an event loop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/basic_waitable_timer.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/context_shutdown.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

/// The thread that looks names up, because `getaddrinfo` blocks. It starts with the first name.
inline asio::thread_pool& lookup_thread() {
  static asio::thread_pool pool(1);
  return pool;
}

template <class Executor>
class AsyncConnect final : public Connecting,
                           public std::enable_shared_from_this<AsyncConnect<Executor>>,
                           private ContextUser {
 public:
  /// Is called once, on the executor, under no lock: with a connected descriptor or an error.
  using Done = std::function<void(std::error_code, OwnedDescriptor)>;

  AsyncConnect(Target target, Clock::time_point deadline, const Executor& executor, Done done)
      : ContextUser(executor),
        target_(std::move(target)),
        deadline_(deadline),
        executor_(executor),
        timer_(std::in_place, executor),
        done_(std::move(done)) {}

  void start() {
    if (!target_.lookup) {
      addresses_ = target_.addresses;
      return asio::post(*executor_, [self = this->shared_from_this()] { self->resume({}); });
    }
    work_.emplace(*executor_);
    asio::post(lookup_thread(), [self = this->shared_from_this()] { self->look_up(); });
    const std::lock_guard lock(mutex_);
    arm(deadline_);
  }

  void cancel() override { give_up(std::make_error_code(std::errc::operation_canceled)); }

 private:
  using Next = ConnectStep::Next;
  using Socket = asio::posix::basic_stream_descriptor<Executor>;
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

  void look_up() {
    std::vector<SocketAddress> found;
    std::error_code failed;
    try {
      found = target_.lookup();
    } catch (const std::system_error& error) {
      failed = error.code();
    }
    const std::lock_guard lock(mutex_);
    if (!executor_) return;  // its context has gone meanwhile
    addresses_ = std::move(found);
    if (failed) gave_up_ = failed;
    asio::post(*executor_, [self = this->shared_from_this()] { self->resume({}); });
    work_.reset();
  }

  /// The handler is dropped, as Asio does. A look-up may still go on.
  void on_context_shutdown() noexcept override {
    const auto alive = this->weak_from_this().lock();
    if (!alive) return;
    Done dropped;  // outside of the lock
    const std::unique_lock lock(mutex_);
    dropped = std::exchange(done_, {});
    socket_.reset();
    timer_.reset();
    work_.reset();
    executor_.reset();
  }

  /// Ends the attempt, by ending the wait under way.
  void give_up(std::error_code why) {
    const std::lock_guard lock(mutex_);
    if (!executor_) return;
    if (!gave_up_) gave_up_ = why;
    timer_->cancel();
    std::error_code ignored;
    if (socket_) socket_->cancel(ignored);
    if (target_.lookup && !socket_) {  // a look-up cannot be ended: its result is ignored
      asio::post(*executor_, [self = this->shared_from_this()] { self->resume({}); });
    }
  }

  /// Does the next step: at the start, after the look-up and after each wait.
  void resume(std::error_code waited) {
    std::unique_lock lock(mutex_);
    if (!done_) return;
    if (gave_up_) return finish(lock, gave_up_);
    if (!socket_) return next(lock, {});
    const int fd = socket_->native_handle();
    if (step_.next == Next::retry) {
      proceed(lock, connect_step(fd, addresses_[at_ - 1]));
    } else if (waited) {  // the time of this address is over
      next(lock, std::make_error_code(std::errc::timed_out));
    } else {
      proceed(lock, {Next::done, connect_result(fd)});
    }
  }

  /// Tries the next address. @param failed the error of the one before
  void next(std::unique_lock<std::mutex>& lock, std::error_code failed) {
    socket_.reset();
    if (at_ == addresses_.size()) {
      return finish(lock, failed ? failed : std::error_code(asio::error::host_not_found));
    }
    const SocketAddress& address = addresses_[at_];
    until_ = share_of(deadline_, addresses_.size() - at_, Clock::now());
    ++at_;
    try {
      OwnedDescriptor opened = open_for(address);
      socket_.emplace(*executor_, opened.get());
      opened.release();
    } catch (const std::system_error& error) {
      return next(lock, error.code());
    }
    proceed(lock, connect_step(socket_->native_handle(), address));
  }

  void proceed(std::unique_lock<std::mutex>& lock, ConnectStep step) {
    step_ = step;
    if (step.next != Next::done && Clock::now() >= until_) {
      step_ = {Next::done, std::make_error_code(std::errc::timed_out)};
    }
    if (step_.next == Next::wait_writable) {
      arm(until_);
      socket_->async_wait(Socket::wait_write, [self = this->shared_from_this()](
                                                  std::error_code err) { self->resume(err); });
    } else if (step_.next == Next::retry) {
      timer_->expires_at(std::min(until_, Clock::now() + connect_retry));
      timer_->async_wait([self = this->shared_from_this()](std::error_code) { self->resume({}); });
    } else if (step_.err) {
      next(lock, step_.err);
    } else {
      finish(lock, step_.err);
    }
  }

  /// Ends the wait for the socket when the time is up.
  void arm(Clock::time_point until) {
    if (until == Clock::time_point::max()) return;
    timer_->expires_at(until);
    timer_->async_wait([self = this->shared_from_this(), until](std::error_code err) {
      if (err) return;
      const std::lock_guard lock(self->mutex_);
      std::error_code ignored;
      if (self->socket_) self->socket_->cancel(ignored);
      if (until == self->deadline_ && !self->gave_up_) {
        self->gave_up_ = std::make_error_code(std::errc::timed_out);
      }
      if (!self->socket_) asio::post(*self->executor_, [self] { self->resume({}); });
    });
  }

  void finish(std::unique_lock<std::mutex>& lock, std::error_code err) {
    timer_->cancel();
    OwnedDescriptor connected;
    if (socket_ && !err) connected = OwnedDescriptor(socket_->release());
    socket_.reset();
    const Done done = std::exchange(done_, {});
    lock.unlock();
    done(err, std::move(connected));
  }

  const Target target_;
  const Clock::time_point deadline_;
  std::mutex mutex_;                  ///< guards all below; handlers may run on several threads
  std::optional<Executor> executor_;  ///< none: its context is gone
  std::optional<asio::executor_work_guard<Executor>> work_;  ///< while a name is looked up
  std::vector<SocketAddress> addresses_;
  std::size_t at_ = 0;            ///< the index of the next address
  Clock::time_point until_ = {};  ///< the deadline of the address that is tried
  std::optional<Socket> socket_;
  std::optional<Timer> timer_;
  ConnectStep step_;
  std::error_code gave_up_;
  Done done_;
};

}  // namespace qga::inline v0_1::detail
