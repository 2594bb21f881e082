// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Helpers are algorithms over requests. An algorithm is a class template over the `Io` that runs
// it, and does no I/O itself: it says what to send, what to wait for and what the result is, and
// continues in callbacks. So the same code serves blocking callers, completion tokens and tests.
//
//   template <class Io>
//   class Algorithm {
//     Algorithm(Io& io, arguments...);
//     void start();
//   };
//
// This is the contract between algorithms and the code that runs them; `AlgorithmIo` states it.
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/detail/protocol/waker.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

/// The signature of a handler: an error (null where there is none) and the reply, if there is one.
template <class Reply>
struct CompletionSignature {
  using type = void(std::exception_ptr, Reply);
};
template <>
struct CompletionSignature<void> {
  using type = void(std::exception_ptr);
};

/// The result of an algorithm, which may be nothing.
template <class Result>
using Stored = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

/// What an algorithm does next. All steps with the same kind of reply share one type, so that what
/// carries a step is compiled once.
template <class Reply>
using Continuation = std::function<typename CompletionSignature<Reply>::type>;

/// The executor and the cancellation signal of a user's function; null in a blocking call. It is
/// defined in work.hpp.
struct WorkContext;

/// Starts a user's function, and calls the continuation when its work is over.
using Work = std::function<void(WorkContext*, Continuation<void>)>;

/// Starts a user's function and waits for its end. The asynchronous runner adds a version for
/// coroutines.
template <class Result>
struct WorkStarter;
template <>
struct WorkStarter<void> {
  template <class Function>
  static void start(Function& function, WorkContext*, const Continuation<void>& then) {
    std::exception_ptr error;
    try {
      function();
    } catch (...) {
      error = std::current_exception();
    }
    then(std::move(error));
  }
};

/// Makes a `Work` of a user's function.
template <class Function>
Work work_of(Function function) {
  return [kept = std::make_shared<Function>(std::move(function))](WorkContext* context,
                                                                  Continuation<void> then) {
    WorkStarter<std::invoke_result_t<Function&>>::start(*kept, context, std::move(then));
  };
}

/// The settings of one step of an algorithm.
struct Step {
  /// The latest time at which it may end.
  Clock::time_point until = Clock::time_point::max();
  /// The latest time at which it may be sent.
  Clock::time_point sent_by = Clock::time_point::max();
  /// The time that it has where the caller says nothing; none: that of the command.
  std::optional<Clock::duration> usual = {};
  Cancel cancel = Cancel::always;
  /// True: the step cleans up. It is never cancelled, and has time of its own: the caller's timeout
  /// and deadline do not hold for it.
  bool cleans_up = false;
  /// True: it changes nothing in the guest, whatever the command.
  bool harmless = false;
  /// True: an answer that comes late is awaited, up to `until` and the end of the whole call. One
  /// that is lost is a BadReplyError whose `err()` is `std::errc::no_message`.
  bool awaits_late_answer = false;
  /// True: it is written right behind a request without an answer; see `Call::at_once`.
  bool at_once = false;
};

/// A step that cleans up and must end before `until`.
inline Step cleaning_up(Clock::time_point until) {
  return {.until = until, .cancel = Cancel::never, .cleans_up = true};
}

/// Stands for any request in the concepts below.
struct AnyRequest : NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-any";
};

/// Runs algorithms.
/// - `call` sends a request and calls `then(error, reply)`, or `then(error)` where there is no
///   reply. Several calls may be in flight together, and are answered in order.
/// - `pause` calls `then(error)`; the error is null, a CancelledError or a TimeoutError. No call is
///   in flight meanwhile. A stop request and the caller's time end a pause, unless it cleans up,
///   and so does a waker that it is given.
/// - `work` runs a user's function and calls `then(error)` with what the function throws.
/// - `guard` makes a guard that sends the request unless it is disarmed. With a second request, a
///   question, the guard belongs to the guest; otherwise it belongs to the connection.
/// - `check` returns what is wrong with a caller's guard: it is of another client or connection.
/// - `now` is the time, `until` is the end of the whole call.
/// - `finish(result)` or `fail(error)` is called once, and last.
/// Continuations run one at a time, and never within the call that they were given to.
template <class Io>
concept AlgorithmIo = requires(Io& io, Continuation<void> then, const Guard* guard,
                               const std::shared_ptr<Waker>& waker) {
  io.call(AnyRequest(), then, Step());
  io.pause(Clock::duration(), then);
  io.pause(Clock::duration(), then, true);
  io.pause(Clock::duration(), then, waker);
  io.work(Work(), then);
  { io.guard(AnyRequest()) } -> std::same_as<std::unique_ptr<Guard>>;
  {
    io.guard(AnyRequest(), AnyRequest(), std::string_view())
    } -> std::same_as<std::unique_ptr<Guard>>;
  { io.check(guard, std::string_view()) } -> std::same_as<std::exception_ptr>;
  { io.now() } -> std::same_as<Clock::time_point>;
  { io.until() } -> std::same_as<Clock::time_point>;
  io.fail(std::exception_ptr());
};

