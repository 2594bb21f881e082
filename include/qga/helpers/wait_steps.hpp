// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The steps that the helpers share which wait for something in a guest. They continue where the
// guest or its agent is restarted meanwhile, until it is there or the time is up.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/wait_ready.hpp"

namespace qga::inline v0_1::detail {

template <class Io>
class WaitSteps {
 public:
  WaitSteps(const WaitSteps&) = delete;
  WaitSteps& operator=(const WaitSteps&) = delete;

  void start() {
    begun_ = io_.now();
    deadline_ = std::min(deadline_after(timeout_, begun_), io_.until());
    wait_ready();
  }

 protected:
  /// @param command the wire name of the one that an attempt needs
  WaitSteps(Io& io, Clock::duration timeout, std::string_view command)
      : io_(io), timeout_(timeout), command_(command) {}
  ~WaitSteps() = default;

  /// Looks whether it is there. Ends the algorithm or with `again`.
  virtual void attempt() = 0;
  /// Ends the algorithm, because the time is up or the agent cannot do it.
  virtual void give_up() = 0;

  /// It is not there yet. @param error why the question failed; null: it did not
  void again(const std::exception_ptr& error) {
    const int code = code_of(error);
    // A request that cannot be sent stays so; a channel that broke is connected again.
    const bool wrong = code == err_cannot_write && !error_of(error)->is_unreachable();
    if (error && (code == err_cancelled || code == 0 || wrong)) return io_.fail(error);
    const auto left = deadline_ - io_.now();
    if (left <= Clock::duration::zero()) return give_up();
    io_.pause(std::min<Clock::duration>(pause_, left), [this](const std::exception_ptr& ended) {
      if (code_of(ended) == err_cancelled) return io_.fail(ended);
      if (io_.now() >= deadline_) return give_up();
      wait_ready();
    });
    pause_ = std::min(2 * pause_, longest_pause);
  }

  Io& io_;
  Clock::time_point begun_ = {};
  Clock::time_point deadline_ = {};
  Readiness readiness_;  ///< of the last attempt

 private:
  static constexpr Clock::duration first_pause = std::chrono::milliseconds(100);
  static constexpr Clock::duration longest_pause = std::chrono::seconds(2);

  void wait_ready() {
    ready_.emplace(
        io_, Step{.until = deadline_},
        [this](std::exception_ptr error, Readiness readiness) {
          if (error) return io_.fail(std::move(error));
          readiness_ = std::move(readiness);
          if (readiness_) return attempt();
          // Somebody has to thaw a guest. A command that is disabled stays so.
          readiness_.state == ReadyState::frozen ? again(nullptr) : give_up();
        },
        deadline_ - io_.now(), std::string(command_));
    ready_->start();
  }

  Clock::duration timeout_;
  std::string_view command_;
  Clock::duration pause_ = first_pause;
  std::optional<SubAlgorithm<Io, Readiness, WaitReady>> ready_;
};

}  // namespace qga::inline v0_1::detail
