// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What helpers find out about the guest, and what they change in it, compared with what its own
// tools say. Those of the freeze are in guard_test.cpp.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "live.hpp"

using namespace vm_test;
using qga::Support;

namespace {

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.insert(line);
  return result;
}

/// As `ip -o addr` has them: name, address and length of the prefix.
std::set<std::string> shown(const std::vector<qga::GuestAddress>& addresses) {
  std::set<std::string> result;
  for (const qga::GuestAddress& one : addresses) {
    REQUIRE(one.prefix);
    result.insert(one.interface + " " + one.address + "/" + std::to_string(*one.prefix));
  }
  return result;
}

template <class T>
const T& named(const std::vector<T>& list, const std::string& name) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const T& one) { return one.name == name; });
  REQUIRE(found != list.end());
  return *found;
}

/// A disk that makes its requests wait: those between two ticks of its clock a guest does not count
/// as time, and a fast disk has no others.
class SlowDisk {
 public:
  SlowDisk(Vm& vm, const std::string& id, int requests_per_second) : qmp_(vm.qmp()), id_(id) {
    throttle(requests_per_second);
  }
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;
  ~SlowDisk() { throttle(0); }

 private:
  void throttle(int requests_per_second) {
    qmp_.execute("block_set_io_throttle", {{"device", id_},
                                           {"bps", 0},
                                           {"bps_rd", 0},
                                           {"bps_wr", 0},
                                           {"iops", requests_per_second},
                                           {"iops_rd", 0},
                                           {"iops_wr", 0}});
  }

  Qmp qmp_;
  std::string id_;
};

double seconds(qga::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

TEMPLATE_TEST_CASE("capabilities before, in and after a freeze", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  // Only Windows has devices: the agent of another guest has this command disabled, or not at all.
  const bool has_devices = commands_of_agent(vm).contains("guest-get-devices");
  const auto check_thawed = [&] {
    const qga::Capabilities can = ga.capabilities();
    CHECK_FALSE(can.frozen);
    CHECK("QEMU Guest Agent " + can.version == vm.run("qemu-ga --version"));
    CHECK(can.support("guest-ping") == Support::enabled);
    CHECK(can.support("guest-exec") == Support::enabled);
    CHECK(can.support("guest-get-devices") == (has_devices ? Support::disabled : Support::unknown));
    CHECK(can.support("guest-no-such-command") == Support::unknown);
    CHECK(ga.supports("guest-exec"));
  };
  check_thawed();
  {
    const qga::Frozen frozen = ga.freeze();
    const qga::Capabilities can = ga.capabilities();
    CHECK(can.frozen);
    CHECK(can.support("guest-ping") == Support::enabled);
    CHECK(can.support("guest-fsfreeze-thaw") == Support::enabled);
    CHECK(can.support("guest-exec") == Support::frozen);
    CHECK(can.support("guest-get-devices") == (has_devices ? Support::frozen : Support::unknown));
    CHECK(can.support("guest-no-such-command") == Support::unknown);
    CHECK(ga.supports("guest-ping"));
    CHECK_FALSE(ga.supports("guest-exec"));
  }
  check_thawed();
}

TEMPLATE_TEST_CASE("addresses are those that the guest's own tool lists", "[helpers]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string added = "192.0.2.7/25 169.254.7.7/16 2001:db8::7/64";
  vm.run("for one in " + added + "; do ip address add $one dev eth0; done");
  const auto listed = [&](const std::string& but) {
    return lines_of(vm.run("ip -o addr | awk '$3 ~ /^inet/ {print $2, $4}'" + but));
  };
  const std::set<std::string> all = shown(ga.addresses({.loopback = true, .link_local = true}));
  CHECK(all == listed(""));
  CHECK(all.contains("lo 127.0.0.1/8"));
  CHECK(all.contains("eth0 169.254.7.7/16"));
  CHECK(shown(ga.addresses()) == listed(" | grep -Ev '^lo |169.254|fe80:'"));
  CHECK(shown(ga.addresses()).contains("eth0 10.0.2.15/24"));
  CHECK(shown(ga.addresses()).contains("eth0 2001:db8::7/64"));
  vm.run("for one in " + added + "; do ip address del $one dev eth0; done");
}

TEMPLATE_TEST_CASE("set_clock sets a guest's clock that was wrong either way", "[helpers]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  for (const std::int64_t wrong : {std::int64_t{1'000'000'000}, std::int64_t{2'500'000'000}}) {
    TestType ga(vm.agent());
    vm.run("date -s @" + std::to_string(wrong));
    const qga::GuestTime set_wrong = qga::detail::host_time();
    const qga::ClockChange change = ga.set_clock();
    const auto expected = qga::GuestTime(std::chrono::seconds(wrong)) - set_wrong;
    CHECK(std::chrono::abs(change.before - expected) < 10s);
    CHECK(std::chrono::abs(change.after) < 5s);
    const auto host = qga::detail::host_time().time_since_epoch();
    const std::chrono::seconds guest(vm.number("date +%s"));
    CHECK(guest >= std::chrono::floor<std::chrono::seconds>(host) - 5s);
    CHECK(guest < host + 30s);
  }
}

