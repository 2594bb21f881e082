// SPDX-License-Identifier: LGPL-3.0-or-later
//
// All of a client that outlives its moves: its settings, who uses it just now, its connection and
// where that leads to. Every kind of connecting goes through `begin_connecting` and
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

#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/detail/protocol/helper_operation.hpp"
#include "qga/params.hpp"

namespace qga::detail {

/// An attempt to connect that goes on in the background.
class Connecting {
 public:
  virtual ~Connecting() = default;
  /// May be called on any thread.
  virtual void cancel() = 0;
};

class ClientState : public HelperClient, public std::enable_shared_from_this<ClientState> {
 public:
  explicit ClientState(ClientParams params) : params_(std::move(params)) {}
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;
  virtual ~ClientState() = default;

  const ClientParams& params() const { return params_; }

  // ---- who uses it -------------------------------------------------------------------------

  /// For a blocking operation, which has the client for itself. False: the client is in use.
  bool try_lock_exclusive() {
    int nobody = 0;
    return users_.compare_exchange_strong(nobody, -1, std::memory_order_acquire);
  }
  void unlock_exclusive() { users_.store(0, std::memory_order_release); }

  /// For asynchronous operations, which share the client. False: a blocking one has it.
  bool try_lock_shared() {
    int users = users_.load();
    while (users >= 0 && !users_.compare_exchange_weak(users, users + 1)) {
    }
    return users >= 0;
  }
  void unlock_shared() { users_.fetch_sub(1); }

  /// Memory of an earlier request, for who has the client for itself: steady use allocates nothing.
  std::string& spare_memory() { return spare_memory_; }

  // ---- its connection ----------------------------------------------------------------------

  /// Null before the first one, and once it was closed.
  std::shared_ptr<Connection> connection() const {
    const std::lock_guard lock(mutex_);
    return connection_;
  }
  bool is_open() const override {
    const std::lock_guard lock(mutex_);
    return connection_ && connection_->is_open();
  }

  Target target() const {
    const std::lock_guard lock(mutex_);
    return target_;
  }
  bool has_target() const override {
    const std::lock_guard lock(mutex_);
    return target_.known();
  }
  void set_target(Target target) {
    const std::lock_guard lock(mutex_);
    target_ = std::move(target);
  }

  /// Closes the connection, and ends an attempt to connect that is under way.
  void close(std::function<void()> on_closed = {}) {
    end_connection(Connection::End::closed, std::move(on_closed));
  }

  /// Ends the connection and any earlier attempt, because another one begins.
  /// @return the number of this attempt, for `finish_connecting`
  std::uint64_t begin_connecting() { return end_connection(Connection::End::replaced, {}); }
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

  // ---- guards ------------------------------------------------------------------------------

  inline std::unique_ptr<Guard> make_guard(std::unique_ptr<GuardCall> request,
                                    std::unique_ptr<GuardCall> question) override;
  inline std::exception_ptr check(const Guard* guard, std::string_view command) const override;

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
  std::atomic<int> users_ = 0;  ///< -1: a blocking operation; otherwise the asynchronous ones
  std::string spare_memory_;
  mutable std::mutex mutex_;  ///< is never held together with that of a connection
  std::shared_ptr<Connection> connection_;
  Target target_;
  std::uint64_t attempts_ = 0;  ///< to connect or to close
  std::weak_ptr<Connecting> connecting_;
  std::atomic<std::uint64_t> freezes_ = 0;
};

/// The guards that the library makes. Its own state is guarded by the mutex of its connection.
class ClientGuard final : public Guard, private ArmedGuard {
 public:
  static constexpr Clock::duration file_timeout = std::chrono::seconds(5);
  static constexpr Clock::duration thaw_timeout = std::chrono::seconds(30);

