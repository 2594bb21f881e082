// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What goes wrong, how it is told, and that the next command works again.
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "lines.hpp"
#include "qga/client.hpp"
#include "sockets.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using qga::Outcome;

namespace {

void check(const qga::GuestAgentError& error, int code, Outcome outcome, std::string_view command) {
  CAPTURE(error.what());
  CHECK(error.code() == code);
  CHECK(error.outcome() == outcome);
  CHECK(error.command() == command);
  const bool refused = error.err() == std::errc::invalid_argument ||
                       error.err() == std::errc::message_size ||
                       error.err() == std::errc::device_or_resource_busy;
  CHECK(error.is_unreachable() == (code <= 1003 && !refused));
  CHECK_FALSE(std::string_view(error.what()).empty());
}

/// A blocking call on another thread, and how it ended.
template <class Result>
class OtherThread {
 public:
  template <class Call>
  explicit OtherThread(Call call)
      : thread_([this, call = std::move(call)]() mutable {
          try {
            if constexpr (std::is_void_v<Result>) {
              call();
            } else {
              value_ = call();
            }
          } catch (...) {
            error_ = std::current_exception();
          }
        }) {}

  /// Waits for the end.
  Result get() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<Result>) return *value_;
  }

 private:
  using Value = std::conditional_t<std::is_void_v<Result>, int, Result>;
  std::exception_ptr error_;
  std::optional<Value> value_;
  std::jthread thread_;  // joins before the others go
};

/// A blocking client, and a second descriptor that tells when its requests have gone out.
struct Watched {
  explicit Watched(const std::string& path, qga::ClientParams params = patient())
      : Watched(connected_to(path), std::move(params)) {}

  void wait_until_sent() const {
    wait_until([&] { return unread_by_peer(eye); });
  }

  Descriptor eye;
  qga::Client<> client;

 private:
  Watched(Descriptor socket, qga::ClientParams params)
      : eye(socket.duplicate()),
        client(qga::Client<>::from_handle(socket.release(), std::move(params))) {}
};

/// A client on a context, in sync.
struct Loop {
  explicit Loop(const std::string& path, qga::ClientParams params = patient())
      : client(path, std::move(params)) {
    Answer<void> answer;
    client.async(asio::bind_executor(context, to(answer))).ping();
    run_dry(context);
    answer.get();
  }

  template <class Result>
  auto async(Answer<Result>& answer, qga::CallOptions options = {}) {
    return client.async(asio::bind_executor(context, to(answer)), std::move(options));
  }
  template <class Result>
  auto async(Answer<Result>& answer, asio::cancellation_signal& signal) {
    return client.async(
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))));
  }

  asio::io_context context;
  qga::Client<> client;
};

}  // namespace

// ---- connecting ----------------------------------------------------------------------------

TEMPLATE_TEST_CASE("no socket at the path", "[agent]", Blocking, Async) {
  const TemporaryDirectory directory;
  const auto error = error_of<qga::ConnectError>([&] { TestType ga(directory.file("none")); });
  check(error, 1000, Outcome::not_sent, "");
  CHECK(error.err() == std::errc::no_such_file_or_directory);
}

TEMPLATE_TEST_CASE("a file that is no socket", "[agent]", Blocking, Async) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("file")) << "no socket";
  const auto error = error_of<qga::ConnectError>([&] { TestType ga(directory.file("file")); });
  check(error, 1000, Outcome::not_sent, "");
  CHECK(error.err() == std::errc::connection_refused);
}

TEST_CASE("a path that is too long, or empty", "[agent]") {
  const auto too_long =
      error_of<qga::ConnectError>([] { qga::Client<> ga("/tmp/" + std::string(200, 'x')); });
  check(too_long, 1000, Outcome::not_sent, "");
  CHECK(too_long.err() == std::errc::filename_too_long);
  CHECK(error_of<qga::ConnectError>([] { qga::Client<> ga(std::string(108, 'x')); }).err() ==
        std::errc::filename_too_long);
  CHECK(error_of<qga::ConnectError>([] { qga::Client<> ga(std::string(107, 'x')); }).err() ==
        std::errc::no_such_file_or_directory);
  CHECK(error_of<qga::ConnectError>([] { qga::Client<> ga(""); }).outcome() == Outcome::not_sent);
}

