// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The blocking driver: moves the calls of a session along on the caller's thread.
#pragma once

#include <algorithm>
#include <span>
#include <stop_token>
#include <string_view>
#include <system_error>

#include <poll.h>

#include "qga/io/descriptor.hpp"
#include "qga/io/wait.hpp"
#include "qga/protocol/session.hpp"

namespace qga::io {

/// Reads what is there, within reason. Returns what broke the channel, or no error.
inline std::error_code read_pending(Descriptor channel, protocol::Session& session,
                                    Clock::time_point now) {
  // A full buffer is followed by another read, this often: one channel must not keep a thread.
  constexpr int reads_in_a_row = 16;
  for (int i = 0; i < reads_in_a_row && session.wants_input(); ++i) {
    const std::span<char> space = session.input();
    const auto [bytes, err] = read_some(channel, space);
    if (err) return err;
    if (bytes > 0) session.received(bytes, now);
    if (bytes < space.size()) break;
  }
  return {};
}

/// Runs until one of `calls`, which the session has, is finished. A stop request cancels them, save
/// those that are kept. Returns what broke the channel, or no error.
inline std::error_code run_blocking(Descriptor channel, protocol::Session& session,
                                    std::span<protocol::Call* const> calls, Clock::time_point now,
                                    const std::stop_token& stop) {
  const StopSignal stopped(stop);
  auto deadline = Clock::time_point::max();
  for (const protocol::Call* const call : calls) deadline = std::min(deadline, call->deadline);
  const auto any_finished = [&] {
    return std::any_of(calls.begin(), calls.end(),
                       [](const auto* call) { return call->finished(); });
  };
  for (;;) {
    if (stop.stop_requested()) {
      for (protocol::Call* const call : calls) {
        if (!call->keep_sent || session.unsent(*call)) session.cancel(*call);
      }
    } else if (deadline <= now) {
      session.expire(now);
    }
    if (session.listens_first()) {
      if (const std::error_code err = read_pending(channel, session, now)) {
        session.lost(protocol::make_error<ReadError>, "the channel ended", err);
        return err;
      }
    }
    short events = POLLIN;
    while (!any_finished()) {
      const std::string_view out = session.output(now);
      if (out.empty()) break;
      const auto [bytes, err] = write_some(channel, out);
      if (err) {
        session.lost(protocol::make_error<WriteError>, "the channel broke", err);
        return err;
      }
      session.wrote(bytes);
      if (bytes < out.size()) {
        events |= POLLOUT;
        break;
      }
    }
    if (any_finished()) return {};

    const auto until = std::min(deadline, session.repeats_at());
    const int wake = stop.stop_requested() ? -1 : stopped.fd();
    const short happened = wait_for(channel.fd, events, until, now, wake);
    now = Clock::now();
    if ((happened & ~POLLOUT) == 0) continue;
    if (const std::error_code err = read_pending(channel, session, now)) {
      session.lost(protocol::make_error<ReadError>, "the channel ended", err);
      return err;
    }
  }
}

}  // namespace qga::io
