// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 03: everything that can go wrong, on purpose: what is thrown, what it knows, and that the client
// works again afterwards.
// Usage: 03_errors [SOCKET]
#include <qga/client.hpp>

#include <asio/io_context.hpp>
#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>
#include <chrono>
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

/// Does what must fail with an `Error`; anything else ends the program.
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

/// What an agent that runs, and one client of it, can go through.
void show_agent_errors(const std::string& socket) {
  qga::Client ga(socket);

  expect<qga::AgentError>("AgentError: the agent says no", [&] { ga.file_open("/no/such/file"); });

  expect<qga::CommandNotFoundError>("CommandNotFoundError: unknown to the agent, or forbidden",
                                    [&] { ga.execute("guest-make-coffee"); });

  // Agents cut a string at a NUL without a word, and would open another file than was meant.
  expect<qga::RequestError>("RequestError: the client itself refuses to send it",
                            [&] { ga.file_open("/etc/passwd\0.txt"s); });

  // Reading 32 MiB of zeros takes longer than a millisecond. The reply comes later all the same:
  // the client drops it, and makes sure that it is in step before it sends anything else.
  const auto zeros = ga.file_open("/dev/zero");
  expect<qga::TimeoutError>("TimeoutError: no answer in time",
                            [&] { ga.with({.timeout = 1ms}).file_read(zeros, 32 << 20); });
  ga.with({.timeout = 30s}).file_close(zeros);

  // A guest decides what it sends, and the client how much of it to take.
  ga.close();  // an agent serves one client at a time
  qga::Client frugal(socket, {.max_reply_size = 256});
  expect<qga::BadReplyError>("BadReplyError: longer than we accept (or malformed)",
                             [&] { frugal.info(); });
  frugal.ping();  // none of these broke the connection
  frugal.close();

  expect<qga::ConnectError>("ConnectError: a closed client", [&] { ga.ping(); });
  ga.connect(socket);
  ga.ping();
  std::cout << "The agent still answers.\n\n";
}

/// What a channel can do on which no agent answers: QEMU accepts a client before there is one.
void show_silence() {
  asio::io_context context;
  asio::local::stream_protocol::socket ours(context);
  asio::local::stream_protocol::socket theirs(context);
  asio::local::connect_pair(ours, theirs);
  qga::Client ga(std::move(ours));  // a client takes any connected stream

  // Only the handshake was written. Should an agent start in an hour, it finds no shutdown there.
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

  theirs.close();
  expect<qga::UnreachableError>("ReadError or WriteError: the channel broke", [&] { ga.ping(); });
  // A broken connection stays broken until `connect`: open files may not have survived.
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