  /// @param question null: the guard belongs to the connection; otherwise to the guest
  ClientGuard(std::shared_ptr<ClientState> client, std::unique_ptr<GuardCall> request,
              std::unique_ptr<GuardCall> question, std::uint64_t freeze)
      : client_(std::move(client)),
        connection_(client_->connection()),
        request_(std::move(request)),
        question_(std::move(question)),
        freeze_(freeze) {
    if (connection_) connection_->add(*this);
  }
  ClientGuard(const ClientGuard&) = delete;
  ClientGuard& operator=(const ClientGuard&) = delete;
  ~ClientGuard() override { act(); }

  bool of(const ClientState& client) const { return client_.get() == &client; }
  /// Whether it can be used over this connection.
  bool of(const std::shared_ptr<Connection>& connection) const {
    return outlives_connection() || connection_ == connection;
  }

  void disarm() noexcept override {
    if (!connection_) return;
    const auto lock = connection_->lock();
    connection_->remove(*this);
    request_.reset();
  }

  void expect_answer(bool expected) noexcept override {
    if (!connection_) return;
    const auto lock = connection_->lock();
    if (request_) request_->at_once = expected;
  }

  bool act() noexcept override {
    if (!connection_) return false;
    try {
      auto lock = connection_->lock();
      connection_->remove(*this);
      if (!request_) return true;
      Cleanup cleanup = release_cleanup();
      if (connection_->is_child() || (is_of_guest_ && client_->latest_freeze() != freeze_)) {
        return false;
      }
      if (connection_->is_open()) return connection_->clean_up(std::move(lock), std::move(cleanup));
      lock.unlock();
      return act_later(std::move(cleanup));
    } catch (const std::exception& error) {
      note(error.what());
      return false;
    }
  }

 private:
  Cleanup release_cleanup() noexcept override {
    return {.first = std::move(request_), .timeout = is_of_guest_ ? thaw_timeout : file_timeout};
  }
  bool outlives_connection() const noexcept override { return is_of_guest_; }

  /// Its connection has ended. A guard of the guest asks first, and then acts: over the client's
  /// connection of today, because an agent serves one client at a time, or over one of its own.
  bool act_later(Cleanup cleanup) {
    if (!is_of_guest_) {
      note(std::string(cleanup.first->command()) + ": its connection has ended");
      return false;
    }
    cleanup.first->at_once = false;
    cleanup.second = std::exchange(cleanup.first, std::move(question_));
    if (const auto current = client_->connection(); current && current->is_open()) {
      return current->clean_up(current->lock(), std::move(cleanup));
    }
    const Target target = client_->target();
    if (!target.known()) {
      note(std::string(cleanup.second->command()) +
           ": the connection has ended, and it is not known where to connect again");
      return false;
    }
    return connection_->clean_up_at(target, client_->params(), std::move(cleanup));
  }

  void note(std::string_view text) noexcept {
    try {
      connection_->note(text);
    } catch (...) {  // no memory is left, and nobody to tell
    }
  }

  const std::shared_ptr<ClientState> client_;
  const std::shared_ptr<Connection> connection_;  ///< null: made while there was none
  std::unique_ptr<GuardCall> request_;            ///< null: disarmed
  std::unique_ptr<GuardCall> question_;
  const bool is_of_guest_ = question_ != nullptr;
  const std::uint64_t freeze_;
};

inline std::unique_ptr<Guard> ClientState::make_guard(std::unique_ptr<GuardCall> request,
                                                      std::unique_ptr<GuardCall> question) {
  const std::uint64_t freeze = question ? ++freezes_ : 0;
  return std::make_unique<ClientGuard>(shared_from_this(), std::move(request), std::move(question),
                                       freeze);
}

inline std::exception_ptr ClientState::check(const Guard* guard, std::string_view command) const {
  const auto* const known = static_cast<const ClientGuard*>(guard);
  if (known == nullptr) return nullptr;
  if (!known->of(*this)) {
    return wrong_argument(command, "a file or a freeze must be used with the client that made it");
  }
  if (!known->of(connection())) {
    return wrong_argument(command, "a file must be used over the connection that opened it",
                          std::errc::bad_file_descriptor);
  }
  return nullptr;
}

}  // namespace qga::detail
