// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs the algorithm of a helper by hand, under a clock that only its pauses move: a test says what
// each request comes to, and sees what is sent next.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/json.hpp"
#include "qga/detail/protocol/waker.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/freeze.hpp"

namespace helper_test {

using namespace std::chrono_literals;
using qga::Clock;
using qga::Outcome;

template <class Error>
std::exception_ptr error(Outcome outcome = Outcome::unknown) {
  return qga::detail::make_error<Error>("test", "scripted", outcome);
}

/// The error that a helper has ended with.
template <class Error, class Helper>
Error error_of(const Helper& helper) {
  REQUIRE(helper.failed);
  try {
    std::rethrow_exception(helper.failed);
  } catch (const Error& known) {
    return known;
  }
}

/// An open file of a guest that does not mind.
inline qga::File file(std::int64_t handle) {
  class Quiet final : public qga::detail::Guard {
    void disarm() noexcept override {}
    void confirm() noexcept override {}
    bool act() noexcept override { return true; }
    void expect_answer(bool) noexcept override {}
  };
  return qga::File(handle, std::make_unique<Quiet>());
}

/// What a request comes to: a reply as JSON, or an error.
struct Reply {
  nlohmann::json json = nlohmann::json::object();
  std::exception_ptr error = {};
  Clock::duration takes = {};
};

template <class Result, template <class> class Algorithm>
class Scripted {
 public:
  using Finished = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

  template <class... Args>
  explicit Scripted(Args&&... args) {
    algorithm_.emplace(*this, std::forward<Args>(args)...);
  }

  /// Sent commands, and the end of each step; "pause" with its length in milliseconds.
  std::vector<std::string> log;
  /// The end of the whole call.
  Clock::time_point until_ = Clock::time_point::max();
  /// The latest end of the steps that are not for cleaning up.
  Clock::time_point latest = Clock::time_point();
  Clock::time_point now_ = Clock::time_point() + 1h;
  std::exception_ptr failed = {};
  std::optional<Finished> finished = {};

  /// Runs to the end, with these replies in turn.
  void run(std::deque<Reply> replies) {
    replies_ = std::move(replies);
    algorithm_->start();
    while (!next_.empty()) {
      const auto next = std::move(next_.front());
      next_.pop_front();
      next();
    }
    CHECK(replies_.empty());
    CHECK((failed != nullptr) != finished.has_value());
  }

  /// The end of its context.
  void drop() {
    next_.clear();
    algorithm_.reset();
  }

  template <class Request, class Then>
  void call(Request request, Then then, qga::detail::Step step = {}) {
    nlohmann::json arguments;
    to_json(arguments, request);
    std::string line = std::string(request.command) + " " + arguments.dump();
    if (step.cancel == qga::detail::Cancel::always) latest = std::max(latest, step.until);
    if (step.at_once) line += " (at once)";
    if (step.cleans_up) {
      line += " (cleans up)";
    } else if (step.cancel == qga::detail::Cancel::never) {
      line += " (to its end)";
    }
    if (step.usual) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*step.usual);
      line += " (usually " + std::to_string(seconds.count()) + " s)";
    }
    log.push_back(std::move(line));
    next_.push_back([this, then = std::move(then)] {
      if (replies_.empty()) throw std::logic_error("no reply for " + log.back());
      Reply reply = std::move(replies_.front());
      replies_.pop_front();
      now_ += reply.takes;
      if (on_reply) on_reply();
      if constexpr (std::is_void_v<typename Request::Reply>) {
        then(reply.error);
      } else {
        then(reply.error,
             reply.error ? typename Request::Reply{} : reply.json.get<typename Request::Reply>());
      }
    });
  }

  template <class Then>
  void pause(Clock::duration duration, Then then, bool = false) {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
    log.push_back("pause " + std::to_string(milliseconds.count()));
    next_.push_back([this, duration, then = std::move(then)] {
      now_ += duration;
      then(std::exchange(cancelled, nullptr));
    });
  }

  /// A pause that another call may end, where there is a waker; here none does.
  template <class Then>
  void pause(Clock::duration duration, Then then,
             const std::shared_ptr<qga::detail::Waker>& waker) {
    pause(duration, std::move(then));
    if (waker) log.back() += " (or woken)";
  }

  /// Runs a user's function.
  void work(qga::detail::Work start, qga::detail::Continuation<void> then) {
    log.push_back("work");
    next_.push_back([start = std::move(start), then = std::move(then)] { start(nullptr, then); });
  }

  /// Connects, with the error of the next reply.
  template <class Then>
  void connect(Then then, Clock::time_point until) {
    log.push_back("connect");
    latest = std::max(latest, until);
    next_.push_back([this, then = std::move(then)] {
      if (replies_.empty()) throw std::logic_error("no reply for connect");
      const Reply reply = std::move(replies_.front());
      replies_.pop_front();
      now_ += reply.takes;
      is_connected = !reply.error;
      then(reply.error);
    });
  }
  bool connected() const { return is_connected; }
  bool can_connect() const { return knows_where; }
  bool is_connected = true;
  bool knows_where = true;

  /// A guard that writes into the log what it sends.
  class Logged final : public qga::detail::Guard {
   public:
    Logged(std::vector<std::string>& log, std::string line) : log_(&log), line_(std::move(line)) {}
    ~Logged() override { act(); }
    void disarm() noexcept override { log_ = nullptr; }
    void confirm() noexcept override {}
    bool act() noexcept override {
      if (log_ != nullptr) log_->push_back(line_);
      return std::exchange(log_, nullptr) != nullptr;
    }
    void expect_answer(bool) noexcept override {}

   private:
    std::vector<std::string>* log_;
    std::string line_;
  };
  template <class Request, class... More>
  std::unique_ptr<qga::detail::Guard> guard(const Request& request, const More&...) {
    return std::make_unique<Logged>(log, std::string(request.command) + " (guard)");
  }
  /// What is wrong with the guards that are used.
  std::exception_ptr wrong_guard = {};
  std::exception_ptr check(const qga::detail::Guard*, std::string_view) const {
    return wrong_guard;
  }

  void finish(Finished result = {}) { finished = std::move(result); }
  void fail(std::exception_ptr why) { failed = std::move(why); }
  Clock::time_point now() const { return now_; }
  Clock::time_point until() const { return until_; }

  std::exception_ptr cancelled = {};    ///< ends the next pause
  std::function<void()> on_reply = {};  ///< what happens beside, before a reply is told

 private:
  std::deque<Reply> replies_;
  std::deque<std::function<void()>> next_;
  std::optional<Algorithm<Scripted>> algorithm_;
};

static_assert(qga::detail::ConnectingIo<Scripted<int, qga::detail::Freeze>>);

}  // namespace helper_test
