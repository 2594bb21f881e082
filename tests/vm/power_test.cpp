// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Sleep and shutdown: what the client reports, what the machine did, and what works afterwards.
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>

#include "live.hpp"

using namespace vm_test;

namespace {

std::string boot_id(Vm& vm) { return vm.run("cat /proc/sys/kernel/random/boot_id"); }

/// What a call that has no reply comes to: it succeeds, or nobody was left to answer.
std::string reported(const std::function<void()>& call) {
  try {
    call();
    return "accepted";
  } catch (const qga::UnreachableError& error) {
    CHECK(error.outcome() == Outcome::unknown);
    return described(error);
  }
}

/// Whether the agent answers with success, and does nothing, where the guest has no systemd that
/// suspends it. The agent of 5.2 does so.
template <class Way>
bool says_yes_in_vain(Way& ga) {
  return ga.info().version.starts_with("5.");
}

/// A systemctl that suspends to memory, and to nothing else.
class Systemctl {
 public:
  explicit Systemctl(Vm& vm) : vm_(vm) {
    vm_.run(
        "cat >/usr/bin/systemctl <<'EOF'\n#!/bin/sh\ncase \"$1 $2\" in\n"
        "  'status systemd-suspend') exit 3 ;;\n"  // it is there, and does not run
        "  'suspend ') echo mem >/sys/power/state ;;\n  *) exit 4 ;;\nesac\nEOF\n"
        "chmod 755 /usr/bin/systemctl");
  }
  Systemctl(const Systemctl&) = delete;
  Systemctl& operator=(const Systemctl&) = delete;
  ~Systemctl() { vm_.run("rm -f /usr/bin/systemctl"); }

 private:
  Vm& vm_;
};

}  // namespace

TEMPLATE_TEST_CASE("guest-suspend-disk guest-suspend-hybrid", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string boot = boot_id(vm);
  if (says_yes_in_vain(ga)) {
    ga.suspend_disk();
    ga.suspend_hybrid();
  } else {
    refusal_of(ga, [&] { ga.suspend_disk(); });  // there is no swap to write to
    refusal_of(ga, [&] { ga.suspend_hybrid(); });
  }
  CHECK(vm.qmp().status() == "running");
  CHECK(boot_id(vm) == boot);
}

TEMPLATE_TEST_CASE("guest-suspend-ram", "[commands][life]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  Qmp qmp = vm.qmp();
  const std::string boot = boot_id(vm);
  std::optional<Systemctl> systemctl;
  if (says_yes_in_vain(ga)) systemctl.emplace(vm);
  ga.ping();
  Stopwatch watch;
  const auto error = error_of<qga::TimeoutError>([&] { ga.with({.timeout = 5s}).suspend_ram(); });
  const double took = watch.within(5s);
  CHECK(error.outcome() == Outcome::unknown);
  qmp.wait_for("SUSPEND");
  CHECK(qmp.status() == "suspended");
  CHECK(error_of<qga::TimeoutError>([&] { ga.with({.timeout = 1s}).ping(); }).outcome() ==
        Outcome::not_sent);
  qmp.execute("system_wakeup");
  ga.ping();
  CHECK(boot_id(vm) == boot);
  Report::instance().event({"suspended to memory, and woken up later", way_name<TestType>,
                            "suspend_ram", described(error), 5, took, "ping works"});

  auto alarm = std::async(std::launch::async, [&] {
    qmp.wait_for("SUSPEND");
    qmp.execute("system_wakeup");
  });
  watch = {};
  ga.suspend_ram();  // the sync behind it is answered after the wake-up
  const double slept = watch.within(60s);
  alarm.get();
  CHECK(ga.get_host_name() == "qga-guest");
  Report::instance().event({"suspended to memory, and woken up within the deadline",
                            way_name<TestType>, "suspend_ram", "accepted", 60, slept,
                            "get_host_name works"});
}

TEMPLATE_TEST_CASE("guest-shutdown: a mode that there is not", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string boot = boot_id(vm);
  refusal_of(ga, [&] { ga.execute("guest-shutdown", {{"mode", "sideways"}}); });
  CHECK(boot_id(vm) == boot);
}

TEMPLATE_TEST_CASE("guest-shutdown: reboot", "[commands][life]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  Qmp qmp = vm.qmp();
  const std::string boot = boot_id(vm);
  Stopwatch watch;
  const std::string told =
      reported([&] { ga.with({.timeout = 2s}).shutdown(qga::GuestShutdownMode::reboot); });
  const double took = watch.within(2s);
  qmp.wait_for("RESET");
  ga.with({.timeout = boot_time}).ping();
  CHECK(boot_id(vm) != boot);
  Report::instance().event({"shutdown: reboot", way_name<TestType>, "shutdown", told, 2, took,
                            "ping works, after the boot"});
}

TEMPLATE_TEST_CASE("guest-shutdown: halt", "[commands][life]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  Stopwatch watch;
  const std::string told =
      reported([&] { ga.with({.timeout = 5s}).shutdown(qga::GuestShutdownMode::halt); });
  const double took = watch.within(5s);
  wait_until([&] { return contains(vm.console(), "System halted"); });
  CHECK(vm.qmp().status() == "running");
  CHECK(ga.is_open());
  const auto silent = error_of<qga::TimeoutError>([&] { ga.with({.timeout = 2s}).ping(); });
  CHECK(silent.outcome() == Outcome::not_sent);
  vm.qmp().execute("system_reset");
  ga.with({.timeout = boot_time}).ping();
  Report::instance().event({"shutdown: halt", way_name<TestType>, "shutdown", told, 5, took,
                            "ping: " + described(silent) + "; works after a reset"});
}

TEMPLATE_TEST_CASE("guest-shutdown: powerdown", "[commands][life]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  Stopwatch watch;
  const std::string told = reported([&] { ga.with({.timeout = 20s}).shutdown(); });
  const double took = watch.within(20s);
  wait_until([&] { return !vm.alive(); });  // QEMU is gone, and with it the channel
  const auto next = error_of<qga::UnreachableError>([&] { ga.ping(); });
  CHECK_FALSE(ga.is_open());
  CHECK(error_of<qga::ConnectError>([&] { ga.ping(); }).outcome() == Outcome::not_sent);
  Report::instance().event({"shutdown: powerdown", way_name<TestType>, "shutdown", told, 20, took,
                            "ping: " + described(next) + ", the channel has ended"});
}
