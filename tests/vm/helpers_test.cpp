// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs, files and waiting in a live guest, with what goes wrong there made to go wrong.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "live.hpp"

using namespace vm_test;
using qga::ReadyState;
using qga::Truncated;
namespace fs = std::filesystem;

namespace {

const std::string mebibyte = [] {
  std::string bytes(1 << 20, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 7);
  return bytes;
}();

/// A file of the host that has this many mebibytes, no two of them the same.
fs::path large_file(const TemporaryDirectory& directory, int mebibytes) {
  const fs::path path = directory.file("large");
  std::ofstream stream(path, std::ios::binary);
  for (int i = 0; i < mebibytes; ++i) stream << i << mebibyte.substr(std::to_string(i).size());
  return path;
}

std::string sha256_on_host(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  qga::detail::Sha256 hash;
  hash.add(std::string(std::istreambuf_iterator<char>(stream), {}));
  return hash.digest();
}

std::string sha256_in_guest(Vm& vm, const std::string& path) {
  return vm.run("sha256sum " + path).substr(0, 64);
}

/// Files that the main agent has open below a directory.
std::int64_t open_files(Vm& vm, const std::string& directory) {
  return vm.number("ls -l /proc/$(cat /run/qga.pid)/fd | grep -c ' " + directory + "/' || true");
}

/// Calls `act` once, when a transfer has come this far.
template <class Act>
auto once_at(std::uint64_t bytes, Act act) {
  return [bytes, act, done = false](std::uint64_t there, std::optional<std::uint64_t>) mutable {
    if (there >= bytes && !std::exchange(done, true)) act();
  };
}

/// The agent is started again with a command forbidden; as before in the end.
class Forbidden {
 public:
  Forbidden(Vm& vm, const std::string& commands) : vm_(vm) {
    // An older agent, such as 5.2, knows the second name only.
    vm_.run("for key in block-rpcs blacklist; do echo \"$key = " + commands +
            "\"; done | sed '1i [general]' >/etc/qemu/qemu-ga.conf");
    restart();
  }
  Forbidden(const Forbidden&) = delete;
  Forbidden& operator=(const Forbidden&) = delete;
  ~Forbidden() {
    vm_.run("rm /etc/qemu/qemu-ga.conf");
    restart();
  }

 private:
  void restart() {
    vm_.run(
        "old=$(cat /run/qga.pid); kill $old; while [ $(cat /run/qga.pid) = $old ]; do "
        "usleep 20000; done");
  }

  Vm& vm_;
};

}  // namespace

// ---- files -----------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("a large file to the guest and back", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const TemporaryDirectory host;
  const fs::path file = large_file(host, 16);
  const std::string digest = sha256_on_host(file);
  CHECK(ga.upload(file, "/root/large").bytes == 16 << 20);
  CHECK(sha256_in_guest(vm, "/root/large") == digest);
  const auto down = ga.download("/root/large", host.file("down"), {.verify = true});
  CHECK(down.bytes == 16 << 20);
  CHECK(down.sha256 == digest);
  CHECK(sha256_on_host(host.file("down")) == digest);
  CHECK(open_files(vm, "/root") == 0);
  vm.run("rm /root/large");
}

TEMPLATE_TEST_CASE("an upload to a full disk", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const TemporaryDirectory host;
  const fs::path file = large_file(host, 6);
  const auto error = error_of<qga::AgentError>([&] { ga.upload(file, "/mnt/tiny/large"); });
  CHECK(error.outcome() == Outcome::unknown);  // of the whole: the file was opened and written
  CHECK(vm.run("stat -c %s /mnt/tiny/large") == "0");
  CHECK_THROWS_AS(ga.upload(file, "/mnt/tiny/large", {.keep_partial = true}), qga::AgentError);
  CHECK(vm.number("stat -c %s /mnt/tiny/large") > 3 << 20);
  CHECK(open_files(vm, "/mnt/tiny") == 0);
  vm.run("rm /mnt/tiny/large");
}

TEMPLATE_TEST_CASE("an agent that restarts in the middle of a transfer", "[helpers]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const TemporaryDirectory host;
  const fs::path file = large_file(host, 6);
  const auto restart = [&] { vm.run("kill -9 $(cat /run/qga.pid)"); };
  // A request may be lost with the agent, and then nothing ends it but its deadline.
  auto hasty = ga.with({.timeout = 15s});
  const auto fails = [&](auto call) {
    const auto error = error_of<qga::GuestAgentError>(call);
    CHECK(error.outcome() != Outcome::not_sent);
    ga.ping();
  };
  fails([&] { hasty.upload(file, "/root/large", {.progress = once_at(2 << 20, restart)}); });
  CHECK(vm.run("stat -c %s /root/large") == "0");

  fails([&] {
    hasty.upload(file, "/root/large",
                 {.progress = once_at(2 << 20, restart), .keep_partial = true});
  });
  const auto there = vm.number("stat -c %s /root/large");
  CHECK(there >= 2 << 20);
  CHECK(there < 6 << 20);
  const qga::TransferParams rest{.offset = static_cast<std::uint64_t>(there), .verify = true};
  CHECK(ga.upload(file, "/root/large", rest).bytes == (6 << 20) - rest.offset);
  CHECK(sha256_in_guest(vm, "/root/large") == sha256_on_host(file));

  fails([&] {
    hasty.download("/root/large", host.file("down"), {.progress = once_at(2 << 20, restart)});
  });
  CHECK_FALSE(fs::exists(host.file("down")));
  CHECK(ga.read_file("/root/large", 6 << 20).size() == 6 << 20);
  vm.run("rm /root/large");
}

