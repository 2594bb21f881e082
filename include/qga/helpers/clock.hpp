// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Sets the guest's clock to the host's, as after a pause or a restored snapshot. The time that the
// answers take is taken into account.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "qga/commands/agent.hpp"
#include "qga/commands/system.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {

/// How far the guest's clock was ahead of the host's; negative: behind. A difference that does not
/// fit is cut to about 292 years.
struct ClockChange {
  std::chrono::nanoseconds before = {};  ///< before it was set
  std::chrono::nanoseconds after = {};   ///< after it was set

  static void fields(auto& self, auto& visit) {  // as numbers of seconds
    visit("before", self.before);
    visit("after", self.after);
  }
};

/// The guest refused to set its clock. It sets the clock of its system first and the hardware clock
/// then, which containers and some cloud kernels do not have: a look at the clock tells which.
class ClockError : public AgentError {
 public:
  /// Makes one of the agent's error.
  ClockError(const AgentError& cause, bool set, const ClockChange& change)
      : GuestAgentError(cause), AgentError(cause), set_(set), change_(change) {
    detail::ErrorAccess::set_text(
        *this, std::string(cause.what()) + (set ? "; the clock is set, but not the hardware clock"
                                                : "; the clock is not set"));
  }

  /// True: the guest's clock is set, and only its hardware clock is not.
  bool is_set() const { return set_; }
  /// What the guest's clock was and is.
  const ClockChange& change() const { return change_; }

 private:
  bool set_;
  ClockChange change_;
};

namespace detail {

/// A function that returns the time on the host.
using HostClock = std::function<GuestTime()>;

inline GuestTime host_time() {
  return std::chrono::time_point_cast<GuestTime::duration>(std::chrono::system_clock::now());
}

/// `guest - host` for any time that a guest may say.
inline std::chrono::nanoseconds ahead(std::int64_t guest, GuestTime host) {
  using Limits = std::numeric_limits<std::int64_t>;
  const std::int64_t now = host.time_since_epoch().count();
  if (now > 0 && guest < Limits::min() + now) return std::chrono::nanoseconds::min();
  if (now < 0 && guest > Limits::max() + now) return std::chrono::nanoseconds::max();
  return std::chrono::nanoseconds(guest - now);
}

template <class Io>
class SetClock {
 public:
  SetClock(Io& io, HostClock host) : io_(io), host_(std::move(host)) {}

  void start() {
    // The first command may wait for the handshake, which would spoil the measurement.
    io_.call(GuestPingRequest(), [this](std::exception_ptr error) {
      if (error && outcome_of(error) != Outcome::refused) return io_.fail(std::move(error));
      compare(result_.before, [this] { set(); });
    });
  }

 private:
  /// Assumes that the guest reads its clock halfway between the request and the reply.
  void compare(std::chrono::nanoseconds& difference, const std::function<void()>& then) {
    const auto asked = io_.now();
    io_.call(GuestGetTimeRequest(),
             [=, this, &difference](std::exception_ptr error, std::int64_t time) {
               if (error) return io_.fail(error_ ? error_ : std::move(error));
               half_ = (io_.now() - asked) / 2;
               difference = ahead(time, host_() - half_);
               then();
             });
  }

  /// The time until this reply cannot be used: some agents set the hardware clock before they
  /// reply. So half of the last round trip is used.
  void set() {
    io_.call(GuestSetTimeRequest(host_() + half_), [this](std::exception_ptr error) {
      if (!error) return compare(result_.after, [this] { io_.finish(result_); });
      const AgentError* const refusal = failure_of(error);
      if (refusal == nullptr) return io_.fail(std::move(error));
      error_ = std::move(error);
      compare(result_.after, [this, refusal] { refused(*refusal); });
    });
  }

  void refused(const AgentError& refusal) {
    // The clock is set where it is nearer to the host's than to what it was, or as near as can be
    // measured.
    using Seconds = std::chrono::duration<double>;
    const double exact = Seconds(2 * half_ + std::chrono::milliseconds(1)).count();
    const double after = std::abs(Seconds(result_.after).count());
    const double moved = std::abs((Seconds(result_.after) - Seconds(result_.before)).count());
    io_.fail(
        std::make_exception_ptr(ClockError(refusal, after <= std::max(moved, exact), result_)));
  }

  Io& io_;
  HostClock host_;
  ClockChange result_;
  Clock::duration half_ = {};  ///< of the last round trip
  std::exception_ptr error_;   ///< the guest's refusal
};

}  // namespace detail

/// The guest's clock; see `Helpers`.
template <class Carrier>
class ClockHelpers {
 public:
  /// Sets the guest's clock to the host's. It is exact to about half of the time of a round trip.
  /// @return `ClockChange`: how far it was off before, and how far it is after
  /// @throws ClockError the guest refused: `is_set()` tells whether only its hardware clock is not
  ///         set
  /// @throws CommandNotFoundError file systems are frozen, or it is forbidden
  /// @timeout 30 s for setting, 5 s for each look at the clock. After a timeout the clock may be
  ///          set still, and to a time that is old by then: call it again.
  /// @since QEMU 1.5, all guests
  auto set_clock() {
    return detail::carrier_of(*this).template perform<ClockChange, detail::SetClock>(
        detail::HostClock(&detail::host_time));
  }
};

}  // namespace qga::inline v0_1
