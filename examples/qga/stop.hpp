// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Turns Ctrl-C, and every other signal that asks the tool to end, into a stop token for calls of
// the library and into a descriptor to wait for. So the tool can clean up before it ends.
#pragma once

#include <atomic>
#include <csignal>
#include <optional>
#include <stop_token>
#include <thread>

#include <qga/client.hpp>

namespace qga_tool {

class Stop {
 public:
  /// Blocks the signals, so it must be made before any other thread.
  Stop();
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  /// The signal that asked the tool to end; 0: there was none.
  int signal() const { return signal_; }
  /// Whether the signal came from the terminal, which sends it to our children as well.
  bool from_terminal() const { return from_terminal_; }

  enum class Woken { readable, timed_out, stopped };
  /// Waits until a descriptor can be read, for a signal, or for a point in time.
  /// @param fd -1: none
  Woken wait(int fd, qga::Clock::time_point until = qga::Clock::time_point::max()) const;

  /// While one of these lives a second signal does not end the tool, because it has a guest to thaw
  /// or a terminal to restore.
  class TidyUp {
   public:
    explicit TidyUp(Stop& stop) : stop_(stop) { ++stop_.tidying_; }
    ~TidyUp() { --stop_.tidying_; }
    TidyUp(const TidyUp&) = delete;
    TidyUp& operator=(const TidyUp&) = delete;

   private:
    Stop& stop_;
  };

  /// What a child process needs: the signal mask of before, and the signals that get their default
  /// action back.
  struct Inherited {
    sigset_t mask;
    sigset_t ignored;
  };
  const Inherited& inherited() const { return inherited_; }

 private:
  void listen();

  Inherited inherited_{};
  sigset_t awaited_{};
  int woken_ = -1;
  std::stop_source source_;
  std::atomic<int> signal_ = 0;
  std::atomic<bool> from_terminal_ = false;
  std::atomic<int> tidying_ = 0;
  std::atomic<bool> over_ = false;
  std::thread listener_;
};

}  // namespace qga_tool
