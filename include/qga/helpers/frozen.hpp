// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guard of frozen file systems, the result of a thaw, and the errors, which tell whether the
// guest is thawed. The helpers that freeze give them to users.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/error.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1 {

/// Frozen file systems. They are thawed by `thaw` or else when this is destroyed or its client is
/// closed. Where the client has no executor, destroying it waits for the thaw, 30 s at most;
/// otherwise the thaw goes on in the background of the executor.
///
/// It belongs to the guest: where the connection has broken, it connects once more to the same
/// target, asks whether the guest is frozen, and thaws it, unless a later freeze of the same client
/// has taken its place. With another client it is refused (`RequestError`). In a forked child it
/// does nothing. What it could not do is told to the trace (`TraceDirection::note`).
///
/// A signal that ends the process runs no destructors. A program that freezes guests handles SIGINT
/// and SIGTERM:
///
///     std::stop_source stop;
///     sigset_t ending;
///     sigemptyset(&ending);
///     sigaddset(&ending, SIGINT);
///     sigaddset(&ending, SIGTERM);
///     pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // first of all, before there are threads
///     std::thread([ending, stop]() mutable {
///       int number = 0;
///       sigwait(&ending, &number);
///       stop.request_stop();
///     }).detach();
///     qga::Frozen frozen = ga.with({.stop = stop.get_token()}).freeze();
///
/// Nothing helps against SIGKILL or a host that fails: rescue such a guest by
/// `if (ga.fsfreeze_status() == qga::GuestFsfreezeStatus::frozen) ga.fsfreeze_thaw();`, or by the
/// tool: `qga SOCKET thaw`.
class Frozen {
 public:
  Frozen() = default;
  /// For the library's own use.
  Frozen(std::optional<std::int64_t> count, std::unique_ptr<detail::Guard> guard)
      : count_(count), since_(Clock::now()), guard_(std::move(guard)) {}

  /// How many file systems; none: they are frozen, but the answer that told how many was lost. It
  /// may be 0 (ZFS, a root that is read-only): the guest's hook was run all the same, and the thaw
  /// has it release what it has locked.
  std::optional<std::int64_t> count() const { return count_; }
  /// For how long they have been frozen.
  Clock::duration age() const { return Clock::now() - since_; }
  /// Leaves them frozen, for somebody else to thaw.
  void release() noexcept {
    if (guard_) guard_->disarm();
    guard_.reset();
  }

  /// For the library's own use.
  const detail::Guard* guard() const { return guard_.get(); }

 private:
  std::optional<std::int64_t> count_ = 0;
  Clock::time_point since_ = {};
  std::unique_ptr<detail::Guard> guard_;
};

/// Which file systems `freeze` freezes.
struct FreezeParams {
  /// Mount points that stay as they are, of those that `get_fsinfo` lists; the others are frozen.
  std::vector<std::string> except = {};
  /// How long it may take, the guest's hooks included.
  Clock::duration timeout = std::chrono::minutes(10);
};

/// The result of `thaw`.
struct ThawResult {
  std::int64_t count = 0;           ///< how many file systems were thawed
  Clock::duration frozen_for = {};  ///< since `freeze` had its answer

  static void fields(auto& self, auto& visit) {
    visit("thawed", self.count);
    visit("seconds", self.frozen_for);
  }
};

/// Every error of `freeze` is a `FreezeError`, beside its own type: a `TimeoutError`, for example,
/// is both.
class FreezeError : public virtual GuestAgentError {
 public:
  /// Makes one of another error, which tells what went wrong.
  FreezeError(const GuestAgentError& cause, bool thawed) : GuestAgentError(cause), thawed_(thawed) {
    const bool sent = cause.outcome() != Outcome::not_sent;
    detail::ErrorAccess::set_text(
        *this, std::string(cause.what()) + (!sent    ? "; nothing was frozen"
                                            : thawed ? "; the guest is thawed"
                                                     : "; the guest may still be frozen"));
  }

  /// True: the guest is thawed, or the freeze was not sent. False: it is frozen, or that is not
  /// known.
  bool thawed() const { return thawed_; }

 private:
  bool thawed_;
};

/// The guest reports a failure of a thaw: of its hook, or (Windows) because it had thawed by itself
/// after 10 s, so that what was copied meanwhile is not consistent.
class ThawError : public AgentError {
 public:
  /// Makes one of the agent's error.
  ThawError(const AgentError& error, bool thawed)
      : GuestAgentError(error), AgentError(error), thawed_(thawed) {}

  /// True: the file systems are thawed all the same; false: still frozen, as far as is known.
  bool thawed() const { return thawed_; }

 private:
  bool thawed_;
};

}  // namespace qga::inline v0_1
