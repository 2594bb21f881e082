// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waiting for a guest that boots: connects again for each attempt, because some channels stay
// silent where a client came too early, and tells how far the guest has come.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/commands/agent.hpp"
#include "qga/commands/fsfreeze.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/error.hpp"
#include "qga/helpers/capabilities.hpp"

namespace qga::inline v0_1 {

/// How far a guest has come.
enum class ReadyState {
  no_socket,  ///< nothing to connect to, or it closes at once
  silent,     ///< connected, but no agent answers: no agent yet, a guest that is paused, or another
              ///< client that has the channel
  frozen,     ///< the agent answers, and its file systems are frozen
  disabled,   ///< the agent answers, and does not offer the command that was asked for
  ready,      ///< the agent answers
};

constexpr std::array<std::string_view, 5> wire_names(ReadyState) {
  return {"no-socket", "silent", "frozen", "disabled", "ready"};
}

/// The result of `wait_ready`.
struct Readiness {
  ReadyState state = ReadyState::no_socket;  ///< how far it has come
  std::error_code err = {};     ///< why not: of the last attempt to connect or to get an answer
  std::string version = {};     ///< of the agent, once it has answered
  int attempts = 0;             ///< to get an answer
  Clock::duration waited = {};  ///< in all

  static void fields(auto& self, auto& visit) {
    visit("state", self.state);
    visit("error", self.err);
    visit("version", self.version);
    visit("attempts", self.attempts);
    visit("seconds", self.waited);
  }

  /// True where the agent is ready.
  explicit operator bool() const { return state == ReadyState::ready; }
};

namespace detail {

template <class Io>
class WaitReady {
 public:
  WaitReady(Io& io, Clock::duration timeout, std::string command)
      : io_(io), timeout_(timeout), command_(std::move(command)) {}

  void start() {
    begun_ = io_.now();
    deadline_ = std::min(deadline_after(timeout_, begun_), io_.until());
    io_.connected() ? ask() : connect();
  }

 private:
  static constexpr Clock::duration first_pause = std::chrono::milliseconds(50);
  static constexpr Clock::duration longest_pause = std::chrono::seconds(1);
  /// The time for an answer. A guest under load takes longer, so that later attempts wait longer.
  static constexpr Clock::duration first_answer_wait = std::chrono::seconds(1);
  static constexpr Clock::duration longest_answer_wait = std::chrono::seconds(16);

  Clock::time_point until() const {
    return std::min(deadline_, deadline_after(answer_wait_, io_.now()));
  }

  void connect() {
    if (!io_.can_connect()) return again(ReadyState::no_socket, {});
    io_.connect(
        [this](std::exception_ptr error) {
          if (error) return again(ReadyState::no_socket, std::move(error));
          ask();
        },
        until());
  }

  void ask() {
    ++readiness_.attempts;
    io_.call(
        GuestInfoRequest(),
        [this](std::exception_ptr error, GuestAgentInfo info) {
          const int code = code_of(error);
          if (code == err_cancelled) return io_.fail(std::move(error));
          if (code == err_timed_out) {
            answer_wait_ = std::min(2 * answer_wait_, longest_answer_wait);
            const bool may_lack_it = command_.empty() && outcome_of(error) != Outcome::not_sent;
            return may_lack_it ? ping() : silent(std::move(error));
          }
          if (code == err_bad_reply) return again(ReadyState::silent, std::move(error));
          if (error && code != err_from_agent) {
            return again(ReadyState::no_socket, std::move(error));
          }
          readiness_.err = {};
          readiness_.version = std::move(info.version);
          readiness_.state = offers(std::move(info)) ? ReadyState::ready : ReadyState::disabled;
          check_frozen();
        },
        {.until = until()});
  }

  /// Some agents have no `guest-info`, and do not answer what they do not know.
  void ping() {
    io_.call(GuestPingRequest(),
             [this](std::exception_ptr error) {
               if (code_of(error) == err_cancelled) return io_.fail(std::move(error));
               if (error && outcome_of(error) != Outcome::refused) return silent(std::move(error));
               readiness_.err = {};
               readiness_.state = ReadyState::ready;
               end();
             },
             {.until = until()});
  }

  bool offers(GuestAgentInfo info) const {
    return command_.empty() ||
           Capabilities{.commands = std::move(info.supported_commands)}.supports(command_);
  }

  /// An agent disables most of its commands while file systems are frozen.
  void check_frozen() {
    io_.call(GuestFsfreezeStatusRequest(),
             [this](std::exception_ptr error, GuestFsfreezeStatus status) {
               if (code_of(error) == err_cancelled) return io_.fail(std::move(error));
               if (!error && status == GuestFsfreezeStatus::frozen) {
                 readiness_.state = ReadyState::frozen;
               }
               end();
             },
             {.until = until()});
  }

  /// Handles an attempt without an answer. It has taken its time, so no pause is needed.
  void silent(std::exception_ptr error) {
    if (give_up(ReadyState::silent, error)) return end();
    io_.can_connect() ? connect() : ask();
  }

  /// An attempt has failed at once: the next one comes after a pause.
  void again(ReadyState state, std::exception_ptr error) {
    if (code_of(error) == err_cancelled) return io_.fail(std::move(error));
    if (give_up(state, error)) return end();
    io_.pause(std::min(pause_, deadline_ - io_.now()), [this](std::exception_ptr ended) {
      if (code_of(ended) == err_cancelled) return io_.fail(std::move(ended));
      if (io_.now() >= deadline_) return end();
      io_.can_connect() ? connect() : ask();
    });
    pause_ = std::min(2 * pause_, longest_pause);
  }

  bool give_up(ReadyState state, const std::exception_ptr& error) {
    readiness_.state = state;
    readiness_.err = err_of(error);
    return io_.now() >= deadline_ || (!io_.connected() && !io_.can_connect());
  }

  void end() {
    readiness_.waited = io_.now() - begun_;
    io_.finish(std::move(readiness_));
  }

  Io& io_;
  Clock::duration timeout_;
  std::string command_;
  Clock::time_point begun_ = {};
  Clock::time_point deadline_ = {};
  Clock::duration pause_ = first_pause;
  Clock::duration answer_wait_ = first_answer_wait;
  Readiness readiness_;
};

}  // namespace detail

/// Waiting for a guest; see `Helpers`.
template <class Carrier>
class WaitReadyHelpers {
 public:
  /// Waits until an agent answers. Connects again for each attempt, where the client was made from
  /// a path, an address or an endpoint; also one that was made with `defer_connect`. Calls that are
  /// under way are cancelled by that. `disabled` and `frozen` end the wait at once: a disabled
  /// command stays disabled, and somebody has to thaw the guest.
  /// @param timeout in all
  /// @param command the wire name of one that is needed, such as `guest-exec`; empty: none
  /// @return `Readiness`, also when the time is up: converts to true where the agent is ready
  /// @throws CancelledError the caller cancelled or stopped it, or closed the client
  /// @throws BusyError another call is using the client
  /// @timeout as `timeout` says. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto wait_ready(Clock::duration timeout, std::string command = {}) {
    return detail::carrier_of(*this).template perform<Readiness, detail::WaitReady>(
        timeout, std::move(command));
  }
};

}  // namespace qga::inline v0_1