TEMPLATE_TEST_CASE("a socket that nobody answers on", "[agent]", Blocking, Async) {
  const TemporaryDirectory directory;
  const Descriptor listener = listening_on(directory.file("silent"));
  TestType ga(directory.file("silent"));
  CHECK(ga.is_open());
  for (int i = 0; i < 3; ++i) {
    const auto start = qga::Clock::now();
    const auto error = error_of<qga::TimeoutError>([&] { ga.with({.timeout = 100ms}).ping(); });
    CHECK(qga::Clock::now() - start >= 100ms);
    check(error, 1003, Outcome::not_sent, "guest-ping");
    CHECK(error.err() == std::errc::timed_out);
  }
  CHECK(ga.is_open());
}

// ---- what the client refuses ---------------------------------------------------------------

TEMPLATE_TEST_CASE("strings that would be cut or are not UTF-8", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto refused = [&](std::string_view command, auto call) {
    const auto error = error_of<qga::RequestError>(call);
    check(error, 1002, Outcome::not_sent, command);
    CHECK(error.err() == std::errc::invalid_argument);
    ga.ping();
  };
  refused("guest-file-open", [&] { ga.file_open("/etc/passwd\0.txt"s); });
  refused("guest-file-open", [&] { ga.file_open("\0"s); });
  refused("guest-file-open", [&] { ga.file_open("/tmp/\xFF"); });
  refused("guest-file-open", [&] { ga.file_open("/tmp/\xC3("); });
  refused("guest-exec", [&] { ga.exec("/bin/echo\0"s); });
  refused("guest-exec", [&] { ga.exec("/bin/echo", {.args = {"a", "b\0c"s}}); });
  refused("guest-exec", [&] { ga.exec("/bin/echo", {.env = {{"A=\xED\xA0\x80"}}}); });
  refused("guest-file-seek", [&] { ga.file_seek(1, 0, qga::QGASeek::unknown); });
  refused("guest-file-open", [&] { ga.execute("guest-file-open", {{"path", "a\xFF"}}); });
}

TEMPLATE_TEST_CASE("a request that is too long for the agent", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto error = error_of<qga::RequestError>(
      [&] { ga.file_write(1, std::string(std::size_t{48} << 20, 'x')); });
  check(error, 1002, Outcome::not_sent, "guest-file-write");
  CHECK(error.err() == std::errc::message_size);
  ga.ping();
}

// ---- what the agent refuses ----------------------------------------------------------------

TEMPLATE_TEST_CASE("a program that is not there", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  for (const char* const path : {"/no/such/program", "/etc/os-release", "/", ""}) {
    const auto error = error_of<qga::AgentError>([&] { ga.exec(path); });
    check(error, 1004, Outcome::refused, "guest-exec");
    CHECK(error.error_class() == "GenericError");
    CHECK_FALSE(error.desc().empty());
    ga.ping();
  }
}

TEMPLATE_TEST_CASE("a reply over the client's limit", "[agent]", Blocking, Async) {
  const Agent agent;
  qga::ClientParams params = patient();
  params.max_reply_size = 1000;
  TestType ga(agent.path(), params);
  for (int i = 0; i < 3; ++i) {
    const auto error = error_of<qga::BadReplyError>([&] { ga.info(); });
    check(error, 1005, Outcome::unknown, "guest-info");
    CHECK(std::string_view(error.what()).find("1000") != std::string_view::npos);
    CHECK(ga.sync(i) == i);
  }
}

// ---- closed and moved-from -----------------------------------------------------------------

TEMPLATE_TEST_CASE("a closed client", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  ga.ping();
  ga.close();
  CHECK_FALSE(ga.is_open());
  ga.close();
  for (int i = 0; i < 2; ++i) {
    const auto error = error_of<qga::ConnectError>([&] { ga.ping(); });
    check(error, 1000, Outcome::not_sent, "guest-ping");
  }
  check(error_of<qga::ConnectError>([&] { ga.execute("guest-ping"); }), 1000, Outcome::not_sent,
        "guest-ping");
  check(error_of<qga::ConnectError>([&] { ga.with({.timeout = 1ms}).info(); }), 1000,
        Outcome::not_sent, "guest-info");

  ga.connect(agent.path());
  CHECK(ga.is_open());
  CHECK(ga.sync(5) == 5);
  ga.connect(agent.path());  // closes the one before
  CHECK(ga.sync(6) == 6);
}

