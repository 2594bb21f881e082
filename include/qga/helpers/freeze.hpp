// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Freezes file systems under a guard that thaws them on every way out. A guest that stays frozen is
// out of service, so a thaw follows every freeze, also one whose answer was lost.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/commands/disk.hpp"
#include "qga/commands/fsfreeze.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/error.hpp"
#include "qga/helpers/frozen.hpp"

namespace qga::inline v0_1 {

namespace detail {

/// @param mountpoints none: all
template <class Io>
class Freeze {
 public:
  using Mountpoints = std::optional<std::vector<std::string>>;

  Freeze(Io& io, Mountpoints mountpoints, Clock::duration timeout)
      : io_(io), mountpoints_(std::move(mountpoints)), timeout_(timeout) {}

  void start() {
    if (mountpoints_ && mountpoints_->empty()) {
      return io_.fail(wrong_argument(GuestFsfreezeFreezeListRequest::command,
                                     "the list of mount points must not be empty: "
                                     "call freeze() to freeze all"));
    }
    deadline_ = std::min(deadline_after(timeout_, io_.now()), io_.until());
    guard_ = io_.guard(GuestFsfreezeThawRequest(), GuestFsfreezeStatusRequest(), "\"frozen\"");
    guard_->expect_answer(true);
    ask_at_ = deadline_after(first_wait, io_.now());
    const Step step{.until = std::min(deadline_, ask_at_)};
    const auto then = [this](std::exception_ptr error, std::int64_t count) {
      guard_->expect_answer(false);
      error ? failed(std::move(error)) : end_frozen(count);
    };
    if (mountpoints_) {
      io_.call(GuestFsfreezeFreezeListRequest(std::move(*mountpoints_)), then, step);
    } else {
      io_.call(GuestFsfreezeFreezeRequest(), then, step);
    }
  }

 private:
  /// A freeze may take long, for hooks and for writing. But its answer may also be lost, because
  /// the agent was restarted: after this time, the status is asked for.
  static constexpr Clock::duration first_wait = std::chrono::seconds(60);
  static constexpr Clock::duration thaw_wait = std::chrono::minutes(3);
  static constexpr Clock::duration status_wait = std::chrono::seconds(5);

  void failed(std::exception_ptr error) {
    error_ = std::move(error);
    const Outcome outcome = outcome_of(error_);
    if (outcome == Outcome::unknown) {
      // The caller's own timeout, where it comes first, ends the freeze.
      const bool may_go_on = io_.now() >= ask_at_ && io_.now() < deadline_;
      return code_of(error_) == err_timed_out && may_go_on ? ask() : undo();
    }
    guard_->disarm();
    // An agent that cannot freeze may be frozen already, by others.
    outcome == Outcome::refused ? look(failure_of(error_) != nullptr) : end(true);
  }

  /// The agent answers one command after another: this one when the freeze is done, or at once
  /// where the freeze never reached it.
  void ask() {
    io_.call(GuestFsfreezeStatusRequest(),
             [this](std::exception_ptr unanswered, GuestFsfreezeStatus status) {
               if (unanswered && code_of(unanswered) != err_timed_out) error_ = unanswered;
               if (unanswered || status == GuestFsfreezeStatus::unknown) return undo();
               if (status == GuestFsfreezeStatus::frozen) {
                 return end_frozen({});
               }
               guard_->disarm();
               end(true);
             },
             {.until = deadline_, .usual = timeout_of(GuestFsfreezeFreezeRequest()) - first_wait});
  }

  /// The thaw is written right behind the freeze, so that the agent has it in every case.
  void undo() {
    Step step = cleaning_up(deadline_after(thaw_wait, io_.now()));
    step.at_once = true;
    io_.call(
        GuestFsfreezeThawRequest(),
        [this](std::exception_ptr failed, std::int64_t) {
          const bool refused = failed && outcome_of(failed) == Outcome::refused;
          const bool awaited = failed && code_of(failed) == err_timed_out;
          // After a reply of the wrong form, only the status tells whether the guest is thawed.
          const bool answered = refused || (failed && code_of(failed) == err_bad_reply);
          if (failed && !answered && !awaited) return end(guard_->act());  // on a new connection
          guard_->disarm();
          answered ? look(false) : end(!failed);
        },
        step);
  }

