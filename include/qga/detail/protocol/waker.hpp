// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A waker ends a pause of one call early, because another call has made it worthwhile to go on: a
// key that was sent to a terminal has an echo soon.
#pragma once

#include <functional>
#include <mutex>
#include <utility>

namespace qga::inline v0_1::detail {

/// May be used on any thread.
class Waker {
 public:
  /// Ends the pause that is under way, or else the next one.
  void wake() {
    std::function<void()> end_pause;
    {
      const std::lock_guard lock(mutex_);
      end_pause = std::exchange(end_pause_, nullptr);
      woken_ = !end_pause;
    }
    if (end_pause) end_pause();
  }

  /// A pause begins. @return false: it was woken before, so that the pause is over
  bool begin_pause(std::function<void()> end_pause) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(woken_, false)) return false;
    end_pause_ = std::move(end_pause);
    return true;
  }
  /// The pause is over, whatever has ended it.
  void pause_ended() {
    const std::lock_guard lock(mutex_);
    end_pause_ = nullptr;
  }

 private:
  std::mutex mutex_;
  std::function<void()> end_pause_;
  bool woken_ = false;
};

}  // namespace qga::inline v0_1::detail
