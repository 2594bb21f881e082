// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Helpers are algorithms over requests. One is a class template over the `Io` that runs it, and
// does no I/O itself: it says what to send, what to wait for and what it has come to, and is told
// in continuations. So the same lines serve blocking callers, completion tokens and tests.
//
//   template <class Io>
//   class Algorithm {
//     Algorithm(Io& io, arguments...);
//     void start();
//   };
//
// An `Io` has
//   call(request, then, step)  sends a request; then(error, reply), or then(error) without a reply
//   pause(duration, then)      then(error): the error is null or a CancelledError
//   finish(result), fail(error)  once, and last
//   last_resort(request, patience)  a guard: see LastResort
//   now()
// and, for those who wait for a guest,
//   connected()                whether there is a connection
//   can_connect()              whether it is known where to
//   connect(then, until)       closes an earlier connection; then(error)
// Several calls may be in flight together, and are answered in order; no pause goes on beside them.
// Continuations never run within the call that they were given to, and one at a time.
#pragma once

#include <algorithm>
#include <exception>
#include <utility>

#include "qga/error.hpp"
#include "qga/params.hpp"
#include "qga/protocol/completion.hpp"

namespace qga::helpers {

using protocol::Continuation;

/// When a call may be withdrawn because the caller has cancelled the helper.
enum class Cancel {
  always,
  unsent,  ///< not once it is sent: its answer tells what has to be cleaned up
  never,   ///< it cleans up
};

/// How one call of a helper is made.
struct Step {
  /// The latest that it may end. Its own timeout holds too.
  Clock::time_point until = Clock::time_point::max();
  Cancel cancel = Cancel::always;
};

/// A request that is sent when this is destroyed, whatever else goes on, and waited for: what a
/// guest must not be left without. Nothing comes of it on a connection that is closed.
class LastResort {
 public:
  virtual ~LastResort() = default;
  /// It is not needed any more.
  virtual void disarm() noexcept = 0;
};

/// What an error of the library says of a command.
struct Failure {
  int code = 0;  ///< `err_*`; 0: none, or another's error
  Outcome outcome = Outcome::unknown;
};

inline Failure failure_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const GuestAgentError& known) {
    return {known.code(), known.outcome()};
  } catch (...) {
  }
  return {};
}

/// An algorithm as a part of another one: the `Io` that it runs on, which is that of the whole.
template <class Io, class Result, template <class> class Algorithm>
class Part {
 public:
  /// @param limit holds for every step of the part
  /// @param then may destroy the part
  template <class... Args>
  Part(Io& io, Step limit, Continuation<Result> then, Args&&... args)
      : io_(io),
        limit_(limit),
        then_(std::move(then)),
        algorithm_(*this, std::forward<Args>(args)...) {}
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  void start() { algorithm_.start(); }

  template <class Request>
  void call(const Request& request, Continuation<typename Request::Reply> then, Step step = {}) {
    // What is to be cleaned up has a time of its own.
    if (step.cancel == Cancel::always) step.until = std::min(step.until, limit_.until);
    step.cancel = std::max(step.cancel, limit_.cancel);
    io_.call(request, std::move(then), step);
  }
  void pause(Clock::duration duration, Continuation<void> then) {
    io_.pause(duration, std::move(then));
  }
  template <class Request>
  auto last_resort(const Request& request, Clock::duration patience) {
    return io_.last_resort(request, patience);
  }
  Clock::time_point now() const { return io_.now(); }

  void finish(Result result) {
    const auto then = std::move(then_);
    then(nullptr, std::move(result));
  }
  void fail(std::exception_ptr error) {
    const auto then = std::move(then_);
    then(std::move(error), {});
  }

 private:
  Io& io_;
  Step limit_;
  Continuation<Result> then_;
  Algorithm<Part> algorithm_;
};

}  // namespace qga::helpers
