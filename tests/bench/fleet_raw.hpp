// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The floor for a fleet: a bare epoll loop that sends what clients send, and waits for the newline
// of each reply.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "sockets.hpp"

namespace fleet {

/// What goes out at once, and how many lines come back.
struct Exchange {
  std::string request;
  int lines;
};

class RawFleet {
 public:
  RawFleet(const std::vector<std::string>& paths, const std::vector<Exchange>& exchanges)
      : exchanges_(exchanges), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    guests_.reserve(paths.size());
    for (const std::string& path : paths) {
      guests_.push_back({qga_test::connected_to(path)});
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &guests_.back();
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, guests_.back().socket.get(), &event) != 0) {
        throw std::runtime_error("cannot watch a socket");
      }
    }
  }

  /// All exchanges with all guests: with each guest one after the other.
  void sweep() {
    left_ = guests_.size();
    for (Guest& guest : guests_) {
      guest.at = 0;
      begin(guest);
    }
    while (left_ > 0) {
      std::array<epoll_event, 128> events;  // as many as Asio takes
      constexpr int patience_ms = 60'000;
      const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), patience_ms);
      if (ready <= 0) throw std::runtime_error("a guest does not answer");
      for (int i = 0; i < ready; ++i) {
        read(*static_cast<Guest*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
    }
  }

  /// Sent and received by the latest sweep, for all guests.
  std::uint64_t bytes() const { return bytes_; }
  void count_anew() { bytes_ = 0; }

 private:
  struct Guest {
    qga_test::Descriptor socket;
    std::size_t at = 0;  ///< of the exchange under way
    int lines = 0;       ///< that it still waits for
  };

  void begin(Guest& guest) {
    const Exchange& exchange = exchanges_[guest.at];
    guest.lines = exchange.lines;
    qga_test::write_all(guest.socket, exchange.request);
    bytes_ += exchange.request.size();
  }

  void read(Guest& guest) {
    const ssize_t got = ::recv(guest.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (got <= 0) throw std::runtime_error("a guest hung up");
    std::string_view text(buffer_.data(), static_cast<std::size_t>(got));
    bytes_ += text.size();
    for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
      text.remove_prefix(end + 1);
      --guest.lines;
    }
    if (guest.lines > 0) return;
    if (++guest.at < exchanges_.size()) {
      begin(guest);
    } else {
      --left_;
    }
  }

  const std::vector<Exchange> exchanges_;
  qga_test::Descriptor epoll_;
  std::vector<Guest> guests_;
  std::size_t left_ = 0;
  std::uint64_t bytes_ = 0;
  std::array<char, 64 << 10> buffer_;
};

}  // namespace fleet
