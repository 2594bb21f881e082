// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Leaving while replies are due. An agent on a listening socket may exit when a client closes with
// replies unread: it is told that no more is coming, and what it still says is read and dropped.
#pragma once

#include <chrono>

#include <poll.h>
#include <sys/socket.h>

#include "qga/io/descriptor.hpp"
#include "qga/io/wait.hpp"
#include "qga/params.hpp"

namespace qga::io {

inline constexpr Clock::duration farewell_timeout = std::chrono::milliseconds(100);

/// Drops what is there, within reason. False: the peer has said everything.
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

/// Blocks until the peer has said everything, or until `deadline`.
inline void take_leave(Descriptor from, Clock::time_point deadline) {
  ::shutdown(from.fd, SHUT_WR);
  while (drop_pending(from) && Clock::now() < deadline) wait_for(from.fd, POLLIN, deadline);
}

}  // namespace qga::io
