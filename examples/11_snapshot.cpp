// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 11: freezes a guest, takes a snapshot with a program of this machine, and thaws the guest, also
// where the snapshot fails, takes too long, or Ctrl-C ends this program.
// Usage: 11_snapshot [SOCKET [PROGRAM [ARG...]]]
//   11_snapshot /run/vm/qga.sock lvcreate --snapshot --name snap --size 1G /dev/vg/vm
// Without PROGRAM it shows how it works, and takes no snapshot.
//
// Exit codes: 0 the snapshot is good; 1 there is none, or it must be thrown away; 3 as 1, and the
// guest may still be frozen; 128+N as 1, after signal N.
#include <qga/client.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

/// From connecting to the end of the snapshot. The thaw has time of its own, because it must happen
/// in any case.
constexpr auto total_time = 60s;

constexpr int exit_failed = 1;
constexpr int exit_frozen = 3;

/// Makes a stop token of SIGINT and SIGTERM. A signal that ends the process would run no
/// destructor, and the guest would stay frozen. It blocks the signals, so it is made before any
/// other thread.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&ending_);
    ::sigaddset(&ending_, SIGINT);
    ::sigaddset(&ending_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ending_, &before_);
    std::thread([this] {
      int number = 0;
      ::sigwait(&ending_, &number);
      number_ = number;
      stop_.request_stop();
    }).detach();
  }

  std::stop_token token() const { return stop_.get_token(); }
  int number() const { return number_; }                   ///< 0: there was no signal
  const sigset_t& mask_before() const { return before_; }  ///< for child processes

 private:
  sigset_t ending_{};
  sigset_t before_{};
  std::atomic<int> number_ = 0;
  std::stop_source stop_;
};

/// Never destroyed: the thread that waits for a signal uses it until the process ends.
Signals& signals() {
  static Signals& all = *new Signals;
  return all;
}

/// Starts a program on this machine.
/// @throws std::runtime_error
pid_t start(std::vector<std::string> program) {
  std::vector<char*> arguments;
  for (std::string& word : program) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  ::posix_spawnattr_setsigmask(&attributes, &signals().mask_before());
  pid_t pid = 0;
  const int err =
      ::posix_spawnp(&pid, arguments[0], nullptr, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (err != 0) throw std::runtime_error("cannot run " + program[0] + ": " + std::strerror(err));
  return pid;
}

/// Runs a program until it ends, the time is up, or a signal came.
/// @throws std::runtime_error it did not end with exit code 0
void run_here(const std::vector<std::string>& program, qga::Clock::time_point until) {
  const pid_t pid = start(program);
  const auto ends_until = [pid](auto gives_up) {
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      if (gives_up()) return -1;
      std::this_thread::sleep_for(10ms);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  };
  const std::stop_token stop = signals().token();
  int status = ends_until([&] { return stop.stop_requested() || qga::Clock::now() >= until; });
  if (status < 0) {
    ::kill(pid, SIGTERM);
    const auto last = qga::Clock::now() + 5s;
    status = ends_until([last] { return qga::Clock::now() >= last; });
    if (status < 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, &status, 0);
    }
    throw std::runtime_error(program[0] + " was ended before it was done");
  }
  if (status != 0) {
    throw std::runtime_error(program[0] + " failed with status " + std::to_string(status));
  }
}

/// Makes sure that the guest is thawed, over a connection of its own.
bool rescue(const std::string& socket) {
  for (int attempt = 1; attempt <= 4; ++attempt) {
    try {
      qga::Client ga(socket, {.timeout = 30s});
      if (ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed) return true;
      ga.fsfreeze_thaw();
    } catch (const qga::GuestAgentError& error) {
      // A thaw may fail and have thawed all the same, for example where the guest's hook fails. The
      // next attempt asks.
      std::cerr << "attempt " << attempt << " to thaw: " << error.what() << '\n';
      std::this_thread::sleep_for(1s);
    }
  }
  return false;
}

/// Freezes, runs the program, thaws. What it throws is thrown with the guest thawed, except for
/// errors of the thaw itself.
void take_snapshot(qga::Client<>& ga, const std::vector<std::string>& program,
                   qga::Clock::time_point until) {
  const qga::CallOptions options{.deadline = until, .stop = signals().token()};
  qga::Frozen frozen = ga.with(options).freeze();  // thaws on every way out of this function
  if (frozen.count() == 0) throw std::runtime_error("the guest has nothing to freeze");
  std::cout << "frozen\n" << std::flush;
  run_here(program, until);
  // No options here: neither a signal nor the end of the total time prevents the thaw.
  const qga::ThawResult thawed = ga.thaw(frozen);
  if (thawed.count == 0) throw std::runtime_error("somebody else has thawed the guest before");
  std::cout << "thawed " << thawed.count << " file systems after " << thawed.frozen_for / 1ms
            << " ms\n";
}

/// Takes the snapshot, and makes an exit code of what went wrong.
int guarded(const std::string& socket, const std::vector<std::string>& program,
            bool is_demonstration) {
  bool may_be_frozen = false;
  try {
    const auto until = qga::Clock::now() + total_time;
    qga::ClientParams params;
    params.defer_connect = true;
    params.trace = [](qga::TraceDirection direction, std::string_view line) {
      // What the guard could not do when it was destroyed or closed is told nowhere else.
      if (direction == qga::TraceDirection::note) std::cerr << line << '\n';
    };
    qga::Client ga(socket, params);
    ga.reconnect({.deadline = until, .stop = signals().token()});
    if (is_demonstration && !ga.supports("guest-fsfreeze-freeze")) {
      std::cout << "This guest's agent may not freeze file systems.\n";
      return 0;
    }
    may_be_frozen = true;
    take_snapshot(ga, program, until);
    return 0;
  } catch (const qga::ThawError& error) {
    // Windows guests thaw by themselves after 10 s: such a snapshot is not consistent.
    std::cerr << error.what() << "\nThrow the snapshot away.\n";
    may_be_frozen = !error.thawed();
  } catch (const qga::FreezeError& error) {
    std::cerr << error.what() << '\n';
    // An agent refuses to freeze a guest that is frozen already. Whoever has frozen it, thaws it.
    may_be_frozen = !error.thawed() && error.outcome() != qga::Outcome::refused;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  // The client is closed by now, and the agent free for another one.
  if (may_be_frozen && !rescue(socket)) {
    std::cerr << "The guest may still be frozen. Thaw it by: qga " << socket << " thaw\n";
    return exit_frozen;
  }
  return signals().number() != 0 ? 128 + signals().number() : exit_failed;
}

}  // namespace

int main(int argc, char** argv) {
  signals();  // before any other thread
  const std::string socket = argc > 1 ? argv[1] : "/tmp/qga.sock";
  std::vector<std::string> program(argv + std::min(argc, 2), argv + argc);
  const bool is_demonstration = program.empty();
  if (is_demonstration) program = {"echo", "a snapshot would be taken now"};
  return guarded(socket, program, is_demonstration);
}
