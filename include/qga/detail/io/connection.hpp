// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One connection: its descriptor, its session and its guards, from connecting to closing. It is
// never opened again: another connection is another object, and begins with a handshake. Blocking
// operations run here; asynchronous ones run in the driver, which the first of them makes.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <unistd.h>
#include <asio/any_io_executor.hpp>

#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/descriptor.hpp"
#include "qga/detail/io/drain.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/detail/protocol/operation.hpp"
#include "qga/detail/protocol/session.hpp"

namespace qga::inline v0_1::detail {

/// The requests of a guard; see connection_guards.hpp.
struct Cleanup;

/// GuardList is a connection's view of its guards. Only users of guards pay for more than this. All
/// is called with the connection locked.
class GuardList {
 public:
  virtual ~GuardList() = default;

  /// A request of a guard is answered.
  virtual void on_answered(const Call& call) = 0;
  /// Makes the guards act, because the connection ends.
  /// @param all false: guards that belong to the guest stay armed
  /// @return how long they may take
  virtual Clock::duration begin_closing(bool all) = 0;
  /// Sets the deadline of the requests that the guards have sent.
  virtual void set_deadline(Clock::time_point deadline) = 0;
  virtual Clock::time_point deadline() const = 0;
  /// Gives a deadline to the requests that have none, because no thread waits for them any more.
  /// @return the earliest
  virtual Clock::time_point set_missing_deadlines() = 0;
  /// Runs the guards' requests on this thread, until all are answered or the time is over.
  virtual void finish(Clock::time_point until, std::unique_lock<std::mutex>& lock) = 0;
};

/// Driver is a connection's view of its asynchronous driver. Only users of completion tokens pay
/// for more than this, in memory and in compile time. All is called with the connection locked.
class Driver {
 public:
  virtual ~Driver() = default;

  /// Makes the driver check the deadlines of calls then, or earlier.
  virtual void arm(Clock::time_point deadline) = 0;
  /// Moves the asynchronous calls along. @param initiating within an initiating function
  virtual void advance(std::unique_lock<std::mutex>& lock, bool initiating) = 0;
  /// Makes the executor call `advance` later.
  virtual void post_advance() = 0;
  /// The executor of its I/O.
  virtual asio::any_io_executor executor() = 0;
  /// Drains in the background, then closes.
  virtual void drain() = 0;
  virtual void close() noexcept = 0;
  /// Connects to `target` in the background and sends the requests of a guard there.
  virtual void clean_up_at(const Target& target, const ClientParams& params, Cleanup cleanup) = 0;
};

class Connection;

/// An AsyncRunner runs an operation asynchronously. This is a connection's view of it.
class AsyncRunner {
 public:
  virtual ~AsyncRunner() = default;
  /// A driver for a connection that has none. @throws std::system_error
  virtual std::unique_ptr<Driver> make_driver(Connection& connection) = 0;
  /// Reports a finished call. It is never called with the connection locked.
  virtual void on_finished(Call& call, bool initiating) = 0;
  /// Reports that the context is gone: the call gets no answer, and the handler is never invoked.
  virtual void on_dropped(Call& call) noexcept = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// @throws std::system_error
  Connection(OwnedDescriptor opened, const ClientParams& params)
      : descriptor_(prepare_descriptor(opened.get())),
        owned_(std::move(opened)),
        session_(params) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// True until it is closed, or found to be broken.
  bool is_open() const { return open_; }

  // ---- blocking ----------------------------------------------------------------------------

  /// Sends the calls of an operation, and returns when at least one of its calls is delivered.
  void run(Operation& operation, int wake) {
    CallList finished;
    {
      std::unique_lock lock(mutex_);
      wait_for_others(lock, operation.next_deadline());
      const Blocked blocked(*this);
      submit_calls(operation, finished);
      try {
        while (finished.empty()) {
          step(operation, lock, wake);
          collect(operation, finished, lock);
        }
        // The agent has the next request while the operation works on this answer.
        if (session_.busy()) pump(Clock::now());
      } catch (...) {  // no memory: the session must not keep a call of this stack
        lose(&make_error<ReadError>, "the client is out of resources", {});
        collect(operation, finished, lock);
        throw;
      }
      deliver_traces(lock);
    }
    while (Call* const call = finished.pop_front()) operation.deliver(*call);
  }

  // ---- asynchronous ------------------------------------------------------------------------

  /// Sends the calls of an operation; `on_finished` reports their end to its runner.
  void submit(Operation& operation, bool initiating) {
    CallList rejected;
    {
      std::unique_lock lock(mutex_);
      if (open_ && !driver_) set_driver(operation.runner->make_driver(*this));
      submit_calls(operation, rejected);
      if (rejected.empty()) {
        if (operation.stop_requested()) session_.request_stop(operation);
        // A call that has no time left is not sent.
        if (const auto now = Clock::now(); operation.next_deadline() <= now) session_.expire(now);
        driver_->arm(operation.next_deadline());
        driver_->advance(lock, true);  // Handlers of other operations must not run within this one.
      }
    }
    while (Call* const call = rejected.pop_front())
      operation.runner->on_finished(*call, initiating);
  }

