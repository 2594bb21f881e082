// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 08: watches many guests from one thread, and tells when one of them changes. A guest that is
// slow, silent or gone does not delay the others.
// Usage: 08_fleet [SOCKET...]
#include <qga/client.hpp>

#include <iostream>

#ifdef ASIO_HAS_CO_AWAIT

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Describes a guest in one line.
std::string line_of(const qga::GuestAgentInfo& info, const qga::GuestOSInfo& os,
                    const std::vector<qga::GuestFilesystemInfo>& file_systems,
                    const std::vector<qga::GuestAddress>& addresses) {
  std::ostringstream line;
  line << os.pretty_name.value_or("an unknown system") << ", agent " << info.version;
  for (const auto& fs : file_systems) {
    line << ", " << fs.mountpoint;
    const auto total = static_cast<double>(fs.total_bytes.value_or(0));
    const auto used = static_cast<double>(fs.used_bytes.value_or(0));
    if (total > 0) line << ' ' << static_cast<int>(100 * used / total) << " % full";
  }
  for (const auto& at : addresses) line << ", " << at.address;
  return qga::to_printable(line.str());  // the guest must not drive the terminal
}

/// Asks a guest again and again, and connects again where the connection has ended.
asio::awaitable<void> watch(std::string socket, int times) {
  const auto executor = co_await asio::this_coro::executor;
  // The timeout holds for connecting and for every call. A guest that does not answer ends its own
  // call after that time.
  qga::Client<> ga(executor, {.timeout = 2s});
  asio::steady_timer pause(executor);
  std::string before;
  for (int i = 0; i < times; ++i) {
    std::string now;
    try {
      if (!ga.is_open()) co_await ga.async_connect(socket, asio::use_awaitable);
      const auto info = co_await ga.async(asio::use_awaitable).info();
      const auto os = co_await ga.async(asio::use_awaitable).get_osinfo();
      const auto file_systems = co_await ga.async(asio::use_awaitable).get_fsinfo();
      const auto addresses = co_await ga.async(asio::use_awaitable).addresses();
      now = line_of(info, os, file_systems, addresses);
    } catch (const qga::GuestAgentError& error) {
      now = error.what();
    }
    if (now != before) std::cout << socket << ": " << now << std::endl;
    before = now;
    pause.expires_after(1s);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> sockets(argv + 1, argv + argc);
  if (sockets.empty()) sockets.push_back("/tmp/qga.sock");
  asio::io_context context;
  int status = 0;
  for (const std::string& socket : sockets) {
    asio::co_spawn(context, watch(socket, 3), [&](std::exception_ptr error) {
      try {
        if (error) std::rethrow_exception(error);
      } catch (const std::exception& e) {
        std::cerr << socket << ": " << e.what() << '\n';
        status = 1;
      }
    });
  }
  context.run();
  return status;
}

#else

int main() {
  std::cout << "Skipped: this compiler and this version of Asio have no coroutines together.\n";
}

#endif
