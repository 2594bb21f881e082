// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 03: provokes every kind of error, and shows what each one tells. The client works again after all
// of them.
// Usage: 03_errors [SOCKET]
#include <qga/client.hpp>

#include <asio/io_context.hpp>
#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>
#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

std::string_view to_text(qga::Outcome outcome) {
  switch (outcome) {
    case qga::Outcome::not_sent:
      return "not sent: the agent has not seen it and never will";
    case qga::Outcome::refused:
      return "refused: the agent says that it did not do it";
    default:
      return "unknown: it may have run, or may yet run";
  }
}

/// Calls `act`, which must throw an `Error`; otherwise the program ends.
template <class Error, class Act>
void expect(std::string_view title, Act act) {
  try {
    act();
  } catch (const Error& error) {
    std::cout << title << "\n  code     " << error.code() << "\n  outcome  "
              << to_text(error.outcome()) << "\n  what     " << error.what() << "\n\n";
    return;
  }
  throw std::logic_error("nothing was thrown: " + std::string(title));
}

/// Shows the errors of a client whose agent runs.
void show_agent_errors(const std::string& socket) {
  qga::Client ga(socket);

  expect<qga::AgentError>("AgentError: the agent says no", [&] { ga.file_open("/no/such/file"); });

  expect<qga::CommandNotFoundError>("CommandNotFoundError: unknown to the agent, or forbidden",
                                    [&] { ga.execute("guest-make-coffee"); });

  // An agent cuts a string at a NUL byte, and would open another file than was meant.
  expect<qga::RequestError>("RequestError: the client itself refuses to send it",
                            [&] { ga.file_open("/etc/passwd\0.txt"s); });

  // Reading 32 MiB of zeros takes longer than a millisecond. The reply still comes later: the
  // client drops it, and makes a new handshake before it sends the next command.
  const auto zeros = ga.file_open("/dev/zero");
  expect<qga::TimeoutError>("TimeoutError: no answer in time",
                            [&] { ga.with({.timeout = 1ms}).file_read(zeros, 32 << 20); });
  ga.with({.timeout = 30s}).file_close(zeros);

  // The guest decides what it sends, and the client how much of it to accept. An agent serves one
  // client at a time, so the first one is closed before.
  ga.close();
  qga::Client frugal(socket, {.max_reply_size = 256});
  expect<qga::BadReplyError>("BadReplyError: longer than we accept (or malformed)",
                             [&] { frugal.info(); });
  frugal.ping();  // the connection still works
  frugal.close();

  expect<qga::ConnectError>("ConnectError: a closed client", [&] { ga.ping(); });
  ga.reconnect();  // to the socket that it was connected to before
  ga.ping();
  std::cout << "The agent still answers.\n\n";
}

/// Shows the errors of a channel on which no agent answers. QEMU accepts a client also while no
/// agent runs.
void show_silence() {
  asio::io_context context;
  asio::local::stream_protocol::socket ours(context);
  asio::local::stream_protocol::socket theirs(context);
  asio::local::connect_pair(ours, theirs);
  qga::Client ga(std::move(ours));  // a client takes any connected stream

  // Only the handshake was sent. An agent that starts an hour later does not find a shutdown there.
  expect<qga::TimeoutError>("TimeoutError: nobody is there",
                            [&] { ga.with({.timeout = 100ms}).shutdown(); });

  expect<qga::CancelledError>("CancelledError: another thread ended the call", [&] {
    std::stop_source stop;
    const std::jthread other([&stop] {
      std::this_thread::sleep_for(100ms);
      stop.request_stop();
    });
    ga.with({.timeout = 1h, .stop = stop.get_token()}).ping();
  });

  // A blocking call needs the client for itself, and this asynchronous one is using it.
  ga.async([](std::exception_ptr) {}, {.timeout = 100ms}).ping();
  expect<qga::BusyError>("BusyError: another call is using the client", [&] { ga.ping(); });
  context.run();

  theirs.close();
  expect<qga::UnreachableError>("ReadError or WriteError: the channel broke", [&] { ga.ping(); });
  // A broken connection stays broken until `connect` or `reconnect`: the guest may have lost the
  // files that were open.
  expect<qga::ConnectError>("ConnectError: the channel was found broken", [&] { ga.ping(); });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    expect<qga::ConnectError>("ConnectError: nobody listens",
                              [] { qga::Client ga("/no/such/socket"); });
    show_silence();
    show_agent_errors(argc > 1 ? argv[1] : "/tmp/qga.sock");
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
