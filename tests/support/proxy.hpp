// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Stands between a client and an agent, in memory or real, and carries their bytes over a line on
// which something goes wrong.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faulty_line.hpp"
#include "sockets.hpp"

namespace qga_test {

/// The agent as the proxy sees it.
class AgentEnd {
 public:
  /// Takes what the client sends. What is returned at once is its answer.
  virtual std::string hear(std::string_view bytes) = 0;
  /// Readable where more is said later; -1: nothing is.
  virtual int fd() const { return -1; }
  virtual std::string says() { return {}; }

 protected:
  ~AgentEnd() = default;
};

class Proxy {
 public:
  Proxy(Descriptor client, AgentEnd& agent, FaultyLine line)
      : client_(std::move(client)),
        agent_(agent),
        line_(std::move(line)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    ::fcntl(client_->get(), F_SETFL, O_NONBLOCK);
    thread_ = std::thread([this] { run(); });
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy() { stop(); }

  bool struck() {
    const std::lock_guard lock(mutex_);
    return line_.struck();
  }
  /// The silence is over.
  void revive() {
    const std::lock_guard lock(mutex_);
    line_.revive();
    wake();
  }
  /// Hangs up, and gives back the line for what became of it.
  FaultyLine finish() {
    stop();
    return std::move(line_);
  }

 private:
  void wake() {
    const std::uint64_t once = 1;
    static_cast<void>(!::write(wake_.get(), &once, sizeof once));
  }

  void stop() {
    stopping_ = true;
    wake();
    if (thread_.joinable()) thread_.join();
    client_.reset();
  }

  void run() {
    while (!stopping_ && client_) {
      short client_events = 0;
      {
        const std::lock_guard lock(mutex_);
        move();
        if (!client_) return;
        client_events =
            static_cast<short>((line_.room() > 0 ? POLLIN : 0) | (unsent_.empty() ? 0 : POLLOUT));
      }
      std::array<pollfd, 3> polled{
          {{wake_.get(), POLLIN, 0}, {client_->get(), client_events, 0}, {agent_.fd(), POLLIN, 0}}};
      ::poll(polled.data(), polled.size(), -1);
      if (polled[0].revents != 0) {
        std::uint64_t times = 0;
        static_cast<void>(!::read(wake_.get(), &times, sizeof times));
      }
      const std::lock_guard lock(mutex_);
      if (polled[1].revents != 0 && !hear_client()) return;
      if (polled[2].revents != 0) line_.carry(Way::to_client, agent_.says());
    }
  }

  /// False where the client has hung up.
  bool hear_client() {
    std::array<char, 4096> buffer;
    const std::size_t room = std::min(buffer.size(), line_.room());
    if (room == 0) return true;
    const ssize_t bytes = ::read(client_->get(), buffer.data(), room);
    if (bytes > 0) line_.carry(Way::to_agent, {buffer.data(), static_cast<std::size_t>(bytes)});
    return bytes > 0 || (bytes < 0 && errno == EAGAIN);
  }

  /// Hands on what arrives, one piece at a time.
  void move() {
    for (std::string bytes; !(bytes = line_.take(Way::to_agent)).empty();) {
      line_.carry(Way::to_client, agent_.hear(bytes));
    }
    for (;;) {
      if (unsent_.empty()) unsent_ = line_.take(Way::to_client);
      if (unsent_.empty()) break;
      const ssize_t bytes = ::send(client_->get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (bytes <= 0) break;
      unsent_.erase(0, static_cast<std::size_t>(bytes));
    }
    if (line_.ended() && unsent_.empty()) hang_up();
  }

  /// Over TCP, a reset.
  void hang_up() {
    const linger at_once{1, 0};
    if (line_.resets()) {
      ::setsockopt(client_->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    client_.reset();
  }

  std::optional<Descriptor> client_;
  AgentEnd& agent_;
  FaultyLine line_;
  std::string unsent_;
  Descriptor wake_;
  std::mutex mutex_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

/// Two ends of a connection within the process.
inline std::pair<Descriptor, Descriptor> unix_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::system_error(errno, std::system_category());
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// The same over TCP, which knows resets.
class TcpPairs {
 public:
  TcpPairs() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (::bind(listener_.get(), plain(), size) != 0 || ::listen(listener_.get(), 8) != 0 ||
        ::getsockname(listener_.get(), plain(), &size) != 0) {
      throw std::system_error(errno, std::system_category());
    }
  }

  std::pair<Descriptor, Descriptor> next() {
    Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(client.get(), plain(), sizeof address_) != 0) {
      throw std::system_error(errno, std::system_category());
    }
    return {std::move(client),
            Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC))};
  }

 private:
  sockaddr* plain() { return reinterpret_cast<sockaddr*>(&address_); }

  sockaddr_in address_{};
  Descriptor listener_;
};

}  // namespace qga_test
