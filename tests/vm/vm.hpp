// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A live virtual machine, run by run.sh, and a look into its guest by another way than the agent
// under test: a second agent in the same guest, the observer.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qga/client.hpp"
#include "qmp.hpp"
#include "sockets.hpp"
#include "ways.hpp"

namespace vm_test {

using namespace std::chrono_literals;

/// For a guest that boots on an emulated processor of a busy machine.
inline constexpr auto boot_time = 120s;

/// run.sh with a command that lasts as long as its input, which is one end of a socket: however
/// this process ends, the virtual machine ends with it.
class Vm {
 public:
  Vm() : run_sh_(start()), directory_(first_line()) { observer_.emplace(file("observer.sock")); }
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;
  ~Vm() {
    observer_.reset();
    ::shutdown(lifeline_->get(), SHUT_RDWR);
    ::waitpid(run_sh_, nullptr, 0);
  }

  std::string file(const std::string& name) const { return directory_ + "/" + name; }
  /// The socket of the agent under test.
  std::string agent() const { return file("agent.sock"); }
  Qmp qmp() const { return Qmp(file("qmp.sock")); }

  /// What the guest's kernel has said.
  std::string console() const {
    std::ifstream stream(file("console.log"), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// Waits until the agents answer, also those of a guest that is booting again, and thaws it.
  void wait_ready() {
    wait_for(*observer_);
    qga::Client<> ga(agent());
    wait_for(ga);
    ga.fsfreeze_thaw();
  }

  /// Starts a shell script in the guest.
  std::int64_t start(const std::string& script) {
    return observer_->with({.timeout = qga_test::long_enough})
        .exec("/bin/sh", {.args = {"-c", script}, .capture_output = true});
  }
  /// How it ended; nothing while it runs.
  std::optional<qga::GuestExecStatus> ended(std::int64_t pid) {
    auto status = observer_->with({.timeout = qga_test::long_enough}).exec_status(pid);
    return status.exited ? std::optional(status) : std::nullopt;
  }
  /// What a shell script writes, without the last newline. It has to succeed.
  std::string run(const std::string& script) { return output_of(start(script), script); }
  std::string output_of(std::int64_t pid, const std::string& what = "script") {
    const auto status = qga_test::end_of(*observer_, pid);
    if (status.exitcode != 0) {
      throw std::runtime_error(what + ": " + status.err_data.value_or("failed"));
    }
    std::string output = status.out_data.value_or("");
    if (output.ends_with('\n')) output.pop_back();
    return output;
  }
  std::int64_t number(const std::string& script) { return std::stoll(run(script)); }

  /// Whether QEMU still runs.
  bool alive() const {
    try {
      Qmp(file("qmp2.sock"));  // a monitor has one client at a time, and the other has perhaps
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

 private:
  pid_t start() {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      throw std::system_error(errno, std::system_category());
    }
    lifeline_.emplace(pair[0]);
    const qga_test::Descriptor theirs(pair[1]);
    std::vector<std::string> words{QGA_TEST_VM_RUN, "--", "sh", "-c",
                                   "echo \"$QGA_VM\" && exec cat"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), 0);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), 1);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, QGA_TEST_VM_RUN, &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::system_category(), QGA_TEST_VM_RUN);
    return pid;
  }

  /// The line that names the directory; before it, run.sh says what it does.
  std::string first_line() {
    std::string line;
    for (char next = 0; ::read(lifeline_->get(), &next, 1) == 1;) {
      if (next != '\n') {
        line += next;
      } else if (line.starts_with('/')) {
        return line;
      } else {
        line.clear();
      }
    }
    ::waitpid(run_sh_, nullptr, 0);
    throw std::runtime_error("run.sh did not start a VM: " + line);
  }

  static void wait_for(qga::Client<>& ga) {
    const auto deadline = std::chrono::steady_clock::now() + boot_time;
    for (;;) {
      try {
        return ga.with({.timeout = 2s}).ping();
      } catch (const qga::TimeoutError&) {
        if (std::chrono::steady_clock::now() > deadline) throw;
      }
    }
  }

  std::optional<qga_test::Descriptor> lifeline_;
  pid_t run_sh_;
  std::string directory_;
  std::optional<qga::Client<>> observer_;
};

/// The virtual machine that the tests of this program share: the first one boots it, and one that
/// finds it ended boots another. Its agent answers, and nothing is frozen.
inline std::unique_ptr<Vm>& shared_vm() {
  static std::unique_ptr<Vm> vm;
  return vm;
}
inline Vm& ready_vm() {
  std::unique_ptr<Vm>& vm = shared_vm();
  if (vm && !vm->alive()) vm.reset();
  if (!vm) vm = std::make_unique<Vm>();
  vm->wait_ready();
  return *vm;
}

}  // namespace vm_test
