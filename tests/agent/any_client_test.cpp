// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One type of client over every channel that an address can name.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/bind_executor.hpp>
#include <asio/error.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>

#include <linux/vm_sockets.h>

#include "agent.hpp"
#include "catch.hpp"
#include "lines.hpp"
#include "qga/client.hpp"
#include "relay.hpp"
#include "sockets.hpp"
#include "ways.hpp"

using namespace std::chrono_literals;
using qga_test::Agent;
using qga_test::Answer;
using qga_test::connected_to;
using qga_test::Descriptor;
using qga_test::error_of;
using qga_test::patient;
using qga_test::Relay;
using qga_test::run_dry;
using qga_test::TcpDoor;
using qga_test::TemporaryDirectory;
using qga_test::Terminal;
using qga_test::to;
using Local = asio::local::stream_protocol;
using GenericEndpoint = asio::generic::stream_protocol::endpoint;
using Tcp = asio::ip::tcp;

namespace {

/// Blocking, asynchronous, and blocking again.
void exercise(qga::AnyClient& ga) {
  ga.ping();
  const auto commands = ga.info().supported_commands.size();
  CHECK(commands > 10);

  asio::io_context context;
  Answer<std::int64_t> synced;
  Answer<qga::GuestAgentInfo> info;
  Answer<void> refused;
  ga.async(asio::bind_executor(context, to(synced))).sync(18);
  ga.async(asio::bind_executor(context, to(info))).info();
  ga.async(asio::bind_executor(context, to(refused))).file_close(12345);
  run_dry(context);
  CHECK(synced.get() == 18);
  CHECK(info.get().supported_commands.size() == commands);
  CHECK_THROWS_AS(refused.get(), qga::AgentError);

  CHECK(ga.sync(17) == 17);
  CHECK_THROWS_AS(ga.file_close(12345), qga::AgentError);
}

qga::ConnectError refusal(const std::string& address, qga::ClientParams params = patient()) {
  const auto error = error_of<qga::ConnectError>([&] { qga::connect(address, params); });
  CHECK(error.code() == 1000);
  CHECK(error.outcome() == qga::Outcome::not_sent);
  CHECK(std::string(error.what()).find(address) != std::string::npos);
  return error;
}

/// A listening socket of any family, or nothing where this machine cannot have it.
template <class Native>
std::optional<Descriptor> listening_at(Native& address, int family) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  Descriptor listener(fd);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(fd, plain, size) != 0 || ::listen(fd, 1) != 0) return std::nullopt;
  if (::getsockname(fd, plain, &size) != 0) return std::nullopt;
  return listener;
}

Descriptor accepted(const Descriptor& listener) {
  return Descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

std::string closed_port() { return std::to_string(TcpDoor().port()); }

/// Fills the backlog of a listening socket: the next one to connect waits for ever.
std::vector<Descriptor> fill_up(const std::string& path) {
  const sockaddr_un address = qga_test::address_of(path);
  std::vector<Descriptor> guests;
  for (;;) {
    Descriptor guest(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto* const plain = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(guest.get(), plain, sizeof address) != 0) return guests;
    guests.push_back(std::move(guest));
  }
}

}  // namespace

// ---- addresses -----------------------------------------------------------------------------

TEST_CASE("connect to a UNIX socket", "[agent]") {
  const Agent agent;
  const std::string relative = std::filesystem::relative(agent.path()).string();
  for (const std::string& address : {agent.path(), "unix:" + agent.path(), relative}) {
    CAPTURE(address);
    qga::AnyClient ga = qga::connect(address, patient());
    exercise(ga);
  }
}

TEST_CASE("connect to a TCP port", "[agent]") {
  const Agent agent;
  for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"}) {
    CAPTURE(host);
    TcpDoor door;
    qga::AnyClient ga = qga::connect("tcp:" + host + ":" + std::to_string(door.port()), patient());
    const Relay relay = door.relay_to(agent.path());
    exercise(ga);
  }
}

TEST_CASE("connect to a TCP port over IPv6", "[agent]") {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const auto listener = listening_at(address, AF_INET6);
  if (!listener) {
    WARN("skipped: this machine has no IPv6 loopback");
    return;
  }
  const Agent agent;
  qga::AnyClient ga =
      qga::connect("tcp:[::1]:" + std::to_string(ntohs(address.sin6_port)), patient());
  const Relay relay(accepted(*listener), connected_to(agent.path()));
  exercise(ga);
}

TEST_CASE("connect to a vsock port", "[agent]") {
  // Binding to this context id needs the loopback transport, and sends nothing to a hypervisor.
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_LOCAL;
  address.svm_port = VMADDR_PORT_ANY;
  const auto listener = listening_at(address, AF_VSOCK);
  if (!listener) {
    WARN("skipped: this machine has no vsock loopback (module vsock_loopback)");
    return;
  }
  const Agent agent;
  qga::AnyClient ga = qga::connect("vsock:1:" + std::to_string(address.svm_port), patient());
  const Relay relay(accepted(*listener), connected_to(agent.path()));
  exercise(ga);
}

