// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the helpers that only ask find out about this machine. Those that set its clock or its keys
// are tested in a virtual machine.
#include <chrono>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "lacks.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::Support;

namespace {

/// An agent that is forbidden one more command.
std::vector<std::string> forbidding(const std::string& command) {
  std::string all = command;
  for (const std::string_view other : blocked_commands) all.append(",").append(other);
  return {"-b", all};
}

using Addresses = std::set<std::pair<std::string, std::string>>;

/// By the C library: each interface with each of its IP addresses.
Addresses addresses_of_this_machine() {
  ifaddrs* first = nullptr;
  REQUIRE(::getifaddrs(&first) == 0);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(first, &::freeifaddrs);
  Addresses result;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = "";
    const void* address = nullptr;
    if (one->ifa_addr->sa_family == AF_INET) {
      address = &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      address = &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
    } else {
      continue;
    }
    REQUIRE(::inet_ntop(one->ifa_addr->sa_family, address, text, sizeof text) != nullptr);
    result.emplace(one->ifa_name, text);
  }
  return result;
}

bool is_share(double value) { return value >= 0 && value <= 1; }

void check_plausible(const qga::Usage& usage) {
  for (const qga::CpuUsage& cpu : usage.cpus) {
    CHECK(is_share(cpu.busy));
    CHECK(is_share(cpu.user));
    CHECK(is_share(cpu.system));
    const double sum = cpu.user + cpu.system + cpu.steal + cpu.iowait + cpu.idle;
    CHECK(sum > 0.999999);
    CHECK(sum < 1.000001);
  }
  for (const qga::DiskUsage& disk : usage.disks) CHECK(is_share(disk.busy));
  CHECK_FALSE(usage.interfaces.empty());
  for (const qga::InterfaceUsage& interface : usage.interfaces) {
    CHECK(interface.received_bytes >= 0);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("capabilities are those that the agent has", "[agent]", Blocking, Async) {
  const Agent agent(forbidding("guest-get-users"));
  TestType ga(agent.path());
  const qga::Capabilities can = ga.capabilities();
  CHECK(can.version == ga.info().version);
  CHECK(can.commands == ga.info().supported_commands);
  CHECK_FALSE(can.frozen);
  CHECK(can.support("guest-get-osinfo") == Support::enabled);
  CHECK(can.support("guest-get-users") == Support::disabled);
  CHECK(can.support("guest-fsfreeze-freeze") == Support::disabled);
  CHECK(can.support("guest-no-such-command") == Support::unknown);
  CHECK_THROWS_AS(ga.get_users(), qga::CommandNotFoundError);
  CHECK(ga.supports("guest-get-osinfo"));
  CHECK_FALSE(ga.supports("guest-get-users"));
  CHECK_FALSE(ga.supports("guest-no-such-command"));
}

TEMPLATE_TEST_CASE("capabilities of an agent that may not say whether it is frozen", "[agent]",
                   Blocking, Async) {
  const Agent agent(forbidding("guest-fsfreeze-status"));
  TestType ga(agent.path());
  CHECK_THROWS_AS(ga.fsfreeze_status(), qga::CommandNotFoundError);
  const qga::Capabilities can = ga.capabilities();
  CHECK_FALSE(can.frozen);
  CHECK(can.support("guest-fsfreeze-status") == Support::disabled);
  CHECK(can.supports("guest-get-osinfo"));
}

TEMPLATE_TEST_CASE("helpers of several commands fail once over an agent that is gone", "[agent]",
                   Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  ga.ping();
  agent.kill();
  CHECK_THROWS_AS(ga.capabilities(), qga::UnreachableError);
  CHECK_THROWS_AS(ga.sample(), qga::UnreachableError);
  CHECK_THROWS_AS(ga.usage(1h), qga::UnreachableError);
}

TEMPLATE_TEST_CASE("addresses are those that the system names", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const Addresses expected = addresses_of_this_machine();
  Addresses all;
  for (const auto& one : ga.addresses({.loopback = true, .link_local = true})) {
    all.emplace(one.interface, one.address);
    CHECK(one.prefix);
  }
  CHECK(all == expected);
  CHECK(all.contains({"lo", "127.0.0.1"}));
  Addresses further = expected;
  std::erase_if(further, [](const auto& one) {
    const std::string& address = one.second;
    return address.starts_with("127.") || address == "::1" || address.starts_with("169.254.") ||
           address.starts_with("fe80:");
  });
  Addresses given;
  for (const auto& one : ga.addresses()) given.emplace(one.interface, one.address);
  CHECK(given == further);
}

TEMPLATE_TEST_CASE("usage between two samples of this machine", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto start = qga::Clock::now();
  const qga::Sample before = ga.sample();
  CHECK(before.interfaces);
  CHECK(before.time >= start);
  CHECK(before.time <= qga::Clock::now());
  std::this_thread::sleep_for(100ms);
  const qga::Sample after = ga.sample();
  const qga::Usage usage = qga::usage_between(before, after);
  CHECK(usage.interval == after.time - before.time);
  check_plausible(usage);
  const qga::Usage measured = ga.usage(200ms);
  CHECK(measured.interval >= 200ms);
  CHECK(measured.interval < 200ms + long_enough);
  check_plausible(measured);

  if (lacks(ga, "guest-get-cpustats")) {
    CHECK_FALSE(before.cpus);
    return;
  }
  REQUIRE(after.cpus);
  CHECK_FALSE(usage.cpus.empty());
  CHECK(usage.cpus.size() == after.cpus->size());
  CHECK(measured.cpus.size() == usage.cpus.size());
}

TEMPLATE_TEST_CASE("usage without a command that the agent forbids", "[agent]", Blocking, Async) {
  const Agent agent(forbidding("guest-get-diskstats"));
  TestType ga(agent.path());
  const qga::Sample sample = ga.sample();
  CHECK_FALSE(sample.disks);
  CHECK(sample.interfaces);
  CHECK(ga.usage(10ms).disks.empty());
  if (!lacks(ga, "guest-get-cpustats")) CHECK(sample.cpus);
}

TEST_CASE("a blocking usage is stopped in its pause", "[agent]") {
  const Agent agent;
  Blocking ga(agent.path());
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(200ms);
    stop.request_stop();
  });
  CHECK_THROWS_AS(ga.with({.stop = stop.get_token()}).usage(1h), qga::CancelledError);
  ga.ping();
}

TEST_CASE("an asynchronous usage is cancelled in its pause, or before", "[agent]") {
  const Agent agent;
  for (const auto wait : {0ms, 300ms}) {
    Answer<qga::Usage> answer;
    asio::cancellation_signal signal;
    asio::io_context context;
    qga::Client<> ga(context, patient());
    ga.connect(agent.path());
    ga.async(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))))
        .usage(1h);
    context.run_for(wait);
    CHECK_FALSE(answer.done());
    signal.emit(asio::cancellation_type::terminal);
    run_dry(context);
    CHECK_THROWS_AS(answer.get(), qga::CancelledError);
    ga.ping();
  }
}
