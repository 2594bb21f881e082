// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a caller may set: for a client once (ClientParams), for one call (CallOptions).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

namespace qga::inline v0_1 {

/// The clock of every deadline.
using Clock = std::chrono::steady_clock;

/// `now + timeout`, without overflowing; the clock's last moment stands for no deadline.
/// @param timeout below zero: zero
/// @param now when the time begins
inline Clock::time_point deadline_after(Clock::duration timeout, Clock::time_point now) {
  if (timeout >= Clock::time_point::max() - now) return Clock::time_point::max();
  return now + std::max(timeout, Clock::duration::zero());
}

/// How long a command may take where neither the caller nor the command says otherwise.
inline constexpr Clock::duration default_timeout = std::chrono::seconds(5);

/// The longest genuine reply is 67 108 925 bytes: a `guest-file-read` of 48 MiB.
inline constexpr std::size_t default_max_reply_size = std::size_t{65} << 20;

/// What a traced line is.
enum class TraceDirection {
  sent,      ///< a line that the client wrote
  received,  ///< a line that the agent wrote
  note,      ///< what a guard (`File`, `Frozen`) could not do, and why: nobody else is told
};

/// Is called with every line sent and received. Secrets (passwords, the standard input of a
/// program) and the bytes of files are replaced by their size, long lines are cut and control
/// characters are escaped. It is called in the order of the lines, on a thread that uses the
/// client, one call at a time and under no lock. What it throws is ignored.
using Trace = std::function<void(TraceDirection, std::string_view)>;

/// Settings of a client.
struct ClientParams {
  /// How long each command, and connecting, may take: handshake, sending and the reply included.
  /// None: 5 s, and longer for commands that are slow by nature. Any value is the caller's own and
  /// holds for every command; `Clock::duration::max()` waits for ever.
  std::optional<Clock::duration> timeout = {};
  /// Bytes asked of the system in the first read of a reply; doubles while a reply is longer.
  /// 1 or more.
  std::size_t read_buffer_size = 4096;
  /// The longest reply that is accepted, in bytes. It may have one element for every 200 bytes of
  /// this, and not more. Commands have limits of their own, mostly far lower.
  std::size_t max_reply_size = default_max_reply_size;
  /// Shows what goes over the channel; empty: nothing.
  Trace trace = {};
  /// Construct without connecting, for a guest that may not be there yet; `wait_ready` connects.
  bool defer_connect = false;
};

/// Settings of one call. Where `timeout` or `deadline` is given, the library's own default does not
/// apply. A helper that fails cleans up after itself, and has time of its own for that.
struct CallOptions {
  /// How long the whole call may take, a helper from its first step to its last. None: the
  /// client's `timeout` or the default holds for each of its commands.
  std::optional<Clock::duration> timeout = {};
  /// When the whole call has to have ended; several calls may share one. max: none. Where only this
  /// is given, the client's `timeout` still holds for each command.
  Clock::time_point deadline = Clock::time_point::max();
#ifdef __cpp_lib_jthread
  /// Ends the call from another thread, with `CancelledError`, connecting included. The member is
  /// absent where the standard library has no `std::stop_token`.
  std::stop_token stop = {};
#endif
};

}  // namespace qga::inline v0_1
