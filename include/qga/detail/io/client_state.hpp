// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The state of a client, which stays in place when the client is moved: its settings, its users,
// its connection and its target. Every kind of connecting goes through `begin_connecting` and
// `finish_connecting`, which replace one connection by another.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

/// An attempt to connect that goes on in the background.
class Connecting {
 public:
  virtual ~Connecting() = default;
  /// May be called on any thread.
  virtual void cancel() = 0;
};

/// The executor that a client was given.
class ClientExecutor {
 public:
  virtual ~ClientExecutor() = default;
  /// Points to an executor of the stream's type; null once its context is gone.
  virtual const void* get() const = 0;
  /// The same executor for those who do not know its type; empty once its context is gone.
  virtual asio::any_io_executor any() const = 0;
};

class ClientState {
 public:
  /// @param executor null: the client was given none
  explicit ClientState(ClientParams params, std::unique_ptr<const ClientExecutor> executor = {})
      : params_(std::move(params)), executor_(std::move(executor)) {}
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;

  const ClientParams& params() const { return params_; }
  const void* executor() const { return executor_ ? executor_->get() : nullptr; }
  asio::any_io_executor any_executor() const {
    return executor_ ? executor_->any() : asio::any_io_executor();
  }

  // ---- who uses it -------------------------------------------------------------------------

  /// Locks the client for one blocking operation alone. False: the client is in use.
  bool try_lock_exclusive() {
    int no_users = 0;
    return users_.compare_exchange_strong(no_users, -1, std::memory_order_acquire);
  }
  void unlock_exclusive() { users_.store(0, std::memory_order_release); }

  /// Locks the client for asynchronous operations, which share it. False: a blocking one has it.
  bool try_lock_shared() {
    int users = users_.load();
    while (users >= 0 && !users_.compare_exchange_weak(users, users + 1)) {
    }
    return users >= 0;
  }
  void unlock_shared() { users_.fetch_sub(1); }

  /// Memory of an earlier request, for the exclusive user: repeated calls allocate nothing.
  std::string& spare_memory() { return spare_memory_; }

  // ---- its connection ----------------------------------------------------------------------

  /// The connection; null before the first one, and once it was closed.
  std::shared_ptr<Connection> connection() const {
    const std::lock_guard lock(mutex_);
    return connection_;
  }
  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return connection_ && connection_->is_open();
  }
  /// Whether this is its connection, open or broken.
  bool uses(const Connection& connection) const {
    const std::lock_guard lock(mutex_);
    return connection_.get() == &connection;
  }

  Target target() const {
    const std::lock_guard lock(mutex_);
    return target_;
  }
  bool has_target() const {
    const std::lock_guard lock(mutex_);
    return target_.known();
  }
  void set_target(Target target) {
    const std::lock_guard lock(mutex_);
    if (!(target == target_)) ++target_number_;
    target_ = std::move(target);
  }
  /// Another number is another target.
  std::uint64_t target_number() const { return target_number_; }

  /// Closes the connection, and ends an attempt to connect that is under way.
  void close(std::function<void()> on_closed = {}) {
    ++closes_;
    end_connection(Connection::End::closed, std::move(on_closed));
  }

  /// Ends the connection and any earlier attempt, because another one begins.
  /// @return the number of this attempt, for `finish_connecting`
  std::uint64_t begin_connecting() { return end_connection(Connection::End::replaced, {}); }
  /// Notes that an attempt begins that goes on in the background.
  void begin_background_attempt() {
    const std::lock_guard lock(mutex_);
    ++background_attempts_;
  }
  /// Its end, whatever came of it.
  void end_background_attempt() {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (--background_attempts_ == 0) std::swap(waiting, after_attempt_);
    }
    for (const auto& one : waiting) one();
  }
  /// Calls a function when the attempts that go on in the background have ended. False: there are
  /// none.
  bool after_attempt(std::function<void()> function) {
    const std::lock_guard lock(mutex_);
    if (background_attempts_ > 0) after_attempt_.push_back(std::move(function));
    return background_attempts_ > 0;
  }
  /// Whether something waits for the end of an attempt.
  bool is_awaited() const {
    const std::lock_guard lock(mutex_);
    return !after_attempt_.empty();
  }

  /// Lets `close` cancel an attempt.
  void set_connecting(const std::shared_ptr<Connecting>& connecting) {
    const std::lock_guard lock(mutex_);
    connecting_ = connecting;
  }
  /// @throws std::system_error; `std::errc::operation_canceled` where the client was closed, or
  ///         another attempt has begun, meanwhile
  void finish_connecting(std::uint64_t attempt, OwnedDescriptor opened) {
    auto connection = std::make_shared<Connection>(std::move(opened), params_);
    const std::lock_guard lock(mutex_);
    if (attempt != attempts_) {
      throw std::system_error(std::make_error_code(std::errc::operation_canceled));
    }
    connection_ = std::move(connection);
  }

  // ---- freezes -----------------------------------------------------------------------------

  std::uint64_t begin_freeze() { return ++freezes_; }
  /// How often the client was closed. Operations that began before that are cancelled.
  std::uint64_t closes() const { return closes_; }

  /// The number of the latest freeze. An older guard must not thaw what a later one has frozen.
  std::uint64_t latest_freeze() const { return freezes_; }

 private:
  std::uint64_t end_connection(Connection::End end, std::function<void()> on_closed) {
    std::unique_lock lock(mutex_);
    const std::uint64_t attempt = ++attempts_;
    const auto old = std::exchange(connection_, nullptr);
    const auto connecting = std::exchange(connecting_, {}).lock();
    lock.unlock();
    if (connecting) connecting->cancel();
    if (old) {
      old->close(end, std::move(on_closed));
    } else if (on_closed) {
      on_closed();
    }
    return attempt;
  }

  const ClientParams params_;
  const std::unique_ptr<const ClientExecutor> executor_;
  std::atomic<int> users_ = 0;  ///< -1: a blocking operation; otherwise the asynchronous ones
  std::string spare_memory_;
  mutable std::mutex mutex_;  ///< is never held together with that of a connection
  std::shared_ptr<Connection> connection_;
  Target target_;
  std::atomic<std::uint64_t> target_number_ = 0;
  std::uint64_t attempts_ = 0;  ///< to connect or to close
  std::weak_ptr<Connecting> connecting_;
  int background_attempts_ = 0;
  std::vector<std::function<void()>> after_attempt_;
  std::atomic<std::uint64_t> freezes_ = 0;
  std::atomic<std::uint64_t> closes_ = 0;
};

/// An attempt to connect in the background, from its begin to its end.
class BackgroundAttempt {
 public:
  explicit BackgroundAttempt(std::shared_ptr<ClientState> client) : client_(std::move(client)) {
    client_->begin_background_attempt();
  }
  BackgroundAttempt(const BackgroundAttempt&) = delete;
  BackgroundAttempt& operator=(const BackgroundAttempt&) = delete;
  ~BackgroundAttempt() { client_->end_background_attempt(); }

 private:
  const std::shared_ptr<ClientState> client_;
};

}  // namespace qga::inline v0_1::detail