  /// @param hook_ran true: the guest's hook was run for the freeze, and has to release what it has
  ///        locked
  void look(bool hook_ran) {
    io_.call(
        GuestFsfreezeStatusRequest(),
        [this, hook_ran](std::exception_ptr unanswered, GuestFsfreezeStatus status) {
          // An agent that refuses even this cannot freeze.
          const bool thawed = unanswered ? outcome_of(unanswered) == Outcome::refused
                                         : status == GuestFsfreezeStatus::thawed;
          if (hook_ran && thawed && !unanswered) return thaw_hook();
          end(thawed);
        },
        cleaning_up(deadline_after(status_wait, io_.now())));
  }

  /// A thaw of a thawed guest runs the hook, which releases what it has locked (a database).
  void thaw_hook() {
    io_.call(
        GuestFsfreezeThawRequest(), [this](std::exception_ptr, std::int64_t) { end(true); },
        cleaning_up(deadline_after(thaw_wait, io_.now())));
  }

  void end_frozen(std::optional<std::int64_t> count) {
    guard_->confirm();
    if (count) count = std::max<std::int64_t>(*count, 0);
    io_.finish(Frozen(count, std::move(guard_)));
  }
  void end(bool thawed) { io_.fail(error_with<FreezeError>(error_, thawed)); }

  Io& io_;
  Mountpoints mountpoints_;
  Clock::duration timeout_;
  Clock::time_point ask_at_ = {};
  Clock::time_point deadline_ = {};
  std::unique_ptr<Guard> guard_;
  std::exception_ptr error_;
};

/// Freezes what the guest lists, but for some.
template <class Io>
class FreezeExcept {
 public:
  FreezeExcept(Io& io, FreezeParams params) : io_(io), params_(std::move(params)) {}

  void start() {
    if (params_.except.empty()) {
      return io_.fail(wrong_argument(GuestFsfreezeFreezeListRequest::command,
                                     "a mount point to leave out must be given: "
                                     "call freeze() to freeze all"));
    }
    io_.call(GuestGetFsinfoRequest(),
             [this](std::exception_ptr error, const std::vector<GuestFilesystemInfo>& listed) {
               error ? io_.fail(std::move(error)) : freeze(listed);
             });
  }

 private:
  void freeze(const std::vector<GuestFilesystemInfo>& listed) {
    std::vector<std::string> mountpoints;
    mountpoints.reserve(listed.size());
    for (const GuestFilesystemInfo& one : listed) mountpoints.push_back(one.mountpoint);
    for (const std::string& except : params_.except) {
      if (std::erase(mountpoints, except) == 0) {
        return io_.fail(wrong_argument(GuestFsfreezeFreezeListRequest::command,
                                       "a mount point to leave out must be one that get_fsinfo "
                                       "lists: " +
                                           printable(except)));
      }
    }
    if (mountpoints.empty()) {
      return io_.fail(wrong_argument(GuestFsfreezeFreezeListRequest::command,
                                     "a file system must be left to freeze"));
    }
    freeze_.emplace(
        io_, Step(),
        [this](std::exception_ptr error, Frozen frozen) {
          error ? io_.fail(std::move(error)) : io_.finish(std::move(frozen));
        },
        std::move(mountpoints), params_.timeout);
    freeze_->start();
  }

  Io& io_;
  FreezeParams params_;
  std::optional<SubAlgorithm<Io, Frozen, Freeze>> freeze_;
};

template <class Io>
class Thaw {
 public:
  Thaw(Io& io, Frozen* frozen) : io_(io), frozen_(*frozen) {}

