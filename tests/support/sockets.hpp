// SPDX-License-Identifier: LGPL-3.0-or-later
//
// UNIX sockets by system calls: for peers that are no agents, and to look at a client's own.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace qga_test {

/// A descriptor that is closed in the end.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd < 0) throw std::system_error(errno, std::system_category());
  }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  Descriptor duplicate() const { return Descriptor(::dup(fd_)); }

 private:
  int fd_;
};

inline sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::length_error(path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// A socket that is connected to `path`.
inline Descriptor connected_to(const std::string& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::system_error(errno, std::system_category(), path);
  }
  return socket;
}

/// A socket that listens on `path`, with nobody who accepts.
inline Descriptor listening_on(const std::string& path, int backlog = 8) {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    throw std::system_error(errno, std::system_category(), path);
  }
  return socket;
}

inline void write_all(const Descriptor& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written <= 0) throw std::system_error(errno, std::system_category());
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Whether the peer has yet to read what was written.
inline bool unread_by_peer(const Descriptor& socket) {
  int bytes = 0;
  if (::ioctl(socket.get(), SIOCOUTQ, &bytes) != 0) {
    throw std::system_error(errno, std::system_category());
  }
  return bytes > 0;
}

/// Waits for what another thread or process is about to do.
template <class Condition>
void wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("waited in vain");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace qga_test
