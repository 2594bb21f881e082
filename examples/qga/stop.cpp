// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A thread waits for the signals, so that no signal handler is needed.
#include "stop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace qga_tool {

namespace {

/// Whether a signal is ignored already: nohup does that, and a shell does for programs in the
/// background.
bool is_ignored(int number) {
  struct sigaction action {};
  ::sigaction(number, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

}  // namespace

Stop::Stop() : woken_(::eventfd(0, EFD_CLOEXEC)) {
  if (woken_ < 0) throw std::system_error(errno, std::system_category(), "eventfd");
  ::sigemptyset(&awaited_);
  ::sigaddset(&awaited_, SIGTERM);
  // All that end a process, and can be waited for.
  for (const int number :
       {SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGPWR}) {
    if (!is_ignored(number)) ::sigaddset(&awaited_, number);
  }
  ::pthread_sigmask(SIG_BLOCK, &awaited_, &inherited_.mask);

  // A tool that is stopped, or ended by a closed pipe or a full file, could leave a guest frozen.
  ::sigemptyset(&inherited_.ignored);
  for (const int number : {SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU}) {
    ::sigaddset(&inherited_.ignored, number);
    std::signal(number, SIG_IGN);
  }
  listener_ = std::thread([this] { listen(); });
}

Stop::~Stop() {
  over_ = true;
  ::pthread_kill(listener_.native_handle(), SIGTERM);
  listener_.join();
  ::close(woken_);
}

void Stop::listen() {
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&awaited_, &info) < 0) continue;
    if (over_) return;
    if (signal_ != 0 && tidying_ == 0) ::_exit(128 + signal_);
    // A terminal that is closed sends SIGHUP only to the first of its processes.
    from_terminal_ = info.si_code == SI_KERNEL && info.si_signo != SIGHUP;
    signal_ = info.si_signo;
    source_.request_stop();
    ::eventfd_write(woken_, 1);
  }
}

Stop::Woken Stop::wait(int fd, qga::Clock::time_point until) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - qga::Clock::now());
    if (left.count() <= 0) return Woken::timed_out;
    constexpr std::chrono::milliseconds longest = std::chrono::hours(1);
    std::array<pollfd, 2> fds{pollfd{woken_, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), static_cast<int>(std::min(left, longest).count()));
    if (fds[0].revents != 0) return Woken::stopped;
    if (fds[1].revents != 0) return Woken::readable;
  }
}

}  // namespace qga_tool
