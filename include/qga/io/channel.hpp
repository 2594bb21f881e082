// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One connection: who owns its descriptor, who may use it just now, and how it is closed. Carries
// blocking calls; asynchronous ones go through the AsyncDriver that the first of them gives it.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "qga/io/blocking.hpp"
#include "qga/io/connect.hpp"
#include "qga/io/descriptor.hpp"
#include "qga/io/leave.hpp"
#include "qga/protocol/session.hpp"

namespace qga::io {

/// A connected Asio stream over a descriptor: a socket of any protocol, a serial port, a POSIX
/// stream descriptor.
template <class T>
concept DescriptorStream = std::move_constructible<T> && requires(T& stream, std::error_code& err) {
  typename T::executor_type;
  { stream.native_handle() } -> std::convertible_to<int>;
  stream.get_executor();
  stream.close(err);
};

/// What a stream is connected to; a terminal has nothing of the kind.
template <class Stream>
struct EndpointOf {
  using type = std::monostate;
};
template <class Stream>
requires requires { typename Stream::endpoint_type; }
struct EndpointOf<Stream> {
  using type = typename Stream::endpoint_type;
};

inline std::exception_ptr not_connected(std::string_view command) {
  return protocol::make_error<ConnectError>(command, "not connected", Outcome::not_sent,
                                            std::make_error_code(std::errc::not_connected));
}

inline std::exception_ptr busy(std::string_view command) {
  return protocol::make_error<RequestError>(
      command, "another call is using the client", Outcome::not_sent,
      std::make_error_code(std::errc::device_or_resource_busy));
}

/// What has to be done before a channel is closed.
class ClosingHook {
 public:
  virtual void before_close() noexcept = 0;

 protected:
  ~ClosingHook() = default;
};

/// What a channel knows of its asynchronous driver. Only who uses completion tokens pays for more
/// than this, in memory and in compile time.
class Driver {
 public:
  virtual ~Driver() = default;

  /// Closes the stream.
  virtual void discard() noexcept = 0;
  /// As `take_leave`, but without holding up an executor that runs.
  virtual void take_leave() noexcept = 0;
  /// Moves the asynchronous calls along. @param initiating within an initiating function
  virtual void go_on(std::unique_lock<std::mutex>& lock, bool initiating) = 0;
};

template <class Stream>
class AsyncDriver;

/// A call takes or joins the channel before it touches the session. A blocking call holds `mutex_`
/// all the time, against what completion handlers still do; nobody else locks it without joining.
template <DescriptorStream Stream>
class Channel : public std::enable_shared_from_this<Channel<Stream>> {
 public:
  using stream_type = Stream;
  using executor_type = typename Stream::executor_type;
  using Async = AsyncDriver<Stream>;
  using Endpoint = typename EndpointOf<Stream>::type;
  static constexpr bool can_connect = !std::is_same_v<Endpoint, std::monostate>;

  explicit Channel(ClientParams params) : params_(std::move(params)), session_(params_) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  const ClientParams& params() const { return params_; }
  bool is_open() const { return open_; }

  /// @throws std::system_error
  void attach(OwnedDescriptor opened) {
    const std::lock_guard lock(mutex_);
    descriptor_ = prepare_descriptor(opened.get());
    owned_ = std::move(opened);
    open_ = true;
  }
  /// Where to connect to again.
  void remember(std::vector<Endpoint> endpoints) { endpoints_ = std::move(endpoints); }
  bool remembers() const { return !endpoints_.empty(); }
  /// Each in turn, where there are several.
  Endpoint next_endpoint() {
    std::rotate(endpoints_.begin(), endpoints_.begin() + 1, endpoints_.end());
    return endpoints_.back();
  }

  /// Memory for a request; only for who holds the channel.
  std::string spare() { return session_.spare(); }

