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
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <poll.h>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/compose.hpp>
#include <asio/post.hpp>

#include "qga/helpers/step.hpp"
#include "qga/io/async_connect.hpp"
#include "qga/io/connect.hpp"
#include "qga/io/execute.hpp"
#include "qga/io/last_resort.hpp"
#include "qga/io/wait.hpp"
#include "qga/params.hpp"
#include "qga/protocol/errors.hpp"

namespace qga::io {

inline std::exception_ptr helper_cancelled() {
  return protocol::make_error<CancelledError>("", "cancelled", Outcome::unknown,
                                              std::make_error_code(std::errc::operation_canceled));
}

/// What a helper needs of its client, and outlives it with.
template <class Channel>
struct HelperCalls {
  std::shared_ptr<Channel> channel;  ///< null: of a client that was moved from
  CallOptions options;

  /// No later than the end of the step.
  template <class Request>
  Clock::duration timeout_of(const Request& request, const helpers::Step& step) const {
    return std::min(timeout_for(request, options, channel ? channel->params() : ClientParams{}),
                    step.until - Clock::now());
  }

  bool connected() const { return channel && channel->is_open(); }
  bool can_connect() const { return channel && channel->remembers(); }

  template <class Request>
  std::unique_ptr<helpers::LastResort> last_resort(Request request,
                                                   Clock::duration patience) const {
    return std::make_unique<ChannelLastResort<Channel, Request>>(channel, std::move(request),
                                                                 patience);
  }
};

/// What a helper comes to, where that may be nothing.
template <class Result>
using Stored = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

/// Has the channel for itself while calls are in flight.
template <class Result, template <class> class Algorithm, class Channel>
class BlockingHelper {
 public:
  template <class... Args>
  explicit BlockingHelper(HelperCalls<Channel> calls, Args&&... args)
      : calls_(std::move(calls)), algorithm_(*this, std::forward<Args>(args)...) {}
  BlockingHelper(const BlockingHelper&) = delete;
  BlockingHelper& operator=(const BlockingHelper&) = delete;
  ~BlockingHelper() {
    // Calls are left only where a continuation has thrown.
    for (const auto& pending : in_flight_) calls_.channel->withdraw(pending->call());
    if (taken_) calls_.channel->give_back();
  }

  Result run() {
    algorithm_.start();
    while (!next_.empty() || !in_flight_.empty()) {
      if (next_.empty()) advance();
      const auto next = std::move(next_.front());
      next_.pop_front();
      next();
    }
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<Result>) return std::move(*result_);
  }

  template <class Request>
  void call(const Request& request, protocol::Continuation<typename Request::Reply> then,
            helpers::Step step = {}) {
    auto pending = std::make_shared<PendingCall<typename Request::Reply>>(request, std::move(then),
                                                                          step.cancel);
    if (const std::exception_ptr error = begin(request, pending->call(), step)) {
      pending->call().fail(error);
      next_.push_back([pending] { pending->finish(); });
    } else {
      in_flight_.push_back(std::move(pending));
    }
    give_back_when_idle();
  }

  void pause(Clock::duration duration, protocol::Continuation<void> then) {
    next_.push_back([this, duration, then = std::move(then)] {
      const auto until = deadline_after(duration, Clock::now());
      const StopSignal stopped(calls_.options.stop);
      while (!calls_.options.stop.stop_requested() && Clock::now() < until) {
        wait_for(stopped.fd(), POLLIN, until);
      }
      then(calls_.options.stop.stop_requested() ? helper_cancelled() : nullptr);
    });
  }

  bool connected() const { return calls_.connected(); }
  bool can_connect() const { return calls_.can_connect(); }
  void connect(protocol::Continuation<void> then, Clock::time_point until) {
    next_.push_back([this, then = std::move(then), until] { then(connect_now(until)); });
  }

  void finish(Stored<Result> result = {}) { result_ = std::move(result); }
  void fail(std::exception_ptr error) { error_ = std::move(error); }
  template <class Request>
  auto last_resort(Request request, Clock::duration patience) {
    return calls_.last_resort(std::move(request), patience);
  }
  Clock::time_point now() const { return Clock::now(); }

 private:
  class Pending {
   public:
    explicit Pending(helpers::Cancel when) : cancel(when) {}
    virtual ~Pending() = default;
    virtual protocol::Call& call() = 0;
    virtual void finish() = 0;
    const helpers::Cancel cancel;
  };

