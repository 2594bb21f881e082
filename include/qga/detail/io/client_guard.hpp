// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guards of a client's helpers. A guard closes a file, or thaws a guest, where the program has
// not done so before its `File` or `Frozen` ends.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/detail/io/connection_guards.hpp"
#include "qga/detail/protocol/helper_operation.hpp"

namespace qga::inline v0_1::detail {

/// Sends the request of a guard. Its own state is guarded by the mutex of its connection.
class ClientGuard final : public Guard, private ArmedGuard {
 public:
  static constexpr Clock::duration file_timeout = std::chrono::seconds(5);
  static constexpr Clock::duration thaw_timeout = std::chrono::seconds(30);

  /// @param question null: the guard belongs to the connection; otherwise to the guest
  /// @param again the same request, to be sent after the question
  ClientGuard(std::shared_ptr<ClientState> client, std::shared_ptr<Connection> connection,
              std::unique_ptr<GuardCall> request, std::unique_ptr<GuardCall> question,
              std::unique_ptr<GuardCall> again)
      : client_(std::move(client)),
        connection_(std::move(connection)),
        request_(std::move(request)) {
    if (!connection_) return;
    if (question) {
      later_ = std::make_shared<Later>();
      later_->question = std::move(question);
      later_->request = std::move(again);
      later_->client = client_;
      later_->ended = connection_;
      later_->target = client_->target();
      later_->target_number = client_->target_number();
    }
    const auto lock = ConnectionGuards::lock(*connection_);
    ConnectionGuards::of(*connection_).add(*this);
  }
  ClientGuard(const ClientGuard&) = delete;
  ClientGuard& operator=(const ClientGuard&) = delete;
  ~ClientGuard() override { act(); }

  std::shared_ptr<ClientState> client() const noexcept override { return client_; }
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

  void confirm() noexcept override {
    if (!connection_) return;
    const auto lock = ConnectionGuards::lock(*connection_);
    freeze_ = client_->begin_freeze();
  }

  void expect_answer(bool expected) noexcept override {
    if (!connection_) return;
    const auto lock = ConnectionGuards::lock(*connection_);
    if (request_) request_->at_once = expected;
  }

  bool act() noexcept override {
    bool done = false;
    if (connection_) ConnectionGuards::attempt(*connection_, {}, [&] { done = send(); });
    return done || (later_ && later_->done);
  }

 private:
  /// @return whether all went well, as far as is known
  bool send() {
    auto lock = ConnectionGuards::lock(*connection_);
    ConnectionGuards& guards = ConnectionGuards::of(*connection_);
    guards.remove(*this);
    if (!request_) return true;
    Cleanup cleanup = release_cleanup();
    if (connection_->is_child()) return false;
    if (freeze_ != 0 && client_->latest_freeze() != freeze_) return false;
    if (connection_->is_open()) return guards.clean_up(std::move(lock), std::move(cleanup));
    lock.unlock();
    if (cleanup.on_lost) {
      cleanup.on_lost();
    } else {
      connection_->note(std::string(cleanup.first->command()) + ": its connection has ended");
    }
    return false;
  }

  /// Later thaws the guest after the guard's connection has ended. It outlives the guard.
  struct Later {
    std::unique_ptr<GuardCall> question;
    std::unique_ptr<GuardCall> request;
    std::shared_ptr<ClientState> client;
    std::shared_ptr<Connection> ended;
    Target target;  ///< where that led to
    std::uint64_t target_number = 0;
    std::atomic<bool> done = false;

    /// Whether the client still leads to the same guest.
    bool same_guest() const { return client->target_number() == target_number; }
  };

  Cleanup release_cleanup() noexcept override {
    Cleanup cleanup{.first = std::move(request_), .timeout = later_ ? thaw_timeout : file_timeout};
    if (later_) cleanup.on_lost = [later = later_] { act_later(later); };
    return cleanup;
  }
  bool outlives_connection() const noexcept override { return later_ && later_->same_guest(); }

  /// Sends the question, and then the request: over the client's present connection, because an
  /// agent serves one client at a time, or over the one that it is about to have, or over a new
  /// one.
  static void act_later(const std::shared_ptr<Later>& kept) noexcept {
    Later& later = *kept;
    if (!later.question) return;  // it was tried before
    const std::string_view command = later.request->command();
    ConnectionGuards::attempt(*later.ended, command, [&] {
      const auto again = [kept] { act_later(kept); };
      if (later.same_guest() && later.client->after_attempt(again)) return;
      const auto current = later.same_guest() ? later.client->connection() : nullptr;
      const Target& target = later.target;
      Cleanup cleanup{.first = std::move(later.question),
                      .second = std::move(later.request),
                      .timeout = thaw_timeout};
      if (current && current->is_open()) {
        auto lock = ConnectionGuards::lock(*current);
        later.done = ConnectionGuards::of(*current).clean_up(std::move(lock), std::move(cleanup));
      } else if (target.known()) {
        later.done = ConnectionGuards::clean_up_at(*later.ended, target, later.client->params(),
                                                   std::move(cleanup));
      } else {
        later.ended->note(std::string(command) +
                          ": the connection has ended, and where it led is not known");
      }
    });
  }

  const std::shared_ptr<ClientState> client_;
  const std::shared_ptr<Connection> connection_;  ///< null: there was none
  std::unique_ptr<GuardCall> request_;            ///< null: disarmed
  std::shared_ptr<Later> later_;                  ///< null: the guard belongs to the connection
  std::uint64_t freeze_ = 0;                      ///< its number; 0: not known to have frozen
};

/// A client as its helpers see it.
class ClientOfHelper final : public HelperClient {
 public:
  explicit ClientOfHelper(std::shared_ptr<ClientState> client)
      : client_(std::move(client)), connection_(client_->connection()) {}

  bool is_open() const override { return client_->is_open(); }
  bool has_target() const override { return client_->has_target(); }
  void on_connected() override { connection_ = client_->connection(); }

  std::unique_ptr<Guard> make_guard(std::unique_ptr<GuardCall> request,
                                    std::unique_ptr<GuardCall> question,
                                    std::unique_ptr<GuardCall> again) override {
    return std::make_unique<ClientGuard>(client_, connection_, std::move(request),
                                         std::move(question), std::move(again));
  }

  std::exception_ptr check(const Guard* guard, std::string_view command) const override {
    const auto* const known = static_cast<const ClientGuard*>(guard);
    if (known == nullptr) return nullptr;
    if (!known->of(*client_)) {
      return wrong_argument(command,
                            "a file or a freeze must be used with the client that made it");
    }
    if (!known->of(connection_)) {
      return wrong_argument(command,
                            "a file must be used over the connection that opened it, "
                            "and a freeze with the guest that is frozen",
                            std::errc::bad_file_descriptor);
    }
    return nullptr;
  }

 private:
  const std::shared_ptr<ClientState> client_;
  std::shared_ptr<Connection> connection_;  ///< that the helper uses
};

/// @param client null: the client was moved from
inline std::unique_ptr<HelperClient> client_of_helper(std::shared_ptr<ClientState> client) {
  return client ? std::make_unique<ClientOfHelper>(std::move(client)) : nullptr;
}

}  // namespace qga::inline v0_1::detail
