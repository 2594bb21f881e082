// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The asynchronous driver of a connection: moves any number of calls along, with one wait for
// reading, one for writing, and one timer. Its state is guarded by the connection's mutex, so that
// a client may be used from several threads of a context; handlers run outside of it.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <asio/any_io_executor.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/error.hpp>
#include <asio/execution/bad_executor.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/system_executor.hpp>

#include "qga/detail/io/async_connect.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/detail/io/connection_guards.hpp"
#include "qga/detail/io/context_shutdown.hpp"

namespace qga::inline v0_1::detail {

template <class Executor>
class AsyncDriver final : public Driver, private ContextUser {
 public:
  AsyncDriver(Connection& connection, const Executor& executor)
      : ContextUser(executor),
        connection_(connection),
        channel_(executor, connection.owned_.get()),
        timer_(executor) {
    connection.owned_.release();
  }

  /// Gives a connection a driver, where it has none. @throws std::system_error
  static void ensure(Connection& connection, const Executor& executor) {
    const std::lock_guard lock(connection.mutex_);
    if (connection.driver_ || !connection.open_) return;
    connection.set_driver(std::make_unique<AsyncDriver>(connection, executor));
  }

  /// The executor of a connection that has a driver on an executor of this type. Another type is
  /// that of a program (`Process`), which does not know its client's.
  static std::optional<Executor> executor_of(Connection& connection) {
    const std::lock_guard lock(connection.mutex_);
    if (!connection.driver_) return {};
    const asio::any_io_executor any = connection.driver_->executor();
    if constexpr (std::same_as<Executor, asio::any_io_executor>) {
      return any;
    } else {
      const Executor* const known = any.template target<Executor>();
      return known != nullptr ? std::optional<Executor>(*known) : std::nullopt;
    }
  }

  asio::any_io_executor executor() override { return channel_.get_executor(); }

  /// Sets the timer, unless it fires early enough already: calls in a row share one.
  void arm(Clock::time_point deadline) override {
    if (deadline >= armed_) return;
    armed_ = deadline;
    timer_.expires_at(deadline);
    timer_.async_wait([this, alive = connection_.shared_from_this()](std::error_code err) {
      if (!err) on_deadline();
    });
  }

  void advance(std::unique_lock<std::mutex>& lock, bool initiating) override {
    Session& session = connection_.session_;
    if (!connection_.blocked()) {
      const short events = connection_.pump(Clock::now());
      if ((events & POLLOUT) != 0) wait(writing_, Channel::wait_write);
      try {
        connection_.deliver_traces(lock);  // what was received, before the handlers see it
        connection_.hand_over_finished(lock, initiating);
        connection_.deliver_traces(lock);
      } catch (...) {  // a handler has thrown: the next handlers must not wait for an event
        if (!lock.owns_lock()) lock.lock();
        post_advance();
        throw;
      }
      if (channel_.is_open()) {
        if (session.wants_input()) wait(reading_, Channel::wait_read);
        arm(session.repeats_at());
        if (!session.busy()) connection_.open_ ? rest() : end();
      }
    }
    connection_.call_on_closed(lock);
  }

  void post_advance() override {
    asio::post(channel_.get_executor(), [this, alive = connection_.shared_from_this()] {
      std::unique_lock lock(connection_.mutex_);
      if (connection_.driver_.get() == this) advance(lock, false);
    });
  }

  void drain() override {
    draining_ = true;
    ::shutdown(channel_.native_handle(), SHUT_WR);
    drain_until_ = deadline_after(drain_timeout, Clock::now());
    armed_ = Clock::time_point::max();
    arm(drain_until_);
    drain_now();
  }

  void close() noexcept override {
    std::error_code ignored;
    channel_.close(ignored);
    timer_.cancel();
  }

  void clean_up_at(const Target& target, const ClientParams& params, Cleanup cleanup) override {
    const auto executor = channel_.get_executor();
    const auto until = deadline_after(cleanup.timeout, Clock::now());
    const auto rescue = std::make_shared<Rescue>(connection_.shared_from_this(), target, params,
                                                 std::move(cleanup));
    std::make_shared<AsyncConnect<Executor>>(
        target, until, executor,
        [executor, rescue](std::error_code err, OwnedDescriptor opened) {
          rescue->begun = true;
          ConnectionGuards::attempt(*rescue->ended, rescue->cleanup.second->command(), [&] {
            if (err) throw std::system_error(err);
            const auto later = std::make_shared<Connection>(std::move(opened), rescue->params);
            ensure(*later, executor);
            auto lock = ConnectionGuards::lock(*later);
            ConnectionGuards::of(*later).clean_up(std::move(lock), std::move(rescue->cleanup));
            later->close(Connection::End::closed);
          });
        })
        ->start();
  }

 private:
  using Channel = asio::posix::basic_stream_descriptor<Executor>;
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

  /// The requests of a guard that are sent over a connection of their own. Where the context ends
  /// before that is connected, the destructor connects on this thread.
  struct Rescue {
    Rescue(std::shared_ptr<Connection> ended_, Target target_, ClientParams params_,
           Cleanup cleanup_)
        : ended(std::move(ended_)),
          target(std::move(target_)),
          params(std::move(params_)),
          cleanup(std::move(cleanup_)) {}
    Rescue(const Rescue&) = delete;
    Rescue& operator=(const Rescue&) = delete;
    ~Rescue() {
      if (begun) return;
      ConnectionGuards::attempt(*ended, cleanup.second->command(), [this] {
        ConnectionGuards::clean_up_now(target, params, std::move(cleanup));
      });
    }

    const std::shared_ptr<Connection> ended;
    const Target target;
    const ClientParams params;
    Cleanup cleanup;
    bool begun = false;
  };

