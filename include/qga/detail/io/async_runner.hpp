// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The asynchronous runner: carries an operation to its end on the executor of its handler. What the
// operation waits for may end on any thread; the operation itself, and so a user's code, runs on
// the handler's executor, one thing at a time and under no lock.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include "qga/detail/io/async_connect.hpp"
#include "qga/detail/io/async_driver.hpp"
#include "qga/detail/io/client_guard.hpp"
#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/work.hpp"
#include "qga/detail/protocol/helper_operation.hpp"
#include "qga/detail/protocol/operation.hpp"

namespace qga::inline v0_1::detail {

/// The parts of a runner that do not depend on the handler.
/// @tparam Executor of the I/O
template <class Executor>
class OperationRunner : public AsyncRunner,
                        public std::enable_shared_from_this<OperationRunner<Executor>> {
 public:
  ~OperationRunner() override {
    if (joined_) client_->unlock_shared();
  }

  void on_finished(Call& call, bool initiating) override {
    std::shared_ptr<OperationRunner> alive;
    {
      const std::lock_guard lock(mutex_);
      finished_.push_back(&call);
      alive = --in_session_ == 0 ? std::move(kept_) : kept_;
      if (std::exchange(scheduled_, true)) return;
    }
    schedule(initiating);
  }

  std::unique_ptr<Driver> make_driver(Connection& connection) override {
    return std::make_unique<AsyncDriver<Executor>>(connection, io_);
  }

  void on_dropped(Call&) noexcept override {
    std::shared_ptr<OperationRunner> dropped;
    const std::lock_guard lock(mutex_);
    if (--in_session_ == 0) dropped = std::move(kept_);
  }

  /// Cancels the operation. May be called on any thread.
  void cancel(asio::cancellation_type type) {
    const auto effectful = asio::cancellation_type::terminal | asio::cancellation_type::partial;
    stop((type & effectful) == asio::cancellation_type::none);
  }

 protected:
  OperationRunner(std::shared_ptr<ClientState> client, const Executor& io)
      : client_(std::move(client)), io_(io), closes_(client_ ? client_->closes() : 0) {}

  /// Makes the handler's executor call `run`.
  virtual void schedule(bool initiating) = 0;
  /// Invokes the handler.
  virtual void complete() = 0;
  /// The executor of the handler, for a user's function.
  virtual asio::any_io_executor work_executor() const = 0;

  void set_operation(Operation& operation) {
    operation_ = &operation;
    operation.runner = this;
  }

  /// Starts the operation, within the initiating function. It may end on another thread before this
  /// returns.
  void begin() {
    scheduled_ = true;
    if (!client_) {
      operation_->fail(not_connected(operation_->command()));
    } else if (!(joined_ = client_->try_lock_shared())) {
      operation_->fail(busy(operation_->command()));
    } else {
      connection_ = client_->connection();
      operation_->start();
    }
    if (!operation_->done()) proceed(true);
    if (operation_->done()) return schedule(true);
    if (!sleep()) schedule(true);
  }

  /// Handles what has happened, and continues the operation.
  void run() {
    for (;;) {
      handle_events();
      if (!operation_->done()) proceed(false);
      if (operation_->done()) return finish();
      if (sleep()) return;
    }
  }

  void stop(bool only_unsent) {
    std::shared_ptr<Connection> connection;
    std::shared_ptr<Connecting> connecting;
    std::shared_ptr<WorkContext> work;
    {
      const std::lock_guard lock(mutex_);
      if (submitted_) connection = connection_;
      // A helper that has sent a request may have started something that cannot be undone.
      if (only_unsent && connection && !operation_->is_single()) return;
      if (!only_unsent || !connection) operation_->note_stop();
      if (timer_ && !pause_cleans_up_) timer_->cancel();
      connecting = connecting_.lock();
      work = work_;
    }
    if (connecting) connecting->cancel();
    if (work) work->cancel(work);
    if (connection) connection->request_stop(*operation_, only_unsent);
  }

  const Executor& io() const { return io_; }

 private:
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

  /// Ends a turn, unless something has happened meanwhile. @return true: it is ended
  bool sleep() {
    const std::lock_guard lock(mutex_);
    scheduled_ = !finished_.empty() || waited_;
    return !scheduled_;
  }

  /// Tells the operation what has happened since the last turn.
  void handle_events() {
    CallList finished;
    bool waited = false;
    std::exception_ptr error;
    {
      const std::lock_guard lock(mutex_);
      std::swap(finished, finished_);
      waited = std::exchange(waited_, false);
      if (waited) error = std::exchange(wait_error_, {});
      if (waited) work_.reset();
    }
    while (Call* const call = finished.pop_front()) operation_->deliver(*call);
    if (waited) operation_->end_wait(std::move(error));
  }

  /// Starts what the operation waits for. An exception, such as for lack of memory, ends it.
  void proceed(bool initiating) try {
    switch (operation_->waiting()) {
      case Waiting::nothing:
        if (operation_->has_to_submit()) submit(initiating);
        break;
      case Waiting::pause:
        pause(operation_->waits_until());
        break;
      case Waiting::connection:
        connect(operation_->waits_until());
        break;
      case Waiting::work:
        work();
        break;
    }
  } catch (...) {
    operation_->fail(std::current_exception());
  }

  void submit(bool initiating) {
    const std::size_t calls = operation_->count_to_submit();
    {
      const std::lock_guard lock(mutex_);
      if (in_session_ == 0) kept_ = this->shared_from_this();
      in_session_ += calls;
      submitted_ = true;
    }
    // A helper that goes on after the client was closed, or has connected again, sends nothing.
    if (connection_ && (operation_->is_single() || client_->uses(*connection_))) {
      return connection_->submit(*operation_, initiating);
    }
    const bool ended = connection_ || client_->closes() != closes_;
    while (Call* const call = operation_->next_to_submit()) {
      call->fail(ended ? cancelled(call->command(), Outcome::not_sent)
                       : not_connected(call->command()));
      on_finished(*call, initiating);
    }
  }

  void pause(Clock::time_point until) {
    const std::lock_guard lock(mutex_);
    if (!timer_) timer_.emplace(io_);
    pause_cleans_up_ = operation_->wait_cleans_up();
    Waker* const waker = operation_->waker();
    const bool goes_on =
        operation_->wait_is_stopped() || (waker != nullptr && !waker->begin_pause(pause_ender()));
    timer_->expires_at(goes_on ? Clock::now() : until);
    timer_->async_wait([self = this->shared_from_this()](std::error_code) { self->on_waited({}); });
  }

  std::function<void()> pause_ender() {
    return [weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      const std::lock_guard lock(self->mutex_);
      if (self->timer_) self->timer_->cancel();
    };
  }

  void connect(Clock::time_point until) try {
    if (client_->closes() != closes_) {
      throw std::system_error(std::make_error_code(std::errc::operation_canceled));
    }
    const auto attempt = client_->begin_connecting();
    Target target = client_->target();
    auto done = [self = this->shared_from_this(), attempt, shown = target.shown,
                 goes_on = std::make_shared<BackgroundAttempt>(client_)](std::error_code err,
                                                                         OwnedDescriptor opened) {
      try {
        if (err) throw std::system_error(err);
        self->client_->finish_connecting(attempt, std::move(opened));
        const std::lock_guard lock(self->mutex_);
        self->connection_ = self->client_->connection();
        // A guard that waits for the connection must not hold up this thread.
        if (self->connection_ && self->client_->is_awaited()) {
          AsyncDriver<Executor>::ensure(*self->connection_, self->io_);
        }
      } catch (const std::system_error& error) {
        return self->on_waited(connect_error(error.code(), shown));
      }
      self->on_waited({});
    };
    const auto connecting =
        std::make_shared<AsyncConnect<Executor>>(std::move(target), until, io_, std::move(done));
    client_->set_connecting(connecting);
    {
      const std::lock_guard lock(mutex_);
      connecting_ = connecting;
    }
    connecting->start();
    if (operation_->stop_requested()) connecting->cancel();
  } catch (const std::system_error& error) {
    on_waited(connect_error(error.code()));
  }

  void work() {
    const auto context = std::make_shared<WorkContext>(work_executor());
    {
      const std::lock_guard lock(mutex_);
      work_ = context;
    }
    operation_->start_work(context.get(),
                           [self = this->shared_from_this(), context](std::exception_ptr error) {
                             self->on_waited(std::move(error));
                           });
    if (operation_->stop_requested()) context->cancel(context);  // it came before there was work
  }

  void on_waited(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      waited_ = true;
      wait_error_ = std::move(error);
      if (std::exchange(scheduled_, true)) return;
    }
    schedule(false);
  }