TEMPLATE_TEST_CASE("a transfer that runs into its deadline while the VM is paused", "[helpers]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const TemporaryDirectory host;
  vm.run("head -c 4000000 /dev/urandom >/root/large");
  Qmp qmp = vm.qmp();
  const auto pause = [&] { qmp.execute("stop"); };
  const Stopwatch stopwatch;
  CHECK_THROWS_AS(ga.download("/root/large", host.file("down"),
                              {.progress = once_at(1 << 20, pause), .timeout = 3s}),
                  qga::TimeoutError);
  stopwatch.within(3s + 10s);
  qmp.execute("cont");
  CHECK_FALSE(fs::exists(host.file("down")));
  CHECK(ga.sync(5) == 5);
  // The pause was longer than the time for cleaning up: the agent keeps what it has open.
  vm.run("rm /root/large; kill -9 $(cat /run/qga.pid)");
}

TEMPLATE_TEST_CASE("an open file on every way out", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  {
    const qga::File file = ga.open("/root/file", "w");
    ga.write(file, "hello");
    CHECK(open_files(vm, "/root") == 1);
  }
  CHECK(open_files(vm, "/root") == 0);
  CHECK(vm.run("cat /root/file") == "hello");
  try {
    const qga::File file = ga.open("/root/file");
    throw std::runtime_error("something else");
  } catch (const std::runtime_error&) {
  }
  CHECK(open_files(vm, "/root") == 0);
  qga::File full = ga.open("/mnt/tiny/full", "w");
  const auto too_much = [&] {
    for (int i = 0; i < 6; ++i) ga.write(full, mebibyte);
    ga.close(full);
  };
  CHECK_THROWS_AS(too_much(), qga::AgentError);
  full = qga::File();
  CHECK(open_files(vm, "/mnt/tiny") == 0);
  vm.run("rm /root/file /mnt/tiny/full");
}

TEST_CASE("requests of any length in flight together are all answered", "[helpers]") {
  Vm& vm = ready_vm();
  asio::io_context context;
  qga::Client ga(vm.agent(), patient());
  const auto handle = ga.file_open("/root/file", "w");
  int answered = 0;
  int other = 0;
  for (int i = 0; i < 300; ++i) {
    const auto size = static_cast<std::int64_t>(i % 7 * i * 10);
    const auto count = [&, size](const std::exception_ptr& error,
                                 const qga::GuestFileWrite& reply) {
      ++(!error && reply.count == size ? answered : other);
    };
    ga.async(asio::bind_executor(context, count))
        .file_write(handle, std::string(static_cast<std::size_t>(size), 'x'));
  }
  run_dry(context);
  CHECK(answered == 300);
  CHECK(other == 0);
  ga.file_close(handle);
}

// ---- programs --------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("run: input of any length, and no file of it stays", "[helpers]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string input = mebibyte + "x";
  const qga::RunResult result = ga.run("md5sum", {.input = input});
  std::string same = ga.run("/bin/sh", {.args = {"-c", "wc -c; ls /tmp"}, .input = input}).out;
  CHECK(result.exit_code == 0);
  vm.run("mkdir -p /tmp/other");
  CHECK(std::stoul(same) == input.size());
  CHECK(vm.run("ls /tmp") == "other");
  CHECK(ga.run("/no/such/program", {.input = input}).exit_code == 127);
  ga.write_file("/root/input", input);
  CHECK(result.out.substr(0, 32) == vm.run("md5sum /root/input").substr(0, 32));
  CHECK(vm.run("ls /tmp") == "other");
  vm.run("rm -r /root/input /tmp/other");
}

TEMPLATE_TEST_CASE("run: 16 MiB of output, and one byte more", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto output_of = [&](int bytes) {
    return ga.run("head", {.args = {"-c", std::to_string(bytes), "/dev/zero"}});
  };
  const qga::RunResult all = output_of(16 << 20);
  CHECK(all.out.size() == 16 << 20);
  CHECK(all.out_truncated != Truncated::yes);
  const qga::RunResult cut = output_of((16 << 20) + 1);
  CHECK(cut.out.size() == 16 << 20);
  // The agent of 5.2 says "out-truncated": false of output that it has cut.
  CHECK(cut.out_truncated ==
        (ga.info().version.starts_with("5.") ? Truncated::possibly : Truncated::yes));
  CHECK(cut.err_truncated == Truncated::no);
}

