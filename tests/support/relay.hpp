// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Carries bytes between two descriptors, so that an agent on a UNIX socket can be reached over TCP
// or a terminal.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "agent.hpp"
#include "sockets.hpp"

namespace qga_test {

/// Both ways, on a thread of its own, until one end has nothing more.
class Relay {
 public:
  Relay(Descriptor one, Descriptor other)
      : ends_{std::move(one), std::move(other)},
        wake_(::eventfd(0, EFD_CLOEXEC)),
        thread_([this] { run(); }) {}
  /// Bytes that have come from the second end.
  std::size_t carried() const { return carried_; }
  /// Takes no more from the second end when so many have come, until it may go on.
  void stop_at(std::size_t carried) { stop_at_ = carried; }
  void go_on() {
    stop_at_ = std::numeric_limits<std::size_t>::max();
    wake();
  }

  ~Relay() {
    ends_now_ = true;
    wake();
    thread_.join();
  }

 private:
  void wake() {
    const std::uint64_t once = 1;
    static_cast<void>(!::write(wake_.get(), &once, sizeof once));
  }

  void run() {
    for (const Descriptor& end : ends_) ::fcntl(end.get(), F_SETFL, O_NONBLOCK);
    std::array<std::string, 2> from;  // read from an end, to be written to the other
    for (;;) {
      std::array<pollfd, 3> polled{};
      for (std::size_t i = 0; i < 2; ++i) {
        const bool stopped = i == 1 && carried_ >= stop_at_;
        const bool reads = from[i].empty() && !stopped;
        const bool writes = !from[1 - i].empty();
        polled[i] = {ends_[i].get(),
                     static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
      }
      polled[2] = {wake_.get(), POLLIN, 0};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
      if (polled[2].revents != 0) {
        if (ends_now_) return;
        std::uint64_t times = 0;
        static_cast<void>(!::read(wake_.get(), &times, sizeof times));
      }
      for (std::size_t i = 0; i < 2; ++i) {
        if (polled[i].revents == 0) continue;
        if ((polled[i].events & POLLIN) != 0) {
          if (!fill(from[i], ends_[i])) return;
          if (i == 1) carried_ += from[i].size();
        }
        if (!from[1 - i].empty() && !drain(from[1 - i], ends_[i])) return;
      }
    }
  }

  static bool fill(std::string& bytes, const Descriptor& end) {
    bytes.resize(65536);
    const ssize_t got = ::read(end.get(), bytes.data(), bytes.size());
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return got > 0 || (got < 0 && errno == EAGAIN);
  }
  static bool drain(std::string& bytes, const Descriptor& end) {
    const ssize_t put = ::write(end.get(), bytes.data(), bytes.size());
    if (put > 0) bytes.erase(0, static_cast<std::size_t>(put));
    return put >= 0 || errno == EAGAIN;
  }

  std::array<Descriptor, 2> ends_;
  std::atomic<std::size_t> carried_ = 0;
  std::atomic<std::size_t> stop_at_ = std::numeric_limits<std::size_t>::max();
  std::atomic<bool> ends_now_ = false;
  Descriptor wake_;
  std::thread thread_;
};

/// A TCP port of this machine behind which there is one connection to a UNIX socket.
class TcpDoor {
 public:
  TcpDoor() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), plain, size) != 0 || ::listen(listener_.get(), 1) != 0 ||
        ::getsockname(listener_.get(), plain, &size) != 0) {
      throw std::system_error(errno, std::system_category());
    }
    port_ = ntohs(address.sin_port);
  }

  std::uint16_t port() const { return port_; }

  /// Lets the client in that has connected.
  Relay relay_to(const std::string& path) {
    return {Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)),
            connected_to(path)};
  }

 private:
  Descriptor listener_;
  std::uint16_t port_ = 0;
};

/// A UNIX socket behind which there is one connection to another.
class UnixDoor {
 public:
  const std::string& path() const { return path_; }

  /// Lets the client in that has connected.
  Relay relay_to(const std::string& path) {
    return {Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)),
            connected_to(path)};
  }

 private:
  TemporaryDirectory directory_;
  std::string path_ = directory_.file("door");
  Descriptor listener_ = listening_on(path_);
};

/// A terminal in raw mode.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    char name[128] = "";
    if (::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0 ||
        ::ptsname_r(master_.get(), name, sizeof name) != 0) {
      throw std::system_error(errno, std::system_category());
    }
    name_ = name;
    slave_ = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings{};
    ::tcgetattr(slave_, &settings);
    ::cfmakeraw(&settings);
    ::tcsetattr(slave_, TCSANOW, &settings);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { ::close(slave_); }

  const std::string& name() const { return name_; }
  Relay relay_to(const std::string& path) { return {master_.duplicate(), connected_to(path)}; }

 private:
  Descriptor master_;
  std::string name_;
  int slave_ = -1;  ///< held open: a terminal without users hangs up
};

}  // namespace qga_test
