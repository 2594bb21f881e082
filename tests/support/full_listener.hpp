// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A UNIX socket that listens and, once it is full, has no room for another connection: connecting
// to it takes until somebody is let in.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include "agent.hpp"
#include "sockets.hpp"

namespace qga_test {

class FullListener {
 public:
  std::string path() const { return directory_.file("full"); }

  /// Connects until there is no room left.
  void fill() {
    const sockaddr_un address = address_of(path());
    for (;;) {
      Descriptor one(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (::connect(one.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EAGAIN) return;
        throw std::system_error(errno, std::system_category());
      }
      held_.push_back(std::move(one));
    }
  }
  /// Accepts all who wait.
  void let_in() {
    for (pollfd ready{listener_.get(), POLLIN, 0}; ::poll(&ready, 1, 0) == 1;) {
      held_.emplace_back(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
  }

 private:
  TemporaryDirectory directory_;
  Descriptor listener_ = listening_on(path(), 0);
  std::vector<Descriptor> held_;
};

}  // namespace qga_test
