// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Frozen file systems: frozen for every program in the guest, and thawed again on every way.
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <thread>

#include "live.hpp"

using namespace vm_test;
using qga::GuestFsfreezeStatus;

namespace {

/// A write in the guest; it ends only where its file system is not frozen.
std::int64_t write(Vm& vm, const std::string& mountpoint) {
  return vm.start("echo written >" + mountpoint + "/probe && sync -f " + mountpoint +
                  "/probe && rm " + mountpoint + "/probe && echo done");
}
bool hangs(Vm& vm, std::int64_t pid) {
  std::this_thread::sleep_for(1s);
  return !vm.ended(pid);
}
bool writable(Vm& vm, const std::string& mountpoint) {
  return vm.output_of(write(vm, mountpoint)) == "done";
}

/// Thawed and without hooks that fail, whatever the test before has left.
Vm& thawed_vm() {
  Vm& vm = ready_vm();
  vm.run("rm -f /run/fail-freeze /run/fail-thaw /run/hook.log");
  return vm;
}

}  // namespace

TEMPLATE_TEST_CASE("guest-fsfreeze-status guest-fsfreeze-freeze guest-fsfreeze-thaw",
                   "[commands][quick]", Blocking, Async) {
  Vm& vm = thawed_vm();
  TestType ga(vm.agent());
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
  CHECK(ga.fsfreeze_thaw() == 0);
  CHECK(writable(vm, "/mnt/a"));

  CHECK(ga.fsfreeze_freeze() == 2);
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::frozen);
  const std::int64_t first = write(vm, "/mnt/a"), second = write(vm, "/mnt/b");
  CHECK(hangs(vm, first));
  CHECK(hangs(vm, second));
  CHECK(ga.fsfreeze_thaw() == 2);
  CHECK(vm.output_of(first) == "done");
  CHECK(vm.output_of(second) == "done");
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
  CHECK(vm.run("cat /run/hook.log") == "thaw\nfreeze\nthaw");
}

TEMPLATE_TEST_CASE("guest-fsfreeze-freeze-list", "[commands]", Blocking, Async) {
  Vm& vm = thawed_vm();
  TestType ga(vm.agent());
  CHECK(ga.fsfreeze_freeze_list({"/mnt/b", "/nowhere"}) == 1);
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::frozen);
  CHECK(writable(vm, "/mnt/a"));
  const std::int64_t pid = write(vm, "/mnt/b");
  CHECK(hangs(vm, pid));
  CHECK(ga.fsfreeze_thaw() == 1);
  CHECK(vm.output_of(pid) == "done");

  CHECK(ga.fsfreeze_freeze_list({"/nowhere"}) == 0);  // a missing mountpoint is no error
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
  CHECK(ga.fsfreeze_freeze_list() == 2);
  CHECK(ga.fsfreeze_thaw() == 2);
}

TEMPLATE_TEST_CASE("guest-fsfreeze-freeze guest-fsfreeze-thaw: hooks that fail", "[commands]",
                   Blocking, Async) {
  Vm& vm = thawed_vm();
  TestType ga(vm.agent());
  vm.run("touch /run/fail-freeze");
  CHECK(contains(refusal_of(ga, [&] { ga.fsfreeze_freeze(); }), "hook"));
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
  CHECK(writable(vm, "/mnt/a"));
  vm.run("rm /run/fail-freeze && touch /run/fail-thaw");

  CHECK(ga.fsfreeze_freeze() == 2);
  const std::int64_t pid = write(vm, "/mnt/a");
  CHECK(hangs(vm, pid));
  CHECK(contains(refusal_of(ga, [&] { ga.fsfreeze_thaw(); }), "hook"));
  CHECK(vm.output_of(pid) == "done");  // an error, and yet thawed
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
  vm.run("rm /run/fail-thaw");
}

TEMPLATE_TEST_CASE("a frozen guest refuses all but a few commands", "[life]", Blocking, Async) {
  Vm& vm = thawed_vm();
  TestType ga(vm.agent());
  const std::set<std::string> allowed{"guest-ping",          "guest-info",
                                      "guest-sync",          "guest-sync-delimited",
                                      "guest-fsfreeze-thaw", "guest-fsfreeze-status"};
  const std::size_t commands = commands_of_agent(vm).size();
  CHECK(ga.fsfreeze_freeze() == 2);
  const auto start = std::chrono::steady_clock::now();
  std::string refused;
  std::size_t count = 0;
  std::set<std::string> enabled;
  for (const auto& command : ga.info().supported_commands) {
    CAPTURE(command.name);
    if (command.enabled) enabled.insert(command.name);
    if (allowed.contains(command.name)) continue;
    const auto error = error_of<qga::CommandNotFoundError>([&] { ga.execute(command.name); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK(error.error_class() == "CommandNotFound");
    refused = described(error) + " (\"" + std::string(error.desc()) + "\")";
    ++count;
  }
  CHECK(count == commands - allowed.size());
  CHECK(enabled == allowed);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::frozen);
  CHECK(ga.fsfreeze_thaw() == 2);
  Report::instance().event({"file systems frozen", way_name<TestType>,
                            std::to_string(count) + " commands", refused, 60, took.count(),
                            "fsfreeze_thaw works, 2 thawed"});
}
