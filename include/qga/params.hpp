// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a caller may set: for a client once (ClientParams), for one call (CallOptions).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

namespace qga {

/// The clock of every deadline.
using Clock = std::chrono::steady_clock;

/// `now + timeout`, without overflowing; the clock's last moment stands for no deadline.
inline Clock::time_point deadline_after(Clock::duration timeout, Clock::time_point now) {
  if (timeout >= Clock::time_point::max() - now) return Clock::time_point::max();
  return now + std::max(timeout, Clock::duration::zero());
}

/// How long a command may take where neither the caller nor the command says otherwise.
inline constexpr Clock::duration default_timeout = std::chrono::seconds(5);

/// The longest genuine reply is 67 108 925 bytes: a `guest-file-read` of 48 MiB.
inline constexpr std::size_t default_max_reply_size = std::size_t{65} << 20;

/// Which way a traced line went.
enum class TraceDirection { sent, received };

/// Is called with every line sent and received. Secrets (passwords, the standard input of a
/// program) and the bytes of files are replaced by their size, long lines are cut and control
/// characters are escaped. Called from within the call that it traces: it must not use the client,
/// and what it throws is swallowed.
using Trace = std::function<void(TraceDirection, std::string_view)>;

/// Settings of a client.
struct ClientParams {
  /// How long a call may take in all: connecting, handshake, sending and the reply. Commands that
  /// are slow by nature have longer defaults, which apply as long as this is 5 s; any other value
  /// is the caller's own, for every command. `Clock::duration::max()` waits for ever.
  Clock::duration timeout = default_timeout;
  /// Bytes asked of the system in the first read of a reply; doubles while a reply is longer.
  /// 1 or more.
  std::size_t read_buffer_size = 4096;
  /// No reply longer than this is accepted, nor one with more than an element for every 64 bytes of
  /// this. Commands have limits of their own, mostly far lower.
  std::size_t max_reply_size = default_max_reply_size;
  /// Shows what goes over the channel; empty: nothing.
  Trace trace = {};
  /// Construct without connecting, for a guest that may not be there yet; `wait_ready` connects.
  bool defer_connect = false;
};

/// Settings of one call.
struct CallOptions {
  /// How long this call may take in all; none: the client's, or the command's own default.
  std::optional<Clock::duration> timeout = {};
  /// Ends a *blocking* call from another thread, with `CancelledError`. Asynchronous calls are
  /// cancelled through the cancellation slot of their handler, and ignore it.
  std::stop_token stop = {};
};

}  // namespace qga
