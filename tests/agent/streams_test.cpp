// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One client over every kind of stream, and everything that a client can be made from.
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/serial_port.hpp>
#include <asio/use_future.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "full_house.hpp"
#include "qga/client.hpp"
#include "relay.hpp"
#include "sockets.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::Outcome;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;

namespace {

std::string some_bytes() {
  std::string bytes(300'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

template <class Client>
void exercise_blocking(Client& ga, const std::string& path, const std::string& bytes) {
  ga.ping();
  CHECK(ga.sync(17) == 17);
  CHECK(ga.info().supported_commands.size() > 10);
  const std::int64_t handle = ga.file_open(path);
  const qga::GuestFileRead read = ga.file_read(handle, 1 << 20);
  CHECK(read.eof);
  CHECK((read.buf_b64 == bytes));
  ga.file_close(handle);
  CHECK_THROWS_AS(ga.file_read(handle), qga::AgentError);
}

template <class Client>
void exercise_async(Client& ga, asio::io_context& context, const std::string& path,
                    const std::string& bytes) {
  Answer<std::int64_t> synced, handle;
  Answer<qga::GuestAgentInfo> info;
  Answer<qga::GuestFileRead> read, refused;
  Answer<void> closed;
  const auto with = [&](auto& answer) {
    return ga.async(asio::bind_executor(context, to(answer)));
  };
  with(synced).sync(18);
  with(info).info();
  with(handle).file_open(path);
  run_dry(context);
  CHECK(synced.get() == 18);
  CHECK(info.get().supported_commands.size() > 10);
  const std::int64_t number = handle.get();
  with(read).file_read(number, 1 << 20);
  with(closed).file_close(number);
  with(refused).file_read(number);
  run_dry(context);
  CHECK((read.get().buf_b64 == bytes));
  closed.get();
  CHECK_THROWS_AS(refused.get(), qga::AgentError);
}

/// Blocking, asynchronous, and blocking again.
template <class Client>
void exercise(Client& ga, asio::io_context& context, const Agent& agent) {
  const std::string bytes = some_bytes();
  const std::string path = agent.put("bytes", bytes);
  exercise_blocking(ga, path, bytes);
  exercise_async(ga, context, path, bytes);
  exercise_blocking(ga, path, bytes);
  exercise_async(ga, context, path, bytes);
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

// ---- streams -------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("replies read in small and large pieces", "[agent]", Blocking, Async) {
  const Agent agent;
  std::optional<qga::GuestAgentInfo> first;
  for (const std::size_t size : {1u, 16u, 4096u, 1u << 20, 0u}) {
    qga::ClientParams params = patient();
    params.read_buffer_size = size;
    TestType ga(agent.path(), params);
    const qga::GuestAgentInfo info = ga.info();
    CHECK(info == first.value_or(info));
    first = info;
    CHECK(ga.sync(1) == 1);
  }
}

TEST_CASE("over a UNIX socket", "[agent]") {
  const Agent agent;
  asio::io_context context;
  Local::socket socket(context);
  socket.connect(Local::endpoint(agent.path()));
  qga::Client ga(std::move(socket), patient());
  exercise(ga, context, agent);
}

TEST_CASE("over TCP", "[agent]") {
  const Agent agent;
  TcpDoor door;
  asio::io_context context;
  Tcp::socket socket(context);
  socket.connect({asio::ip::address_v4::loopback(), door.port()});
  const Relay relay = door.relay_to(agent.path());
  qga::Client ga(std::move(socket), patient());
  exercise(ga, context, agent);
}

TEST_CASE("over a generic socket", "[agent]") {
  const Agent agent;
  asio::io_context context;
  asio::generic::stream_protocol::socket socket(context);
  socket.connect(Local::endpoint(agent.path()));
  qga::Client ga(std::move(socket), patient());
  exercise(ga, context, agent);
}

TEST_CASE("over a descriptor", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client ga(asio::posix::stream_descriptor(context, connected_to(agent.path()).release()),
                 patient());
  exercise(ga, context, agent);
}

TEST_CASE("over a serial port", "[agent]") {
  const Agent agent;
  Terminal terminal;
  const Relay relay = terminal.relay_to(agent.path());
  asio::io_context context;
  qga::Client ga(asio::serial_port(context, terminal.name()), patient());
  exercise(ga, context, agent);
}

TEST_CASE("a stream that is not open", "[agent]") {
  asio::io_context context;
  const auto error =
      error_of<qga::ConnectError>([&] { qga::Client<Local::socket> ga{Local::socket(context)}; });
  CHECK(error.code() == 1000);
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK(error.err() == std::errc::bad_file_descriptor);
}

// ---- handles -------------------------------------------------------------------------------

TEST_CASE("from a handle", "[agent]") {
  const Agent agent;
  asio::io_context context;
  const int fd = connected_to(agent.path()).release();
  {
    auto ga = qga::Client<>::from_handle(fd, patient());
    exercise(ga, context, agent);
    CHECK(is_open(fd));
  }
  CHECK_FALSE(is_open(fd));
}

TEST_CASE("from a handle of another family", "[agent]") {
  const Agent agent;
  const auto connect = [](std::uint16_t port) {
    asio::io_context context;
    Tcp::socket socket(context);
    socket.connect({asio::ip::address_v4::loopback(), port});
    return socket.release();
  };
  {
    TcpDoor door;
    asio::io_context context;
    auto ga = qga::Client<Tcp::socket>::from_handle(connect(door.port()), patient());
    const Relay relay = door.relay_to(agent.path());
    exercise(ga, context, agent);
  }
  {
    TcpDoor door;
    asio::io_context context;
    auto ga = qga::Client<>::from_handle(connect(door.port()), patient());
    const Relay relay = door.relay_to(agent.path());
    exercise(ga, context, agent);
  }
  {
    asio::io_context context;
    auto ga = qga::Client<asio::generic::stream_protocol::socket>::from_handle(
        connected_to(agent.path()).release(), patient());
    exercise(ga, context, agent);
  }
  {
    asio::io_context context;
    auto ga = qga::Client<asio::posix::stream_descriptor>::from_handle(
        connected_to(agent.path()).release(), patient());
    exercise(ga, context, agent);
  }
}

TEST_CASE("from a handle that is none", "[agent]") {
  const int closed = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::close(closed);
  for (const int fd : {-1, closed, 1 << 20}) {
    const auto error = error_of<qga::ConnectError>([&] { qga::Client<>::from_handle(fd); });
    CHECK(error.code() == 1000);
    CHECK(error.outcome() == Outcome::not_sent);
    CHECK(error.err() == std::errc::bad_file_descriptor);
  }
}

// ---- unconnected ---------------------------------------------------------------------------

TEST_CASE("an unconnected client connects asynchronously", "[agent]") {
  const Agent agent;
  asio::io_context context;
  Answer<void> early, connected;
  qga::Client ga(context, patient());
  CHECK_FALSE(ga.is_open());
  CHECK(error_of<qga::ConnectError>([&] { ga.ping(); }).outcome() == Outcome::not_sent);
  ga.async(asio::bind_executor(context, to(early))).ping();
  run_dry(context);
  CHECK(error_of<qga::ConnectError>([&] { early.get(); }).outcome() == Outcome::not_sent);

  ga.async_connect(Local::endpoint(agent.path()), asio::bind_executor(context, to(connected)));
  CHECK(connected.times == 0);
  run_dry(context);
  connected.get();
  CHECK(ga.is_open());
  exercise(ga, context, agent);
}

TEST_CASE("an unconnected client connects blocking", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(context.get_executor(), patient());
  ga.connect(agent.path());
  exercise(ga, context, agent);
  ga.connect(Local::endpoint(agent.path()));
  exercise(ga, context, agent);
}

TEST_CASE("an unconnected TCP client connects both ways", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<Tcp::socket> ga(context, patient());
  {
    TcpDoor door;
    ga.connect(Tcp::endpoint(asio::ip::address_v4::loopback(), door.port()));
    const Relay relay = door.relay_to(agent.path());
    exercise(ga, context, agent);
    ga.close();
  }
  {
    TcpDoor door;
    Answer<void> connected;
    ga.async_connect(Tcp::endpoint(asio::ip::address_v4::loopback(), door.port()),
                     asio::bind_executor(context, to(connected)));
    run_dry(context);
    connected.get();
    const Relay relay = door.relay_to(agent.path());
    exercise(ga, context, agent);
    ga.close();
  }
  std::uint16_t closed_port = 0;
  {
    const TcpDoor door;
    closed_port = door.port();
  }
  const Tcp::endpoint nobody(asio::ip::address_v4::loopback(), closed_port);
  CHECK(error_of<qga::ConnectError>([&] { ga.connect(nobody); }).err() ==
        std::errc::connection_refused);
  Answer<void> refused;
  ga.async_connect(nobody, asio::bind_executor(context, to(refused)));
  run_dry(context);
  CHECK(error_of<qga::ConnectError>([&] { refused.get(); }).err() == std::errc::connection_refused);
}

TEST_CASE("connecting asynchronously to nothing", "[agent]") {
  const TemporaryDirectory directory;
  asio::io_context context;
  Answer<void> answer;
  qga::Client<> ga(context, patient());
  ga.async_connect(Local::endpoint(directory.file("none")),
                   asio::bind_executor(context, to(answer)));
  run_dry(context);
  const auto error = error_of<qga::ConnectError>([&] { answer.get(); });
  CHECK(error.code() == 1000);
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK(error.err() == std::errc::no_such_file_or_directory);
  CHECK_FALSE(ga.is_open());
}

TEST_CASE("connecting asynchronously uses the handler's executor where the client has none",
          "[agent]") {
  const Agent agent;
  Answer<void> answer;
  asio::io_context context;
  qga::Client<> ga;
  ga.async_connect(Local::endpoint(agent.path()), asio::bind_executor(context, to(answer)));
  CHECK_FALSE(ga.is_open());
  run_dry(context);
  answer.get();
  CHECK(ga.sync(3) == 3);
  ga.async_reconnect(asio::use_future).get();  // has no executor either: the system's threads
  CHECK(ga.sync(4) == 4);
}

TEMPLATE_TEST_CASE("connecting has a deadline", "[agent]", Blocking, Async) {
  FullHouse house;
  const auto start = qga::Clock::now();
  const auto error =
      error_of<qga::ConnectError>([&] { TestType ga(house.path(), {.timeout = 100ms}); });
  CHECK(qga::Clock::now() - start >= 100ms);
  CHECK(error.code() == 1000);
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK(error.err() == std::errc::timed_out);
}

TEST_CASE("connecting waits for room", "[agent]") {
  FullHouse house;
  Answer<void> answer;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.async_connect(Local::endpoint(house.path()), asio::bind_executor(context, to(answer)));
  context.poll();
  CHECK(answer.times == 0);
  const Descriptor let_in = house.accept();
  run_dry(context);
  answer.get();
  CHECK(ga.is_open());
}

TEST_CASE("connecting is cancelled", "[agent]") {
  const Agent agent;
  FullHouse house;
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                          asio::cancellation_type::total}) {
    CAPTURE(static_cast<int>(type));
    asio::cancellation_signal signal;
    Answer<void> answer;
    asio::io_context context;
    qga::ClientParams params;
    params.timeout = 3s;  // where a cancellation is not heard
    qga::Client<> ga(context, params);
    ga.async_connect(
        Local::endpoint(house.path()),
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))));
    context.poll();
    CHECK(answer.times == 0);
    signal.emit(type);
    run_dry(context);
    CHECK_THROWS_AS(answer.get(), qga::CancelledError);
    CHECK_FALSE(ga.is_open());
    ga.connect(agent.path());
    CHECK(ga.with({.timeout = 60s}).sync(4) == 4);
  }
}