  void wait(bool& waiting, typename Channel::wait_type what) {
    if (!channel_.is_open() || std::exchange(waiting, true)) return;
    channel_.async_wait(what, [this, alive = connection_.shared_from_this(),
                               what](std::error_code err) { on_ready(what, err); });
  }

  void on_ready(typename Channel::wait_type what, std::error_code err) {
    std::unique_lock lock(connection_.mutex_);
    (what == Channel::wait_read ? reading_ : writing_) = false;
    if (draining_) {
      if (channel_.is_open()) drain_now();
    } else if (err && err != asio::error::operation_aborted && channel_.is_open()) {
      connection_.lose(&make_error<ReadError>, "the channel cannot be waited for", err);
    } else if (what == Channel::wait_read && !err && channel_.is_open() && !connection_.blocked()) {
      connection_.read(Clock::now());
    }
    advance(lock, false);
  }

  void on_deadline() {
    std::unique_lock lock(connection_.mutex_);
    armed_ = Clock::time_point::max();
    if (draining_) {
      if (channel_.is_open() && Clock::now() >= drain_until_) connection_.discard();
    } else if (!connection_.blocked()) {
      connection_.session_.expire(Clock::now());
      arm(connection_.session_.next_deadline());
    }
    advance(lock, false);
  }

  /// Lets the context run out of work, because no call is under way.
  void rest() {
    connection_.session_.release_memory();
    if (armed_ != Clock::time_point::max()) {
      armed_ = Clock::time_point::max();
      timer_.cancel();
    }
    if (reading_ || writing_) {
      std::error_code ignored;
      channel_.cancel(ignored);
    }
  }

  /// The connection is closed, and the guards have acted.
  void end() {
    if (draining_) return;
    if (connection_.session_.replies_due() && connection_.descriptor_.is_socket) return drain();
    connection_.discard();
  }

  void drain_now() {
    if (!drop_pending(connection_.descriptor_) || Clock::now() >= drain_until_) {
      return connection_.discard();
    }
    wait(reading_, Channel::wait_read);
  }

  /// Drops the waiting handlers without calling them, as Asio does. The guards that have something
  /// left to do act on this thread.
  void on_context_shutdown() noexcept override {
    const auto alive = connection_.weak_from_this().lock();
    if (!alive) return;
    std::unique_lock lock(connection_.mutex_);
    if (channel_.is_open()) connection_.owned_ = OwnedDescriptor(channel_.release());
    const auto kept = std::move(connection_.driver_);  // this, until the end of the function
    if (!connection_.blocked()) {
      connection_.session_.withdraw(nullptr);
      while (Call* const call = connection_.session_.finished()) {
        if (call->operation == nullptr) {
          connection_.guards_->on_answered(*call);
          continue;
        }
        lock.unlock();
        call->operation->runner->on_dropped(*call);
        lock.lock();
      }
    }
    if (!connection_.open_ && connection_.descriptor_.fd >= 0) {
      if (draining_) detail::drain(connection_.descriptor_, drain_until_);
      draining_ ? connection_.discard() : connection_.finish_closing(lock);
    }
    if (connection_.open_ && !connection_.blocked() && connection_.guards_) {
      connection_.guards_->finish(connection_.guards_->deadline(), lock);
    }
    // These own handlers, and those may own guards, which lock the connection when they end.
    const auto dropped = std::exchange(connection_.on_closed_, {});
    lock.unlock();
  }

  Connection& connection_;
  Channel channel_;
  Timer timer_;
  Clock::time_point armed_ = Clock::time_point::max();
  Clock::time_point drain_until_ = {};
  bool reading_ = false;
  bool writing_ = false;
  bool draining_ = false;
};

/// The executor that a client was given; none once its context is gone.
template <class Executor>
class WatchedExecutor final : public ClientExecutor, private ContextUser {
 public:
  explicit WatchedExecutor(const Executor& executor) : ContextUser(executor), executor_(executor) {}

  const void* get() const override { return executor_ ? &*executor_ : nullptr; }
  asio::any_io_executor any() const override {
    return executor_ ? asio::any_io_executor(*executor_) : asio::any_io_executor();
  }

 private:
  void on_context_shutdown() noexcept override { executor_.reset(); }

  std::optional<Executor> executor_;
};

/// The executor of a caller, or the system's threads where the caller has none that does I/O (a
/// future has none). @throws asio::execution::bad_executor where the stream has a type of executor
/// of its own
template <class Executor, class Caller>
Executor executor_of_caller(const Caller& caller) {
  if constexpr (std::constructible_from<Executor, const Caller&>) {
    return Executor(caller);
  } else if constexpr (std::constructible_from<Executor, asio::system_executor>) {
    return Executor(asio::system_executor());
  } else {
    throw asio::execution::bad_executor();
  }
}

/// The executor on which a client's I/O is done: that of the client, while its context is there,
/// else that of its connection, else that of the caller. @param client null: moved from
/// @tparam Executor that of the client's streams, or any
template <class Executor, class Caller>
Executor io_executor(const ClientState* client, const Caller& caller) {
  if (client == nullptr) return executor_of_caller<Executor>(caller);
  if constexpr (std::same_as<Executor, asio::any_io_executor>) {
    if (auto own = client->any_executor()) return own;
  } else if (const void* const own = client->executor()) {
    return *static_cast<const Executor*>(own);
  }
  if (const auto connected = client->connection()) {
    if (const auto known = AsyncDriver<Executor>::executor_of(*connected)) return *known;
  }
  return executor_of_caller<Executor>(caller);
}

}  // namespace qga::inline v0_1::detail
