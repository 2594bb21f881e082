// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Ctrl-C, and everything else that asks the tool to end: turned into a stop token for calls of the
// library and into a descriptor for waiting, so that whoever is at work can tidy up.
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
  /// To be made before any other thread is.
  Stop();
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  /// The signal that asked for it; 0: none did.
  int signal() const { return signal_; }
  /// Whether it came from the terminal, which tells our children as well.
  bool from_terminal() const { return from_terminal_; }

  enum class Woken { readable, timed_out, stopped };
  /// Waits until there is something to read. @param fd -1: only the time and the stop matter
  Woken wait(int fd, qga::Clock::time_point until = qga::Clock::time_point::max()) const;

  /// As long as one lives a second signal does not end the tool: there is a guest to thaw, or a
  /// terminal to put right.
  class TidyUp {
   public:
    explicit TidyUp(Stop& stop) : stop_(stop) { ++stop_.tidying_; }
    ~TidyUp() { --stop_.tidying_; }
    TidyUp(const TidyUp&) = delete;
    TidyUp& operator=(const TidyUp&) = delete;

   private:
    Stop& stop_;
  };

  /// What a child has to get back: `mask` as it was before us, and default actions for `ignored`.
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