/// An `Io` that can connect, for algorithms that wait for a guest. `connect` replaces the
/// connection and calls `then(error)`.
template <class Io>
concept ConnectingIo = AlgorithmIo<Io> && requires(Io& io, Continuation<void> then) {
  { io.connected() } -> std::same_as<bool>;
  { io.can_connect() } -> std::same_as<bool>;
  io.connect(then, Clock::time_point());
};

template <class Io, class Result, template <class> class Algorithm>
class PartOf;

/// The `Io` of the whole, of which the algorithm of this `Io` is a part, and the limits of that.
template <class Io>
struct Whole {
  using Type = Io;
  static Type& of(Io& io) { return io; }
  static Step limit(const Io&) { return {}; }
};
template <class Io, class Result, template <class> class Algorithm>
struct Whole<PartOf<Io, Result, Algorithm>> {
  using Type = Io;
  static Type& of(PartOf<Io, Result, Algorithm>& part) { return part.io_; }
  static Step limit(const PartOf<Io, Result, Algorithm>& part) { return part.limit_; }
};

/// Runs an algorithm as a part of another one, which may be a part itself. All parts of a helper
/// run over the `Io` of the whole, so that each algorithm is compiled once for it.
template <class Io, class Result, template <class> class Algorithm>
using SubAlgorithm = PartOf<typename Whole<Io>::Type, Result, Algorithm>;

template <class Io, class Result, template <class> class Algorithm>
class PartOf {
 public:
  /// @param outer the `Io` of the algorithm that this is a part of
  /// @param limit holds for every step of the part
  /// @param then may destroy the part
  template <class Outer, class... Args>
  PartOf(Outer& outer, Step limit, Continuation<Result> then, Args&&... args)
      : io_(Whole<Outer>::of(outer)),
        limit_(within(Whole<Outer>::limit(outer), limit)),
        then_(std::move(then)),
        algorithm_(*this, std::forward<Args>(args)...) {}
  PartOf(const PartOf&) = delete;
  PartOf& operator=(const PartOf&) = delete;

  void start() { algorithm_.start(); }

  template <Request R>
  void call(const R& request, Continuation<typename R::Reply> then, Step step = {}) {
    io_.call(request, std::move(then), within(limit_, step));
  }
  void pause(Clock::duration duration, Continuation<void> then, bool cleans_up = false) {
    io_.pause(duration, std::move(then), cleans_up || limit_.cleans_up);
  }
  void pause(Clock::duration duration, Continuation<void> then,
             const std::shared_ptr<Waker>& waker) {
    if (limit_.cleans_up) return io_.pause(duration, std::move(then), true);
    io_.pause(duration, std::move(then), waker);
  }
  void work(Work start, Continuation<void> then) { io_.work(std::move(start), std::move(then)); }
  bool connected() const { return io_.connected(); }
  bool can_connect() const { return io_.can_connect(); }
  void connect(Continuation<void> then, Clock::time_point until) {
    io_.connect(std::move(then), until);
  }
  template <class... Requests>
  std::unique_ptr<Guard> guard(const Requests&... requests) {
    return io_.guard(requests...);
  }
  std::exception_ptr check(const Guard* guard, std::string_view command) {
    return io_.check(guard, command);
  }
  Clock::time_point now() const { return io_.now(); }
  /// The end of the time. A part that cleans up has time of its own.
  Clock::time_point until() const {
    return limit_.cleans_up ? limit_.until : std::min(limit_.until, io_.until());
  }

  void finish(Stored<Result> result = {}) { end(nullptr, std::move(result)); }
  void fail(std::exception_ptr error) { end(std::move(error), {}); }

 private:
  friend Whole<PartOf>;

  /// A step, within the limits of the part that it belongs to.
  static Step within(const Step& limit, Step step) {
    if (limit.cleans_up) step = cleaning_up(std::min(step.until, limit.until));
    if (!step.cleans_up) step.until = std::min(step.until, limit.until);
    step.harmless = step.harmless || limit.harmless;
    return step;
  }

  void end(std::exception_ptr error, [[maybe_unused]] Stored<Result> result) {
    const auto then = std::move(then_);
    if constexpr (std::is_void_v<Result>) {
      then(std::move(error));
    } else {
      then(std::move(error), std::move(result));
    }
  }

  Io& io_;
  Step limit_;
  Continuation<Result> then_;
  Algorithm<PartOf> algorithm_;
};

}  // namespace qga::inline v0_1::detail
