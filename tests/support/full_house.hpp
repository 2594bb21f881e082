// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A listening socket whose backlog is full: whoever connects waits until somebody is let in.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "agent.hpp"
#include "sockets.hpp"

namespace qga_test {

class FullHouse {
 public:
  FullHouse() : listener_(listening_on(path(), 0)) {
    const sockaddr_un address = address_of(path());
    for (;;) {
      Descriptor guest(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (::connect(guest.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0) {
        if (errno != EAGAIN) throw std::system_error(errno, std::system_category());
        return;
      }
      guests_.push_back(std::move(guest));
    }
  }

  std::string path() const { return directory_.file("full"); }
  /// Lets one in.
  Descriptor accept() {
    return Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  TemporaryDirectory directory_;
  Descriptor listener_;
  std::vector<Descriptor> guests_;
};

}  // namespace qga_test
