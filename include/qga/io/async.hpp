// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The asynchronous driver: moves any number of calls of one session along, with one wait for
// reading, one for writing, and one timer. Its state is guarded by the channel's mutex, so that a
// client may be used from several threads of a context; handlers run outside of it.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>
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

/// Of one channel; made by its first asynchronous call, or with the stream that a user gave.
template <class Stream>
class AsyncDriver final : public Driver, private ContextUser {
 public:
  using Channel = io::Channel<Stream>;
  using executor_type = typename Stream::executor_type;

  explicit AsyncDriver(Channel& channel) : channel_(channel) {}
  ~AsyncDriver() override {
    if (watch_ != nullptr) watch_->remove(*this);
  }

  /// Takes over a connected stream. @throws std::system_error
  static void attach(Channel& channel, Stream stream) {
    const std::lock_guard lock(channel.mutex_);
    channel.descriptor_ = prepare_descriptor(stream.native_handle());
    made_for(channel).stream_.emplace(std::move(stream));
    channel.open_ = true;
  }

  /// Gives the channel an executor, but no connection.
  static void use_executor(Channel& channel, const executor_type& executor) {
    made_for(channel).stream_.emplace(executor);
  }
  /// Nothing where no call and no user told which it is.
  static std::optional<executor_type> executor_of(Channel& channel) {
    if (!channel.driver_ || !of(channel).stream_) return {};
    return of(channel).stream_->get_executor();
  }

  /// The stream's executor. A channel that was opened without one is bound to that of the first
  /// asynchronous caller that joins it.
  template <class Caller>
  static executor_type executor_for(const std::shared_ptr<Channel>& channel, const Caller& caller,
                                    bool joined) {
    if (joined) {
      const std::lock_guard lock(channel->mutex_);
      if (channel->owned_.get() >= 0) {
        const auto known = executor_of(*channel);
        made_for(*channel).bind(known ? *known : converted(caller));
      }
    }
    const auto known = channel ? executor_of(*channel) : std::nullopt;
    return known ? *known : converted(caller);
  }

  /// Starts a call whose operation has joined the channel.
  static void start(Channel& channel, protocol::Call& call) {
    std::unique_lock lock(channel.mutex_);
    if (channel.open_) return of(channel).start(call, lock);
    lock.unlock();
    call.fail(not_connected(call.command()));
    operation_of(call).complete(true);
  }

  /// Withdraws a call. Total cancellation promises no effect: only while nothing was sent.
  /// @param channel by value: completing the call may let go of it
  static void cancel(std::shared_ptr<Channel> channel, protocol::Call& call,
                     asio::cancellation_type type) {
    std::unique_lock lock(channel->mutex_);
    const auto effectful = asio::cancellation_type::terminal | asio::cancellation_type::partial;
    if ((type & effectful) == asio::cancellation_type::none && !channel->session_.unsent(call)) {
      return;
    }
    channel->session_.cancel(call);
    channel->hand_over(lock);
  }

 private:
  /// Waits for readiness: the stream itself, or (a serial port cannot) a duplicate that can.
  using Waiter = std::conditional_t<Waitable<Stream>, Stream, asio::posix::stream_descriptor>;

