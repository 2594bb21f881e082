// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What happens to a guest while a client talks to it: what the client reports and when, and that
// the next command works on the same client. Nothing marks most of it on the channel.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "live.hpp"
#include "relay.hpp"

using namespace vm_test;

namespace {

/// A file of zeros in the guest that takes seconds to read.
constexpr std::int64_t large = 16 << 20;
constexpr const char* make_large = "truncate -s 16M /mnt/a/large";

/// A call that reaches its deadline, and no other end, while `act` runs on another thread.
template <class Call, class Act>
Report::Event timed_out(std::string what, std::string_view way, std::string command,
                        std::chrono::seconds deadline, Outcome outcome, Call call, Act act) {
  auto acted = std::async(std::launch::async, act);
  Stopwatch watch;
  const auto error =
      error_of<qga::TimeoutError>([&] { call(qga::CallOptions{.timeout = deadline}); });
  const double took = watch.within(deadline);
  acted.get();
  CHECK(took >= static_cast<double>(deadline.count()));
  CHECK(error.outcome() == outcome);
  return {std::move(what),
          way,
          std::move(command),
          described(error),
          static_cast<double>(deadline.count()),
          took,
          ""};
}
template <class Call>
Report::Event timed_out(std::string what, std::string_view way, std::string command,
                        std::chrono::seconds deadline, Outcome outcome, Call call) {
  return timed_out(std::move(what), way, std::move(command), deadline, outcome, call, [] {});
}

void finish(Report::Event event, const std::string& next) {
  event.next = next;
  Report::instance().event(std::move(event));
}

/// The agent, killed and kept from coming back until it is released.
class Held {
 public:
  explicit Held(Vm& vm) : vm_(vm) {
    vm_.run("touch /run/agent.hold && kill -9 $(cat /run/qga.pid)");
    vm_.run("while [ -d /proc/$(cat /run/qga.pid) ]; do usleep 20000; done");
  }
  void release() { vm_.run("rm /run/agent.hold"); }

 private:
  Vm& vm_;
};

}  // namespace

TEMPLATE_TEST_CASE("the VM is paused past a deadline and continued", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  vm.run("rm -f /run/late");
  TestType ga(vm.agent());
  Qmp qmp = vm.qmp();
  ga.ping();
  qmp.execute("stop");
  const auto event =
      timed_out("paused and continued", way_name<TestType>, "get_host_name", 2s, Outcome::unknown,
                [&](auto options) { ga.with(options).get_host_name(); });
  const auto second = timed_out(
      "paused and continued: the second command", way_name<TestType>, "exec", 1s, Outcome::not_sent,
      [&](auto options) { ga.with(options).exec("/bin/touch", {.args = {"/run/late"}}); });
  qmp.execute("cont");
  CHECK(ga.sync(7) == 7);  // and not the late host name
  CHECK(ga.get_host_name() == "qga-guest");
  CHECK(vm.run("ls /run/late || true").empty());
  finish(event, "sync works");
  finish(second, "it was never executed");
}

/// A client that has begun to get a reply of seconds.
template <class Way>
class MidReply {
 public:
  explicit MidReply(Vm& vm) : vm_(vm), ga(door_.path()), relay_(door_.relay_to(vm.agent())) {
    vm_.run(make_large);
    handle = ga.file_open("/mnt/a/large");
    before_ = relay_.carried();
  }

  /// Reads a part of the large file; `act` is called in the middle of the reply. An agent prepares
  /// all of its reply before it begins, which may take that of 5.2 a second for each 2 MiB here.
  template <class Act>
  Report::Event timed_out_by(std::string what, Act act) {
    relay_.stop_at(before_ + (1 << 20));  // however long `act` takes, the reply is not whole
    auto event = timed_out(
        std::move(what), way_name<Way>, "file_read", 8s, Outcome::unknown,
        [&](auto options) { ga.with(options).file_read(handle, part); },
        [&] {
          wait_until([&] { return begun(); });
          act();
          relay_.go_on();
        });
    CHECK(relay_.carried() < before_ + static_cast<std::size_t>(part));  // it was cut
    return event;
  }
  bool begun() const { return relay_.carried() >= before_ + (1 << 20); }