  template <class Reply>
  class PendingCall final : public Pending {
   public:
    template <class Request>
    PendingCall(const Request& request, protocol::Continuation<Reply> then, helpers::Cancel when)
        : Pending(when),
          call_(Request::command, protocol::handling_of(request), {}),
          then_(std::move(then)) {
      call_.keep_sent = when == helpers::Cancel::unsent;
    }
    protocol::Call& call() override { return call_; }
    void finish() override {
      if constexpr (std::is_void_v<Reply>) {
        then_(call_.error());
      } else if (call_.error()) {
        then_(call_.error(), Reply{});
      } else {
        then_(nullptr, call_.result.take());
      }
    }

   private:
    protocol::TypedCall<Reply, std::identity> call_;
    protocol::Continuation<Reply> then_;
  };

  /// Returns why there is nothing to wait for.
  template <class Request>
  std::exception_ptr begin(const Request& request, protocol::Call& call, helpers::Step step) {
    if (!calls_.channel) return not_connected(call.command());
    if (!taken_ && !calls_.channel->take()) return busy(call.command());
    taken_ = true;
    try {
      call.wire = calls_.channel->spare();
      protocol::encode_into(call.wire, request);
    } catch (const RequestError&) {
      return std::current_exception();
    }
    call.deadline = deadline_after(calls_.timeout_of(request, step), Clock::now());
    calls_.channel->submit(call);
    return nullptr;
  }

  std::exception_ptr connect_now(Clock::time_point until) {
    if (calls_.options.stop.stop_requested()) return helper_cancelled();
    if (!calls_.channel->take()) return busy("");
    std::exception_ptr error = not_connected("");
    if constexpr (Channel::can_connect) {
      const auto endpoint = calls_.channel->next_endpoint();
      try {
        calls_.channel->close();
        calls_.channel->attach(connect_blocking(endpoint, until));
        error = nullptr;
      } catch (const std::system_error& failed) {
        error = connect_error(failed.code(), shown_endpoint(endpoint));
      }
    }
    calls_.channel->give_back();
    return error;
  }

  /// Waits until something is finished.
  void advance() {
    std::vector<protocol::Call*> calls;
    bool cancellable = true;
    for (const auto& pending : in_flight_) {
      calls.push_back(&pending->call());
      cancellable = cancellable && pending->cancel != helpers::Cancel::never;
    }
    if (!any_finished()) {
      calls_.channel->run(calls, Clock::now(),
                          cancellable ? calls_.options.stop : std::stop_token());
    }
    for (auto at = in_flight_.begin(); at != in_flight_.end();) {
      if (!(*at)->call().finished()) {
        ++at;
        continue;
      }
      next_.push_back([pending = std::move(*at)] { pending->finish(); });
      at = in_flight_.erase(at);
    }
    give_back_when_idle();
  }

  void give_back_when_idle() {
    if (in_flight_.empty() && std::exchange(taken_, false)) calls_.channel->give_back();
  }

  bool any_finished() const {
    return std::any_of(in_flight_.begin(), in_flight_.end(),
                       [](const auto& pending) { return pending->call().finished(); });
  }

  HelperCalls<Channel> calls_;
  std::deque<std::function<void()>> next_;
  std::deque<std::shared_ptr<Pending>> in_flight_;  ///< in the order in which they were made
  bool taken_ = false;
  std::exception_ptr error_;
  std::optional<Stored<Result>> result_;
  Algorithm<BlockingHelper> algorithm_;
};

