// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The asynchronous driver: moves any number of calls of one session along, with one wait for
// reading, one for writing, and one timer. Its own state is guarded by the channel's mutex, so that
// a client may be used from several threads of a context; handlers run outside of it.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/execution/bad_executor.hpp>
#include <asio/execution/context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>

#include "qga/io/channel.hpp"
#include "qga/io/context.hpp"
#include "qga/io/farewell.hpp"
#include "qga/io/operation.hpp"

namespace qga::io {

/// A stream that can wait for readiness.
template <class Stream>
concept Waitable = requires(Stream& stream) {
  stream.async_wait(Stream::wait_read, [](std::error_code) {});
};

/// What has to be done before a channel is closed.
class ClosingHook {
 public:
  virtual void before_close() noexcept = 0;

 protected:
  ~ClosingHook() = default;
};

template <DescriptorStream Stream>
class AsyncChannel final : public Channel<Stream>,
                           public ContextUser,
                           public std::enable_shared_from_this<AsyncChannel<Stream>> {
 public:
  using executor_type = typename Stream::executor_type;

  using Channel<Stream>::Channel;
  ~AsyncChannel() {
    if (watch_ != nullptr) watch_->remove(*this);
  }

  /// The stream's executor. A channel that was opened without one is bound to that of the first
  /// asynchronous caller that joins it.
  template <class Caller>
  static executor_type executor_for(const std::shared_ptr<AsyncChannel>& channel,
                                    const Caller& caller, bool joined) {
    if (joined) {
      const std::lock_guard lock(channel->mutex_);
      if (channel->owned_.get() >= 0) {
        channel->bind(channel->stream_ ? channel->stream_->get_executor() : converted(caller));
      }
    }
    return channel && channel->stream_ ? channel->stream_->get_executor() : converted(caller);
  }

  /// Lets a call join, or says why it cannot.
  static std::exception_ptr join(const std::shared_ptr<AsyncChannel>& channel,
                                 std::string_view command) {
    if (!channel) return not_connected(command);
    return channel->Channel<Stream>::join() ? nullptr : busy(command);
  }

  /// Starts a call whose operation has joined the channel.
  void start(protocol::Call& call) {
    std::unique_lock lock(mutex_);
    if (!open_) {
      lock.unlock();
      call.fail(not_connected(call.command()));
      return operation_of(call).complete(true);
    }
    prepare_waiting();
    session_.submit(call);
    const auto now = Clock::now();
    if (call.deadline <= now) session_.expire(now);
    arm(call.deadline);
    go_on(lock, true);
  }

  /// Withdraws a call. Total cancellation promises no effect: only while nothing was sent.
  void cancel(protocol::Call& call, asio::cancellation_type type) {
    const auto self = this->shared_from_this();  // completing the call may let go of the channel
    std::unique_lock lock(mutex_);
    const auto effectful = asio::cancellation_type::terminal | asio::cancellation_type::partial;
    if ((type & effectful) == asio::cancellation_type::none && !session_.unsent(call)) return;
    session_.cancel(call);
    go_on(lock, true);
  }

  /// Runs a call to its end on this thread, whatever else is under way on the channel.
  void run_among_others(protocol::Call& call) {
    std::unique_lock lock(mutex_);
    if (!open_) return call.fail(not_connected(call.command()));
    session_.submit(call);
    protocol::Call* const calls[] = {&call};
    if (run_blocking(descriptor_, session_, calls, Clock::now(), {})) disconnect();
    go_on(lock, true);
  }

  void add(ClosingHook& hook) {
    const std::lock_guard lock(hooks_mutex_);
    hooks_.insert(&hook);
  }
  void remove(ClosingHook& hook) {
    const std::lock_guard lock(hooks_mutex_);
    hooks_.erase(&hook);
  }

  /// Ends every call with `CancelledError` and closes; leaves nothing unread behind.
  void close() {
    {
      const std::lock_guard hooks_lock(hooks_mutex_);
      for (ClosingHook* const hook : hooks_) hook->before_close();
      hooks_.clear();
    }
    std::unique_lock lock(mutex_);
    if (!open_) return;
    if (session_.owed() && descriptor_.is_socket) say_farewell();
    session_.template lost<CancelledError>("closed",
                                           std::make_error_code(std::errc::operation_canceled));
    disconnect();
    go_on(lock, true);
  }

 private:
  /// Waits for readiness: the stream itself, or (a serial port cannot) a duplicate that can.
  using Waiter = std::conditional_t<Waitable<Stream>, Stream, asio::posix::stream_descriptor>;

  using Channel<Stream>::descriptor_;
  using Channel<Stream>::mutex_;
  using Channel<Stream>::open_;
  using Channel<Stream>::owned_;
  using Channel<Stream>::session_;
  using Channel<Stream>::stream_;

  static Operation& operation_of(protocol::Call& call) {
    return *static_cast<Operation*>(call.operation);
  }

  /// A caller without an executor that can wait (a future has none) gets the system's threads.
  template <class Caller>
  static executor_type converted(const Caller& caller) {
    if constexpr (std::constructible_from<executor_type, const Caller&>) {
      return executor_type(caller);
    } else if constexpr (std::constructible_from<executor_type, asio::system_executor>) {
      return executor_type(asio::system_executor());
    } else {
      throw asio::execution::bad_executor();
    }
  }

  void bind(const executor_type& executor) {
    if constexpr (requires { typename Stream::endpoint_type; }) {
      typename Stream::endpoint_type local;
      auto size = static_cast<socklen_t>(local.capacity());
      ::getsockname(descriptor_.fd, local.data(), &size);
      stream_.emplace(executor, local.protocol(), owned_.release());
    } else {
      stream_.emplace(executor, owned_.release());
    }
  }

  void prepare_waiting() {
    if (watch_ != nullptr) return;
    timer_.emplace(stream_->get_executor());
    if constexpr (!Waitable<Stream>) {
      duplicate_.emplace(stream_->get_executor(), ::dup(descriptor_.fd));
    }
    watch_ = &asio::use_service<ContextWatch>(
        asio::query(stream_->get_executor(), asio::execution::context));
    watch_->add(*this);
  }

  Waiter& waiter() {
    if constexpr (Waitable<Stream>) {
      return *stream_;
    } else {
      return *duplicate_;
    }
  }

  /// Writes what can be written, waits for what is missing, hands over what is finished. Handlers
  /// start further calls, so whether anybody still waits is only known after them.
  void go_on(std::unique_lock<std::mutex>& lock, bool initiating) {
    pump();
    while (protocol::Call* const call = session_.finished()) {
      if (call->operation == nullptr) continue;  // of run_among_others
      lock.unlock();
      operation_of(*call).complete(initiating);
      lock.lock();
    }
    if (!session_.busy()) rest();
  }

  void pump() {
    if (open_ && session_.listens_first()) read();
    if (!open_) return;
    const auto now = Clock::now();
    for (;;) {
      const std::string_view out = session_.output(now);
      if (out.empty()) break;
      const auto [bytes, err] = write_some(descriptor_, out);
      if (err) {
        read_pending(descriptor_, session_, now);  // what was answered before it broke
        return lose<WriteError>("the channel broke", err);
      }
      session_.wrote(bytes);
      if (bytes < out.size()) {
        await(writing_, Waiter::wait_write);
        break;
      }
    }
    if (session_.wants_input()) await(reading_, Waiter::wait_read);
    arm(session_.repeats_at());
  }

  void await(bool& waiting, typename Waiter::wait_type what) {
    if (std::exchange(waiting, true)) return;
    waiter().async_wait(what, [self = this->shared_from_this(), what](std::error_code err) {
      self->on_ready(what, err);
    });
  }

  void on_ready(typename Waiter::wait_type what, std::error_code err) {
    std::unique_lock lock(mutex_);
    (what == Waiter::wait_read ? reading_ : writing_) = false;
    if (open_ && !err && what == Waiter::wait_read) read();
    go_on(lock, false);
  }

  void read() {
    const std::error_code err = read_pending(descriptor_, session_, Clock::now());
    if (err) lose<ReadError>("the channel ended", err);
  }

  void say_farewell() {
    if (watch_ == nullptr) return take_leave(descriptor_, Clock::now() + farewell_timeout);
    try {
      Farewell::begin(descriptor_.fd, stream_->get_executor());
    } catch (const std::exception&) {  // no descriptor or memory is left: then without
    }
  }

  template <class Error>
  void lose(std::string_view what, std::error_code err) {
    session_.template lost<Error>(what, err);
    disconnect();
  }

  void disconnect() {
    if constexpr (!Waitable<Stream>) {
      std::error_code ignored;
      if (duplicate_) duplicate_->close(ignored);
      if (watch_ != nullptr) std::exchange(watch_, nullptr)->remove(*this);
    }
    this->discard();
  }

  // ---- deadlines ---------------------------------------------------------------------------

  /// The timer is left alone while it fires early enough: calls in a row share one.
  void arm(Clock::time_point deadline) {
    if (deadline >= armed_) return;
    armed_ = deadline;
    timer_->expires_at(deadline);
    timer_->async_wait([self = this->shared_from_this()](std::error_code err) {
      if (!err) self->on_deadline();
    });
  }

  void on_deadline() {
    std::unique_lock lock(mutex_);
    armed_ = Clock::time_point::max();
    session_.expire(Clock::now());
    go_on(lock, false);
    if (timer_) arm(session_.next_deadline());
  }

  /// Nobody waits for anything: let the context run out of work.
  void rest() {
    session_.rest();
    if (armed_ != Clock::time_point::max()) {
      armed_ = Clock::time_point::max();
      timer_->cancel();
    }
    if ((reading_ || writing_) && open_) {
      std::error_code ignored;
      waiter().cancel(ignored);
    }
  }

  // ---- the end of the context --------------------------------------------------------------

  void context_gone() noexcept override {
    const auto self = this->weak_from_this().lock();
    if (!self) return;
    std::unique_lock lock(mutex_);
    watch_ = nullptr;
    armed_ = Clock::time_point::max();
    reading_ = writing_ = false;
    timer_.reset();
    duplicate_.reset();
    if constexpr (requires { stream_->release(); }) {
      if (open_ && owned_.get() < 0) owned_ = OwnedDescriptor(stream_->release());
      stream_.reset();
    }
    session_.template lost<CancelledError>("the context is gone", asio::error::operation_aborted);
    while (protocol::Call* const call = session_.finished()) {
      lock.unlock();
      delete &operation_of(*call);
      lock.lock();
    }
  }

  ContextWatch* watch_ = nullptr;
  std::optional<asio::steady_timer> timer_;
  Clock::time_point armed_ = Clock::time_point::max();
  std::optional<asio::posix::stream_descriptor> duplicate_;
  bool reading_ = false;
  bool writing_ = false;
  std::mutex hooks_mutex_;  ///< before `mutex_`
  std::unordered_set<ClosingHook*> hooks_;
};

}  // namespace qga::io
