// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program of a faked guest that was started: its outputs, its input, what a test wants to do when
// something happens to it, and its end.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "qga/helpers/start_params.hpp"
#include "qga/params.hpp"
#include "qga/testing/detail/guest_pipe.hpp"
#include "qga/testing/detail/guest_terminal.hpp"
#include "qga/testing/program.hpp"

namespace qga::inline v0_1::testing::detail {

/// Where the outputs of a program go; null: they are lost. Both may be the same.
struct Outputs {
  std::shared_ptr<std::string> out = {};
  std::shared_ptr<std::string> err = {};
};

/// How a program has ended: by itself or by a signal.
struct ProgramEnd {
  std::optional<std::int64_t> exit_code = {};
  std::optional<std::int64_t> signal = {};
};

/// The mutex of the guest holds for all that is not constant. The methods of the first part lock
/// it; those of the second part are for the guest, which has locked it.
class GuestProcess {
 public:
  using Event = std::function<void(RunningProgram&)>;
  using InputHandler = std::function<void(RunningProgram&, std::string_view)>;
  using SignalHandler = std::function<void(RunningProgram&, int)>;

  GuestProcess(std::mutex& mutex, std::int64_t number, ProgramCall started, Outputs outputs,
               std::shared_ptr<Pipe> input, std::optional<GuestTerminal> terminal)
      : pid(number),
        call(std::move(started)),
        mutex_(mutex),
        outputs_(std::move(outputs)),
        input_(std::move(input)),
        terminal_(std::move(terminal)) {}

  const std::int64_t pid;
  const ProgramCall call;
  /// Whether it runs. The file below /proc knows it by this.
  const std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  // ---- for the test ----------------------------------------------------------------------------

  bool is_running() const {
    const std::lock_guard lock(mutex_);
    return *alive;
  }
  void write(std::string_view bytes, ProcessStream stream) {
    const std::lock_guard lock(mutex_);
    if (!*alive) return;
    if (terminal_) return show(terminal_->shown(bytes));
    const auto& to = stream == ProcessStream::out ? outputs_.out : outputs_.err;
    if (to) *to += bytes;
  }
  void end(ProgramEnd how) {
    Handlers dropped;  // after the lock, for they are the test's
    const std::lock_guard lock(mutex_);
    dropped = finish(how);
  }
  /// Ends it by a signal. In a terminal, `script` tells the signal by an exit code.
  void end_by_signal(std::int64_t number) {
    terminal_ ? end({.exit_code = 128 + number}) : end({.signal = number});
  }
  void on_input(InputHandler handler) {
    auto set = std::make_shared<InputHandler>(std::move(handler));
    const std::lock_guard lock(mutex_);
    if (*alive) std::swap(handlers_.input, set);
  }
  void on_signal(SignalHandler handler) {
    auto set = std::make_shared<SignalHandler>(std::move(handler));
    const std::lock_guard lock(mutex_);
    if (*alive) std::swap(handlers_.signal, set);
  }
  void after(Clock::duration time, Event event) {
    const std::lock_guard lock(mutex_);
    if (!*alive) return;
    const bool at_next_request = time <= Clock::duration::zero();
    handlers_.timers.emplace(at_next_request
                                 ? Clock::now() + Clock::duration(1)
                                 : deadline_after(time, event_time_.value_or(Clock::now())),
                             std::move(event));
  }
  std::optional<Terminal> terminal() const {
    const std::lock_guard lock(mutex_);
    return terminal_ ? std::optional(terminal_->size) : std::nullopt;
  }
  void set_raw(bool raw) {
    const std::lock_guard lock(mutex_);
    if (terminal_) terminal_->raw = raw;
  }

  // ---- for the guest, which has locked ---------------------------------------------------------

