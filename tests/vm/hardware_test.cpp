// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Processors, memory and disks, compared with /sys and /proc.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "live.hpp"

using namespace vm_test;

TEMPLATE_TEST_CASE("guest-get-vcpus guest-set-vcpus", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto online = [&] { return vm.run("cat /sys/devices/system/cpu/online"); };
  const auto vcpu = [&](std::int64_t id) {
    const auto vcpus = ga.get_vcpus();
    CHECK(vcpus.size() == 2);
    return *std::find_if(vcpus.begin(), vcpus.end(),
                         [&](const auto& one) { return one.logical_id == id; });
  };
  CHECK(vcpu(0).online);
  CHECK(vcpu(0).can_offline == false);
  CHECK(vcpu(1).online);
  CHECK(vcpu(1).can_offline == true);
  CHECK(online() == "0-1");

  CHECK(ga.set_vcpus({{.logical_id = 1, .online = false}}) == 1);
  CHECK(online() == "0");
  CHECK(vm.run("cat /sys/devices/system/cpu/cpu1/online") == "0");
  CHECK_FALSE(vcpu(1).online);
  CHECK(ga.set_vcpus({{.logical_id = 1, .online = true}}) == 1);
  CHECK(online() == "0-1");

  // Fewer than asked for is no error: the second cannot go.
  CHECK(ga.set_vcpus({{.logical_id = 1, .online = false}, {.logical_id = 0, .online = false}}) ==
        1);
  CHECK(online() == "0");
  CHECK(ga.set_vcpus({{.logical_id = 0, .online = true}, {.logical_id = 1, .online = true}}) == 2);
  CHECK(online() == "0-1");
  CHECK(ga.set_vcpus({}) == 0);
  refusal_of(ga, [&] { ga.set_vcpus({{.logical_id = 0, .online = false}}); });
  refusal_of(ga, [&] { ga.set_vcpus({{.logical_id = 7, .online = false}}); });
  CHECK(online() == "0-1");
}

