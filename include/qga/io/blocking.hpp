// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The blocking driver: runs one call of a session to its end on the caller's thread.
#pragma once

#include <span>
#include <stop_token>
#include <string_view>
#include <system_error>

#include <poll.h>

#include "qga/io/descriptor.hpp"
#include "qga/io/wait.hpp"
#include "qga/protocol/session.hpp"

namespace qga::io {

/// Runs `call` until it is finished. Returns what broke the channel, or no error.
inline std::error_code run_blocking(Descriptor channel, protocol::Session& session,
                                    protocol::Call& call, Clock::time_point now,
                                    const std::stop_token& stop) {
  const StopSignal stopped(stop);
  session.submit(call);
  for (;;) {
    if (stop.stop_requested()) {
      session.cancel(call);
    } else if (call.deadline <= now) {
      session.expire(now);
    }
    short events = POLLIN;
    while (!call.finished()) {
      const std::string_view out = session.output(now);
      if (out.empty()) break;
      const auto [bytes, err] = write_some(channel, out);
      if (err) {
        session.lost<WriteError>("the channel broke", err);
        return err;
      }
      session.wrote(bytes);
      if (bytes < out.size()) {
        events |= POLLOUT;
        break;
      }
    }
    if (call.finished()) return {};

    const short happened = wait_for(channel.fd, events, call.deadline, now, stopped.fd());
    now = Clock::now();
    // More than a buffer may be waiting; the deadline is looked at in between all the same.
    for (bool more = (happened & ~POLLOUT) != 0; more && call.deadline > now;) {
      const std::span<char> space = session.input();
      const auto [bytes, err] = read_some(channel, space);
      if (err) {
        session.lost<ReadError>("the channel ended", err);
        return err;
      }
      session.received(bytes, now);
      if (call.finished()) return {};
      more = bytes == space.size() && !stop.stop_requested();
      if (more) now = Clock::now();
    }
  }
}

}  // namespace qga::io
