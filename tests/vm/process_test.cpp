// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that are followed while they run, and terminals, compared with what the guest's own
// shell sees.
#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "agent.hpp"
#include "live.hpp"

using namespace vm_test;
using qga::Process;
using qga::ProcessOutput;

namespace {

std::string read_all(Process& process) {
  std::string all;
  while (const ProcessOutput output = process.read()) all += output.bytes;
  return all;
}

/// Reads until a text has come.
std::string read_until(Process& process, const std::string& text) {
  std::string all;
  while (!contains(all, text)) {
    const ProcessOutput output = process.with({.timeout = long_enough}).read();
    if (!output) break;
    all += output.bytes;
  }
  return all;
}

/// Nothing of a program is left: no directory, no file that the agent has open below /tmp.
void check_nothing_left(Vm& vm) {
  CHECK(vm.run("ls -d /tmp/qga-* 2>/dev/null || :").empty());
  CHECK(vm.run("ls -l /proc/$(cat /run/qga.pid)/fd | grep -c /tmp/qga- || :") == "0");
}

/// A shell in a terminal.
Process shell(Blocking& ga) {
  return ga.start("sh", {.args = {"-i"}, .add_env = {"PS1=ready> "}, .terminal = qga::Terminal()});
}

/// A small /tmp, while it lives.
class SmallTmp {
 public:
  SmallTmp(Vm& vm, const std::string& size) : vm_(vm) {
    vm_.run("mount -t tmpfs -o mode=1777,size=" + size + " tmpfs /tmp");
  }
  SmallTmp(const SmallTmp&) = delete;
  SmallTmp& operator=(const SmallTmp&) = delete;
  ~SmallTmp() { vm_.run("umount -l /tmp"); }

 private:
  Vm& vm_;
};

}  // namespace

