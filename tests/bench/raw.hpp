// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The floor that the library is compared with: send, receive, look for the end of the line.
#pragma once

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

class RawLoop {
 public:
  /// @param capacity of the buffer for replies, which grows where they are longer
  RawLoop(const std::string& path, std::size_t capacity)
      : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)), buffer_(capacity) {
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

  /// @param line with its newline
  /// @return the reply, valid until the next call
  std::string_view call(std::string_view line) {
    while (!line.empty()) {
      const ssize_t sent = ::send(fd_, line.data(), line.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("cannot send");
      line.remove_prefix(static_cast<std::size_t>(sent));
    }
    for (std::size_t size = 0;;) {
      if (size == buffer_.size()) buffer_.resize(2 * size);
      char* const to = buffer_.data() + size;
      const ssize_t received = ::recv(fd_, to, buffer_.size() - size, 0);
      if (received <= 0) throw std::runtime_error("cannot receive");
      const auto bytes = static_cast<std::size_t>(received);
      if (std::memchr(to, '\n', bytes) != nullptr) return {buffer_.data(), size + bytes};
      size += bytes;
    }
  }

 private:
  int fd_;
  std::vector<char> buffer_;
};

}  // namespace qga_bench
