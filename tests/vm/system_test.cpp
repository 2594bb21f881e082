// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the guest is and how it does, compared with what its own tools say.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "live.hpp"

using namespace vm_test;

namespace {

/// What a script of the guest's writes, and a call's reply: tried until the script writes the same
/// before and after the call.
template <class Call>
auto side_by_side(Vm& vm, const std::string& script, Call call) {
  for (int attempt = 1;; ++attempt) {
    std::string before = vm.run(script);
    auto reply = call();
    if (vm.run(script) == before || attempt == 10) return std::pair(before, reply);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("what is asked again and again leaves no line in the guest's log", "[commands]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  const auto logged = [&] {
    return vm.number("grep -v observer: /run/messages | grep -c guest- || true");
  };
  std::int64_t before = 0;
  {
    TestType ga(vm.agent());
    const auto at_first = logged();
    ga.ping();
    CHECK(logged() == at_first + 1);  // to see that there is a log
    before = logged();
    for (int i = 0; i < 4; ++i) {
      CHECK_FALSE(ga.get_osinfo().id.value_or("").empty());
      std::this_thread::sleep_for(2s);  // after which a handshake is made
    }
    ga.end();
  }
  TestType(vm.agent()).get_osinfo();
  CHECK(logged() == before);
}

TEMPLATE_TEST_CASE("guest-sync guest-sync-delimited guest-ping", "[commands]", Blocking, Async) {
  TestType ga(ready_vm().agent());
  for (const std::int64_t id : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 53,
                                std::numeric_limits<std::int64_t>::max()}) {
    CHECK(ga.sync(id) == id);
    CHECK(ga.sync_delimited(id) == id);
    ga.ping();
  }
}

TEMPLATE_TEST_CASE("guest-info", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const qga::GuestAgentInfo info = ga.info();
  CHECK("QEMU Guest Agent " + info.version == vm.run("qemu-ga --version"));
  std::set<std::string> known;
  for (const auto& command : info.supported_commands) known.insert(command.name);
  CHECK(known == commands_of_agent(vm));
  Report::instance().knows(known);

  std::ifstream file(QGA_TEST_DATA "/qga-protocol.json");
  const nlohmann::json protocol = nlohmann::json::parse(file);
  for (const auto& command : protocol["commands"]) {
    const std::string name = command["name"];
    if (known.contains(name)) continue;
    CAPTURE(name);
    const auto error = error_of<qga::CommandNotFoundError>([&] { ga.execute(name); });
    CHECK(error.outcome() == Outcome::refused);
    Report::instance().lacks(name);
  }
}

TEMPLATE_TEST_CASE("guest-get-time guest-set-time", "[commands]", Blocking, Async) {
  using std::chrono::duration_cast;
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto guest_seconds = [&] { return std::chrono::seconds(vm.number("date +%s")); };
  const auto agent_seconds = [&] {
    return duration_cast<std::chrono::seconds>(ga.get_time().time_since_epoch());
  };
  const auto before = guest_seconds();
  const auto time = agent_seconds();
  CHECK(time >= before);
  CHECK(time <= guest_seconds());

  const qga::GuestTime then{1'900'000'000s};
  ga.set_time(then);
  CHECK(guest_seconds() >= 1'900'000'000s);
  CHECK(guest_seconds() < 1'900'000'000s + long_enough);
  CHECK(vm.number("hwclock -u >/dev/null && cat /sys/class/rtc/rtc0/since_epoch") >= 1'900'000'000);

  vm.run("date -s @1600000000");
  ga.set_time();  // from the hardware clock
  CHECK(guest_seconds() >= 1'900'000'000s);
  CHECK(guest_seconds() < 1'900'000'000s + long_enough);

  refusal_of(ga, [&] { ga.set_time(qga::GuestTime{-1s}); });
  CHECK(guest_seconds() >= 1'900'000'000s);
  ga.set_time(std::chrono::system_clock::now());
}

TEMPLATE_TEST_CASE("guest-get-host-name guest-get-osinfo guest-get-timezone", "[commands][quick]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  CHECK(ga.get_host_name() == vm.run("hostname"));
  vm.run("hostname renamed");
  CHECK(ga.get_host_name() == "renamed");
  vm.run("hostname -F /etc/hostname");

  const qga::GuestOSInfo os = ga.get_osinfo();
  CHECK(os.kernel_release == vm.run("uname -r"));
  CHECK(os.kernel_version == vm.run("uname -v"));
  CHECK(os.machine == vm.run("uname -m"));
  CHECK(os.id == vm.run(". /etc/os-release && echo $ID"));
  CHECK(os.name == vm.run(". /etc/os-release && echo $NAME"));
  CHECK(os.pretty_name == vm.run(". /etc/os-release && echo $PRETTY_NAME"));
  CHECK(os.version == vm.run(". /etc/os-release && echo $VERSION"));
  CHECK(os.version_id == vm.run(". /etc/os-release && echo $VERSION_ID"));
  CHECK(os.variant == vm.run(". /etc/os-release && echo $VARIANT"));
  CHECK(os.variant_id == vm.run(". /etc/os-release && echo $VARIANT_ID"));

  const qga::GuestTimezone zone = ga.get_timezone();
  CHECK(zone.zone == vm.run("date +%Z"));
  CHECK(zone.offset == 5 * 3600 + 45 * 60);
  CHECK(vm.run("date +%z") == "+0545");
}

TEMPLATE_TEST_CASE("guest-get-users", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto users = ga.get_users();
  REQUIRE(users.size() == 1);
  CHECK(users[0].user == "tester");
  CHECK(users[0].login_time == 1'700'000'000.5);
  CHECK(vm.run("who | wc -l") == "1");
  CHECK(contains(vm.run("who"), "tester"));

  vm.run("mv /run/utmp /run/utmp.away");
  CHECK(ga.get_users().empty());
  vm.run("mv /run/utmp.away /run/utmp");
}

TEMPLATE_TEST_CASE("guest-network-get-interfaces", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto statistic = [&](const std::string& name) {
    return static_cast<std::uint64_t>(vm.number("cat /sys/class/net/lo/statistics/" + name));
  };
  vm.run("ip address add 192.0.2.7/25 dev eth0");
  const std::uint64_t before = statistic("rx_packets");
  vm.run("ping -c 3 127.0.0.1");
  const auto interfaces = ga.network_get_interfaces();
  std::set<std::string> names;
  for (const auto& interface : interfaces) {
    names.insert(interface.name);
    if (interface.name == "lo") {
      REQUIRE(interface.statistics);
      CHECK(interface.statistics->rx_packets >= before + 6);
      CHECK(interface.statistics->rx_packets <= statistic("rx_packets"));
    } else if (interface.name == "eth0") {
      CHECK(interface.hardware_address == vm.run("cat /sys/class/net/eth0/address"));
      REQUIRE(interface.ip_addresses);
      std::set<std::string> addresses;
      for (const auto& address : *interface.ip_addresses) {
        addresses.insert(address.ip_address + "/" + std::to_string(address.prefix));
      }
      CHECK(addresses.contains("10.0.2.15/24"));
      CHECK(addresses.contains("192.0.2.7/25"));
    }
  }
  std::set<std::string> expected;
  std::istringstream listing(vm.run("ls /sys/class/net"));
  for (std::string name; listing >> name;) expected.insert(name);
  CHECK(names == expected);
  vm.run("ip address del 192.0.2.7/25 dev eth0");
}

TEMPLATE_TEST_CASE("guest-get-load", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  if (lacks(ga, "guest-get-load")) return;
  const auto [expected, load] =
      side_by_side(vm, "cut -d' ' -f1-3 /proc/loadavg", [&] { return ga.get_load(); });
  char text[64];
  std::snprintf(text, sizeof text, "%.2f %.2f %.2f", load.load1m, load.load5m, load.load15m);
  CHECK(text == expected);
}

TEMPLATE_TEST_CASE("guest-network-get-route", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  if (lacks(ga, "guest-network-get-route")) return;
  const std::string script =
      "route -n | awk 'NR > 2 { print $8, $1, $2, $3, $5 }';"
      "while read -r _ length _ _ _ _ _ _ _ name; do echo $name $((0x$length)); done "
      "</proc/net/ipv6_route";
  const auto [expected, routes] = side_by_side(vm, script, [&] { return ga.network_get_route(); });
  std::string told;
  for (const auto& route : routes) {
    if (!told.empty()) told += '\n';
    told += route.iface + ' ';
    if (route.version == 4) {
      told += route.destination + ' ' + route.gateway.value_or("") + ' ' + route.mask.value_or("") +
              ' ' + std::to_string(route.metric);
    } else {
      told += route.desprefixlen.value_or("");
    }
  }
  CHECK(told == expected);
  CHECK(contains(told, "eth0 0.0.0.0 10.0.2.2 0.0.0.0 0"));
}
