// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A helper as an operation: the `Io` that the library gives to algorithms. It tells an algorithm
// the results of its calls in the order in which it made them, and knows the outcome of the whole
// when a step fails.
#pragma once

#include <algorithm>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/detail/protocol/operation.hpp"

namespace qga::inline v0_1::detail {

/// HelperClient is a helper's view of its client.
class HelperClient {
 public:
  virtual bool is_open() const = 0;
  /// Whether it is known where to connect to.
  virtual bool has_target() const = 0;
  /// The helper has connected: it uses that connection from now on.
  virtual void on_connected() = 0;
  /// @param question null, or the request that is sent first on a later connection
  /// @param again the same request, to be sent after the question
  virtual std::unique_ptr<Guard> make_guard(std::unique_ptr<GuardCall> request,
                                            std::unique_ptr<GuardCall> question,
                                            std::unique_ptr<GuardCall> again) = 0;
  /// Checks a guard that was given to a helper of this client. @return what is wrong; null: nothing
  virtual std::exception_ptr check(const Guard* guard, std::string_view command) const = 0;

  virtual ~HelperClient() = default;
};

/// The parts of a helper that do not depend on its algorithm.
class HelperSteps : public Operation {
 public:
  /// @param client null: the client was moved from
  HelperSteps(std::unique_ptr<HelperClient> client, const ClientParams& params,
              const CallOptions& options, Clock::time_point now)
      : Operation(params, options, now), client_(std::move(client)) {}

  // ---- for algorithms ----------------------------------------------------------------------

  template <Request R>
  void call(const R& request, Continuation<typename R::Reply> then, Step step = {}) {
    using Reply = typename R::Reply;
    auto call = std::make_unique<StepCall<Reply>>(request, std::move(then), step);
    if (step.cancel != Cancel::never && stop_requested()) {
      call->fail(cancelled(R::command, Outcome::not_sent));
    } else {
      try {
        encode_into(call->text, request);
      } catch (const RequestError&) {
        call->fail(std::current_exception());
      }
    }
    call->deadline = deadline_of(step.usual.value_or(timeout_of(request)), step, now());
    if (step.awaits_late_answer) {
      call->doubted_at = std::exchange(call->deadline, std::min(step.until, until()));
    }
    call->sent_by = step.sent_by;
    call->operation = this;
    if (call->finished()) {
      call->delivered = true;
    } else {
      to_submit_.push_back(call.get());
    }
    steps_.push_back(std::move(call));
  }

  void pause(Clock::duration duration, Continuation<void> then, bool cleans_up = false) {
    wait_ = {Waiting::pause, deadline_after(duration, now()), std::move(then), {}, cleans_up};
  }
  void pause(Clock::duration duration, Continuation<void> then,
             const std::shared_ptr<Waker>& waker) {
    pause(duration, std::move(then));
    wait_->waker = waker;
  }

  bool connected() const { return client_ != nullptr && client_->is_open(); }
  bool can_connect() const { return client_ != nullptr && client_->has_target(); }
  void connect(Continuation<void> then, Clock::time_point until) {
    wait_ = {Waiting::connection, until, std::move(then)};
  }

  void work(Work start, Continuation<void> then) {
    wait_ = {Waiting::work, Clock::time_point::max(), std::move(then), std::move(start)};
  }

  template <Request R>
  std::unique_ptr<Guard> guard(const R& request) {
    return client_->make_guard(std::make_unique<GuardCall>(request), nullptr, nullptr);
  }
  /// @param question is asked first on a later connection
  /// @param expected the reply, as JSON text, after which the request is sent
  template <Request R, Request Question>
  std::unique_ptr<Guard> guard(const R& request, const Question& question,
                               std::string_view expected) {
    return client_->make_guard(std::make_unique<GuardCall>(request),
                               std::make_unique<GuardCall>(question, expected),
                               std::make_unique<GuardCall>(request));
  }
  std::exception_ptr check(const Guard* guard, std::string_view command) const {
    return client_ != nullptr ? client_->check(guard, command) : not_connected(command);
  }

  Clock::time_point now() const { return Clock::now(); }

  /// Ends the helper. Where an earlier step had an effect, the outcome of the whole is unknown.
  void fail(std::exception_ptr error) {
    if (effect_) lift_outcome(error);
    Operation::fail(std::move(error));
  }

  // ---- for runners -------------------------------------------------------------------------

  void start() override {
    attempt([this] { begin(); });
    advance();
  }

  void deliver(Call& call) override {
    static_cast<StepBase&>(call).delivered = true;
    advance();
  }

