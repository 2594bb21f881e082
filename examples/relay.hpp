// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A relay between a client and an agent, for 05 and 06: it carries bytes between two descriptors,
// as ssh, socat or QEMU would.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>

#include <poll.h>
#include <unistd.h>

/// Copies the bytes that are ready to be read; false where `from` has ended.
inline bool copy(int from, int to) {
  std::array<char, 4096> buffer;
  const ssize_t size = ::read(from, buffer.data(), buffer.size());
  return size > 0 && ::write(to, buffer.data(), static_cast<std::size_t>(size)) == size;
}

/// Relays in both directions until either end closes; then closes both.
inline void relay(int one, int other) {
  std::signal(SIGPIPE, SIG_IGN);  // a write to a closed end then fails, and ends no process
  std::array<pollfd, 2> fds{pollfd{one, POLLIN, 0}, pollfd{other, POLLIN, 0}};
  bool open = true;
  while (open && ::poll(fds.data(), fds.size(), -1) > 0) {
    if (fds[0].revents != 0) open = copy(one, other);
    if (fds[1].revents != 0) open = open && copy(other, one);
  }
  ::close(one);
  ::close(other);
}
