// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `freeze` and `thaw`: on each way out the guest is thawed, which its own programs tell.
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include "live.hpp"

using namespace vm_test;
using qga::GuestFsfreezeStatus;

namespace {

/// A write to each disk; ends only where neither is frozen.
std::int64_t write(Vm& vm) {
  return vm.start(
      "for disk in a b; do echo x >/mnt/$disk/$$ && sync -f /mnt/$disk/$$ && "
      "rm /mnt/$disk/$$ || exit 1; done; echo done");
}
void check_thawed(Vm& vm) { CHECK(vm.output_of(write(vm)) == "done"); }
void check_frozen(Vm& vm) {
  const std::int64_t pid = write(vm);
  std::this_thread::sleep_for(300ms);
  CHECK_FALSE(vm.ended(pid));
}

}  // namespace

TEMPLATE_TEST_CASE("thawed by thaw", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  qga::Frozen frozen = ga.freeze();
  CHECK(frozen.count() == 2);
  check_frozen(vm);
  const qga::ThawResult thawed = ga.thaw(frozen);
  check_thawed(vm);
  CHECK(thawed.count == 2);
  CHECK(thawed.frozen_for >= 300ms);
}

TEMPLATE_TEST_CASE("thawed at the end of a scope", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  {
    const qga::Frozen frozen = ga.freeze({"/mnt/b", "/nowhere"});
    CHECK(frozen.count() == 1);
    check_frozen(vm);
  }
  check_thawed(vm);
  ga.ping();
}

TEMPLATE_TEST_CASE("thawed by an exception", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  try {
    const qga::Frozen frozen = ga.freeze();
    throw std::runtime_error("the snapshot failed");
  } catch (const std::runtime_error&) {
  }
  check_thawed(vm);
  CHECK(ga.fsfreeze_status() == GuestFsfreezeStatus::thawed);
}

TEMPLATE_TEST_CASE("thawed when another takes the guard's place", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  qga::Frozen frozen = ga.freeze();
  frozen = qga::Frozen();
  check_thawed(vm);
}

TEMPLATE_TEST_CASE("thawed after a pause and a restart of the agent", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  {
    const qga::Frozen frozen = ga.freeze();
    vm.run("kill -9 $(cat /run/qga.pid)");
    std::this_thread::sleep_for(1500ms);
    check_frozen(vm);
  }
  ga.settle();
  check_thawed(vm);
}

TEMPLATE_TEST_CASE("nothing is frozen where a hook fails", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const Hook hook(vm, "exit 1");
  CHECK(contains(refusal_of(ga, [&] { ga.freeze(); }), "hook"));
  check_thawed(vm);
}

TEMPLATE_TEST_CASE("thawed although the thaw's hook fails", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const Hook hook(vm, "true", "exit 1");
  qga::Frozen frozen = ga.freeze();
  const auto error = error_of<qga::ThawError>([&] { ga.thaw(frozen); });
  CHECK(error.thawed());
  CHECK(contains(error.what(), "hook"));
  check_thawed(vm);
}

TEMPLATE_TEST_CASE("thawed where the freeze took too long", "[guard]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const Hook hook(vm, "sleep 3");
  Stopwatch watch;
  const auto error = error_of<qga::TimeoutError>([&] { ga.with({.timeout = 1s}).freeze(); });
  CHECK(watch.within(4s) >= 1);
  CHECK(error.outcome() == Outcome::unknown);
  CHECK(error.command() == "guest-fsfreeze-freeze");
  CHECK(vm.run("cat /run/hook.log") == "freeze\nthaw");  // it was frozen, and thawed
  check_thawed(vm);
}

TEST_CASE("thawed where a blocking freeze is stopped", "[guard]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  Hook hook(vm, "sleep 2");
  std::stop_source stop;
  auto stopper = std::async(std::launch::async, [&] {
    hook.wait_until_called();
    stop.request_stop();
  });
  CHECK_THROWS_AS(ga.with({.stop = stop.get_token()}).freeze(), qga::CancelledError);
  stopper.get();
  CHECK(vm.run("cat /run/hook.log") == "freeze\nthaw");
  check_thawed(vm);
}

TEST_CASE("thawed where an asynchronous freeze is cancelled", "[guard]") {
  Vm& vm = ready_vm();
  Hook hook(vm, "sleep 2");
  Answer<qga::Frozen> answer;
  asio::cancellation_signal signal;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(vm.agent());
  ga.async(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))))
      .freeze();
  auto seen = std::async(std::launch::async, [&] { hook.wait_until_called(); });
  while (seen.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
  signal.emit(asio::cancellation_type::terminal);
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  CHECK(vm.run("cat /run/hook.log") == "freeze\nthaw");
  check_thawed(vm);
}

TEST_CASE("thawed while other calls are under way", "[guard]") {
  Vm& vm = ready_vm();
  const std::size_t commands = commands_of_agent(vm).size();
  Answer<qga::Frozen> answer;
  Answer<qga::GuestAgentInfo> before, after;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(vm.agent());
  ga.async(asio::bind_executor(context, to(answer))).freeze();
  run_dry(context);
  ga.async(asio::bind_executor(context, to(before))).info();
  ga.async(asio::bind_executor(context, to(after))).info();
  answer.value.reset();  // the guard
  check_thawed(vm);
  run_dry(context);
  CHECK(before.get().supported_commands.size() == commands);
  CHECK(after.get().supported_commands.size() == commands);
}

TEST_CASE("thawed where a context is destroyed, with the guard in a handler", "[guard]") {
  Vm& vm = ready_vm();
  {
    asio::io_context context;
    qga::Client<> ga(context, patient());
    ga.connect(vm.agent());
    ga.async(asio::bind_executor(context,
                                 [&](std::exception_ptr error, qga::Frozen frozen) {
                                   CHECK_FALSE(error);
                                   CHECK(frozen.count() == 2);
                                   auto guard = std::make_shared<qga::Frozen>(std::move(frozen));
                                   ga.async(asio::bind_executor(
                                                context, [guard](auto&&...) { FAIL("cannot be"); }))
                                       .info();
                                   context.stop();
                                 }))
        .freeze();
    context.run();
    check_frozen(vm);
  }
  check_thawed(vm);
}

TEST_CASE("thawed where nobody takes the guard", "[guard]") {
  Vm& vm = ready_vm();
  Hook hook(vm, "true");
  Answer<qga::Frozen> answer;
  asio::io_context context;  // of the I/O
  std::optional<asio::io_context> handlers(std::in_place);
  qga::Client<> ga(context, patient());
  ga.connect(vm.agent());
  ga.async(asio::bind_executor(*handlers, to(answer))).freeze();
  run_dry(context);
  CHECK(vm.run("cat /run/hook.log") == "freeze");
  check_frozen(vm);
  handlers.reset();
  run_dry(context);
  CHECK(answer.times == 0);
  CHECK(vm.run("cat /run/hook.log") == "freeze\nthaw");
  check_thawed(vm);
}

TEMPLATE_TEST_CASE("thawed where the client is closed before the guard goes", "[guard]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  std::optional<TestType> ga(std::in_place, vm.agent());
  qga::Frozen frozen = ga->freeze();
  check_frozen(vm);
  ga.reset();
  check_thawed(vm);
}
