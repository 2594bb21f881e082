// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guards of a connection, and the requests that they sent. The first guard makes this object.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/connection.hpp"
#include "qga/detail/protocol/guard.hpp"

namespace qga::inline v0_1::detail {

/// The requests of a guard: where there is a second one, the answer to the first decides about it.
struct Cleanup {
  std::unique_ptr<GuardCall> first = {};
  std::unique_ptr<GuardCall> second = {};
  Clock::duration timeout = {};
  bool* done = nullptr;  ///< is set where all went well; null: no thread waits
  /// Is called where the connection is found to be broken, with no lock held; empty: nothing to do.
  std::function<void()> on_lost = {};
};

/// A guard, as its connection sees it. All is called with the connection locked.
class ArmedGuard {
 public:
  /// Hands over its requests, because the connection ends.
  virtual Cleanup release_cleanup() noexcept = 0;
  /// A guard that belongs to the guest outlives its connection.
  virtual bool outlives_connection() const noexcept = 0;

 protected:
  ~ArmedGuard() = default;
};

class ConnectionGuards final : public GuardList {
 public:
  explicit ConnectionGuards(Connection& connection) : connection_(connection) {}

  using Lock = std::unique_lock<std::mutex>;

  /// Calls a function that sends requests of a guard. Its failure becomes a note of `told`.
  /// @param command for which it connects; empty: it does not
  template <class Function>
  static void attempt(Connection& told, std::string_view command, Function function) noexcept try {
    std::string failure;
    try {
      return function();
    } catch (const std::system_error& error) {
      failure = command.empty()
                    ? error.what()
                    : std::string(command) + ": cannot connect: " + error.code().message();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    told.note(failure);
  } catch (...) {  // There is no memory for the note, so it is left out.
  }

  static Lock lock(Connection& connection) { return Lock(connection.mutex_); }
  /// The guards of a connection, which must be locked.
  static ConnectionGuards& of(Connection& connection) {
    if (!connection.guards_) connection.guards_ = std::make_unique<ConnectionGuards>(connection);
    return static_cast<ConnectionGuards&>(*connection.guards_);
  }

  void add(ArmedGuard& guard) {
    if (connection_.open_) armed_.push_back(&guard);
  }
  void remove(const ArmedGuard& guard) { std::erase(armed_, &guard); }

  /// Sends the requests of a guard. Where there is no driver, waits for the answers.
  /// @param lock of the connection; ends unlocked
  /// @return whether all went well, as far as is known
  bool clean_up(Lock lock, Cleanup cleanup) {
    if (connection_.descriptor_.fd < 0) return false;
    bool done = false;
    const Clock::duration left = cleanup.timeout - connection_.silent_;
    const bool waits = !connection_.driver_ && !connection_.blocked() && left > Clock::duration();
    const auto until = deadline_after(left, Clock::now());
    if (waits) cleanup.done = &done;
    start(std::move(cleanup));
    if (waits) {
      finish(until, lock);
      for (Cleanup& one : sent_) {
        if (one.done != &done) continue;
        one.done = nullptr;
        note(std::string(one.first->command()) + ": not answered in time");
      }
    } else {
      connection_.pump(Clock::now());
    }
    connection_.advance(lock, true);
    return done;
  }

  /// Connects once more, to `target`, and sends the requests of a guard there: in the background
  /// where there is a driver. @throws std::system_error
  static bool clean_up_at(Connection& old, const Target& target, const ClientParams& params,
                          Cleanup cleanup) {
    {
      const Lock locked = lock(old);
      if (old.driver_) {
        old.driver_->clean_up_at(target, params, std::move(cleanup));
        return false;
      }
    }
    return clean_up_now(target, params, std::move(cleanup));
  }
  static bool clean_up_now(const Target& target, const ClientParams& params, Cleanup cleanup) {
    const auto until = deadline_after(cleanup.timeout, Clock::now());
    const auto later = std::make_shared<Connection>(connect_to(target, until, {}, -1), params);
    Lock locked = lock(*later);
    const bool done = of(*later).clean_up(std::move(locked), std::move(cleanup));
    later->close(Connection::End::closed);
    return done;
  }

  void on_answered(const Call& call) override {
    const auto found = std::find_if(sent_.begin(), sent_.end(),
                                    [&](const Cleanup& one) { return one.first.get() == &call; });
    Cleanup cleanup = std::move(*found);
    sent_.erase(found);
    const int code = code_of(call.error());
    if (cleanup.on_lost && (code == err_cannot_read || code == err_cannot_write)) {
      connection_.on_closed_.push_back(std::move(cleanup.on_lost));
    } else if (call.error()) {
      note(error_of(call.error())->what());
    } else if (cleanup.second && cleanup.first->answered_as_expected()) {
      cleanup.first = std::move(cleanup.second);
      start(std::move(cleanup));
      if (connection_.driver_) connection_.driver_->post_advance();  // no other event writes it
    } else if (cleanup.done != nullptr) {
      *cleanup.done = true;
    }
  }

  Clock::duration begin_closing(bool all) override {
    // The thaw goes first: a frozen agent closes no files.
    auto guards = std::exchange(armed_, {});
    std::stable_partition(guards.begin(), guards.end(),
                          [](const ArmedGuard* guard) { return guard->outlives_connection(); });
    for (ArmedGuard* const guard : guards) {
      if (all || !guard->outlives_connection()) start(guard->release_cleanup());
    }
    Clock::duration timeout = {};  // one for all of them
    for (const Cleanup& one : sent_) {
      const bool hurries = !all && !one.on_lost;  // a file of a connection that is replaced
      timeout = std::max(timeout, hurries ? std::min(one.timeout, drain_timeout) : one.timeout);
    }
    return std::max(timeout - connection_.silent_, Clock::duration());
  }

  void set_deadline(Clock::time_point deadline) override {
    for (const Cleanup& one : sent_) one.first->deadline = deadline;
  }

  Clock::time_point deadline() const override {
    auto latest = Clock::time_point::min();
    for (const Cleanup& one : sent_) latest = std::max(latest, one.first->deadline);
    return latest;
  }

  Clock::time_point set_missing_deadlines() override {
    auto earliest = Clock::time_point::max();
    for (const Cleanup& one : sent_) {
      Clock::time_point& deadline = one.first->deadline;
      if (deadline == Clock::time_point::max()) {
        deadline = deadline_after(one.timeout, Clock::now());
      }
      earliest = std::min(earliest, deadline);
    }
    return earliest;
  }

  void finish(Clock::time_point until, Lock& lock) override {
    const auto start = Clock::now();
    const Connection::Blocked blocked(connection_);
    while (!sent_.empty() && connection_.descriptor_.fd >= 0) {
      const auto now = Clock::now();
      const short events = connection_.pump(now);
      connection_.hand_over_finished(lock, true);
      if (sent_.empty() || connection_.descriptor_.fd < 0) break;
      if (now >= until) {
        connection_.silent_ += now - start;
        break;
      }
      connection_.wait_and_read(events, std::min(until, connection_.session_.repeats_at()), lock,
                                -1);
      connection_.hand_over_finished(lock, true);
    }
  }

 private:
  void note(std::string_view text) {
    connection_.session_.tracer().record(TraceDirection::note, text);
  }

  void start(Cleanup cleanup) {
    if (connection_.driver_) {
      cleanup.first->deadline = deadline_after(cleanup.timeout, Clock::now());
      connection_.driver_->arm(cleanup.first->deadline);
    }
    sent_.push_back(std::move(cleanup));
    connection_.session_.submit(*sent_.back().first);
  }

  Connection& connection_;
  std::vector<ArmedGuard*> armed_;
  std::list<Cleanup> sent_;
};

}  // namespace qga::inline v0_1::detail