  /// For a blocking call: alone. False: the channel is in use.
  bool take() {
    int nobody = 0;
    return users_.compare_exchange_strong(nobody, -1, std::memory_order_acquire);
  }
  void give_back() { users_.store(0, std::memory_order_release); }

  /// For asynchronous calls: together with others of their kind. Null, or why it cannot be.
  static std::exception_ptr join(const std::shared_ptr<Channel>& channel,
                                 std::string_view command) {
    if (!channel) return not_connected(command);
    int users = channel->users_.load();
    while (users >= 0 && !channel->users_.compare_exchange_weak(users, users + 1)) {
    }
    return users >= 0 ? nullptr : busy(command);
  }
  void leave() { users_.fetch_sub(1); }

  /// Begins a blocking call; the caller has taken the channel, and goes on with `run`.
  void submit(protocol::Call& call) {
    const std::lock_guard lock(mutex_);
    if (!open_) return call.fail(not_connected(call.command()));
    session_.submit(call);
  }

  /// Runs until one of the calls that were begun is finished.
  void run(std::span<protocol::Call* const> calls, Clock::time_point now,
           const std::stop_token& stop) {
    const std::lock_guard lock(mutex_);
    try {
      if (open_ && run_blocking(descriptor_, session_, calls, now, stop)) discard();
    } catch (...) {  // no memory, no descriptor: the session must not keep a call of this stack
      session_.lost(protocol::make_error<ReadError>, "the client is out of resources", {});
      forget_finished();
      discard();
      throw;
    }
    forget_finished();
  }

  /// Withdraws a call that was begun.
  void withdraw(protocol::Call& call) {
    const std::lock_guard lock(mutex_);
    session_.cancel(call);
    forget_finished();
  }

  /// Runs a call to its end on this thread, whatever else is under way on the channel.
  void run_among_others(protocol::Call& call) {
    std::unique_lock lock(mutex_);
    if (!open_) return call.fail(not_connected(call.command()));
    session_.submit(call);
    protocol::Call* const calls[] = {&call};
    if (run_blocking(descriptor_, session_, calls, Clock::now(), {})) discard();
    hand_over(lock);
  }

  void add(ClosingHook& hook) {
    const std::lock_guard lock(hooks_mutex_);
    hooks_.push_back(&hook);
  }
  void remove(ClosingHook& hook) {
    const std::lock_guard lock(hooks_mutex_);
    std::erase(hooks_, &hook);
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
    if (session_.owed() && descriptor_.is_socket) {
      driver_ ? driver_->take_leave() : take_leave(descriptor_, Clock::now() + farewell_timeout);
    }
    session_.lost(protocol::make_error<CancelledError>, "closed",
                  std::make_error_code(std::errc::operation_canceled));
    discard();
    hand_over(lock);
  }

 private:
  friend AsyncDriver<Stream>;

  /// Closes the descriptor, whoever owns it.
  void discard() {
    open_ = false;
    descriptor_ = {};
    owned_ = OwnedDescriptor();
    if (driver_) driver_->discard();
  }

  void hand_over(std::unique_lock<std::mutex>& lock) {
    driver_ ? driver_->go_on(lock, true) : forget_finished();
  }

  /// A blocking caller looks at its calls itself.
  void forget_finished() {
    while (session_.finished() != nullptr) {
    }
  }

  ClientParams params_;
  std::vector<Endpoint> endpoints_;
  protocol::Session session_;
  Descriptor descriptor_;
  OwnedDescriptor owned_;  ///< until an asynchronous call tells which executor to use
  std::mutex mutex_;
  std::atomic<bool> open_ = false;
  std::atomic<int> users_ = 0;  ///< -1: a blocking call; otherwise the asynchronous ones
  std::mutex hooks_mutex_;      ///< before `mutex_`
  std::vector<ClosingHook*> hooks_;
  std::unique_ptr<Driver> driver_;  ///< owns the stream of what is not `owned_`
};

}  // namespace qga::io