  const Outputs& outputs() const { return outputs_; }
  /// @return none: it runs
  const std::optional<ProgramEnd>& ended() const { return end_; }
  bool has_terminal(std::string_view name) const {
    return *alive && terminal_ && terminal_->name == name;
  }
  /// Sends a signal from outside.
  void signal(int number) {
    if (*alive) signals_.push_back(number);
  }
  void resize(unsigned rows, unsigned columns) {
    terminal_->size.rows = rows;
    terminal_->size.columns = columns;
    constexpr int window_changed = 28;
    terminal_->signals.push_back(window_changed);
  }

  /// The next thing that the program has to do by now. The guest calls it under no lock.
  /// @return empty: nothing
  Event next_event(Clock::time_point now) {
    event_time_.reset();
    if (!*alive) return nullptr;
    if (terminal_) read_terminal();
    if (Event event = next_signal()) return event;
    if (Event event = next_input()) return event;
    const auto timer = handlers_.timers.begin();
    if (timer == handlers_.timers.end() || timer->first > now) return nullptr;
    event_time_ = timer->first;
    Event event = std::move(timer->second);
    handlers_.timers.erase(timer);
    return event;
  }

 private:
  struct Handlers {
    std::shared_ptr<InputHandler> input = {};
    std::shared_ptr<SignalHandler> signal = {};
    std::multimap<Clock::time_point, Event> timers = {};
  };

  void show(std::string_view bytes) {
    if (outputs_.out) *outputs_.out += bytes;
  }

  Handlers finish(ProgramEnd how) {
    if (!*alive) return {};
    *alive = false;
    end_ = how;
    return std::exchange(handlers_, {});
  }

  void read_terminal() {
    terminal_->type(std::exchange(input_->bytes, std::string()));
    if (input_->closed && !std::exchange(input_ended_, true)) terminal_->end();
    show(std::exchange(terminal_->to_show, std::string()));
  }

  Event next_signal() {
    if (!signals_.empty()) {
      const int number = signals_.front();
      signals_.pop_front();
      constexpr int kill = 9;
      const bool decides = handlers_.signal != nullptr && number != kill;
      if (decides) return handled(number);
      if (ends_by_default(number)) {
        return [this, number](RunningProgram&) { end({.signal = number}); };
      }
    } else if (terminal_ && !terminal_->signals.empty()) {
      const int number = terminal_->signals.front();
      terminal_->signals.erase(terminal_->signals.begin());
      if (handlers_.signal) return handled(number);
      if (ends_by_default(number)) {
        return [this, number](RunningProgram&) { end_by_signal(number); };
      }
    } else {
      return nullptr;
    }
    return [](RunningProgram&) {};  // it is ignored
  }
  Event handled(int number) const {
    return [handler = handlers_.signal, number](RunningProgram& program) {
      (*handler)(program, number);
    };
  }
  /// Not SIGCHLD, SIGURG and SIGWINCH. Stopping and going on are not faked.
  static bool ends_by_default(int number) { return number < 17 || (number > 23 && number != 28); }

  Event next_input() {
    if (!handlers_.input) return nullptr;
    std::string& bytes = terminal_ ? terminal_->typed : input_->bytes;
    const bool ended =
        bytes.empty() && (terminal_ ? std::exchange(terminal_->ended, false)
                                    : input_->closed && !std::exchange(input_ended_, true));
    if (bytes.empty() && !ended) return nullptr;
    return [handler = handlers_.input, piece = std::exchange(bytes, std::string())](
               RunningProgram& program) { (*handler)(program, piece); };
  }

  std::mutex& mutex_;
  Outputs outputs_;
  std::shared_ptr<Pipe> input_;
  std::optional<GuestTerminal> terminal_;
  Handlers handlers_;
  std::deque<int> signals_;
  bool input_ended_ = false;                     ///< the end of the input was read
  std::optional<Clock::time_point> event_time_;  ///< of the timer whose event is under way
  std::optional<ProgramEnd> end_;
};

}  // namespace qga::inline v0_1::testing::detail