TEST_CASE("connect to a descriptor", "[agent]") {
  const Agent agent;
  const int socket = connected_to(agent.path()).release();
  {
    qga::AnyClient ga = qga::connect("fd:" + std::to_string(socket), patient());
    exercise(ga);
    CHECK(::fcntl(socket, F_GETFD) >= 0);
  }
  CHECK(::fcntl(socket, F_GETFD) < 0);

  Terminal terminal;
  const Relay relay = terminal.relay_to(agent.path());
  const int tty = ::open(terminal.name().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  qga::AnyClient ga = qga::connect("fd:" + std::to_string(tty), patient());
  exercise(ga);
}

TEST_CASE("a client changes channels", "[agent]") {
  const Agent agent;
  TcpDoor door;
  qga_test::Lines lines;
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  qga::AnyClient ga = qga::connect(agent.path(), params);
  exercise(ga);
  CHECK(lines.sent("guest-ping"));
  ga.close();

  ga = qga::connect("tcp:127.0.0.1:" + std::to_string(door.port()), patient());
  {
    const Relay relay = door.relay_to(agent.path());
    exercise(ga);
    ga.close();
  }
  ga.connect(Local::endpoint(agent.path()));
  exercise(ga);
}

TEST_CASE("any client connects asynchronously to any endpoint", "[agent]") {
  const Agent agent;
  TcpDoor door;
  asio::io_context context;
  Answer<void> over_unix, over_tcp;
  qga::AnyClient ga(context, patient());
  ga.async_connect(Local::endpoint(agent.path()), asio::bind_executor(context, to(over_unix)));
  run_dry(context);
  over_unix.get();
  ga.ping();
  ga.close();

  ga.async_connect(Tcp::endpoint(asio::ip::address_v4::loopback(), door.port()),
                   asio::bind_executor(context, to(over_tcp)));
  run_dry(context);
  over_tcp.get();
  const Relay relay = door.relay_to(agent.path());
  ga.ping();
}

// ---- refusals ------------------------------------------------------------------------------

TEST_CASE("nobody there", "[agent]") {
  const TemporaryDirectory directory;
  CHECK(refusal(directory.file("none")).err() == std::errc::no_such_file_or_directory);
  CHECK(refusal("unix:" + directory.file("none")).err() == std::errc::no_such_file_or_directory);
  CHECK(refusal("/dev/null").err() == std::errc::connection_refused);  // there, but no socket
  CHECK(refusal("tcp:127.0.0.1:" + closed_port()).err() == std::errc::connection_refused);
  CHECK(refusal("tcp:localhost:" + closed_port()).err() == std::errc::connection_refused);
  CHECK(refusal("tcp:[::1%none]:7000").err() == asio::error::host_not_found);
  CHECK(refusal("fd:1048575").err() == std::errc::bad_file_descriptor);
  // No device, no such guest, or one that does not answer: the kernel has many words for it.
  CHECK(refusal("vsock:1:4294967294", {.timeout = 200ms}).err());
}

TEST_CASE("a name that is none", "[agent]") {
  const auto error = refusal("tcp:a..b:7000");  // not even asked for: a label is empty
  CHECK((error.err() == asio::error::host_not_found || error.err() == asio::error::no_recovery));
}

TEST_CASE("no address at all", "[agent]") {
  CHECK(refusal("").err() == std::errc::invalid_argument);
  CHECK(refusal("tcp:127.0.0.1").err() == std::errc::invalid_argument);
  CHECK(refusal("/" + std::string(107, 'x')).err() == std::errc::filename_too_long);
}

// ---- time ----------------------------------------------------------------------------------

TEST_CASE("connecting to an address has a deadline", "[agent]") {
  const TemporaryDirectory directory;
  const Descriptor listener = qga_test::listening_on(directory.file("full"), 0);
  const auto guests = fill_up(directory.file("full"));
  const auto start = qga::Clock::now();
  CHECK(refusal(directory.file("full"), {.timeout = 100ms}).err() == std::errc::timed_out);
  CHECK(qga::Clock::now() - start >= 100ms);
}

TEST_CASE("an endpoint that does not answer leaves time for the next", "[agent]") {
  const TemporaryDirectory directory;
  const Descriptor full = qga_test::listening_on(directory.file("full"), 0);
  const auto guests = fill_up(directory.file("full"));
  const Descriptor free = qga_test::listening_on(directory.file("free"));
  const auto address = [&](const std::string& name) {
    return qga::detail::SocketAddress(Local::endpoint(directory.file(name)));
  };
  const qga::detail::Target target{{address("none"), address("full"), address("free")}};
  const auto start = qga::Clock::now();
  const auto opened = qga::detail::connect_to(target, start + 600ms, {}, -1);
  CHECK(qga::Clock::now() - start >= 300ms);
  CHECK(opened.get() >= 0);

  const qga::detail::Target refusing{{address("none"), address("none"), address("none")}};
  const auto error = error_of<std::system_error>(
      [&] { qga::detail::connect_to(refusing, qga::Clock::time_point::max(), {}, -1); });
  CHECK(error.code() == std::errc::no_such_file_or_directory);
}

TEST_CASE("TCP sends at once", "[agent]") {
  const TcpDoor door;
  const Tcp::endpoint endpoint(asio::ip::address_v4::loopback(), door.port());
  const auto opened =
      qga::detail::connect_to(qga::detail::target_of(endpoint), qga::Clock::now() + 60s, {}, -1);
  int on = 0;
  socklen_t size = sizeof on;
  CHECK(::getsockopt(opened.get(), IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0);
  CHECK(on != 0);
}