  /// Withdraws calls that an algorithm has left behind by an exception, and completes.
  void finish() {
    if (!operation_->is_single()) {
      std::unique_lock lock(mutex_);
      const auto connection = in_session_ > 0 ? connection_ : nullptr;
      lock.unlock();
      if (connection) connection->withdraw(*operation_);
    }
    if (std::exchange(joined_, false)) client_->unlock_shared();
    complete();
  }

  const std::shared_ptr<ClientState> client_;
  const Executor io_;
  const std::uint64_t closes_;  ///< `ClientState::closes` when this began
  Operation* operation_ = nullptr;
  bool joined_ = false;

  std::mutex mutex_;  ///< guards all below
  CallList finished_;
  bool waited_ = false;     ///< a pause or connecting is over
  bool scheduled_ = false;  ///< `run` is on its way, or running
  std::exception_ptr wait_error_;
  std::size_t in_session_ = 0;              ///< how many calls the session has
  std::shared_ptr<OperationRunner> kept_;   ///< itself, while the session has calls of it
  std::shared_ptr<Connection> connection_;  ///< that the operation uses
  bool submitted_ = false;                  ///< it has had a call
  std::weak_ptr<Connecting> connecting_;
  std::shared_ptr<WorkContext> work_;
  std::optional<Timer> timer_;
  bool pause_cleans_up_ = false;  ///< a stop request does not end it
};