TEMPLATE_TEST_CASE("add_keys adds each key once", "[helpers]", Blocking, Async) {
  using Keys = std::vector<std::string>;
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string file = "/home/tester/.ssh/authorized_keys";
  vm.run("rm -rf /home/tester/.ssh");
  const Keys keys{"ssh-ed25519 AAAAone one@x\n", "ssh-rsa AAAAtwo", "ssh-rsa AAAAtwo again"};
  CHECK(ga.add_keys("tester", keys) == 2);
  const std::string expected = "ssh-ed25519 AAAAone one@x\nssh-rsa AAAAtwo";
  CHECK(vm.run("cat " + file) == expected);
  CHECK(vm.run("stat -c '%a %U' " + file) == "600 tester");

  vm.run("touch -d @1000000000 " + file);
  CHECK(ga.add_keys("tester", keys) == 0);
  CHECK(ga.add_keys("tester", Keys{"no-pty ssh-ed25519 AAAAone two@x"}) == 0);
  CHECK(ga.add_keys("tester", Keys{}) == 0);
  CHECK(vm.run("cat " + file) == expected);
  CHECK(vm.number("stat -c %Y " + file) == 1'000'000'000);

  vm.run("cat >>" + file +
         " <<'EOF'\n\n"  // the agent ends no line that is the last
         "from=\"10.0.0.*\",command=\"echo a b\" ssh-rsa AAAAthree c\n# ssh-rsa AAAAfour\nEOF\n");
  CHECK(ga.add_keys("tester", Keys{"ssh-rsa AAAAthree", "ssh-rsa AAAAfour"}) == 1);
  CHECK(vm.number("grep -c AAAAthree " + file) == 1);
  CHECK(vm.number("grep -c '^ssh-rsa AAAAfour' " + file) == 1);

  refusal_of(ga, [&] { ga.add_keys("nobody-here", keys); });
  refusal_of(ga, [&] { ga.add_keys("tester", Keys{"# a comment"}); });
}

TEMPLATE_TEST_CASE("usage tells a busy guest by its processors, disks and interfaces", "[helpers]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string ticks = "awk '{ print $10 }' /sys/block/vda/stat";
  const std::int64_t ticks_before = vm.number(ticks);
  const qga::Sample before = ga.sample();
  {
    const SlowDisk slow(vm, "a", 20);
    vm.run("dd if=/dev/vda of=/dev/null bs=4k count=10 iflag=direct");
  }
  vm.run("dd if=/dev/zero of=/mnt/a/written bs=64k count=64 conv=fsync");
  vm.run("dd if=/dev/vdb of=/dev/null bs=64k count=32 iflag=direct");
  vm.run("rm /mnt/a/written && ping -c 5 -s 1000 127.0.0.1");
  const qga::Sample after = ga.sample();
  const std::int64_t ticks_after = vm.number(ticks);
  CHECK(before.load.has_value() == ga.supports("guest-get-load"));
  const qga::Usage usage = qga::usage_between(before, after);
  // Of a rate and a time, whose product is rarely a whole number.
  const auto all = [&](double rate) { return std::llround(rate * seconds(usage.interval)); };
  CHECK(all(named(usage.interfaces, "lo").received_bytes) >= 10'000);
  CHECK(all(named(usage.interfaces, "lo").sent_bytes) >= 10'000);
  CHECK(named(usage.interfaces, "eth0").errors == 0);
  if (lacks(ga, "guest-get-cpustats") || lacks(ga, "guest-get-diskstats")) return;
  CHECK(usage.cpus.size() == 2);
  CHECK(all(named(usage.disks, "vda").written_bytes) >= 4 << 20);
  CHECK(named(usage.disks, "vda").writes > 0);
  CHECK(all(named(usage.disks, "vda").busy * 1000) >= 100);
  CHECK(all(named(usage.disks, "vda").busy * 1000) <= ticks_after - ticks_before);
  CHECK(all(named(usage.disks, "vdb").read_bytes) >= 2 << 20);

  const std::int64_t loop = vm.start("exec timeout 60 sh -c 'while :; do :; done'");
  const qga::Usage busy = ga.usage(1s);
  vm.run("kill " + std::to_string(loop));
  while (!vm.ended(loop)) {
  }
  CHECK(seconds(busy.interval) >= 1);
  REQUIRE(busy.cpus.size() == 2);
  CHECK(busy.cpus[0].user + busy.cpus[1].user > 0.7);
  CHECK(busy.cpus[0].idle + busy.cpus[1].idle < 1.3);
}

TEMPLATE_TEST_CASE("a frozen guest says nothing of its usage", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const qga::Frozen frozen = ga.freeze();
  const qga::Sample sample = ga.sample();
  CHECK_FALSE(sample.cpus);
  CHECK_FALSE(sample.disks);
  CHECK_FALSE(sample.interfaces);
  CHECK_FALSE(sample.load);
  CHECK(ga.usage(10ms).cpus.empty());
  CHECK_THROWS_AS(ga.addresses(), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.set_clock(), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.add_keys("tester", std::vector<std::string>{"ssh-rsa AAAA"}),
                  qga::CommandNotFoundError);
}
