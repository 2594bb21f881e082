// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guards of a client's helpers: what a `File` or a `Frozen` does when nobody has done it.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/detail/io/connection_guards.hpp"
#include "qga/detail/protocol/helper_operation.hpp"

namespace qga::detail {

/// Sends one more request. Its own state is guarded by the mutex of its connection.
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
    if (!connection_) return;
    const auto lock = ConnectionGuards::lock(*connection_);
    ConnectionGuards::of(*connection_).add(*this);
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
    const auto lock = ConnectionGuards::lock(*connection_);
    ConnectionGuards::of(*connection_).remove(*this);
    request_.reset();
  }

  void expect_answer(bool expected) noexcept override {
    if (!connection_) return;
    const auto lock = ConnectionGuards::lock(*connection_);
    if (request_) request_->at_once = expected;
  }

  bool act() noexcept override {
    if (!connection_) return false;
    try {
      auto lock = ConnectionGuards::lock(*connection_);
      ConnectionGuards& guards = ConnectionGuards::of(*connection_);
      guards.remove(*this);
      if (!request_) return true;
      Cleanup cleanup = release_cleanup();
      if (connection_->is_child() || (is_of_guest_ && client_->latest_freeze() != freeze_)) {
        return false;
      }
      if (connection_->is_open()) return guards.clean_up(std::move(lock), std::move(cleanup));
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
      auto lock = ConnectionGuards::lock(*current);
      return ConnectionGuards::of(*current).clean_up(std::move(lock), std::move(cleanup));
    }
    const Target target = client_->target();
    if (!target.known()) {
      note(std::string(cleanup.second->command()) +
           ": the connection has ended, and it is not known where to connect again");
      return false;
    }
    return ConnectionGuards::clean_up_at(*connection_, target, client_->params(),
                                         std::move(cleanup));
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

/// A client as its helpers see it.
class ClientOfHelper final : public HelperClient {
 public:
  explicit ClientOfHelper(std::shared_ptr<ClientState> client) : client_(std::move(client)) {}

  bool is_open() const override { return client_->is_open(); }
  bool has_target() const override { return client_->has_target(); }

  std::unique_ptr<Guard> make_guard(std::unique_ptr<GuardCall> request,
                                    std::unique_ptr<GuardCall> question) override {
    const std::uint64_t freeze = question ? client_->begin_freeze() : 0;
    return std::make_unique<ClientGuard>(client_, std::move(request), std::move(question), freeze);
  }

  std::exception_ptr check(const Guard* guard, std::string_view command) const override {
    const auto* const known = static_cast<const ClientGuard*>(guard);
    if (known == nullptr) return nullptr;
    if (!known->of(*client_)) {
      return wrong_argument(command,
                            "a file or a freeze must be used with the client that made it");
    }
    if (!known->of(client_->connection())) {
      return wrong_argument(command, "a file must be used over the connection that opened it",
                            std::errc::bad_file_descriptor);
    }
    return nullptr;
  }

 private:
  const std::shared_ptr<ClientState> client_;
};

/// @param client null: of a client that was moved from
inline std::unique_ptr<HelperClient> client_of_helper(std::shared_ptr<ClientState> client) {
  return client ? std::make_unique<ClientOfHelper>(std::move(client)) : nullptr;
}

}  // namespace qga::detail
