// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 05: talks to an agent over any kind of channel. The user names the channel by its address.
// Usage: 05_channels [ADDRESS]
//
//   /run/vm/qga.sock       the socket of QEMU's chardev; also unix:qga.sock
//   vsock:3:1234           the guest's `qemu-ga -m vsock-listen -p 3:1234`, where QEMU has
//                          `-device vhost-vsock-pci,guest-cid=3`
//   tcp:127.0.0.1:7000     the near end of a tunnel; also tcp:[::1]:7000
//   fd:3                   a connected descriptor that was inherited
//
// An agent asks for no password: whoever reaches its TCP port is root in the guest. So use a
// tunnel, such as `ssh -L 127.0.0.1:7000:/run/vm/qga.sock host`.
#include <qga/client.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

#include "relay.hpp"

namespace {

/// Works in the same way over every channel.
void greet(const std::string& address, qga::AnyClient& ga) {
  std::cout << address << ": agent " << ga.info().version << " on " << ga.get_host_name() << '\n';
}

/// Makes a TCP port of this machine that leads to a UNIX socket, and talks to the agent over it.
void greet_over_tcp(const std::string& path) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  asio::local::stream_protocol::socket agent(context);
  agent.connect(asio::local::stream_protocol::endpoint(path));

  std::jthread relaying;  // ends when the client is closed, so it is made before the client
  const auto port = std::to_string(acceptor.local_endpoint().port());
  const std::string address = "tcp:127.0.0.1:" + port;
  // The kernel completes the connection before it is accepted, so one thread can do both.
  qga::AnyClient ga = qga::connect(address);
  relaying = std::jthread(relay, acceptor.accept().release(), agent.release());
  greet(address, ga);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string address = argc > 1 ? argv[1] : "/tmp/qga.sock";
    {
      qga::AnyClient ga = qga::connect(address);
      greet(address, ga);
    }  // closes the client: an agent serves one at a time
    if (address.starts_with('/')) greet_over_tcp(address);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