  void start() {
    if (auto error = io_.check(frozen_.guard(), GuestFsfreezeThawRequest::command)) {
      return io_.fail(std::move(error));
    }
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
    if (outcome_of(error) != Outcome::refused) return io_.fail(std::move(error));
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

/// Freezes, has a user's function do its work, and thaws.
template <class Io>
class WhileFrozen {
 public:
  WhileFrozen(Io& io, std::optional<std::vector<std::string>> mountpoints, Work work)
      : io_(io),
        work_(std::move(work)),
        freeze_(
            io, Step(),
            [this](std::exception_ptr error, Frozen frozen) {
              if (error) return io_.fail(std::move(error));
              frozen_ = std::move(frozen);
              io_.work(std::move(work_), [this](std::exception_ptr failed) {
                failed_ = std::move(failed);
                thaw_.start();
              });
            },
            std::move(mountpoints), Clock::duration::max()),
        thaw_(
            io, Step{.until = Clock::time_point::max(), .cancel = Cancel::never, .cleans_up = true},
            [this](std::exception_ptr error, const ThawResult& result) {
              end(std::move(error), result);
            },
            &frozen_) {}

  void start() { freeze_.start(); }

 private:
  void end(std::exception_ptr error, const ThawResult& result) {
    if (error && failed_) {
      io_.fail(nested(error));
    } else if (error || failed_) {
      io_.fail(error ? error : failed_);
    } else {
      io_.finish(result);
    }
  }

  /// The error of the thaw, with that of the work within it.
  std::exception_ptr nested(const std::exception_ptr& error) const {
    try {
      std::rethrow_exception(failed_);
    } catch (...) {
      const std::nested_exception work;  // it is the exception that is handled here
      try {
        std::rethrow_exception(error);
      } catch (const ThawError& thaw) {
        return std::make_exception_ptr(
            ErrorWith<ThawError, WorkError>(thaw, WorkError(thaw, work)));
      } catch (...) {
        return error_with<WorkError>(error, work);
      }
    }
  }

  struct WorkError : virtual GuestAgentError, std::nested_exception {
    WorkError(const GuestAgentError& cause, const std::nested_exception& work)
        : GuestAgentError(cause), std::nested_exception(work) {
      ErrorAccess::set_text(
          *this, std::string(cause.what()) + "; the work while the guest was frozen failed, too");
    }
  };

  Io& io_;
  Work work_;
  Frozen frozen_;
  std::exception_ptr failed_;
  SubAlgorithm<Io, Frozen, Freeze> freeze_;
  SubAlgorithm<Io, ThawResult, Thaw> thaw_;
};

}  // namespace detail

/// Freezing under a guard; see `Helpers`.
template <class Carrier>
class FreezeHelpers {
 public:
  /// Freezes all file systems. A freeze that fails is followed by a thaw, also one without an
  /// answer. So nothing stays frozen after a failure, unless the guest cannot thaw.
  /// @return `Frozen`, a guard: give it to `thaw`, or it thaws when it is destroyed
  /// @throws FreezeError every error of a freeze that was tried is one, too: `thawed()` tells what
  ///         is known
  /// @throws AgentError the hook failed or a file system refused; all are thawed again, and a thaw
  ///         was sent for the hook
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @throws TimeoutError the freeze took too long, and a thaw was sent
  /// @timeout 10 min, the guest's hooks included. A timeout is followed by a thaw, which has 3 min
  ///          of its own.
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto freeze() { return freeze_some({}, std::chrono::minutes(10)); }

  /// Freezes some file systems; otherwise as `freeze()`.
  /// @param mountpoints which; those that the guest does not know are ignored. An empty list is a
  ///        `RequestError`: a filter that matched nothing must not freeze everything
  /// @param timeout how long it may take, the guest's hooks included
  /// @return `Frozen`, a guard: give it to `thaw`, or it thaws when it is destroyed
  /// @throws FreezeError every error of a freeze that was tried is one, too: `thawed()` tells what
  ///         is known
  /// @throws AgentError the hook failed or a file system refused; all are thawed again, and a thaw
  ///         was sent for the hook
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @throws RequestError the list is empty
  /// @throws TimeoutError the freeze took too long, and a thaw was sent
  /// @timeout as `timeout` says. It is followed by a thaw, which has 3 min of its own.
  /// @since QEMU 2.2, FreeBSD, Linux and Windows guests
  /// @tparam List always a vector of strings. It is a template so that `freeze({.except = list})`
  ///         takes the other form: g++ 12 ignores the name of a member where a constructor fits
  template <std::same_as<std::vector<std::string>> List = std::vector<std::string>>
  auto freeze(List mountpoints, Clock::duration timeout = std::chrono::minutes(10)) {
    return freeze_some(std::move(mountpoints), timeout);
  }