TEMPLATE_TEST_CASE("run: a grandchild that holds the pipe", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const qga::RunParams daemon{.args = {"-c", "sleep 2 & echo $!"}};
  const qga::RunResult waited = ga.run("/bin/sh", daemon);
  CHECK(vm.run("[ -d /proc/" + waited.out.substr(0, waited.out.size() - 1) + " ] || echo gone") ==
        "gone");
  qga::RunParams limited{.args = {"-c", "sleep 1000 & echo $! >/run/grandchild"}};
  limited.timeout = 1s;
  const auto error = error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", limited); });
  CHECK_FALSE(error.ended());
  CHECK(vm.run("[ -d /proc/$(cat /run/grandchild) ] && echo there") == "there");
  limited.capture = false;
  limited.timeout = long_enough;
  CHECK(ga.run("/bin/sh", limited).exit_code == 0);
  vm.run("killall sleep");
}

TEMPLATE_TEST_CASE("run: a program that runs for too long is killed where that is asked for",
                   "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto error = error_of<qga::ProgramTimeoutError>(
      [&] { ga.run("sleep", {.args = {"1000"}, .timeout = 1s, .kill = true}); });
  CHECK(error.ended());
  CHECK(vm.run("[ -d /proc/" + std::to_string(error.pid()) + " ] || echo gone") == "gone");
}

TEMPLATE_TEST_CASE("run: an agent that restarts forgets the program", "[helpers]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::int64_t pid = vm.start(
      "until [ -s /run/started ]; do usleep 20000; done; "
      "kill -9 $(cat /run/qga.pid)");
  const auto error = error_of<qga::GuestAgentError>([&] {
    ga.run("/bin/sh", {.args = {"-c", "echo x >>/run/started; exec sleep 1000"}});
  });
  CHECK((error.code() == qga::err_from_agent || error.code() == qga::err_timed_out));
  vm.output_of(pid);
  CHECK(vm.run("cat /run/started; rm /run/started; killall sleep") == "x");  // started once
  ga.ping();
}

TEMPLATE_TEST_CASE("an agent that may not run programs", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  const Forbidden forbidden(vm, "guest-exec");
  TestType ga(vm.agent());
  CHECK(ga.wait_ready(long_enough, "guest-exec").state == ReadyState::disabled);
  CHECK(ga.wait_ready(long_enough, "guest-file-open").state == ReadyState::ready);
  CHECK_THROWS_AS(ga.run("/bin/true"), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.run("/bin/true", {.input = mebibyte}), qga::CommandNotFoundError);
  const auto error = error_of<qga::VerificationError>(
      [&] { ga.write_file("/root/unread", "x", {.verify = true}); });
  CHECK(error.reason() == qga::VerificationError::Reason::unavailable);
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK(vm.run("test -e /root/unread || echo none") == "none");
  ga.write_file("/root/unread", "x");
  CHECK(vm.run("cat /root/unread; rm /root/unread") == "x");
}

// ---- waiting ---------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("waiting for a guest that boots again", "[helpers]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const auto booted = ga.get_time();
  Qmp qmp = vm.qmp();
  qmp.execute("system_reset");
  const qga::Readiness ready = ga.wait_ready(boot_time);
  CHECK(ready.state == ReadyState::ready);
  CHECK(ready.attempts > 1);
  CHECK(ga.get_time() > booted);
  CHECK(ga.run("cut", {.args = {"-d.", "-f1", "/proc/uptime"}}).out.size() <= 4);
}

TEMPLATE_TEST_CASE("waiting for a guest that is paused, and one that is frozen", "[helpers]",
                   Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  Qmp qmp = vm.qmp();
  qmp.execute("stop");
  CHECK(ga.wait_ready(2s).state == ReadyState::silent);
  qmp.execute("cont");
  CHECK(ga.wait_ready(long_enough).state == ReadyState::ready);
  qga::Frozen frozen = ga.freeze();
  CHECK(ga.wait_ready(long_enough, "guest-exec").state == ReadyState::frozen);
  ga.thaw(frozen);
  CHECK(ga.wait_ready(long_enough, "guest-exec").state == ReadyState::ready);
}

TEST_CASE("waiting behind another client", "[helpers]") {
  Vm& vm = ready_vm();
  auto other = std::make_optional<Blocking>(vm.agent());
  other->ping();
  qga::ClientParams params;
  params.defer_connect = true;
  qga::Client ga(vm.agent(), params);
  CHECK(ga.wait_ready(2s).state == ReadyState::silent);
  other.reset();
  CHECK(ga.wait_ready(long_enough).state == ReadyState::ready);
}