  Clock::time_point next_deadline() const override {
    auto earliest = Clock::time_point::max();
    for (const auto& step : steps_) earliest = std::min(earliest, step->next_deadline());
    return earliest;
  }

  Waiting waiting() const override { return wait_ ? wait_->what : Waiting::nothing; }
  Clock::time_point waits_until() const override {
    return wait_->cleans_up ? wait_->until : std::min(wait_->until, until());
  }
  bool wait_cleans_up() const override { return wait_->cleans_up; }
  Waker* waker() const override { return wait_->waker.get(); }
  void start_work(WorkContext* context, Continuation<void> then) override {
    wait_->start(context, std::move(then));
  }
  void end_wait(std::exception_ptr error) override {
    const Wait ended = std::move(*wait_);
    wait_.reset();
    if (ended.waker) ended.waker->pause_ended();
    if (ended.what == Waiting::pause && !ended.cleans_up) {
      const bool out_of_time = until() < ended.until && now() >= until();
      error = stop_requested() ? cancelled("", Outcome::not_sent)
              : out_of_time    ? timed_out("", Outcome::not_sent)
                               : nullptr;
    }
    if (ended.what == Waiting::connection && !error && client_) client_->on_connected();
    attempt([&] { ended.then(std::move(error)); });
    advance();
  }

 private:
  /// A call that tells the algorithm of its end.
  class StepBase : public Call {
   public:
    virtual void tell() = 0;
    bool has_effect = false;
    bool delivered = false;

   protected:
    using Call::Call;
  };

  template <class Reply>
  class StepCall final : public TypedCall<Reply, std::identity, StepBase> {
   public:
    template <class R>
    StepCall(const R& request, Continuation<Reply> then, const Step& step)
        : TypedCall<Reply, std::identity, StepBase>(R::command, handling_of(request)),
          then_(std::move(then)) {
      this->has_effect = !step.cleans_up && !step.harmless && detail::has_effect(request);
      this->cancel = step.cancel;
      this->at_once = step.at_once;
    }
    void tell() override {
      if constexpr (std::is_void_v<Reply>) {
        then_(this->error());
      } else if (this->error()) {
        then_(this->error(), Reply{});
      } else {
        then_(nullptr, this->result.move_out());
      }
    }

   private:
    Continuation<Reply> then_;
  };

  struct Wait {
    Waiting what;
    Clock::time_point until;
    Continuation<void> then;
    Work start = {};
    bool cleans_up = false;
    std::shared_ptr<Waker> waker = {};
  };

  virtual void begin() = 0;

  void advance() {
    while (!done_ && !steps_.empty() && steps_.front()->delivered) {
      const auto step = std::move(steps_.front());
      steps_.pop_front();
      const bool may_have_run = !step->error() || outcome_of(step->error()) == Outcome::unknown;
      if (step->has_effect && may_have_run) effect_ = true;
      attempt([&] { step->tell(); });
    }
  }

  /// Calls a function. An exception from it ends the helper.
  template <class Function>
  void attempt(Function function) {
    try {
      function();
    } catch (...) {
      if (!done_) fail(std::current_exception());
    }
  }

  const std::unique_ptr<HelperClient> client_;
  std::list<std::unique_ptr<StepBase>> steps_;
  std::optional<Wait> wait_;
  bool effect_ = false;  ///< a step has changed something in the guest, or may have
};

/// The `Io` of an algorithm with this result.
template <class Result_>
class HelperIo : public HelperSteps {
 public:
  using Result = Result_;
  using HelperSteps::HelperSteps;

  void finish(Stored<Result> result = {}) {
    result_ = std::move(result);
    this->done_ = true;
  }
  Result move_result() {
    if constexpr (!std::is_void_v<Result>) return std::move(*result_);
  }

 private:
  std::optional<Stored<Result>> result_;
};
static_assert(ConnectingIo<HelperIo<void>> && ConnectingIo<HelperIo<int>>);

template <class Result, template <class> class Algorithm>
class HelperOperation final : public HelperIo<Result> {
 public:
  template <class... Args>
  HelperOperation(std::unique_ptr<HelperClient> client, const ClientParams& params,
                  const CallOptions& options, Clock::time_point now, Args&&... args)
      : HelperIo<Result>(std::move(client), params, options, now),
        algorithm_(*this, std::forward<Args>(args)...) {}

 private:
  void begin() override { algorithm_.start(); }

  Algorithm<HelperIo<Result>> algorithm_;
};

}  // namespace qga::inline v0_1::detail