 private:
  static constexpr std::int64_t part = 4 << 20;

  Vm& vm_;
  UnixDoor door_;

 public:
  Way ga;
  std::int64_t handle = 0;

 private:
  Relay relay_;
  std::size_t before_ = 0;
};

TEMPLATE_TEST_CASE("the guest is reset in mid-command", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  Hook hook(vm, "exec sleep 1000");
  TestType ga(vm.agent());
  ga.ping();
  const auto event = timed_out(
      "reset in mid-command", way_name<TestType>, "fsfreeze_freeze", 6s, Outcome::unknown,
      [&](auto options) { ga.with(options).fsfreeze_freeze(); },
      [&] {
        hook.wait_until_called();
        vm.qmp().execute("system_reset");
      });
  CHECK(ga.with({.timeout = boot_time}).fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
  finish(event, "fsfreeze_status works: thawed");
}

TEMPLATE_TEST_CASE("the guest is reset in mid-reply", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  MidReply<TestType> at(vm);
  const auto event =
      at.timed_out_by("reset in mid-reply", [&] { vm.qmp().execute("system_reset"); });
  CHECK(at.ga.with({.timeout = boot_time}).sync(5) == 5);
  CHECK(at.ga.get_host_name() == "qga-guest");
  finish(event, "sync works");
}

TEST_CASE("the guest is reset in mid-reply, and a request waits behind it", "[life]") {
  Vm& vm = ready_vm();
  vm.run(make_large);
  UnixDoor door;
  Answer<qga::GuestFileRead> read;
  Answer<void> ping;
  Answer<std::string> name;
  asio::io_context context;
  qga::Client<> ga(door.path(), {.timeout = 2 * boot_time});
  Relay relay = door.relay_to(vm.agent());
  const std::int64_t handle = ga.file_open("/mnt/a/large");
  const std::size_t before = relay.carried();
  Stopwatch watch;
  relay.stop_at(before + (1 << 20));
  ga.async(asio::bind_executor(context, to(read))).file_read(handle, large);
  run_until(context, [&] { return relay.carried() >= before + (1 << 20); });
  vm.qmp().execute("system_reset");
  relay.go_on();
  // QEMU keeps it for the next agent, whose reply follows the cut one on the same line.
  ga.async(asio::bind_executor(context, to(ping))).ping();
  run_until(context, [&] { return read.done() && ping.done(); });
  const double took = watch.within(2 * boot_time);
  const auto cut = error_of<qga::BadReplyError>([&] { read.get(); });
  const auto glued = error_of<qga::BadReplyError>([&] { ping.get(); });
  CHECK(cut.outcome() == Outcome::unknown);
  CHECK(glued.outcome() == Outcome::unknown);
  ga.async(asio::bind_executor(context, to(name))).get_host_name();
  run_dry(context);
  CHECK(name.get() == "qga-guest");
  Report::instance().event({"reset in mid-reply, a ping in flight behind it", "async",
                            "file_read; ping", described(cut) + "; " + described(glued), 240, took,
                            "get_host_name works"});
}

TEMPLATE_TEST_CASE("the agent is killed in mid-command and restarted", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  Hook hook(vm, "exec sleep 1000");
  TestType ga(vm.agent());
  ga.ping();
  const auto event = timed_out(
      "agent killed in mid-command", way_name<TestType>, "fsfreeze_freeze", 6s, Outcome::unknown,
      [&](auto options) { ga.with(options).fsfreeze_freeze(); },
      [&] {
        hook.wait_until_called();
        vm.run("kill -9 $(cat /run/qga.pid) && killall sleep");
      });
  CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
  finish(event, "fsfreeze_status works: thawed");
}

TEMPLATE_TEST_CASE("the agent is killed in mid-reply and restarted", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  MidReply<TestType> at(vm);
  const auto event =
      at.timed_out_by("agent killed in mid-reply", [&] { vm.run("kill -9 $(cat /run/qga.pid)"); });
  CHECK(at.ga.sync(6) == 6);
  CHECK_THROWS_AS(at.ga.file_read(at.handle, 1), qga::AgentError);  // its files went with it
  finish(event, "sync works");
}

TEMPLATE_TEST_CASE("commands before the agent has opened its port", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  vm.run("rm -f /run/late");
  const std::string boot = vm.run("cat /proc/sys/kernel/random/boot_id");
  Held agent(vm);
  TestType ga(vm.agent());
  const std::string_view way = way_name<TestType>;
  const auto exec = timed_out(
      "before the agent has opened its port", way, "exec", 2s, Outcome::not_sent,
      [&](auto options) { ga.with(options).exec("/bin/touch", {.args = {"/run/late"}}); });
  const auto shutdown =
      timed_out("before the agent has opened its port", way, "shutdown", 1s, Outcome::not_sent,
                [&](auto options) { ga.with(options).shutdown(); });
  const auto freeze =
      timed_out("before the agent has opened its port", way, "fsfreeze_freeze", 1s,
                Outcome::not_sent, [&](auto options) { ga.with(options).fsfreeze_freeze(); });
  agent.release();
  CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
  CHECK(ga.sync(8) == 8);
  CHECK(vm.run("ls /run/late || true").empty());
  CHECK(vm.run("cat /proc/sys/kernel/random/boot_id") == boot);
  for (const auto& event : {exec, shutdown, freeze})
    finish(event, "it was never executed; sync works");
}

TEMPLATE_TEST_CASE("a client that connects while the guest boots", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  vm.qmp().execute("system_reset");
  TestType ga(vm.agent());
  Stopwatch watch;
  CHECK(ga.with({.timeout = boot_time}).get_host_name() == "qga-guest");
  Report::instance().event({"connected while the guest boots", way_name<TestType>, "get_host_name",
                            "the name", 120, watch.within(boot_time), "ping works"});
  ga.ping();
}

TEMPLATE_TEST_CASE("a client leaves in the middle of an 8 MiB reply", "[life]", Blocking, Async) {
  Vm& vm = ready_vm();
  vm.run(make_large);
  const std::int64_t handle = qga::Client<>(vm.agent(), patient()).file_open("/mnt/a/large");
  const std::string request =
      "\xFF{\"execute\":\"guest-file-read\",\"arguments\":{\"handle\":" + std::to_string(handle) +
      ",\"count\":8388608}}\n";
  {
    const Descriptor rude = connected_to(vm.agent());
    write_all(rude, request);
    std::string bytes(1 << 20, '\0');
    REQUIRE(::recv(rude.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 1 << 20);
  }
  Stopwatch watch;
  TestType next(vm.agent());
  CHECK(next.sync(9) == 9);  // behind the rest of the old reply
  const double took = watch.within(long_enough);
  CHECK(next.get_host_name() == "qga-guest");
  Report::instance().event({"another client left in the middle of an 8 MiB reply",
                            way_name<TestType>, "sync", "its answer", 60, took,
                            "get_host_name works"});
}

TEMPLATE_TEST_CASE("this client gives up in the middle of an 8 MiB reply", "[life]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  vm.run(make_large);
  const std::string_view way = way_name<TestType>;
  std::optional<TestType> leaver(std::in_place, vm.agent());
  const std::int64_t handle = leaver->file_open("/mnt/a/large");
  const auto event =
      timed_out("gave up on an 8 MiB reply and left", way, "file_read", 1s, Outcome::unknown,
                [&](auto options) { leaver->with(options).file_read(handle, large); });
  leaver.reset();
  TestType next(vm.agent());
  CHECK(next.sync(10) == 10);
  CHECK(next.get_host_name() == "qga-guest");
  finish(event, "another client's sync works");
}