  /// Ends those calls of an operation that a stop request may end.
  /// @param only_unsent true: does nothing where a call of the operation was sent
  void request_stop(const Operation& operation, bool only_unsent = false) {
    std::unique_lock lock(mutex_);
    if (only_unsent && !session_.unsent(operation)) return;
    session_.request_stop(operation);
    advance(lock, true);
  }

  /// Withdraws the calls of an operation that has ended.
  void withdraw(const Operation& operation) {
    std::unique_lock lock(mutex_);
    session_.withdraw(&operation);
    advance(lock, true);
  }

  // ---- guards ------------------------------------------------------------------------------

  /// Tells the user what a guard could not do.
  void note(std::string_view text) {
    std::unique_lock lock(mutex_);
    session_.tracer().record(TraceDirection::note, text);
    deliver_traces(lock);
  }

  // ---- the end -----------------------------------------------------------------------------

  /// Why a connection is closed.
  enum class End {
    closed,    ///< by the user: guards that belong to the guest act now
    replaced,  ///< by another one: guards that belong to the guest act over that
  };

  /// Ends every call with `CancelledError`, makes the guards act, drains the channel, and closes:
  /// in the background where there is a driver.
  /// @param on_closed is called at the end, with no lock held
  void close(End end, std::function<void()> on_closed = {}) {
    std::unique_lock lock(mutex_);
    if (on_closed) on_closed_.push_back(std::move(on_closed));
    if (open_.exchange(false)) {
      is_child() ? discard() : begin_closing(end, lock);
    }
    advance(lock, true);
  }

  /// Whether this process has inherited the connection by `fork`: it belongs to the parent.
  bool is_child() const { return ::getpid() != process_; }

 private:
  template <class Executor>
  friend class AsyncDriver;
  friend class ConnectionGuards;

  /// While one thread moves the connection along, for a blocking operation or for guards, nothing
  /// else reads from it or closes it.
  class Blocked {
   public:
    explicit Blocked(Connection& connection)
        : connection_(connection),
          before_(std::exchange(connection.blocked_by_, std::this_thread::get_id())) {}
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;
    ~Blocked() {
      connection_.blocked_by_ = before_;
      if (connection_.blocked()) return;  // one within another, which a trace has caused
      connection_.unblocked_.notify_all();
      if (connection_.driver_ && connection_.session_.busy()) connection_.driver_->post_advance();
    }

   private:
    Connection& connection_;
    const std::thread::id before_;
  };

  bool blocked() const { return blocked_by_ != std::thread::id(); }

  /// Waits while another thread moves the connection along, and waits for its guards.
  void wait_for_others(std::unique_lock<std::mutex>& lock, Clock::time_point until) {
    if (!blocked()) return;
    until = std::min(until, Clock::now() + std::chrono::minutes(1));
    unblocked_.wait_until(
        lock, until, [this] { return !blocked() || blocked_by_ == std::this_thread::get_id(); });
  }

  /// Requests of guards that were not answered in time would hold up its context for ever.
  void set_driver(std::unique_ptr<Driver> driver) {
    driver_ = std::move(driver);
    if (guards_) driver_->arm(guards_->set_missing_deadlines());
  }

  // ---- moving calls along ------------------------------------------------------------------

  void submit_calls(Operation& operation, CallList& rejected) {
    while (Call* const call = operation.next_to_submit()) {
      if (open_) {
        session_.submit(*call);
      } else {
        call->fail(not_connected(call->command()));
        rejected.push_back(call);
      }
    }
  }

  /// One round of a blocking operation: handles deadlines and stops, writes, waits and reads.
  void step(Operation& operation, std::unique_lock<std::mutex>& lock, int wake) {
    auto now = Clock::now();
    const auto deadline = operation.next_deadline();
    if (operation.stop_requested()) {
      session_.request_stop(operation);
      wake = -1;
    }
    if (deadline <= now) session_.expire(now);
    const short events = pump(now);
    if (session_.has_finished() || descriptor_.fd < 0) return;
    wait_and_read(events, std::min(deadline, session_.repeats_at()), lock, wake);
  }

  void wait_and_read(short events, Clock::time_point until, std::unique_lock<std::mutex>& lock,
                     int wake) {
    deliver_traces(lock);  // The user sees a request before its answer.
    const int fd = descriptor_.fd;
    lock.unlock();
    const short happened = wait_for(fd, events, until, Clock::now(), wake);
    lock.lock();
    if ((happened & ~POLLOUT) != 0 && descriptor_.fd >= 0) read(Clock::now());
  }

