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
#include <functional>
#include <utility>

#include "qga/error.hpp"
#include "qga/params.hpp"

namespace qga::helpers {

/// How one call of a helper is made.
struct Step {
  /// The latest that it may end. Its own timeout holds too.
  Clock::time_point until = Clock::time_point::max();
  /// False for what cleans up: it is made even if the caller has cancelled the helper.
  bool cancellable = true;
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
  using Then = std::function<void(std::exception_ptr, Result)>;

  /// @param limit holds for every step of the part
  /// @param then may destroy the part
  template <class... Args>
  Part(Io& io, Step limit, Then then, Args&&... args)
      : io_(io),
        limit_(limit),
        then_(std::move(then)),
        algorithm_(*this, std::forward<Args>(args)...) {}
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  void start() { algorithm_.start(); }

  template <class Request, class Continue>
  void call(const Request& request, Continue then, Step step = {}) {
    io_.call(request, std::move(then),
             {.until = std::min(step.until, limit_.until),
              .cancellable = step.cancellable && limit_.cancellable});
  }
  template <class Continue>
  void pause(Clock::duration duration, Continue then) {
    io_.pause(duration, std::move(then));
  }
  template <class Request>
  auto last_resort(const Request& request, Clock::duration patience) {
    return io_.last_resort(request, patience);
  }
  Clock::time_point now() const { return io_.now(); }

  void finish(Result result) {
    const Then then = std::move(then_);
    then(nullptr, std::move(result));
  }
  void fail(std::exception_ptr error) {
    const Then then = std::move(then_);
    then(std::move(error), {});
  }

 private:
  Io& io_;
  Step limit_;
  Then then_;
  Algorithm<Part> algorithm_;
};

}  // namespace qga::helpers