template <class Op, class Handler, class IoExecutor>
class HandlerRunner final : public OperationRunner<IoExecutor> {
 public:
  using Base = OperationRunner<IoExecutor>;
  using Executor = asio::associated_executor_t<Handler, IoExecutor>;

  template <class... Args>
  HandlerRunner(std::shared_ptr<ClientState> client, Handler handler, const IoExecutor& io,
                const CallOptions& options, Args&&... args)
      : Base(client, io),
        handler_(std::move(handler)),
        work_(asio::get_associated_executor(handler_, io)),
        operation_(make(client, options, std::forward<Args>(args)...)) {
    this->set_operation(operation_);
  }

  void start() {
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) {
      slot.assign([weak = weak_self()](asio::cancellation_type type) {
        if (const auto self = weak.lock()) self->cancel(type);
      });
    }
    if (operation_.stop().stop_possible()) stop_.emplace(operation_.stop(), Stop{weak_self()});
    this->begin();
  }

 private:
  /// A helper needs its client, a command does not.
  template <class... Args>
  static Op make(const std::shared_ptr<ClientState>& client, const CallOptions& options,
                 Args&&... args) {
    const ClientParams none;
    const ClientParams& params = client ? client->params() : none;
    if constexpr (std::derived_from<Op, HelperSteps>) {
      return Op(client_of_helper(client), params, options, Clock::now(),
                std::forward<Args>(args)...);
    } else {
      return Op(params, options, Clock::now(), std::forward<Args>(args)...);
    }
  }

  struct Stop {
    std::weak_ptr<HandlerRunner> runner;
    void operator()() const {
      if (const auto self = runner.lock()) self->stop(false);
    }
  };

  std::shared_ptr<HandlerRunner> shared_self() {
    return std::static_pointer_cast<HandlerRunner>(this->shared_from_this());
  }
  std::weak_ptr<HandlerRunner> weak_self() { return shared_self(); }

  void schedule(bool initiating) override {
    auto turn = [self = shared_self()] { self->run(); };
    if (initiating) {
      asio::post(work_.get_executor(), std::move(turn));
    } else {
      asio::dispatch(work_.get_executor(), std::move(turn));
    }
  }

  asio::any_io_executor work_executor() const override {
    if constexpr (std::constructible_from<asio::any_io_executor, Executor>) {
      return asio::any_io_executor(work_.get_executor());
    } else {
      return asio::any_io_executor(this->io());
    }
  }

  void complete() override {
    stop_.reset();
    // The slot belongs to the handler's executor, so it is cleared here and not earlier.
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) slot.clear();
    Handler handler(std::move(handler_));
    const auto work = std::move(work_);
    const std::exception_ptr error = operation_.error();
    using Result = typename Op::Result;
    if constexpr (std::is_void_v<Result>) {
      std::move(handler)(error);
    } else {
      Result result = error ? Result{} : operation_.move_result();
      std::move(handler)(error, std::move(result));
    }
  }

  Handler handler_;
  asio::executor_work_guard<Executor> work_;
  Op operation_;
  std::optional<StopCallback<Stop>> stop_;
};

/// Starts an operation under a completion token. It begins with the initiation: its time counts
/// from there.
/// @param args of the operation
/// @tparam Executor that of the client's streams, or any
template <class Op, class Executor = asio::any_io_executor, class Token, class... Args>
auto initiate(Token&& token, std::shared_ptr<ClientState> client, const CallOptions& options,
              Args&&... args) {
  return asio::async_initiate<Token, typename CompletionSignature<typename Op::Result>::type>(
      [](auto handler, std::shared_ptr<ClientState> of, CallOptions with, auto... given) {
        const auto io = io_executor<Executor>(of.get(), asio::get_associated_executor(handler));
        std::make_shared<HandlerRunner<Op, decltype(handler), Executor>>(
            std::move(of), std::move(handler), io, std::move(with), std::move(given)...)
            ->start();
      },
      token, std::move(client), options, std::forward<Args>(args)...);
}

}  // namespace qga::inline v0_1::detail
