// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Starts a program by posix_spawn, and waits for its pidfd together with the signals.
#include "host_program.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

/// How long a program has to end after it was asked to.
constexpr qga::Clock::duration grace = 5s;

/// Starts a program, and sets `pid`.
/// @return 0, or an errno value
int spawn(const Stop& stop, const std::vector<std::string>& program, bool stdout_is_ours,
          pid_t& pid) {
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawnattr_setsigmask(&attributes, &stop.inherited().mask);
  ::posix_spawnattr_setsigdefault(&attributes, &stop.inherited().ignored);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (stdout_is_ours) ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);

  std::vector<char*> arguments;
  for (const std::string& word : program) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int err =
      ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return err;
}

HostResult cannot_run(const std::string& name, int err) {
  const int code = err == ENOENT                    ? exit_no_program
                   : err == EAGAIN || err == ENOMEM ? exit_own_failure
                                                    : exit_cannot_run;
  return {code, "cannot run " + name + ": " + std::strerror(err) + hint_of_spaces(name)};
}

bool ends_within(int process, qga::Clock::duration time) {
  pollfd fds{process, POLLIN, 0};
  return ::poll(&fds, 1, static_cast<int>(time / 1ms)) > 0;
}

}  // namespace

std::optional<HostResult> missing_program(const std::string& name) {
  std::vector<std::string> places{name};
  if (name.find('/') == std::string::npos) {
    const char* const path = std::getenv("PATH");
    if (path == nullptr) return std::nullopt;  // then the C library knows where to look
    places.clear();
    std::istringstream directories(path);
    for (std::string one; std::getline(directories, one, ':');) {
      places.push_back(one.empty() ? name : one + '/' + name);
    }
  }
  const bool is_there = std::ranges::any_of(
      places, [](const std::string& place) { return ::access(place.c_str(), F_OK) == 0; });
  return is_there ? std::nullopt : std::optional(cannot_run(name, ENOENT));
}

HostResult run_on_host(const Stop& stop, const std::vector<std::string>& program,
                       qga::Clock::time_point until, bool stdout_is_ours) {
  if (stop.signal() != 0) return {};  // the program would not get the signal that came before
  pid_t pid = 0;
  if (const int err = spawn(stop, program, stdout_is_ours, pid); err != 0) {
    return cannot_run(program[0], err);
  }
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) {  // Linux before 5.3
    const int err = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return {exit_own_failure, std::string("cannot wait for a program: ") + std::strerror(err)};
  }

  HostResult result;
  const Stop::Woken woken = stop.wait(process, until);
  if (woken == Stop::Woken::stopped && !stop.from_terminal()) ::kill(pid, stop.signal());
  if (woken == Stop::Woken::timed_out) {
    ::kill(pid, SIGTERM);
    result.failure = program[0] + " took too long and was ended";
  }
  if (woken != Stop::Woken::readable && !ends_within(process, grace)) {
    ::kill(pid, SIGKILL);
    result.failure = program[0] + " did not end and was killed";
  }
  ::close(process);

  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (woken == Stop::Woken::timed_out) return {exit_too_long, result.failure};
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace qga_tool