TEST_CASE("a program is followed: output, input, end, and nothing is left", "[helpers][quick]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  Process process = ga.start(
      "sh",
      {.args = {"-c", "echo begun; read -r line; echo \"got $line\"; pwd; echo \"$A\"; exit 7"},
       .add_env = {"A=it's"},
       .cwd = "/mnt",
       .merge = true});
  CHECK(read_until(process, "\n") == "begun\n");
  CHECK(vm.run("ls -d /tmp/qga-* 2>/dev/null || :").empty());  // while it runs
  process.write("a line\n");
  CHECK(read_all(process) == "got a line\n/mnt\nit's\n");
  CHECK(process.wait().exit_code == 7);
  check_nothing_left(vm);
  CHECK(ga.run("cat", {.cwd = "/", .input = std::string(100'000, 'x')}).out.size() == 100'000);
  check_nothing_left(vm);
}

TEST_CASE("a program runs as another user", "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  const std::string script = "id -un; echo \"$HOME\"; id -gn; id -G; echo \"$USER\"";
  const std::string expected = vm.run("su tester -s /bin/sh -c '" + script + "'") + "\n";
  const auto check_user = [&] {
    Process process = ga.start("sh", {.args = {"-c", script}, .user = "tester"});
    CHECK(read_all(process) == expected);
    CHECK(process.wait().exit_code == 0);
  };
  SECTION("by setpriv") { check_user(); }
  SECTION("by su, where setpriv is that of busybox") {
    vm.run("mv /bin/setpriv /bin/setpriv.kept; ln -s busybox /bin/setpriv");
    check_user();
    vm.run("mv /bin/setpriv.kept /bin/setpriv");
  }
  const auto error = error_of<qga::AgentError>([&] { ga.start("id", {.user = "nobody-here"}); });
  CHECK(error.outcome() == Outcome::refused);
  check_nothing_left(vm);
}

TEST_CASE("a key that is typed in a terminal is seen again soon", "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  Process process = shell(ga);
  read_until(process, "ready> ");
  std::vector<double> took;
  for (int i = 0; i < 40; ++i) {
    std::this_thread::sleep_for(20ms);
    const auto begun = qga::Clock::now();
    process.write("x");
    CHECK(contains(read_until(process, "x"), "x"));
    took.push_back(std::chrono::duration<double, std::milli>(qga::Clock::now() - begun).count());
  }
  std::sort(took.begin(), took.end());
  std::cout << "keys: seen again after " << took[took.size() / 2] << " ms at the median, "
            << took.back() << " ms at most\n";
  CHECK(took[took.size() / 2] < 1000);  // 60 where nothing else runs
  process.write(
      "\x15"
      "exit 5\n");
  read_all(process);
  CHECK(process.wait().exit_code == 5);
  check_nothing_left(vm);
}

TEST_CASE("a terminal has a size, which follows", "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  Process process = shell(ga);
  read_until(process, "ready> ");
  process.write("stty size\n");
  CHECK(contains(read_until(process, "24 80"), "24 80"));
  process.resize(50, 132);
  process.write("stty size\n");
  CHECK(contains(read_until(process, "50 132"), "50 132"));
  process.write("sleep 1000\n");
  std::this_thread::sleep_for(300ms);
  process.write("\x03");  // Ctrl-C
  process.write("echo still $((40 + 2))\n");
  CHECK(contains(read_until(process, "still 42"), "still 42"));
  process = Process();  // which ends the shell
  vm.run(
      "while pgrep -f 'sleep 1000' >/dev/null || pgrep script >/dev/null; do usleep 20000; done");
  check_nothing_left(vm);
}

TEST_CASE("vi edits a file in a terminal", "[helpers]") {
  Vm& vm = ready_vm();
  vm.run("printf 'first\\nsecond\\n' >/mnt/a/text");
  Blocking ga(vm.agent());
  Process process = ga.start("vi", {.args = {"/mnt/a/text"}, .terminal = qga::Terminal()});
  CHECK(contains(read_until(process, "second"), "first"));
  for (const std::string keys : {"j", "o", "third", "\x1b", ":wq\n"}) {
    process.write(keys);
    std::this_thread::sleep_for(200ms);  // an escape that comes with other keys means another one
  }
  read_all(process);
  CHECK(process.wait().exit_code == 0);
  CHECK(vm.run("cat /mnt/a/text") == "first\nsecond\nthird");
  check_nothing_left(vm);
}

TEST_CASE("a full disk is told before a program is started, and is its own matter afterwards",
          "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  const SmallTmp small(vm, "1m");
  Process process = ga.start("dd", {.args = {"if=/dev/zero", "bs=64k", "count=100"}});
  std::size_t zeros = 0;
  std::string said;
  while (const ProcessOutput output = process.read()) {
    output.stream == qga::ProcessStream::out ? void(zeros += output.bytes.size())
                                             : void(said += output.bytes);
  }
  CHECK(zeros > 500'000);
  CHECK(zeros <= (1U << 20));
  CHECK(process.wait().exit_code != 0);

  vm.run("dd if=/dev/zero of=/tmp/full bs=64k 2>/dev/null || :");
  const auto error = error_of<qga::AgentError>([&] { ga.start("true"); });
  CHECK(contains(error.what(), "disk"));
  CHECK(error.outcome() == Outcome::refused);
  check_nothing_left(vm);
}

TEST_CASE("output that was read is given back to the guest's disk", "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  const SmallTmp small(vm, "100m");
  constexpr std::size_t whole = 160U << 20;
  Process process = ga.start(
      "sh", {.args = {"-c",
                      "i=0; while [ $i -lt 16 ]; do dd if=/dev/zero bs=1M count=10 2>/dev/null || "
                      "exit 1; i=$((i + 1)); read line; done"}});
  // Each line asks for the next 10 MiB: how fast guest and host are does not matter.
  constexpr std::size_t part = 10U << 20;
  std::size_t bytes = 0;
  while (const ProcessOutput output = process.read()) {
    const std::size_t before = bytes;
    bytes += output.bytes.size();
    if (bytes / part > before / part) process.write("next\n");
  }
  CHECK(bytes == whole);
  CHECK(process.wait().exit_code == 0);
  check_nothing_left(vm);
}

TEST_CASE("what is read is not in the guest's log", "[helpers]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  ga.ping();
  const std::string lines = "grep -c qemu-ga /run/messages || :";
  const auto before = vm.number(lines);
  Process process = ga.start("sh", {.args = {"-c", "for i in 1 2 3; do echo $i; sleep 1; done"}});
  const auto started = vm.number(lines);
  CHECK(read_all(process) == "1\n2\n3\n");
  const auto read = vm.number(lines);
  std::cout << "log: " << started - before << " lines for a start, " << read - started
            << " for three seconds of reading and the end\n";
  CHECK(started - before <= 20);  // the more the longer the guest takes
  CHECK(read - started <= 8);     // one question for the status, and the files are closed
}

TEST_CASE("two shells on two guests, from one thread", "[helpers]") {
  Vm& vm = ready_vm();
  const Agent here;  // the second guest is this machine
  asio::io_context context;
  const auto talk = [](std::string path, std::string word,
                       std::string& heard) -> asio::awaitable<void> {
    qga::Client<> ga(co_await asio::this_coro::executor, patient());
    co_await ga.async_connect(path, asio::use_awaitable);
    qga::StartParams params;
    params.args = {"-i"};
    params.terminal = qga::Terminal();
    Process process = co_await ga.async(asio::use_awaitable).start("sh", std::move(params));
    auto p = process.async(asio::use_awaitable);
    co_await p.write("echo " + word + "$((1 + 1))\n");
    while (!contains(heard, word + "2")) heard += (co_await p.read()).bytes;
    co_await p.write("exit\n");
    while (co_await p.read()) {
    }
    if (!(co_await p.wait()).ended) throw std::runtime_error("it has not ended");
  };
  std::vector<std::string> heard(2);
  int ended = 0;
  const auto end = [&](std::exception_ptr error) {
    ++ended;
    if (error) std::rethrow_exception(error);
  };
  asio::co_spawn(context, talk(vm.agent(), "one", heard[0]), end);
  asio::co_spawn(context, talk(here.path(), "two", heard[1]), end);
  run_dry(context);
  CHECK(ended == 2);
  check_nothing_left(vm);
}

TEST_CASE("the agent is restarted while a program runs", "[life]") {
  Vm& vm = ready_vm();
  Blocking ga(vm.agent());
  Process process = ga.start("sh", {.args = {"-c", "echo begun; exec sleep 1000"}});
  read_until(process, "begun");
  vm.run(
      "old=$(cat /run/qga.pid); kill -9 $old; while [ \"$(cat /run/qga.pid)\" = $old ]; do "
      "usleep 20000; done");
  const auto error = error_of<qga::ProgramError>([&] { process.read(); });
  CHECK(error.pid() == process.pid());
  CHECK_FALSE(error.ended());
  CHECK(error.outcome() == Outcome::refused);
  vm.run("kill " + std::to_string(process.pid()));
}

TEST_CASE("the guest is reset while a program runs", "[life]") {
  Vm& vm = ready_vm();
  {
    Blocking ga(vm.agent());
    Process process = shell(ga);
    read_until(process, "ready> ");
    vm.qmp().execute("system_reset");
    // How far the guest is decides: nobody answers, or an agent that does not know the program.
    const auto error = error_of<qga::ProgramError>([&] { process.with({.timeout = 60s}).read(); });
    CHECK(error.pid() == process.pid());
  }
  vm.wait_ready();
}
