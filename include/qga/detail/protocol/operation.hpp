// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One call of a client, from its start to its result: a command, which is one request, or a helper
// (helper_operation.hpp), which is many. It does no I/O. It and the session decide what a deadline,
// a stop request and a failure mean; a runner only moves it along.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/encode.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/stop.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

/// The deadline of a step. The caller's timeout and deadline are for the whole call; where there is
/// neither, each command has the client's timeout or its own default.
/// @param whole the end of the whole call
/// @param usual the command's default
inline Clock::time_point step_deadline(Clock::duration usual, Clock::time_point whole,
                                       const std::optional<Clock::duration>& client_timeout,
                                       bool has_timeout, Clock::time_point now) {
  if (has_timeout) return whole;
  if (client_timeout) return std::min(whole, deadline_after(*client_timeout, now));
  return whole != Clock::time_point::max() ? whole : deadline_after(usual, now);
}

inline Clock::time_point end_of_call(const CallOptions& options, Clock::time_point now) {
  if (!options.timeout) return options.deadline;
  return std::min(options.deadline, deadline_after(*options.timeout, now));
}

/// Connecting has the time of one command.
inline Clock::time_point connecting_deadline(const ClientParams& params, const CallOptions& options,
                                             Clock::time_point now) {
  return step_deadline(default_timeout, end_of_call(options, now), params.timeout,
                       options.timeout.has_value(), now);
}

class AsyncRunner;

/// What an operation waits for beside its calls.
enum class Waiting { nothing, pause, connection, work };

/// A runner calls `start`. It then gives `next_to_submit` to a session and reports finished calls
/// by `deliver`, or does what `waiting` asks for and reports it by `end_wait`, until it is `done`.
class Operation {
 public:
  AsyncRunner* runner = nullptr;  ///< null: the runner is blocking

  Operation(const ClientParams& params, const CallOptions& options, Clock::time_point now)
      : client_timeout_(params.timeout), options_(options), until_(end_of_call(options, now)) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  /// Makes the first calls.
  virtual void start() = 0;
  /// Reports that a call is finished.
  virtual void deliver(Call& call) = 0;
  /// The earliest deadline of a call that is not delivered yet.
  virtual Clock::time_point next_deadline() const = 0;

  /// The next call for the session; null: no more for now.
  Call* next_to_submit() { return to_submit_.pop_front(); }
  bool has_to_submit() const { return !to_submit_.empty(); }
  std::size_t count_to_submit() const {
    std::size_t count = 0;
    for (const Call* call = to_submit_.front(); call != nullptr; call = CallList::after(call))
      ++count;
    return count;
  }

  virtual Waiting waiting() const { return Waiting::nothing; }
  /// The end of a pause, or of the time for connecting.
  virtual Clock::time_point waits_until() const { return Clock::time_point::max(); }
  /// Whether the pause is a part of cleaning up, which a stop request does not end.
  virtual bool wait_cleans_up() const { return false; }
  /// Ends the pause early; null: nothing does.
  virtual Waker* waker() const { return nullptr; }
  bool wait_is_stopped() const { return !wait_cleans_up() && stop_requested(); }
  /// Starts the work that it waits for.
  virtual void start_work(WorkContext*, Continuation<void>) {}
  /// Ends the wait. @param error of connecting or of the work; not used for a pause
  virtual void end_wait(std::exception_ptr) {}

  bool done() const { return done_; }
  const std::exception_ptr& error() const { return error_; }
  /// True: a single command, which total cancellation may end while it is unsent. False: a helper.
  virtual bool is_single() const { return false; }
  /// The name of a single command; empty for a helper.
  virtual std::string_view command() const { return {}; }

  const StopToken& stop() const { return stop_of(options_); }
  /// Notes a stop request. May be called on any thread. The session is told separately.
  void note_stop() { stop_noted_ = true; }
  bool stop_requested() const { return stop_noted_ || stop_of(options_).stop_requested(); }

  /// The end of the whole call; max: none.
  Clock::time_point until() const { return until_; }

  /// The deadline of a step; see `step_deadline`. A step that cleans up has time of its own.
  /// @param usual the command's default
  Clock::time_point deadline_of(Clock::duration usual, const Step& step,
                                Clock::time_point now) const {
    if (step.cleans_up) {
      return step.until != Clock::time_point::max() ? step.until : deadline_after(usual, now);
    }
    return std::min(step.until, step_deadline(usual, until_, client_timeout_,
                                              options_.timeout.has_value(), now));
  }

  /// Ends the operation with an error.
  void fail(std::exception_ptr error) {
    error_ = std::move(error);
    done_ = true;
  }

 protected:
  CallList to_submit_;
  bool done_ = false;

 private:
  std::optional<Clock::duration> client_timeout_;
  CallOptions options_;
  const Clock::time_point until_;
  std::atomic<bool> stop_noted_ = false;
  std::exception_ptr error_;
};

/// A request that is ready to be sent. It is made before its operation, because a completion token
/// may start the operation after the request itself is gone.
template <class Reply, class Project>
struct PreparedCommand {
  /// @param memory for the text of the request
  /// @param copy_name false: the request outlives the operation
  template <Request R>
  PreparedCommand(const R& request, Project project_, std::string memory = {},
                  bool copy_name = true)
      : name(request.command),
        handling(handling_of(request)),
        usual_timeout(timeout_of(request)),
        project(std::move(project_)),
        text(std::move(memory)) {
    if constexpr (!has_constant_name<R>) {
      if (copy_name) own_name = request.command;
    }
    try {
      encode_into(text, request);
    } catch (const RequestError&) {
      error = std::current_exception();
    }
  }

  std::string_view name;
  std::string own_name = {};
  Handling handling;
  Clock::duration usual_timeout;
  Project project;
  std::string text;
  std::exception_ptr error = {};  ///< why there is nothing to send
};

/// A command: the smallest operation.
template <class Reply, class Project>
class CommandOperation final : public Operation {
 public:
  using Result = typename Projected<Reply, Project>::type;

  CommandOperation(const ClientParams& params, const CallOptions& options, Clock::time_point now,
                   PreparedCommand<Reply, Project>&& prepared)
      : Operation(params, options, now),
        name_(std::move(prepared.own_name)),
        call_(name_.empty() ? prepared.name : std::string_view(name_), prepared.handling,
              std::move(prepared.project)) {
    call_.text = std::move(prepared.text);
    call_.deadline = deadline_of(prepared.usual_timeout, {}, now);
    call_.operation = this;
    if (prepared.error) call_.fail(std::move(prepared.error));
  }

  void start() override {
    if (call_.finished()) return deliver(call_);
    to_submit_.push_back(&call_);
  }
  void deliver(Call& call) override {
    if (call.error()) return fail(call.error());
    done_ = true;
  }
  Clock::time_point next_deadline() const override { return call_.deadline; }
  bool is_single() const override { return true; }
  std::string_view command() const override { return call_.command(); }

  Result move_result() { return call_.result.move_out(); }
  /// Returns the memory of the request's text, for the next one.
  std::string move_memory() {
    constexpr std::size_t large = 4 << 20;
    call_.text.clear();  // an unsent request still has its text
    return call_.text.capacity() <= large ? std::move(call_.text) : std::string();
  }

 private:
  const std::string name_;  ///< empty: the type of the request has the name
  TypedCall<Reply, Project> call_;
};

}  // namespace qga::inline v0_1::detail
