// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The two drivers of helpers: a blocking one, and one for completion tokens.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <poll.h>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/post.hpp>

#include "qga/helpers/step.hpp"
#include "qga/io/wait.hpp"
#include "qga/params.hpp"
#include "qga/protocol/errors.hpp"

namespace qga::io {

inline std::exception_ptr helper_cancelled() {
  return protocol::make_error<CancelledError>("", "cancelled", Outcome::unknown,
                                              std::make_error_code(std::errc::operation_canceled));
}

/// The options of a step: no later than its end, and out of the caller's reach where it cleans up.
inline CallOptions options_of(const helpers::Step& step, CallOptions options,
                              Clock::duration own_timeout) {
  options.timeout = std::min(own_timeout, step.until - Clock::now());
  if (!step.cancellable) options.stop = {};
  return options;
}

/// Runs continuations one after another, each behind its call.
/// @tparam Execute what runs a request: (request, options) -> reply
/// @tparam TimeoutFor what a request may take of itself: (request) -> duration
template <class Result, template <class> class Algorithm, class Execute, class TimeoutFor>
class BlockingHelper {
 public:
  template <class... Args>
  BlockingHelper(Execute execute, TimeoutFor timeout_for, CallOptions options, Args&&... args)
      : execute_(std::move(execute)),
        timeout_for_(std::move(timeout_for)),
        options_(std::move(options)),
        algorithm_(*this, std::forward<Args>(args)...) {}
  BlockingHelper(const BlockingHelper&) = delete;
  BlockingHelper& operator=(const BlockingHelper&) = delete;

  Result run() {
    algorithm_.start();
    while (!next_.empty()) {
      const auto next = std::move(next_.front());
      next_.pop_front();
      next();
    }
    if (error_) std::rethrow_exception(error_);
    return std::move(*result_);
  }

  template <class Request, class Then>
  void call(Request request, Then then, helpers::Step step = {}) {
    next_.push_back([this, request = std::move(request), then = std::move(then), step] {
      using Reply = typename Request::Reply;
      const CallOptions options = options_of(step, options_, timeout_for_(request));
      std::exception_ptr error;
      if constexpr (std::is_void_v<Reply>) {
        try {
          execute_(request, options);
        } catch (const GuestAgentError&) {
          error = std::current_exception();
        }
        then(error);
      } else {
        Reply reply{};
        try {
          reply = execute_(request, options);
        } catch (const GuestAgentError&) {
          error = std::current_exception();
        }
        then(error, std::move(reply));
      }
    });
  }

  template <class Then>
  void pause(Clock::duration duration, Then then) {
    next_.push_back([this, duration, then = std::move(then)] {
      const auto until = deadline_after(duration, Clock::now());
      const StopSignal stopped(options_.stop);
      while (!options_.stop.stop_requested() && Clock::now() < until) {
        wait_for(stopped.fd(), POLLIN, until);
      }
      then(options_.stop.stop_requested() ? helper_cancelled() : nullptr);
    });
  }

  void finish(Result result) { result_ = std::move(result); }
  void fail(std::exception_ptr error) { error_ = std::move(error); }
  Clock::time_point now() const { return Clock::now(); }

