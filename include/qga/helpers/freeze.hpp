// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Freezing file systems under a guard that thaws them on every way out. Freezing is how a client
// can take a guest out of service, so a thaw follows every freeze, also one whose answer was lost.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/commands/fsfreeze.hpp"
#include "qga/error.hpp"
#include "qga/helpers/step.hpp"

namespace qga {

/// Frozen file systems. They are thawed by `thaw` or, as a last resort, when this is destroyed:
/// then it blocks, for 30 s at most. It must not outlive the connection, without which nobody can
/// thaw.
class Frozen {
 public:
  Frozen() = default;
  Frozen(std::optional<std::int64_t> count, std::unique_ptr<helpers::LastResort> last_resort)
      : count_(count), since_(Clock::now()), last_resort_(std::move(last_resort)) {}

  /// How many file systems; none: they are frozen, but the answer that told how many was lost.
  std::optional<std::int64_t> count() const { return count_; }
  /// For how long they have been.
  Clock::duration age() const { return Clock::now() - since_; }
  /// Leaves them frozen, for somebody else to thaw.
  void release() noexcept {
    if (last_resort_) last_resort_->disarm();
    last_resort_.reset();
  }

 private:
  std::optional<std::int64_t> count_ = 0;
  Clock::time_point since_ = {};
  std::unique_ptr<helpers::LastResort> last_resort_;
};

/// What `thaw` came to.
struct ThawResult {
  std::int64_t count = 0;           ///< how many file systems were thawed
  Clock::duration frozen_for = {};  ///< since `freeze` had its answer
};

/// The guest reports a failure of a thaw: of its hook, or (Windows) because it had thawed by itself
/// after 10 s, so that what was copied meanwhile is not consistent.
class ThawError : public AgentError {
 public:
  ThawError(const AgentError& error, bool thawed) : AgentError(error), thawed_(thawed) {}

  /// True: the file systems are thawed all the same; false: still frozen, as far as is known.
  bool thawed() const { return thawed_; }

 private:
  bool thawed_;
};

namespace helpers {

template <class Io>
class Freeze {
 public:
  Freeze(Io& io, std::vector<std::string> mountpoints, Clock::duration timeout)
      : io_(io), mountpoints_(std::move(mountpoints)), timeout_(timeout) {}

  void start() {
    deadline_ = deadline_after(timeout_, io_.now());
    const Step step{.until = std::min(deadline_, deadline_after(first_wait, io_.now()))};
    const auto then = [this](std::exception_ptr error, std::int64_t count) {
      if (error) return failed(std::move(error));
      // Of nothing, nothing has to be thawed.
      io_.finish(count > 0 ? Frozen(count, thaw()) : Frozen());
    };
    if (mountpoints_.empty()) {
      io_.call(GuestFsfreezeFreezeRequest(), then, step);
    } else {
      io_.call(GuestFsfreezeFreezeListRequest(std::move(mountpoints_)), then, step);
    }
  }

 private:
  /// A freeze takes its time, for hooks and for what has to be written. But its answer may be lost,
  /// too, with an agent that was restarted: after this time, ask.
  static constexpr Clock::duration first_wait = std::chrono::seconds(60);
  static constexpr Clock::duration thaw_wait = std::chrono::minutes(3);

  std::unique_ptr<LastResort> thaw() {
    return io_.last_resort(GuestFsfreezeThawRequest(), std::chrono::seconds(30));
  }

  void failed(std::exception_ptr error) {
    // An agent that refuses has thawed what it had frozen.
    if (failure_of(error).outcome != Outcome::unknown) return io_.fail(std::move(error));
    if (failure_of(error).code == err_timed_out && io_.now() < deadline_)
      return ask(std::move(error));
    undo(std::move(error));
  }

  /// The agent answers one command after another: this one when the freeze is done, or at once
  /// where it never saw it.
  void ask(std::exception_ptr error) {
    io_.call(GuestFsfreezeStatusRequest(),
             [this, error](std::exception_ptr unanswered, GuestFsfreezeStatus status) {
               if (unanswered)
                 return undo(failure_of(unanswered).code == err_timed_out ? error : unanswered);
               if (status == GuestFsfreezeStatus::frozen) return io_.finish(Frozen({}, thaw()));
               io_.fail(error);
             },
             {.until = deadline_});
  }

  void undo(std::exception_ptr error) {
    io_.call(GuestFsfreezeThawRequest(),
             [this, error](std::exception_ptr, std::int64_t) { io_.fail(error); },
             {.until = deadline_after(thaw_wait, io_.now()), .cancel = Cancel::never});
  }

  Io& io_;
  std::vector<std::string> mountpoints_;
  Clock::duration timeout_;
  Clock::time_point deadline_ = {};
};

template <class Io>
class Thaw {
 public:
  Thaw(Io& io, Frozen* frozen) : io_(io), frozen_(*frozen) {}

  void start() {
    io_.call(GuestFsfreezeThawRequest(),
             [this](std::exception_ptr error, std::int64_t count) {
               if (error) return failed(std::move(error));
               const ThawResult result{count, frozen_.age()};
               frozen_.release();
               io_.finish(result);
             },
             {.cancel = Cancel::never});
  }

 private:
  void failed(std::exception_ptr error) {
    if (failure_of(error).outcome != Outcome::refused) return io_.fail(std::move(error));
    io_.call(GuestFsfreezeStatusRequest(),
             [this, error](std::exception_ptr unanswered, GuestFsfreezeStatus status) {
               const bool thawed = !unanswered && status == GuestFsfreezeStatus::thawed;
               if (thawed) frozen_.release();
               try {
                 std::rethrow_exception(error);
               } catch (const AgentError& refused) {
                 io_.fail(std::make_exception_ptr(ThawError(refused, thawed)));
               }
             },
             {.cancel = Cancel::never});
  }

  Io& io_;
  Frozen& frozen_;
};

}  // namespace helpers

/// Freezing under a guard; see `Helpers`.
template <class Carrier>
class FreezeHelpers {
 public:
  /// Freezes file systems. Where this fails, nothing is left frozen, as far as a guest that answers
  /// can be brought to thaw: after a timeout or a cancellation, it is sent a thaw.
  /// @param mountpoints which; empty: all. Unknown ones are ignored
  /// @param timeout how long it may take, hooks included. After that, thawing takes up to 3 min
  /// more
  /// @return `Frozen`, a guard: give it to `thaw`, or it thaws when it is destroyed
  /// @throws AgentError the hook failed or a file system refused; all are thawed again
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @throws TimeoutError the freeze took too long, and a thaw was sent
  /// @since QEMU 0.15 (2.2 with mountpoints), FreeBSD, Linux and Windows guests
  auto freeze(std::vector<std::string> mountpoints = {},
              Clock::duration timeout = std::chrono::minutes(10)) {
    return static_cast<Carrier&>(*this).template perform<Frozen, helpers::Freeze>(
        std::move(mountpoints), timeout);
  }

  /// Thaws. Is not cancelled, once begun.
  /// @param frozen the guard, which has to live until this has ended. It stays armed where the
  ///        guest may still be frozen
  /// @return `ThawResult`: how many, and for how long they were frozen
  /// @throws ThawError the guest reports a failure, although it may have thawed: see `thawed()`
  /// @throws TimeoutError within 3 min, unless the caller has said otherwise
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto thaw(Frozen& frozen) {
    return static_cast<Carrier&>(*this).template perform<ThawResult, helpers::Thaw>(&frozen);
  }
};

}  // namespace qga