TEST_CASE("a client that was moved from is a closed one", "[agent]") {
  const Agent agent;
  qga::Client<> first(agent.path(), patient());
  first.ping();
  qga::Client<> second = std::move(first);
  CHECK(second.sync(1) == 1);
  CHECK_FALSE(first.is_open());  // NOLINT: that is what is tested
  first.close();
  check(error_of<qga::ConnectError>([&] { first.ping(); }), 1000, Outcome::not_sent, "guest-ping");
  CHECK_THROWS_AS(first.connect(agent.path()), qga::ConnectError);

  Answer<void> answer;
  asio::io_context context;
  first.async(asio::bind_executor(context, to(answer))).ping();
  run_dry(context);
  check(error_of<qga::ConnectError>([&] { answer.get(); }), 1000, Outcome::not_sent, "guest-ping");

  second.close();
  first = qga::Client<>(agent.path(), patient());
  CHECK(first.sync(2) == 2);
  first = std::move(second);
  CHECK_FALSE(first.is_open());
}

TEST_CASE("closing ends the calls under way", "[agent]") {
  Agent agent;
  Answer<std::int64_t> first, second;
  Loop loop(agent.path());
  agent.stop();
  loop.async(first).sync(1);
  loop.async(second).sync(2);
  loop.client.close();
  CHECK_FALSE(loop.client.is_open());
  CHECK(first.times == 0);  // not within close
  run_dry(loop.context);
  CHECK(error_of<qga::CancelledError>([&] { first.get(); }).code() == 1006);
  CHECK(error_of<qga::CancelledError>([&] { second.get(); }).code() == 1006);
  agent.resume();
}

// ---- an agent that goes away ---------------------------------------------------------------

TEST_CASE("an agent killed under a blocking call", "[agent]") {
  Agent agent;
  bool was_sent = false;
  // On a busy machine the client may ask again before it sends: then nothing is known to be sent.
  for (int round = 0; round < 20 && !was_sent; ++round) {
    Lines lines;
    qga::ClientParams params = patient();
    params.trace = lines.trace();
    Watched watched(agent.path(), params);
    qga::Client<>& ga = watched.client;
    ga.ping();
    agent.stop();
    OtherThread<std::int64_t> call([&] { return ga.sync(5); });
    watched.wait_until_sent();
    agent.kill();
    const auto error = error_of<qga::ReadError>([&] { call.get(); });
    was_sent = lines.sent("\"guest-sync\"");
    check(error, 1001, was_sent ? Outcome::unknown : Outcome::not_sent, "guest-sync");
    CHECK(error.err());

    CHECK_FALSE(ga.is_open());
    check(error_of<qga::ConnectError>([&] { ga.ping(); }), 1000, Outcome::not_sent, "guest-ping");
    check(error_of<qga::ConnectError>([&] { ga.connect(agent.path()); }), 1000, Outcome::not_sent,
          "");
    agent.restart();
    check(error_of<qga::ConnectError>([&] { ga.ping(); }), 1000, Outcome::not_sent, "guest-ping");
    ga.connect(agent.path());
    CHECK(ga.sync(round) == round);
  }
  CHECK(was_sent);
}

TEST_CASE("an agent killed under asynchronous calls", "[agent]") {
  Agent agent;
  bool was_sent = false;
  for (int round = 0; round < 20 && !was_sent; ++round) {
    Lines lines;
    qga::ClientParams params = patient();
    params.trace = lines.trace();
    Answer<std::int64_t> first, second;
    Answer<void> third;
    Loop loop(agent.path(), params);
    agent.stop();
    loop.async(first).sync(5);
    loop.async(second).sync(6);
    loop.context.restart();
    loop.context.poll();
    agent.kill();
    run_dry(loop.context);
    was_sent = lines.sent("\"guest-sync\"");
    const Outcome outcome = was_sent ? Outcome::unknown : Outcome::not_sent;
    check(error_of<qga::ReadError>([&] { first.get(); }), 1001, outcome, "guest-sync");
    check(error_of<qga::ReadError>([&] { second.get(); }), 1001, outcome, "guest-sync");

    CHECK_FALSE(loop.client.is_open());
    loop.async(third).ping();
    run_dry(loop.context);
    check(error_of<qga::ConnectError>([&] { third.get(); }), 1000, Outcome::not_sent, "guest-ping");
    agent.restart();
    loop.client.connect(agent.path());
    Answer<std::int64_t> fourth;
    loop.async(fourth).sync(round);
    run_dry(loop.context);
    CHECK(fourth.get() == round);
  }
  CHECK(was_sent);
}

