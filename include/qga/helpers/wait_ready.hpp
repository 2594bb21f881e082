// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waiting for a guest that boots: connects again for each attempt, because some channels stay
// silent to whoever came too early, and tells how far the guest has come.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "qga/commands/agent.hpp"
#include "qga/commands/fsfreeze.hpp"
#include "qga/error.hpp"
#include "qga/helpers/capabilities.hpp"
#include "qga/helpers/step.hpp"

namespace qga {

/// How far a guest has come.
enum class ReadyState {
  no_socket,  ///< nothing to connect to, or it closes at once
  silent,     ///< connected, but nobody answers: no agent yet, a guest that is paused, or another
              ///< client that has the channel
  frozen,     ///< the agent answers, and its file systems are frozen
  disabled,   ///< the agent answers, and does not offer the command that was asked for
  ready,      ///< the agent answers
};

/// What `wait_ready` came to.
struct Readiness {
  ReadyState state = ReadyState::no_socket;
  std::error_code err = {};  ///< why not, of the last attempt to connect or to be answered
  std::string version = {};  ///< of the agent, once it has answered
  int attempts = 0;          ///< to get an answer
  Clock::duration waited = {};

  explicit operator bool() const { return state == ReadyState::ready; }
};

namespace helpers {

template <class Io>
class WaitReady {
 public:
  WaitReady(Io& io, Clock::duration timeout, std::string command)
      : io_(io), timeout_(timeout), command_(std::move(command)) {}

  void start() {
    begun_ = io_.now();
    deadline_ = deadline_after(timeout_, begun_);
    io_.connected() ? ask() : connect();
  }

 private:
  static constexpr Clock::duration first_pause = std::chrono::milliseconds(50);
  static constexpr Clock::duration longest_pause = std::chrono::seconds(1);
  /// For an answer. A guest under load takes its time, so that later attempts wait for longer.
  static constexpr Clock::duration first_patience = std::chrono::seconds(1);
  static constexpr Clock::duration longest_patience = std::chrono::seconds(16);

  Clock::time_point until() const {
    return std::min(deadline_, deadline_after(patience_, io_.now()));
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
    io_.call(GuestInfoRequest(),
             [this](std::exception_ptr error, GuestAgentInfo info) {
               const int code = failure_of(error).code;
               if (code == err_cancelled) return io_.fail(std::move(error));
               if (code == err_timed_out || code == err_bad_reply) {
                 patience_ = std::min(2 * patience_, longest_patience);
                 return again(ReadyState::silent, std::move(error));
               }
               if (error && code != err_from_agent) {
                 return again(ReadyState::no_socket, std::move(error));
               }
               readiness_.err = {};
               readiness_.version = std::move(info.version);
               readiness_.state =
                   offers(std::move(info)) ? ReadyState::ready : ReadyState::disabled;
               ask_for_ice();
             },
             {.until = until()});
  }

  bool offers(GuestAgentInfo info) const {
    return command_.empty() ||
           Capabilities{.commands = std::move(info.supported_commands)}.supports(command_);
  }

  /// An agent that is frozen disables most of its commands.
  void ask_for_ice() {
    io_.call(GuestFsfreezeStatusRequest(),
             [this](std::exception_ptr error, GuestFsfreezeStatus status) {
               if (failure_of(error).code == err_cancelled) return io_.fail(std::move(error));
               if (!error && status == GuestFsfreezeStatus::frozen) {
                 readiness_.state = ReadyState::frozen;
               }
               end();
             },
             {.until = deadline_});
  }

  void again(ReadyState state, std::exception_ptr error) {
    readiness_.state = state;
    readiness_.err = err_of(error);
    if (failure_of(error).code == err_cancelled) return io_.fail(std::move(error));
    const auto now = io_.now();
    if (now >= deadline_ || (!io_.connected() && !io_.can_connect())) return end();
    if (state == ReadyState::silent) return io_.can_connect() ? connect() : ask();
    io_.pause(std::min(pause_, deadline_ - now), [this](std::exception_ptr cancelled) {
      if (cancelled) return io_.fail(std::move(cancelled));
      if (io_.now() >= deadline_) return end();
      connect();
    });
    pause_ = std::min(2 * pause_, longest_pause);
  }

  static std::error_code err_of(const std::exception_ptr& error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const GuestAgentError& known) {
      return known.err();
    }
    return {};
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
  Clock::duration patience_ = first_patience;
  Readiness readiness_;
};

}  // namespace helpers

/// Waiting for a guest; see `Helpers`.
template <class Carrier>
class WaitReadyHelpers {
 public:
  /// Waits until an agent answers. Connects again for each attempt, where the client was made from
  /// a path, an address or an endpoint; also one that was made with `defer_connect`. What the
  /// client has under way is cancelled by that. A command that is disabled does not become enabled,
  /// and someone has to thaw what is frozen: these are told at once.
  /// @param timeout in all
  /// @param command the wire name of one that is needed, such as `guest-exec`; empty: none
  /// @return `Readiness`, also when the time is up: converts to true where the agent is ready
  /// @throws CancelledError; RequestError while another call is using the client
  /// The options of a call limit a single attempt only where they are shorter than its own limit.
  /// @since QEMU 0.15, all guests
  auto wait_ready(Clock::duration timeout, std::string command = {}) {
    return static_cast<Carrier&>(*this).template perform<Readiness, helpers::WaitReady>(
        timeout, std::move(command));
  }
};

}  // namespace qga
