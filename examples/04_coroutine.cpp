// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 04: coroutines: sends commands one after the other and several together, and serves two clients
// on one thread.
// Usage: 04_coroutine [SOCKET [SOCKET_OF_ANOTHER_GUEST]]
#include <qga/client.hpp>

#include <iostream>

#ifdef ASIO_HAS_CO_AWAIT

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

/// Runs `uname -sr` in the guest. Other coroutines run while this one waits.
asio::awaitable<std::string> uname(qga::Client<>& ga) {
  // The parameters need a name: g++ 12 destroys a braced list inside a co_await expression twice.
  const qga::RunParams params{.args = {"-sr"}};
  const qga::RunResult result = co_await ga.async(asio::use_awaitable).run("uname", params);
  co_return result.out;
}

/// Makes a client, and uses it. `name` marks its lines in the output.
asio::awaitable<void> visit(std::string name, std::string socket) {
  qga::Client<> ga(co_await asio::this_coro::executor);
  co_await ga.async_connect(socket, asio::use_awaitable);

  // `async` with a completion token has the same commands as a blocking client.
  const auto info = co_await ga.async(asio::use_awaitable).info();
  std::cout << name << ": agent " << info.version << '\n';

  // These three are sent before the first one is answered. The agent answers them in order.
  const auto later = [&ga] { return ga.async(asio::use_awaitable); };
  const auto [host, zone, interfaces] = co_await (
      later().get_host_name() && later().get_timezone() && later().network_get_interfaces());
  std::cout << name << ": " << host << ", time zone " << zone.zone.value_or("unknown") << ", "
            << interfaces.size() << " network interfaces\n";

  std::cout << name << ": " << co_await uname(ga);

  // An error is thrown where the coroutine waits. The options of a call come behind the token; they
  // need a name, too.
  const qga::CallOptions patient{.timeout = 20s};
  try {
    co_await ga.async(asio::use_awaitable, patient).file_open("/no/such/file");
  } catch (const qga::AgentError& error) {
    std::cout << name << ": " << error.what() << '\n';
  }
}

asio::awaitable<void> visit_twice(std::string socket) {
  co_await visit("first client", socket);
  co_await visit("second client", socket);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string socket = argc > 1 ? argv[1] : "/tmp/qga.sock";
  asio::io_context context;
  int status = 0;
  const auto finished = [&status](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::cerr << e.what() << '\n';
      status = 1;
    }
  };
  if (argc > 2) {
    // This one thread serves both guests at the same time.
    asio::co_spawn(context, visit("guest 1", socket), finished);
    asio::co_spawn(context, visit("guest 2", argv[2]), finished);
  } else {
    // An agent serves one client at a time, so the second one comes after the first.
    asio::co_spawn(context, visit_twice(socket), finished);
  }
  context.run();
  return status;
}

#else

int main() {
  std::cout << "Skipped: this compiler and this version of Asio have no coroutines together.\n";
}

#endif