TEMPLATE_TEST_CASE("an agent that went away between two calls", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  ga.ping();
  agent.kill();
  const auto error = error_of<qga::UnreachableError>([&] { ga.ping(); });
  CHECK((error.code() == 1001 || error.code() == 1002));
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK_FALSE(ga.is_open());
  check(error_of<qga::ConnectError>([&] { ga.ping(); }), 1000, Outcome::not_sent, "guest-ping");
  agent.restart();
  ga.connect(agent.path());
  CHECK(ga.sync(9) == 9);
}

// ---- two calls at once ---------------------------------------------------------------------

TEST_CASE("a blocking call has the client for itself", "[agent]") {
  Agent agent;
  Watched watched(agent.path());
  qga::Client<>& ga = watched.client;
  ga.ping();
  agent.stop();
  OtherThread<std::int64_t> call([&] { return ga.sync(7); });
  watched.wait_until_sent();

  const auto busy = [](const qga::RequestError& error, std::string_view command) {
    check(error, 1002, Outcome::not_sent, command);
    CHECK(error.err() == std::errc::device_or_resource_busy);
  };
  busy(error_of<qga::RequestError>([&] { ga.ping(); }), "guest-ping");
  busy(error_of<qga::RequestError>([&] { ga.with({.timeout = 1ms}).info(); }), "guest-info");
  busy(error_of<qga::RequestError>([&] { ga.close(); }), "");
  busy(error_of<qga::RequestError>([&] { ga.connect(agent.path()); }), "");
  Answer<void> answer;
  asio::io_context context;
  ga.async(asio::bind_executor(context, to(answer))).ping();
  run_dry(context);
  busy(error_of<qga::RequestError>([&] { answer.get(); }), "guest-ping");

  agent.resume();
  CHECK(call.get() == 7);
  CHECK(ga.sync(8) == 8);
}

TEST_CASE("no blocking call while asynchronous ones are under way", "[agent]") {
  Agent agent;
  Answer<std::int64_t> answer;
  Loop loop(agent.path());
  agent.stop();
  loop.async(answer).sync(7);
  const auto error = error_of<qga::RequestError>([&] { loop.client.ping(); });
  check(error, 1002, Outcome::not_sent, "guest-ping");
  CHECK(error.err() == std::errc::device_or_resource_busy);
  agent.resume();
  run_dry(loop.context);
  CHECK(answer.get() == 7);
  CHECK(loop.client.sync(8) == 8);
}

// ---- cancelling ----------------------------------------------------------------------------

TEST_CASE("a stop request ends a blocking call", "[agent]") {
  Agent agent;
  Lines lines;
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  Watched watched(agent.path(), params);
  qga::Client<>& ga = watched.client;
  ga.ping();
  agent.stop();
  std::stop_source source;
  OtherThread<std::int64_t> call([&] { return ga.with({.stop = source.get_token()}).sync(7); });
  watched.wait_until_sent();
  source.request_stop();
  const auto error = error_of<qga::CancelledError>([&] { call.get(); });
  check(error, 1006, lines.sent("\"guest-sync\"") ? Outcome::unknown : Outcome::not_sent,
        "guest-sync");
  CHECK(error.err() == std::errc::operation_canceled);
  agent.resume();
  CHECK(ga.sync(8) == 8);

  // Before the call: then nothing is sent.
  check(error_of<qga::CancelledError>([&] { ga.with({.stop = source.get_token()}).sync(9); }), 1006,
        Outcome::not_sent, "guest-sync");
  CHECK_FALSE(lines.sent("\"id\":9}"));
  CHECK(ga.sync(10) == 10);

  // After it: no matter.
  std::stop_source late;
  CHECK(ga.with({.stop = late.get_token()}).sync(11) == 11);
  late.request_stop();
  CHECK(ga.sync(12) == 12);
}

TEST_CASE("a stop request ends a blocking call in its handshake", "[agent]") {
  const TemporaryDirectory directory;
  const Descriptor listener = listening_on(directory.file("silent"));
  Watched watched(directory.file("silent"));
  std::stop_source source;
  OtherThread<void> call([&] { watched.client.with({.stop = source.get_token()}).ping(); });
  watched.wait_until_sent();
  source.request_stop();
  check(error_of<qga::CancelledError>([&] { call.get(); }), 1006, Outcome::not_sent, "guest-ping");
  CHECK(watched.client.is_open());
}

