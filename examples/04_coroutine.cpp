// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 04: coroutines: commands one after the other, several in flight together, and two clients on one
// thread.
// Usage: 04_coroutine [SOCKET [SOCKET_OF_ANOTHER_GUEST]]
#include <qga/client.hpp>

#include <iostream>

#ifdef ASIO_HAS_CO_AWAIT

#include <algorithm>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

/// Runs `uname -sr` in the guest. Other coroutines go on while this one waits.
asio::awaitable<std::string> uname(qga::Client<>& ga) {
  // Named, and not `exec("uname", {...})`: g++ 12 destroys a braced list inside a co_await
  // expression twice.
  const qga::GuestExecParams params{.args = {"-sr"}, .capture_output = true};
  const auto pid = co_await ga.async(asio::use_awaitable).exec("uname", params);

  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (auto pause = 2ms;; pause = std::min(2 * pause, 500ms)) {
    const auto status = co_await ga.async(asio::use_awaitable).exec_status(pid);
    if (status.exited) co_return status.out_data.value_or("(nothing)\n");
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

/// One client from connecting to closing. `name` marks its lines in the output.
asio::awaitable<void> visit(std::string name, std::string socket) {
  qga::Client<> ga(co_await asio::this_coro::executor);
  const asio::local::stream_protocol::endpoint endpoint(socket);
  co_await ga.async_connect(endpoint, asio::use_awaitable);

  // The same commands as those of a blocking client, behind `async` with a completion token.
  const auto info = co_await ga.async(asio::use_awaitable).info();
  std::cout << name << ": agent " << info.version << '\n';

  // All of these are sent before the first is answered. The agent answers in order.
  const auto later = [&ga] { return ga.async(asio::use_awaitable); };
  const auto [host, zone, interfaces] = co_await (
      later().get_host_name() && later().get_timezone() && later().network_get_interfaces());
  std::cout << name << ": " << host << ", time zone " << zone.zone.value_or("unknown") << ", "
            << interfaces.size() << " network interfaces\n";

  std::cout << name << ": " << co_await uname(ga);

  // An error is thrown where the coroutine waits. Options of one call come behind the token; an
  // aggregate like this needs a name, too.
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
    // Two guests at the same time, on this one thread.
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
