// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Draining a channel before it is closed. An agent on a listening socket may exit when a client
// closes with replies unread. So the client ends its own sending, and reads and drops the rest.
#pragma once

#include <chrono>

#include <poll.h>
#include <sys/socket.h>

#include "qga/detail/io/descriptor.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

inline constexpr Clock::duration drain_timeout = std::chrono::milliseconds(100);

/// Reads and drops the input that is there, up to a limit. False: the input has ended.
inline bool drop_pending(Descriptor from) {
  constexpr int reads_in_a_row = 16;
  char unread[4096];
  for (int i = 0; i < reads_in_a_row; ++i) {
    const auto [bytes, err] = read_some(from, unread);
    if (err) return false;
    if (bytes == 0) break;
  }
  return true;
}

/// Blocks until the input has ended, or until `deadline`.
inline void drain(Descriptor from, Clock::time_point deadline) {
  ::shutdown(from.fd, SHUT_WR);
  for (;;) {
    const auto now = Clock::now();
    if (!drop_pending(from) || now >= deadline) return;
    wait_for(from.fd, POLLIN, deadline, now, -1);
  }
}

}  // namespace qga::inline v0_1::detail
