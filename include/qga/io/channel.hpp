// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One connection: who owns its descriptor, who may use it just now, and how it is closed. Carries
// blocking calls; AsyncChannel adds the asynchronous ones.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <asio/error.hpp>

#include "qga/io/blocking.hpp"
#include "qga/io/connect.hpp"
#include "qga/io/descriptor.hpp"
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

/// A call takes or joins the channel before it touches the session. A blocking call holds `mutex_`
/// all the time, against what completion handlers still do; nobody else locks it without joining.
template <DescriptorStream Stream>
class Channel {
 public:
  using stream_type = Stream;
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

  /// Without a connection, but with an executor.
  void use_executor(const typename Stream::executor_type& executor) { stream_.emplace(executor); }
  bool has_executor() const { return stream_.has_value(); }
  typename Stream::executor_type get_executor() { return stream_->get_executor(); }

  /// @throws std::system_error
  void attach(Stream stream) {
    const std::lock_guard lock(mutex_);
    descriptor_ = prepare_descriptor(stream.native_handle());
    stream_.emplace(std::move(stream));
    open_ = true;
  }

  /// Memory for a request; only for who holds the channel.
  std::string spare() { return session_.spare(); }

  /// For a blocking call: alone. False: the channel is in use.
  bool take() {
    int nobody = 0;
    return users_.compare_exchange_strong(nobody, -1, std::memory_order_acquire);
  }
  void give_back() { users_.store(0, std::memory_order_release); }

  /// For asynchronous calls: together with others of their kind.
  bool join() {
    int users = users_.load();
    while (users >= 0 && !users_.compare_exchange_weak(users, users + 1)) {
    }
    return users >= 0;
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
      session_.template lost<ReadError>("the client is out of resources", {});
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

 protected:
  /// Closes the descriptor, whoever owns it.
  void discard() {
    open_ = false;
    descriptor_ = {};
    owned_ = OwnedDescriptor();
    if (stream_) {
      std::error_code ignored;
      stream_->close(ignored);
    }
  }

  ~Channel() = default;

  /// A blocking caller looks at its calls itself.
  void forget_finished() {
    while (session_.finished() != nullptr) {
    }
  }

  ClientParams params_;
  std::vector<Endpoint> endpoints_;
  protocol::Session session_;
  Descriptor descriptor_;
  OwnedDescriptor owned_;         ///< until an asynchronous call tells which executor to use
  std::optional<Stream> stream_;  ///< afterwards, or where the user gave one
  std::mutex mutex_;
  std::atomic<bool> open_ = false;
  std::atomic<int> users_ = 0;  ///< -1: a blocking call; otherwise the asynchronous ones
};

}  // namespace qga::io