  /// Freezes all file systems but some; otherwise as `freeze()`.
  /// @param params which are left out, one at least; one that the guest does not list is a
  ///        `RequestError`
  /// @return `Frozen`, a guard: give it to `thaw`, or it thaws when it is destroyed
  /// @throws FreezeError every error of a freeze that was tried is one, too: `thawed()` tells what
  ///         is known
  /// @throws RequestError nothing is left to freeze; one that is not there is to be left out
  /// @throws AgentError file systems could not be listed; the hook failed or a file system refused:
  ///         all are thawed again, and a thaw was sent for the hook
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @throws TimeoutError the freeze took too long, and a thaw was sent
  /// @timeout as `FreezeParams::timeout` says, beside the 5 s for listing them. It is followed by
  ///          a thaw, which has 3 min of its own.
  /// @since QEMU 2.2, FreeBSD, Linux and Windows guests
  auto freeze(FreezeParams params) {
    return detail::carrier_of(*this).template perform<Frozen, detail::FreezeExcept>(
        std::move(params));
  }

  /// Thaws. Is not cancelled, once begun.
  /// @param frozen the guard, which has to live until this has ended. It stays armed where the
  ///        guest may still be frozen
  /// @return `ThawResult`: how many, and for how long they were frozen
  /// @throws ThawError the guest reports a failure, although it may have thawed: see `thawed()`
  /// @throws RequestError `frozen` is of another client
  /// @timeout 3 min. After a timeout the guest may be thawed or still frozen, and the guard stays
  ///          armed.
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto thaw(Frozen& frozen) {
    return detail::carrier_of(*this).template perform<ThawResult, detail::Thaw>(&frozen);
  }

  /// Freezes file systems, calls `work`, and thaws them on every way out. A stop request or a
  /// cancellation ends the freezing, or is passed on to the work as a cancellation; the thaw
  /// follows in any case.
  /// @param mountpoints none: all; an empty list is a `RequestError`
  /// @param work a function without parameters that returns nothing. Under a completion token it
  ///        may return an `asio::awaitable<void>`, a coroutine that runs on the handler's executor.
  ///        It must not use the client: a blocking call is a `BusyError`, and the agent refuses
  ///        most commands while it is frozen
  /// @return `ThawResult`: how many were frozen, and for how long
  /// @throws FreezeError what `freeze` throws; the work is not begun then
  /// @throws ThawError what `thaw` throws; where `work` has thrown, too, its exception is nested in
  ///         the error (`std::rethrow_if_nested`)
  /// @throws RequestError the list is empty
  /// @throws GuestAgentError and any other exception that `work` throws, after the thaw
  /// @timeout 10 min for the freeze, none for the work, 3 min for the thaw. Time that the caller
  ///          gives holds for freeze and work; the thaw has 3 min of its own.
  /// @since QEMU 0.15 (2.2 with mountpoints), FreeBSD, Linux and Windows guests
  template <class Function>
  auto while_frozen(std::optional<std::vector<std::string>> mountpoints, Function work) {
    return detail::carrier_of(*this).template perform<ThawResult, detail::WhileFrozen>(
        std::move(mountpoints), detail::work_of(std::move(work)));
  }
  /// Freezes all file systems, calls `work`, and thaws them on every way out; otherwise as with a
  /// list of mount points.
  /// @param work as above
  /// @return `ThawResult`: how many were frozen, and for how long
  /// @throws FreezeError what `freeze` throws; the work is not begun then
  /// @throws ThawError what `thaw` throws
  /// @timeout as above
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  template <class Function>
  auto while_frozen(Function work) {
    return while_frozen(std::nullopt, std::move(work));
  }

 private:
  auto freeze_some(std::optional<std::vector<std::string>> mountpoints, Clock::duration timeout) {
    return detail::carrier_of(*this).template perform<Frozen, detail::Freeze>(
        std::move(mountpoints), timeout);
  }
};

}  // namespace qga::inline v0_1