 private:
  Execute execute_;
  TimeoutFor timeout_for_;
  CallOptions options_;
  std::deque<std::function<void()>> next_;
  std::exception_ptr error_;
  std::optional<Result> result_;
  Algorithm<BlockingHelper> algorithm_;
};

/// Owned by the calls and pauses that are under way, so that it goes with a context that is
/// destroyed.
/// @tparam Start what starts a request: (request, handler, options)
template <class Result, template <class> class Algorithm, class Start, class TimeoutFor,
          class Handler, class IoExecutor>
class AsyncHelper : public std::enable_shared_from_this<
                        AsyncHelper<Result, Algorithm, Start, TimeoutFor, Handler, IoExecutor>> {
 public:
  using Executor = asio::associated_executor_t<Handler, IoExecutor>;

  template <class... Args>
  AsyncHelper(Start start, TimeoutFor timeout_for, CallOptions options, Handler handler,
              const IoExecutor& io, Args&&... args)
      : start_(std::move(start)),
        timeout_for_(std::move(timeout_for)),
        options_(std::move(options)),
        handler_(std::move(handler)),
        executor_(asio::get_associated_executor(handler_, io)),
        timer_(io),
        algorithm_(*this, std::forward<Args>(args)...) {}
  AsyncHelper(const AsyncHelper&) = delete;
  AsyncHelper& operator=(const AsyncHelper&) = delete;

  void begin() {
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) {
      slot.assign([weak = this->weak_from_this()](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self) self->cancel(type);
      });
    }
    const std::lock_guard lock(mutex_);
    algorithm_.start();
  }

  template <class Request, class Then>
  void call(const Request& request, Then then, helpers::Step step = {}) {
    if (cancelled_ && step.cancellable) {
      return post([then = std::move(then)] {
        if constexpr (std::is_void_v<typename Request::Reply>) {
          then(helper_cancelled());
        } else {
          then(helper_cancelled(), {});
        }
      });
    }
    const auto signal = signals_.emplace(signals_.end());
    signal->cancellable = step.cancellable;
    const CallOptions options = options_of(step, options_, timeout_for_(request));
    auto handler = [self = this->shared_from_this(), signal, then = std::move(then)](
                       std::exception_ptr error, auto&&... reply) {
      const std::lock_guard lock(self->mutex_);
      self->signals_.erase(signal);
      then(std::move(error), std::move(reply)...);
    };
    start_(request,
           asio::bind_cancellation_slot(signal->signal.slot(),
                                        asio::bind_executor(executor_, std::move(handler))),
           options);
  }

  template <class Then>
  void pause(Clock::duration duration, Then then) {
    if (cancelled_) return post([then = std::move(then)] { then(helper_cancelled()); });
    timer_.expires_after(duration);
    timer_.async_wait(asio::bind_executor(
        executor_, [self = this->shared_from_this(), then = std::move(then)](std::error_code) {
          const std::lock_guard lock(self->mutex_);
          then(self->cancelled_ ? helper_cancelled() : nullptr);
        }));
  }

  void finish(Result result) { complete({}, std::move(result)); }
  void fail(std::exception_ptr error) { complete(std::move(error), {}); }
  Clock::time_point now() const { return Clock::now(); }

 private:
  struct Signal {
    asio::cancellation_signal signal = {};
    bool cancellable = true;
  };
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, IoExecutor>;

  template <class Then>
  void post(Then then) {
    asio::post(executor_, [self = this->shared_from_this(), then = std::move(then)] {
      const std::lock_guard lock(self->mutex_);
      then();
    });
  }

  void cancel(asio::cancellation_type type) {
    // A program that was started cannot be taken back, so total cancellation is not offered.
    const auto offered = asio::cancellation_type::terminal | asio::cancellation_type::partial;
    if ((type & offered) == asio::cancellation_type::none) return;
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (Signal& one : signals_) {
      if (one.cancellable) one.signal.emit(asio::cancellation_type::terminal);
    }
    timer_.cancel();
  }

  /// The last that an algorithm does; the handler is invoked when nothing of it is running any
  /// more.
  void complete(std::exception_ptr error, Result result) {
    asio::post(executor_, [self = this->shared_from_this(), error = std::move(error),
                           result = std::move(result)]() mutable {
      auto slot = asio::get_associated_cancellation_slot(self->handler_);
      if (slot.is_connected()) slot.clear();
      Handler handler(std::move(self->handler_));
      self.reset();
      std::move(handler)(std::move(error), std::move(result));
    });
  }

  Start start_;
  TimeoutFor timeout_for_;
  CallOptions options_;
  Handler handler_;
  Executor executor_;
  std::mutex mutex_;  ///< the executor may run several handlers at a time
  std::list<Signal> signals_;
  Timer timer_;
  bool cancelled_ = false;
  Algorithm<AsyncHelper> algorithm_;
};

}  // namespace qga::io
