// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every descriptor that the library makes or takes over is closed on exec, at every moment: a child
// that inherits one keeps a channel occupied that serves one client only.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/serial_port.hpp>

#include "faults.hpp"
#include "relay.hpp"

using namespace faults;

namespace {

std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    const bool own = target.ends_with("/fd");  // of this iterator
    if (!gone && !own) found.emplace(std::stoi(entry.path().filename()), target);
  }
  return found;
}

/// Descriptors that were opened since this was made, and that a child would inherit.
class Inherited {
 public:
  /// Gives their numbers and what they are.
  std::string now() const {
    std::string shown;
    for (const auto& [fd, target] : open_descriptors()) {
      const int flags = ::fcntl(fd, F_GETFD);
      if (before_.contains(fd) || flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
      shown += std::to_string(fd) + " " + target + "; ";
    }
    return shown;
  }

 private:
  const std::map<int, std::string> before_ = open_descriptors();
};

/// Uses an asynchronous client and closes it while an answer is due, which is when it has the most
/// descriptors.
template <class Client>
void use(Client& ga, ScriptedAgent& agent, const Inherited& inherited) {
  asio::io_context context;
  Answer<void> pinged;
  ga.async(asio::bind_executor(context, to(pinged))).ping();
  CHECK(inherited.now() == "");
  run_until(context, [&] { return pinged.times > 0; });
  pinged.get();
  CHECK(inherited.now() == "");

  agent.on("guest-get-host-name", script::nothing());
  const std::size_t asked = agent.executed("guest-get-host-name");
  Answer<std::string> unanswered;
  ga.async(asio::bind_executor(context, to(unanswered))).get_host_name();
  context.restart();
  while (agent.executed("guest-get-host-name") == asked) context.run_one_for(1ms);
  CHECK(inherited.now() == "");
  ga.close();
  CHECK(inherited.now() == "");
  context.poll();
  CHECK(inherited.now() == "");
  run_dry(context);
  CHECK(inherited.now() == "");
  CHECK_THROWS_AS(unanswered.get(), qga::CancelledError);
}

/// Gives a copy without FD_CLOEXEC, as a program has it that does not know better.
int inheritable(const Descriptor& from) { return ::dup(from.get()); }

}  // namespace

TEST_CASE("descriptors: of a client that connects", "[faults]") {
  ScriptedAgent agent;
  const Inherited inherited;
  std::optional<qga::Client<>> ga;
  SECTION("blocking") {
    ga.emplace(agent.path(), patient());
    ga->ping();
  }
  SECTION("asynchronously") {
    asio::io_context context;
    ga.emplace(context, patient());
    Answer<void> connected;
    ga->async_connect(asio::local::stream_protocol::endpoint(agent.path()),
                      asio::bind_executor(context, to(connected)));
    CHECK(inherited.now() == "");
    run_dry(context);
    connected.get();
    CHECK(inherited.now() == "");
    ga->close();
    run_dry(context);
    ga.emplace(agent.path(), patient());
  }
  CHECK(inherited.now() == "");
  use(*ga, agent, inherited);
}

TEST_CASE("descriptors: of a blocking client that closes with an answer due", "[faults]") {
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::nothing());
  const Inherited inherited;
  Blocking ga(agent.path());
  CHECK_THROWS_AS(ga.with({.timeout = brief}).get_host_name(), qga::TimeoutError);
  CHECK(inherited.now() == "");
  ga.close();
  CHECK(inherited.now() == "");
}

TEST_CASE("descriptors: of a client that takes a socket over", "[faults]") {
  ScriptedAgent agent;
  const Inherited inherited;
  SECTION("as a handle") {
    auto ga = qga::Client<>::from_handle(inheritable(connected_to(agent.path())), patient());
    CHECK(inherited.now() == "");
    use(ga, agent, inherited);
  }
  SECTION("as an address") {
    const int fd = inheritable(connected_to(agent.path()));
    auto ga = qga::connect("fd:" + std::to_string(fd), patient());
    CHECK(inherited.now() == "");
    use(ga, agent, inherited);
  }
}

TEST_CASE("descriptors: of a client on a terminal", "[faults]") {
  ScriptedAgent agent;
  Terminal terminal;
  auto line = terminal.relay_to(agent.path());
  const Inherited inherited;
  const int fd = ::open(terminal.name().c_str(), O_RDWR | O_NOCTTY);
  SECTION("as a serial port") {
    auto ga = qga::Client<asio::serial_port>::from_handle(fd, patient());
    CHECK(inherited.now() == "");
    use(ga, agent, inherited);
  }
  SECTION("as a descriptor") {
    auto ga = qga::Client<asio::posix::stream_descriptor>::from_handle(fd, patient());
    CHECK(inherited.now() == "");
    use(ga, agent, inherited);
  }
}

TEST_CASE("descriptors: of a client on TCP", "[faults]") {
  ScriptedAgent agent;
  TcpDoor door;
  const Inherited inherited;
  auto ga = qga::connect("tcp:127.0.0.1:" + std::to_string(door.port()), patient());
  auto line = door.relay_to(agent.path());
  CHECK(inherited.now() == "");
  use(ga, agent, inherited);
}
