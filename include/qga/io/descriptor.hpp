// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The system calls on a channel's descriptor, never blocking, never raising SIGPIPE. Both drivers
// read and write through these; they differ only in how they wait.
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/error.hpp>

namespace qga::io {

/// An open descriptor that somebody else owns.
struct Descriptor {
  int fd = -1;
  bool is_socket = true;
};

/// How far a read or a write got: nothing done and no error means that it would block.
struct Transfer {
  std::size_t bytes = 0;
  std::error_code err = {};
};

inline std::error_code last_error() { return {errno, std::system_category()}; }

/// Makes `fd` non-blocking and finds out what it is.
/// @throws std::system_error
inline Descriptor prepare_descriptor(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    throw std::system_error(last_error());
  }
  int type = 0;
  socklen_t size = sizeof type;
  return {fd, ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0};
}

inline Transfer transferred(ssize_t result) {
  if (result >= 0) return {static_cast<std::size_t>(result)};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
  return {0, last_error()};
}

inline Transfer read_some(Descriptor from, std::span<char> to) {
  ssize_t result = 0;
  do {
    result = ::read(from.fd, to.data(), to.size());
  } while (result < 0 && errno == EINTR);
  // A pty whose other end is closed reports EIO.
  if (result == 0 || (result < 0 && errno == EIO)) return {0, asio::error::eof};
  return transferred(result);
}

inline Transfer write_some(Descriptor to, std::string_view from) {
  ssize_t result = 0;
  do {
    result = to.is_socket ? ::send(to.fd, from.data(), from.size(), MSG_NOSIGNAL)
                          : ::write(to.fd, from.data(), from.size());
  } while (result < 0 && errno == EINTR);
  return transferred(result);
}

}  // namespace qga::io
