// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 08: watches many guests from one thread, and tells when one of them changes. Each guest has a
// limit for its turn, so that one that is slow, silent or gone does not delay the others for long,
// and only so many are asked at the same time.
// Usage: 08_fleet [SOCKET...]
#include <qga/client.hpp>

#include <iostream>

#ifdef ASIO_HAS_CO_AWAIT

#include <algorithm>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_at_once = 100;
constexpr auto limit_of_a_guest = 2s;
constexpr int rounds = 3;

struct Guest {
  Guest(asio::io_context& context, std::string path) : socket(std::move(path)), ga(context) {}

  std::string socket;
  qga::Client<> ga;
  std::string line;  ///< what was last told of it
};

std::string text_of(const qga::GuestAgentInfo& info) { return "agent " + info.version; }
std::string text_of(const qga::GuestOSInfo& os) { return os.pretty_name.value_or("unnamed"); }
std::string text_of(const std::vector<qga::GuestFilesystemInfo>& file_systems) {
  std::string text;
  for (const auto& fs : file_systems) {
    text += (text.empty() ? "" : ", ") + fs.mountpoint;
    const auto total = static_cast<double>(fs.total_bytes.value_or(0));
    const auto used = static_cast<double>(fs.used_bytes.value_or(0));
    if (total > 0) text += ' ' + std::to_string(static_cast<int>(100 * used / total)) + " % full";
  }
  return text;
}
std::string text_of(const std::vector<qga::GuestAddress>& addresses) {
  std::string text;
  for (const auto& at : addresses) text += (text.empty() ? "" : ", ") + at.address;
  return text;
}

/// Waits for an answer, and adds it to the line. A guest that refuses one question may answer the
/// next: the line says what is missing, and the rest of it is not lost.
template <class Reply>
asio::awaitable<void> add(std::string& line, asio::awaitable<Reply> question) {
  std::string text;
  try {
    text = text_of(co_await std::move(question));
  } catch (const qga::AgentError& error) {
    text = "no " + std::string(error.command());
  } catch (const qga::BadReplyError& error) {
    text = "no sense in " + std::string(error.command());
  }
  if (!line.empty() && !text.empty()) line += ", ";
  line += text;
}

/// Asks a guest, within its limit, and tells where something has changed.
///
/// The limit is a deadline that all calls share, and not `(ask(guest) || timer.async_wait(...))`:
/// Asio's `||` waits for one operation to *succeed*. A guest that fails at once would be waited for
/// until the timer ends; then the timer has won, and the error is lost. It also cannot tell whether
/// a command was sent; a TimeoutError does, by `outcome()`.
asio::awaitable<void> ask(Guest& guest) {
  const qga::CallOptions options{.deadline = qga::Clock::now() + limit_of_a_guest};
  std::string line;
  try {
    // A connection that has ended is not used again: the guest may be another by now.
    if (!guest.ga.is_open()) {
      co_await guest.ga.async_connect(guest.socket, asio::use_awaitable, options);
    }
    auto ga = guest.ga.async(asio::use_awaitable, options);
    co_await add(line, ga.info());
    co_await add(line, ga.get_osinfo());
    co_await add(line, ga.get_fsinfo());
    co_await add(line, ga.addresses());
  } catch (const qga::GuestAgentError& error) {
    line += (line.empty() ? "" : "; ") + std::string(error.what());
  }
  line = qga::to_printable(line);  // the guest must not drive the terminal
  if (line != guest.line) std::cout << guest.socket << ": " << line << std::endl;
  guest.line = line;
}

/// Asks one guest after another, until nobody is left. As many of these run as guests may be asked
/// at the same time. They are on one thread, and so need no lock for `next`.
asio::awaitable<void> work(std::deque<Guest>& guests, std::size_t& next) {
  while (next < guests.size()) co_await ask(guests[next++]);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> sockets(argv + 1, argv + argc);
  if (sockets.empty()) sockets.push_back("/tmp/qga.sock");
  try {
    asio::io_context context;
    std::deque<Guest> guests;  // a client stays where it is while its calls are under way
    for (const std::string& socket : sockets) guests.emplace_back(context, socket);
    for (int round = 0; round < rounds; ++round) {
      if (round > 0) std::this_thread::sleep_for(1s);
      std::size_t next = 0;
      for (std::size_t i = 0; i < std::min(most_at_once, guests.size()); ++i) {
        asio::co_spawn(context, work(guests, next), [](std::exception_ptr error) {
          if (error) std::rethrow_exception(error);  // not a guest's: ends the program
        });
      }
      context.run();
      context.restart();
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

#else

int main() {
  std::cout << "Skipped: this compiler and this version of Asio have no coroutines together.\n";
}

#endif