TEMPLATE_TEST_CASE("guest-get-memory-blocks guest-set-memory-blocks guest-get-memory-block-info",
                   "[commands]", Blocking, Async) {
  using Response = qga::GuestMemoryBlockResponseType;
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string memory = "/sys/devices/system/memory/";
  const std::uint64_t size = std::stoull(vm.run("cat " + memory + "block_size_bytes"), nullptr, 16);
  CHECK(ga.get_memory_block_info().size == size);

  const auto blocks = ga.get_memory_blocks();
  CHECK(static_cast<std::int64_t>(blocks.size()) ==
        vm.number("ls -d " + memory + "memory[0-9]* | wc -l"));
  const auto state = [&](std::uint64_t block) {
    return vm.run("cat " + memory + "memory" + std::to_string(block) + "/state");
  };
  std::uint64_t dimm = 0;  // above the memory that the machine boots with
  for (const auto& block : blocks) {
    CHECK(state(block.phys_index) == (block.online ? "online" : "offline"));
    dimm = std::max(dimm, block.phys_index);
  }

  for (const bool wanted : {false, true}) {
    const auto responses = ga.set_memory_blocks({{.phys_index = dimm, .online = wanted}});
    REQUIRE(responses.size() == 1);
    CHECK(responses[0].phys_index == dimm);
    CHECK(responses[0].response == Response::success);
    CHECK(state(dimm) == (wanted ? "online" : "offline"));
    for (const auto& block : ga.get_memory_blocks()) {
      if (block.phys_index == dimm) CHECK(block.online == wanted);
    }
  }
  const auto missing = ga.set_memory_blocks({{.phys_index = 99'999, .online = false}});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].response == Response::not_found);
  CHECK(ga.set_memory_blocks({}).empty());
}

TEMPLATE_TEST_CASE("guest-get-cpustats", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  if (lacks(ga, "guest-get-cpustats")) return;
  const auto cpus = ga.get_cpustats();
  REQUIRE(cpus.size() == 2);
  for (const auto& cpu : cpus) {
    CHECK(cpu.type == qga::GuestCpuStatsType::linux_);
    REQUIRE(cpu.linux_);
    const std::string name = "cpu" + std::to_string(cpu.linux_->cpu);
    const auto ticks = vm.number("awk '$1 == \"" + name + "\" { print $5 }' /proc/stat");
    CHECK(static_cast<std::int64_t>(cpu.linux_->idle) <= ticks * 10);  // of 10 ms, in ms
    CHECK(static_cast<std::int64_t>(cpu.linux_->idle) > 0);
  }
}

TEMPLATE_TEST_CASE("guest-get-diskstats", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  if (lacks(ga, "guest-get-diskstats")) return;
  const auto written = [&] {
    for (const auto& disk : ga.get_diskstats()) {
      if (disk.name == "vda") return static_cast<std::int64_t>(disk.stats.write_sectors.value());
    }
    return std::int64_t{-1};
  };
  const auto sectors = [&] { return vm.number("awk '{ print $7 }' /sys/block/vda/stat"); };
  const std::int64_t before = sectors();
  vm.run("dd if=/dev/zero of=/mnt/a/zeros bs=1M count=4 && sync && rm /mnt/a/zeros");
  const std::int64_t told = written();
  CHECK(told >= before + 8192);
  CHECK(told <= sectors());
}

TEMPLATE_TEST_CASE("guest-get-disks guest-get-fsinfo", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto disks = ga.get_disks();
  for (const char letter : {'a', 'b'}) {
    const std::string device = std::string("vd") + letter;
    const std::string serial = vm.run("cat /sys/block/" + device + "/serial");
    const std::string slot = vm.run("basename $(readlink -f /sys/block/" + device + "/device/..)");
    const auto sits_there = [&](const qga::GuestDiskAddress& address) {
      CHECK(address.bus_type == qga::GuestDiskBusType::virtio);
      CHECK(address.serial == serial);
      char pci[32];
      std::snprintf(pci, sizeof pci, "%04x:%02x:%02x.%x",
                    static_cast<unsigned>(address.pci_controller.domain),
                    static_cast<unsigned>(address.pci_controller.bus),
                    static_cast<unsigned>(address.pci_controller.slot),
                    static_cast<unsigned>(address.pci_controller.function));
      CHECK(pci == slot);
    };
    const auto disk = std::find_if(disks.begin(), disks.end(),
                                   [&](const auto& one) { return one.name == "/dev/" + device; });
    REQUIRE(disk != disks.end());
    CHECK_FALSE(disk->partition);
    REQUIRE(disk->address);
    sits_there(*disk->address);

    const std::string mountpoint = std::string("/mnt/") + letter;
    vm.run("dd if=/dev/urandom of=" + mountpoint + "/used bs=1M count=3 && sync");
    for (const auto& fs : ga.get_fsinfo()) {
      if (fs.mountpoint != mountpoint) continue;
      CHECK(fs.name == device);
      CHECK(fs.type == "ext4");
      const auto stat = [&](const std::string& what) {
        return static_cast<std::uint64_t>(vm.number("stat -f -c '" + what + "' " + mountpoint));
      };
      const std::uint64_t unit = stat("%S"), used = stat("%b") - stat("%f");
      CHECK(fs.used_bytes == used * unit);
      CHECK(fs.total_bytes == (used + stat("%a")) * unit);
      REQUIRE(fs.disk.size() == 1);
      sits_there(fs.disk[0]);
      CHECK(fs.disk[0].dev == "/dev/" + device);
    }
    vm.run("rm " + mountpoint + "/used");
  }
  const auto mounted = vm.number("grep -c '^/dev/' /proc/mounts");
  CHECK(static_cast<std::int64_t>(ga.get_fsinfo().size()) == mounted);
}

TEMPLATE_TEST_CASE("guest-fstrim", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto discarded = [&] { return vm.number("awk '{ print $14 }' /sys/block/vda/stat"); };
  vm.run("mount -o remount,nodiscard /mnt/a");
  vm.run("dd if=/dev/urandom of=/mnt/a/gone bs=1M count=8 && sync && rm /mnt/a/gone && sync");
  const std::int64_t before = discarded();
  const qga::GuestFilesystemTrimResponse response = ga.fstrim();
  REQUIRE(response.paths.size() == 2);
  for (const auto& result : response.paths) {
    CHECK((result.path == "/mnt/a" || result.path == "/mnt/b"));
    CHECK_FALSE(result.error);
    REQUIRE(result.trimmed);
    if (result.path == "/mnt/a") CHECK(*result.trimmed >= 8 << 20);
  }
  CHECK(discarded() >= before + (8 << 20) / 512);

  for (const auto& result : ga.fstrim(1 << 30).paths) {  // nothing free is as long as that
    if (result.trimmed) CHECK(*result.trimmed == 0);
  }
}

TEMPLATE_TEST_CASE("guest-get-devices", "[commands]", Blocking, Async) {
  TestType ga(ready_vm().agent());
  const auto error = error_of<qga::CommandNotFoundError>([&] { ga.get_devices(); });
  CHECK(error.outcome() == Outcome::refused);
  Report::instance().skip("guest-get-devices",
                          "Windows guests only; refused as " + described(error));
}