  /// Writes the output. Returns the events to wait for.
  short pump(Clock::time_point now) {
    if (descriptor_.fd >= 0 && session_.reads_first()) read(now);
    while (descriptor_.fd >= 0) {
      const std::string_view out = session_.output(now);
      if (out.empty()) return POLLIN;
      const auto [bytes, err] = write_some(descriptor_, out);
      if (err) {
        read_pending(now);  // what was answered before it broke
        lose(&make_error<WriteError>, "the channel broke", err);
        break;
      }
      session_.wrote(bytes);
      if (bytes < out.size()) return POLLIN | POLLOUT;
    }
    return 0;
  }

  void read(Clock::time_point now) {
    if (const std::error_code err = read_pending(now)) {
      lose(&make_error<ReadError>, "the channel ended", err);
    }
  }

  /// Reads the input that is there, up to a limit. Returns what broke the channel, or no error.
  std::error_code read_pending(Clock::time_point now) {
    // After a full buffer it reads again, at most this often: one channel must not keep a thread.
    constexpr int reads_in_a_row = 16;
    for (int i = 0; i < reads_in_a_row && session_.wants_input(); ++i) {
      const std::span<char> space = session_.input();
      const auto [bytes, err] = read_some(descriptor_, space);
      if (err) return err;
      if (bytes > 0) {
        silent_ = {};
        session_.received(bytes, now);
      }
      if (bytes < space.size()) break;
    }
    return {};
  }

  void lose(MakeError make, std::string_view what, std::error_code err) {
    session_.lost(make, what, err);
    discard();
  }

  /// Collects the finished calls of a blocking operation, and hands others to their owners.
  void collect(Operation& operation, CallList& finished, std::unique_lock<std::mutex>& lock) {
    while (Call* const call = session_.finished()) {
      call->operation == &operation ? finished.push_back(call) : hand_over(*call, lock, true);
    }
  }

  /// Gives a finished call to its owner.
  void hand_over(Call& call, std::unique_lock<std::mutex>& lock, bool initiating) {
    if (call.operation == nullptr) return guards_->on_answered(call);
    lock.unlock();
    call.operation->runner->on_finished(call, initiating);
    lock.lock();
  }

  /// Advances all that no blocking operation waits for: asynchronous calls, traces, closing.
  void advance(std::unique_lock<std::mutex>& lock, bool initiating) {
    if (driver_) return driver_->advance(lock, initiating);
    if (!blocked()) hand_over_finished(lock, initiating);
    deliver_traces(lock);
    call_on_closed(lock);
  }

  /// Hands over the finished calls. A blocking operation collects its own.
  void hand_over_finished(std::unique_lock<std::mutex>& lock, bool initiating) {
    while (Call* const call = session_.finished()) hand_over(*call, lock, initiating);
  }

  void deliver_traces(std::unique_lock<std::mutex>& lock) {
    if (session_.tracer().has_lines()) session_.tracer().deliver(lock);
  }

  void call_on_closed(std::unique_lock<std::mutex>& lock) {
    if (descriptor_.fd >= 0 || on_closed_.empty()) return;
    const auto called = std::exchange(on_closed_, {});
    lock.unlock();
    for (const auto& one : called) one();
    lock.lock();
  }

  // ---- closing -----------------------------------------------------------------------------

  void begin_closing(End end, std::unique_lock<std::mutex>& lock) {
    session_.withdraw(nullptr);
    Clock::duration timeout = {};
    if (guards_) timeout = guards_->begin_closing(end == End::closed);
    closing_until_ = deadline_after(timeout, Clock::now());
    if (!driver_) return finish_closing(lock);
    if (guards_) guards_->set_deadline(closing_until_);
    driver_->arm(closing_until_);  // the rest is done in the background
  }

  /// Closes on this thread.
  void finish_closing(std::unique_lock<std::mutex>& lock) {
    wait_for_others(lock, closing_until_);
    if (guards_) guards_->finish(closing_until_, lock);
    if (descriptor_.fd < 0) return;
    if (session_.replies_due() && descriptor_.is_socket) {
      detail::drain(descriptor_, Clock::now() + drain_timeout);
    }
    lose(&make_error<CancelledError>, "the client was closed",
         std::make_error_code(std::errc::operation_canceled));
  }

  /// Closes the descriptor, whoever owns it.
  void discard() {
    open_ = false;
    descriptor_.fd = -1;
    owned_ = OwnedDescriptor();
    if (driver_) driver_->close();
  }

  std::mutex mutex_;
  Descriptor descriptor_;
  OwnedDescriptor owned_;  ///< until a driver owns it
  Session session_;
  std::atomic<bool> open_ = true;
  std::thread::id blocked_by_;  ///< moves it along
  std::condition_variable unblocked_;
  Clock::duration silent_ = {};  ///< for how long guards have waited, with nothing coming in
  const pid_t process_ = ::getpid();
  std::unique_ptr<GuardList> guards_;
  Clock::time_point closing_until_ = {};
  std::vector<std::function<void()>> on_closed_;
  std::unique_ptr<Driver> driver_;
};

}  // namespace qga::inline v0_1::detail