TEST_CASE("an asynchronous call that was sent is cancelled", "[agent]") {
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial}) {
    Agent agent;
    Lines lines;
    qga::ClientParams params = patient();
    params.trace = lines.trace();
    asio::cancellation_signal signal;
    Answer<std::int64_t> cancelled, next;
    Loop loop(agent.path(), params);
    agent.stop();
    loop.async(cancelled, signal).sync(1);
    loop.async(next).sync(2);
    signal.emit(type);
    run_until(loop.context, [&] { return cancelled.done(); });
    const auto error = error_of<qga::CancelledError>([&] { cancelled.get(); });
    check(error, 1006, lines.sent("{\"id\":1}") ? Outcome::unknown : Outcome::not_sent,
          "guest-sync");
    CHECK(error.err() == std::errc::operation_canceled);
    signal.emit(type);  // nothing is left to cancel
    CHECK_FALSE(next.done());
    agent.resume();
    run_dry(loop.context);
    CHECK(next.get() == 2);
  }
}

TEST_CASE("total cancellation leaves alone what was sent", "[agent]") {
  Agent agent;
  Lines lines;
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  asio::cancellation_signal signal;
  Answer<std::int64_t> answer;
  Loop loop(agent.path(), params);
  agent.stop();
  loop.async(answer, signal).sync(1);
  const bool sent = lines.sent("\"guest-sync\"");
  signal.emit(asio::cancellation_type::total);
  agent.resume();
  run_dry(loop.context);
  if (sent) {
    CHECK(answer.get() == 1);
  } else {  // a slow machine
    check(error_of<qga::CancelledError>([&] { answer.get(); }), 1006, Outcome::not_sent,
          "guest-sync");
  }
}

TEST_CASE("any cancellation ends what was not sent", "[agent]") {
  const TemporaryDirectory directory;
  const Descriptor listener = listening_on(directory.file("silent"));
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                          asio::cancellation_type::total}) {
    asio::cancellation_signal signal;
    Answer<void> answer;
    asio::io_context context;
    qga::Client<> ga(directory.file("silent"), patient());
    ga.async(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))))
        .ping();
    context.poll();
    CHECK(answer.times == 0);
    signal.emit(type);
    run_dry(context);
    check(error_of<qga::CancelledError>([&] { answer.get(); }), 1006, Outcome::not_sent,
          "guest-ping");
    CHECK(ga.is_open());
  }
}

// ---- deadlines -----------------------------------------------------------------------------

TEMPLATE_TEST_CASE("deadlines of a call and of a client", "[agent]", Blocking, Async) {
  Agent agent;
  const auto times_out = [](auto call) {
    const auto start = qga::Clock::now();
    const auto error = error_of<qga::TimeoutError>(call);
    CHECK(error.code() == 1003);
    CHECK(error.err() == std::errc::timed_out);
    CHECK(error.is_unreachable());
    return qga::Clock::now() - start;
  };
  {
    TestType ga(agent.path());  // 60 s
    ga.ping();
    agent.stop();
    const auto took = times_out([&] { ga.with({.timeout = 50ms}).ping(); });
    CHECK(took >= 50ms);
    CHECK(took < 30s);
    agent.resume();
    CHECK(ga.sync(1) == 1);
  }
  {
    TestType ga(agent.path(), {.timeout = 50ms});
    ga.with({.timeout = qga::Clock::duration::max()}).ping();
    agent.stop();
    const auto took = times_out([&] { ga.exec_status(1); });  // has a default of 60 s
    CHECK(took >= 50ms);
    CHECK(took < 30s);
    agent.resume();
    CHECK(ga.with({.timeout = 60s}).sync(2) == 2);
  }
}

TEMPLATE_TEST_CASE("no time at all", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  for (const auto timeout :
       {qga::Clock::duration(0ms), qga::Clock::duration(-1h), qga::Clock::duration::min()}) {
    const auto error = error_of<qga::TimeoutError>([&] { ga.with({.timeout = timeout}).sync(1); });
    check(error, 1003, Outcome::not_sent, "guest-sync");
    CHECK(ga.sync(2) == 2);
  }
}
