// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a test tells an `Agent` to do about a request: reply, fail, wait, disconnect, send anything.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/params.hpp"

namespace qga::inline v0_1::testing {

class Action;

/// A request as the agent has read it.
struct Request {
  std::string command;                 ///< the wire name, such as `guest-get-time`
  nlohmann::json arguments = nullptr;  ///< an object; null where the request has none
  std::string id = {};                 ///< the JSON text that the reply repeats; empty: none
};

namespace detail {

struct ReplyStep {
  nlohmann::json value;
};
struct ErrorStep {
  std::string error_class;
  std::string desc;
};
struct SendStep {
  std::shared_ptr<const std::string> bytes;  ///< shared, because they may be many and sent often
  std::uint64_t times;
};
struct SendSlowlyStep {
  std::string bytes;
  Clock::duration pause;
};
struct WaitStep {
  Clock::duration time;
};
struct CarryOutStep {
  bool answers;
};
struct FunctionStep {
  std::function<Action(const Request&)> function;
};
struct DisconnectStep {};
struct ResetStep {};
struct PauseStep {};

using Step = std::variant<ReplyStep, ErrorStep, SendStep, SendSlowlyStep, WaitStep, CarryOutStep,
                          FunctionStep, DisconnectStep, ResetStep, PauseStep>;

}  // namespace detail

/// A function of a test's own that decides about a request: it takes a `const Request&` and returns
/// an `Action`, or the value of the reply as anything that converts to `nlohmann::json`.
template <class F>
concept ReplyFunction = std::invocable<F&, const Request&> &&
    (std::same_as<std::invoke_result_t<F&, const Request&>, Action> ||
     std::constructible_from<nlohmann::json, std::invoke_result_t<F&, const Request&>>);

/// What an agent does about a request, step by step. The functions below make actions. The agent
/// reads no other request before the last step.
class Action {
 public:
  /// Does nothing: the request gets no reply.
  Action() = default;

  /// Calls a function, and does what it says.
  /// @param function runs where the agent runs (see `Agent`), one call at a time and under no lock.
  ///        Where it throws a `std::exception`, the reply is an error with that text
  template <ReplyFunction F>
  Action(F function) {  // NOLINT(google-explicit-constructor): lambdas are to be actions
    steps_.push_back(detail::FunctionStep{
        [function = std::move(function)](const Request& request) mutable -> Action {
          if constexpr (std::same_as<std::invoke_result_t<F&, const Request&>, Action>) {
            return function(request);
          } else {
            return Action({detail::ReplyStep{nlohmann::json(function(request))}});
          }
        }});
  }

  /// For the library itself.
  explicit Action(std::vector<detail::Step> steps) : steps_(std::move(steps)) {}
  /// For the library itself.
  const std::vector<detail::Step>& steps() const { return steps_; }

 private:
  std::vector<detail::Step> steps_;
};

/// Replies with a value, as qemu-ga does: `{"return": value}` and the id of the request.
/// @param value what stands under `return`, such as `{{"host-name", "web1"}}`
inline Action returns(nlohmann::json value) {
  return Action({detail::ReplyStep{std::move(value)}});
}

/// Replies with an error; a client throws `AgentError`.
/// @param desc the text, for people
/// @param error_class `CommandNotFound` makes a `CommandNotFoundError` of it
inline Action fails(std::string desc, std::string error_class = "GenericError") {
  return Action({detail::ErrorStep{std::move(error_class), std::move(desc)}});
}

/// Sends bytes as they are: a broken reply, the reply to another request, or anything else.
/// @param bytes a reply of an agent is one JSON object and `\n`
/// @param times how often; it ends when the client has gone
inline Action sends(std::string bytes, std::uint64_t times = 1) {
  return Action({detail::SendStep{std::make_shared<const std::string>(std::move(bytes)), times}});
}

/// Sends bytes one by one, as over a bad channel. It ends when the client has gone.
/// @param bytes any
/// @param pause between two bytes
inline Action sends_slowly(std::string bytes, Clock::duration pause) {
  return Action({detail::SendSlowlyStep{std::move(bytes), pause}});
}

/// Waits, as a guest does that is slow. A call whose deadline passes meanwhile is a `TimeoutError`,
/// and the reply comes late.
/// @param time from now; the next step is done after it
inline Action waits(Clock::duration time) { return Action({detail::WaitStep{time}}); }

/// Does nothing: a client throws `TimeoutError` at the deadline of its call.
inline Action ignores() { return Action(); }

/// Ends the connection. A client throws `ReadError`, and `ConnectError` for later calls until it
/// connects again. What the client has sent behind the request is lost.
inline Action disconnects() { return Action({detail::DisconnectStep{}}); }

/// Ends the connection when the client has sent something more, which stays unread: the client's
/// system reports a reset connection.
inline Action resets() { return Action({detail::ResetStep{}}); }

/// Stops answering, from the next request on, until `Agent::resume`: as a guest whose processors
/// stand still.
inline Action pauses() { return Action({detail::PauseStep{}}); }

/// Does what the agent does about the request where a test says nothing: the guest carries it out
/// and the agent replies.
inline Action carries_out() { return Action({detail::CarryOutStep{true}}); }

/// The guest carries the request out, and the reply is lost.
inline Action loses_reply() { return Action({detail::CarryOutStep{false}}); }

/// Does one thing after the other, such as `in_order(waits(2s), returns(5))`.
/// @param actions each an `Action` or a function that is one
template <std::convertible_to<Action>... Actions>
Action in_order(Actions... actions) {
  std::vector<detail::Step> steps;
  const auto append = [&steps](const Action& action) {
    steps.insert(steps.end(), action.steps().begin(), action.steps().end());
  };
  (append(std::move(actions)), ...);
  return Action(std::move(steps));
}

}  // namespace qga::inline v0_1::testing