TEST_CASE("a client goes while it connects", "[agent]") {
  FullHouse house;
  Answer<void> answer;
  asio::io_context context;
  {
    qga::Client<> ga(context, {.timeout = 200ms});
    ga.async_connect(Local::endpoint(house.path()), asio::bind_executor(context, to(answer)));
  }
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::GuestAgentError);
}

// ---- contexts ------------------------------------------------------------------------------

TEST_CASE("a client outlives the contexts that it was used on", "[agent]") {
  const Agent agent;
  const std::string bytes = some_bytes();
  const std::string path = agent.put("bytes", bytes);

  qga::Client ga(agent.path(), patient());
  exercise_blocking(ga, path, bytes);
  for (int i = 0; i < 3; ++i) {
    {
      asio::io_context context;
      exercise_async(ga, context, path, bytes);
    }
    exercise_blocking(ga, path, bytes);
  }
}

TEST_CASE("a context goes with calls under way", "[agent]") {
  Agent agent;
  qga::Client ga(agent.path(), patient());
  ga.ping();
  for (std::int64_t i = 0; i < 3; ++i) {
    Answer<std::int64_t> lost, also_lost;
    agent.stop();
    {
      asio::io_context context;
      ga.async(asio::bind_executor(context, to(lost))).sync(100 + i);
      ga.async(asio::bind_executor(context, to(also_lost))).sync(200 + i);
      context.poll();
    }
    CHECK(lost.times + also_lost.times == 0);
    agent.resume();
    if (i != 1) CHECK(ga.sync(i) == i);
    Answer<std::int64_t> answer;
    {
      asio::io_context context;
      ga.async(asio::bind_executor(context, to(answer))).sync(300 + i);
      run_dry(context);
    }
    CHECK(answer.get() == 300 + i);
  }
}

