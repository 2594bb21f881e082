// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The floor that the library is compared with: send, receive, look for the end of the line.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace qga_bench {

/// A reply is waited for within `recv`, or before it, as who has a deadline must.
enum class Waits { in_recv, in_poll };

class RawLoop {
 public:
  /// @param capacity of the buffer for replies, which grows where they are longer
  RawLoop(const std::string& path, std::size_t capacity, Waits waits = Waits::in_recv)
      : waits_(waits), fd_(::socket(AF_UNIX, SOCK_STREAM, 0)), buffer_(capacity) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      throw std::runtime_error("cannot connect to " + path);
    }
  }
  RawLoop(const RawLoop&) = delete;
  RawLoop& operator=(const RawLoop&) = delete;
  ~RawLoop() { ::close(fd_); }

  /// @param lines each with its newline, sent together
  /// @param replies how many there will be
  /// @return the replies, valid until the next call
  std::string_view call(std::string_view lines, int replies = 1) {
    while (!lines.empty()) {
      const ssize_t sent = ::send(fd_, lines.data(), lines.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("cannot send");
      lines.remove_prefix(static_cast<std::size_t>(sent));
    }
    for (std::size_t size = 0;;) {
      if (size == buffer_.size()) buffer_.resize(2 * size);
      char* const to = buffer_.data() + size;
      pollfd readable{fd_, POLLIN, 0};
      if (waits_ == Waits::in_poll && ::poll(&readable, 1, 60'000) <= 0) {
        throw std::runtime_error("cannot poll");
      }
      const ssize_t received = ::recv(fd_, to, buffer_.size() - size, 0);
      if (received <= 0) throw std::runtime_error("cannot receive");
      const auto bytes = static_cast<std::size_t>(received);
      size += bytes;
      const char* const end = to + bytes;
      for (const char* at = to; (at = find_newline(at, end)) != nullptr; ++at) {
        if (--replies == 0) return {buffer_.data(), size};
      }
    }
  }

 private:
  static const char* find_newline(const char* from, const char* end) {
    return static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(end - from)));
  }

  Waits waits_;
  int fd_;
  std::vector<char> buffer_;
};

}  // namespace qga_bench
