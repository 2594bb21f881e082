// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 06: talks to an agent over a serial port or a pseudo terminal.
// Usage: 06_serial [TTY]
//
// QEMU with `-chardev pty,id=qga0 -device isa-serial,chardev=qga0` prints the name of the terminal
// when it starts; the guest then runs `qemu-ga -m isa-serial -p /dev/ttyS0`. Given a UNIX socket
// instead, this program makes a terminal itself and relays between the two.
//
// A terminal must be in raw mode. Otherwise it sends the agent's replies back to the agent, as an
// echo, and cuts lines at 4096 bytes: calls end with a BadReplyError. Asio's serial_port sets raw
// mode; for a descriptor of your own (from_handle, fd:N) call cfmakeraw.
#include <qga/client.hpp>

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/serial_port.hpp>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <stdlib.h>

#include "relay.hpp"

namespace {

/// Makes a pseudo terminal. `tty` becomes the name of one end.
/// @return the other end, which QEMU would have
int new_terminal(std::string& tty) {
  const int fd = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  char name[64];
  if (fd < 0 || ::grantpt(fd) != 0 || ::unlockpt(fd) != 0 || ::ptsname_r(fd, name, sizeof name)) {
    throw std::system_error(errno, std::system_category(), "cannot make a pseudo terminal");
  }
  tty = name;
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::jthread relaying;  // ends when the client is closed, so it is made before the client
    asio::io_context context;
    asio::serial_port port(context);
    std::string tty = argc > 1 ? argv[1] : "/tmp/qga.sock";
    if (std::filesystem::is_socket(tty)) {
      asio::local::stream_protocol::socket agent(context);
      agent.connect(asio::local::stream_protocol::endpoint(tty));
      const int far_end = new_terminal(tty);
      port.open(tty);
      relaying = std::jthread(relay, far_end, agent.release());
    } else {
      port.open(tty);
      port.set_option(asio::serial_port::baud_rate(115200));
    }

    qga::Client ga(std::move(port));
    std::cout << tty << ": agent " << ga.info().version << " on " << ga.get_host_name() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