TEST_CASE("a client outlives the context that it was made on", "[agent]") {
  const bool from_stream = GENERATE(true, false);
  const bool used = GENERATE(true, false);
  CAPTURE(from_stream, used);
  const Agent agent;
  auto context = std::make_unique<asio::io_context>();
  Local::socket socket(*context);
  socket.connect(Local::endpoint(agent.path()));
  qga::Client<> ga = from_stream ? qga::Client<>(std::move(socket), patient())
                                 : qga::Client<>(*context, patient());
  if (!from_stream) {
    socket.close();
    ga.connect(agent.path());
  }
  if (used) {
    Answer<std::int64_t> answer;
    ga.async(asio::bind_executor(*context, to(answer))).sync(1);
    run_dry(*context);
    CHECK(answer.get() == 1);
  }
  context.reset();
  CHECK(ga.sync(2) == 2);
  Answer<std::int64_t> later;
  Answer<void> connected, closed;
  asio::io_context other;
  ga.async(asio::bind_executor(other, to(later))).sync(3);
  run_dry(other);
  CHECK(later.get() == 3);
  ga.async_connect(Local::endpoint(agent.path()), asio::bind_executor(other, to(connected)));
  run_dry(other);
  connected.get();
  ga.async_close(asio::bind_executor(other, to(closed)));
  run_dry(other);
  closed.get();
}

TEST_CASE("handlers may own their client", "[agent]") {
  Agent agent;
  std::weak_ptr<qga::Client<>> watch;
  {
    asio::io_context context;
    auto ga = std::make_shared<qga::Client<>>(agent.path(), patient());
    watch = ga;
    agent.stop();
    ga->async(asio::bind_executor(context, [ga](std::exception_ptr) {})).ping();
    ga.reset();
    context.poll();
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
  agent.resume();
}

TEST_CASE("futures need no context", "[agent]") {
  const Agent agent;
  qga::Client<> ga(agent.path(), patient());
  auto synced = ga.async(asio::use_future).sync(1);
  auto info = ga.async(asio::use_future).info();
  auto failed = ga.async(asio::use_future).exec("/no/such/program");
  CHECK(synced.get() == 1);
  CHECK_FALSE(info.get().version.empty());
  CHECK_THROWS_AS(failed.get(), qga::AgentError);
  ga.async(asio::use_future).ping().get();
  CHECK(ga.sync(2) == 2);
}