  static AsyncDriver& of(Channel& channel) { return static_cast<AsyncDriver&>(*channel.driver_); }
  static AsyncDriver& made_for(Channel& channel) {
    if (!channel.driver_) channel.driver_ = std::make_unique<AsyncDriver>(channel);
    return of(channel);
  }

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
      ::getsockname(channel_.descriptor_.fd, local.data(), &size);
      stream_.emplace(executor, local.protocol(), channel_.owned_.release());
    } else {
      stream_.emplace(executor, channel_.owned_.release());
    }
  }

  void start(protocol::Call& call, std::unique_lock<std::mutex>& lock) {
    prepare_waiting();
    channel_.session_.submit(call);
    const auto now = Clock::now();
    if (call.deadline <= now) channel_.session_.expire(now);
    arm(call.deadline);
    go_on(lock, true);
  }

  void prepare_waiting() {
    if (watch_ != nullptr) return;
    timer_.emplace(stream_->get_executor());
    if constexpr (!Waitable<Stream>) {
      duplicate_.emplace(stream_->get_executor(), ::dup(channel_.descriptor_.fd));
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
  void go_on(std::unique_lock<std::mutex>& lock, bool initiating) override {
    pump();
    while (protocol::Call* const call = channel_.session_.finished()) {
      if (call->operation == nullptr) continue;  // of run_among_others
      lock.unlock();
      operation_of(*call).complete(initiating);
      lock.lock();
    }
    if (!channel_.session_.busy()) rest();
  }

  void pump() {
    if (channel_.open_ && channel_.session_.listens_first()) read();
    if (!channel_.open_) return;
    const auto now = Clock::now();
    for (;;) {
      const std::string_view out = channel_.session_.output(now);
      if (out.empty()) break;
      const auto [bytes, err] = write_some(channel_.descriptor_, out);
      if (err) {
        // What was answered before it broke.
        read_pending(channel_.descriptor_, channel_.session_, now);
        return lose(protocol::make_error<WriteError>, "the channel broke", err);
      }
      channel_.session_.wrote(bytes);
      if (bytes < out.size()) {
        await(writing_, Waiter::wait_write);
        break;
      }
    }
    if (channel_.session_.wants_input()) await(reading_, Waiter::wait_read);
    arm(channel_.session_.repeats_at());
  }

  void await(bool& waiting, typename Waiter::wait_type what) {
    if (std::exchange(waiting, true)) return;
    waiter().async_wait(what, [this, alive = channel_.shared_from_this(),
                               what](std::error_code err) { on_ready(what, err); });
  }

  void on_ready(typename Waiter::wait_type what, std::error_code err) {
    std::unique_lock lock(channel_.mutex_);
    (what == Waiter::wait_read ? reading_ : writing_) = false;
    if (channel_.open_ && !err && what == Waiter::wait_read) read();
    go_on(lock, false);
  }

  void read() {
    const std::error_code err = read_pending(channel_.descriptor_, channel_.session_, Clock::now());
    if (err) lose(protocol::make_error<ReadError>, "the channel ended", err);
  }

  void take_leave() noexcept override {
    if (watch_ == nullptr) {
      return io::take_leave(channel_.descriptor_, Clock::now() + farewell_timeout);
    }
    try {
      Farewell<executor_type>::begin(channel_.descriptor_.fd, stream_->get_executor());
    } catch (const std::exception&) {  // no descriptor or memory is left: then without
    }
  }

  void lose(protocol::MakeError make, std::string_view what, std::error_code err) {
    channel_.session_.lost(make, what, err);
    channel_.discard();
  }

  void discard() noexcept override {
    std::error_code ignored;
    if constexpr (!Waitable<Stream>) {
      if (duplicate_) duplicate_->close(ignored);
      if (watch_ != nullptr) std::exchange(watch_, nullptr)->remove(*this);
    }
    if (stream_) stream_->close(ignored);
  }

  // ---- deadlines ---------------------------------------------------------------------------

  /// The timer is left alone while it fires early enough: calls in a row share one.
  void arm(Clock::time_point deadline) {
    if (deadline >= armed_) return;
    armed_ = deadline;
    timer_->expires_at(deadline);
    timer_->async_wait([this, alive = channel_.shared_from_this()](std::error_code err) {
      if (!err) on_deadline();
    });
  }

  void on_deadline() {
    std::unique_lock lock(channel_.mutex_);
    armed_ = Clock::time_point::max();
    channel_.session_.expire(Clock::now());
    go_on(lock, false);
    if (timer_) arm(channel_.session_.next_deadline());
  }

  /// Nobody waits for anything: let the context run out of work.
  void rest() {
    channel_.session_.rest();
    if (armed_ != Clock::time_point::max()) {
      armed_ = Clock::time_point::max();
      timer_->cancel();
    }
    if ((reading_ || writing_) && channel_.open_) {
      std::error_code ignored;
      waiter().cancel(ignored);
    }
  }

  // ---- the end of the context --------------------------------------------------------------

  void context_gone() noexcept override {
    const auto alive = channel_.weak_from_this().lock();
    if (!alive) return;
    std::unique_lock lock(channel_.mutex_);
    watch_ = nullptr;
    armed_ = Clock::time_point::max();
    reading_ = writing_ = false;
    timer_.reset();
    duplicate_.reset();
    if constexpr (requires { stream_->release(); }) {
      if (channel_.open_ && channel_.owned_.get() < 0)
        channel_.owned_ = OwnedDescriptor(stream_->release());
      stream_.reset();
    }
    channel_.session_.lost(protocol::make_error<CancelledError>, "the context is gone",
                           asio::error::operation_aborted);
    while (protocol::Call* const call = channel_.session_.finished()) {
      lock.unlock();
      delete &operation_of(*call);
      lock.lock();
    }
  }

  Channel& channel_;
  std::optional<Stream> stream_;
  ContextWatch* watch_ = nullptr;
  std::optional<asio::steady_timer> timer_;
  Clock::time_point armed_ = Clock::time_point::max();
  std::optional<asio::posix::stream_descriptor> duplicate_;
  bool reading_ = false;
  bool writing_ = false;
};

}  // namespace qga::io