/// Owned by the calls and pauses that are under way, so that it goes with a context that is
/// destroyed.
template <class Result, template <class> class Algorithm, class Channel, class Handler>
class AsyncHelper
    : public std::enable_shared_from_this<AsyncHelper<Result, Algorithm, Channel, Handler>> {
 public:
  using IoExecutor = typename Channel::executor_type;
  using Executor = asio::associated_executor_t<Handler, IoExecutor>;

  template <class... Args>
  AsyncHelper(HelperCalls<Channel> calls, Handler handler, const IoExecutor& io, Args&&... args)
      : calls_(std::move(calls)),
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

  template <class Request>
  void call(const Request& request, protocol::Continuation<typename Request::Reply> then,
            helpers::Step step = {}) {
    using Reply = typename Request::Reply;
    if (cancelled_ && step.cancel != helpers::Cancel::never) {
      return post([then = std::move(then)] {
        if constexpr (std::is_void_v<Reply>) {
          then(helper_cancelled());
        } else {
          then(helper_cancelled(), {});
        }
      });
    }
    const auto call = in_flight_.emplace(in_flight_.end());
    call->cancel = step.cancel;
    initiate(Waiting<Reply>{this->shared_from_this(), call, std::move(then)},
             prepare(calls_.channel, request, std::identity(),
                     {.timeout = calls_.timeout_of(request, step)}));
  }

  void pause(Clock::duration duration, protocol::Continuation<void> then) {
    if (cancelled_) return post([then = std::move(then)] { then(helper_cancelled()); });
    timer_.expires_after(duration);
    timer_.async_wait(asio::bind_executor(
        executor_, [self = this->shared_from_this(), then = std::move(then)](std::error_code) {
          const std::lock_guard lock(self->mutex_);
          then(self->cancelled_ ? helper_cancelled() : nullptr);
        }));
  }

  bool connected() const { return calls_.connected(); }
  bool can_connect() const { return calls_.can_connect(); }
  void connect(protocol::Continuation<void> then, Clock::time_point until) {
    if (cancelled_) return post([then = std::move(then)] { then(helper_cancelled()); });
    if constexpr (Channel::can_connect) {
      const auto known = Channel::Async::executor_of(*calls_.channel);
      if (!known) Channel::Async::use_executor(*calls_.channel, timer_.get_executor());
      Waiting<void> handler{this->shared_from_this(), in_flight_.emplace(in_flight_.end()),
                            std::move(then)};
      const IoExecutor io = known ? *known : timer_.get_executor();
      using Connect =
          AsyncConnect<Channel, typename Channel::stream_type, typename Channel::Endpoint>;
      asio::async_compose<Waiting<void>, void(std::exception_ptr)>(
          Connect(calls_.channel, calls_.channel->next_endpoint(), until, io), handler, io);
    } else {
      post([then = std::move(then)] { then(not_connected("")); });
    }
  }

  void finish(Stored<Result> result = {}) { complete({}, std::move(result)); }
  void fail(std::exception_ptr error) { complete(std::move(error), {}); }
  template <class Request>
  auto last_resort(Request request, Clock::duration patience) {
    return calls_.last_resort(std::move(request), patience);
  }
  Clock::time_point now() const { return Clock::now(); }

 private:
  struct Call {
    asio::cancellation_signal signal = {};
    helpers::Cancel cancel = helpers::Cancel::always;
    std::function<void()> finish = {};  ///< set while it waits for those before it
  };
  using Calls = std::list<Call>;
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, IoExecutor>;

  /// The handler of a call. An executor may run handlers in any order, and several at a time; an
  /// algorithm hears of its calls in the order in which it made them.
  template <class Reply>
  struct Waiting {
    using executor_type = Executor;
    using cancellation_slot_type = asio::cancellation_slot;

    executor_type get_executor() const noexcept { return self->executor_; }
    cancellation_slot_type get_cancellation_slot() const noexcept { return call->signal.slot(); }

    template <class... Replies>
    void operator()(std::exception_ptr error, Replies... reply) {
      const std::lock_guard lock(self->mutex_);
      if (call != self->in_flight_.begin()) {
        call->finish = [then = std::move(then), error = std::move(error),
                        ... reply = std::move(reply)]() mutable {
          then(std::move(error), std::move(reply)...);
        };
        return;
      }
      self->in_flight_.pop_front();
      then(std::move(error), std::move(reply)...);
      self->finish_next();
    }

    std::shared_ptr<AsyncHelper> self;
    typename Calls::iterator call;
    protocol::Continuation<Reply> then;
  };

  /// Those that waited for the one before.
  void finish_next() {
    while (!in_flight_.empty() && in_flight_.front().finish) {
      const auto finish = std::move(in_flight_.front().finish);
      in_flight_.pop_front();
      finish();
    }
  }

  void post(std::function<void()> then) {
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
    for (Call& one : in_flight_) {
      // Total cancellation leaves alone what is sent.
      if (one.cancel == helpers::Cancel::always) one.signal.emit(asio::cancellation_type::terminal);
      if (one.cancel == helpers::Cancel::unsent) one.signal.emit(asio::cancellation_type::total);
    }
    timer_.cancel();
  }

  /// The last that an algorithm does; the handler is invoked when nothing of it is running any
  /// more.
  void complete(std::exception_ptr error, Stored<Result> result) {
    asio::post(executor_, [self = this->shared_from_this(), error = std::move(error),
                           result = std::move(result)]() mutable {
      auto slot = asio::get_associated_cancellation_slot(self->handler_);
      if (slot.is_connected()) slot.clear();
      Handler handler(std::move(self->handler_));
      self.reset();
      if constexpr (std::is_void_v<Result>) {
        std::move(handler)(std::move(error));
      } else {
        std::move(handler)(std::move(error), std::move(result));
      }
    });
  }

  HelperCalls<Channel> calls_;
  Handler handler_;
  Executor executor_;
  std::mutex mutex_;  ///< the executor may run several handlers at a time
  Calls in_flight_;   ///< in the order in which they were made
  Timer timer_;
  bool cancelled_ = false;
  Algorithm<AsyncHelper> algorithm_;
};

}  // namespace qga::io
