// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 05: a client over TCP. A thread of this program plays the host elsewhere: it accepts a connection
// on 127.0.0.1 and relays it to the agent's UNIX socket.
// Usage: 05_tcp [SOCKET]
//
// A guest agent has no passwords: whoever reaches the port is root in the guest. Over a real
// network use a tunnel, such as `ssh -L 127.0.0.1:7000:/run/vm/qga.sock host`.
#include <qga/client.hpp>

#include <array>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/write.hpp>
#include <cstddef>
#include <exception>
#include <iostream>
#include <system_error>
#include <thread>
#include <utility>

#include <poll.h>

using asio::ip::tcp;
using Local = asio::local::stream_protocol;

namespace {

/// Copies what there is; false where the connection has ended.
template <class From, class To>
bool copy(From& from, To& to) {
  std::array<char, 4096> buffer;
  std::error_code err;
  const std::size_t size = from.read_some(asio::buffer(buffer), err);
  if (!err) asio::write(to, asio::buffer(buffer, size), err);
  return !err;
}

/// Relays in both directions until either end closes; then both are closed.
void relay(tcp::socket client, Local::socket agent) {
  std::array<pollfd, 2> fds{pollfd{client.native_handle(), POLLIN, 0},
                            pollfd{agent.native_handle(), POLLIN, 0}};
  bool open = true;
  while (open && ::poll(fds.data(), fds.size(), -1) > 0) {
    if (fds[0].revents != 0) open = copy(client, agent);
    if (fds[1].revents != 0) open = open && copy(agent, client);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    asio::io_context context;
    const tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);
    tcp::acceptor acceptor(context, any_port);

    // Outlives the client, so that its end is seen by the relay also where something is thrown.
    std::jthread relaying;

    // The kernel takes the connection before anybody accepts it, so one thread can do both.
    qga::Client<tcp::socket> ga(context);
    ga.connect(acceptor.local_endpoint());
    tcp::socket accepted = acceptor.accept();
    Local::socket agent(context);
    agent.connect(Local::endpoint(argc > 1 ? argv[1] : "/tmp/qga.sock"));
    relaying = std::jthread(relay, std::move(accepted), std::move(agent));

    // From here on, nothing differs from a UNIX socket.
    std::cout << "over TCP, port " << acceptor.local_endpoint().port() << ": agent "
              << ga.info().version << " on " << ga.get_host_name() << '\n';

    // The relay sees the end of the connection and ends, too; its thread is joined below.
    ga.close();
    std::cout << "closed\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
