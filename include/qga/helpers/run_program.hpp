// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs a program in the guest to its end: starts it once, asks how it is doing, collects what it
// wrote, and leaves no record of it in the agent.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/commands/exec.hpp"
#include "qga/error.hpp"
#include "qga/helpers/step.hpp"
#include "qga/protocol/errors.hpp"

namespace qga {

/// How `run` runs a program.
struct RunParams {
  std::vector<std::string> args = {};
  /// `NAME=value` each; *replaces* the agent's environment, PATH included. None: inherits it.
  std::optional<std::vector<std::string>> env = {};
  std::string input = {};  ///< bytes for its standard input
  GuestExecCaptureOutput capture = true;
  /// How long it may run; none: for ever.
  std::optional<Clock::duration> timeout = {};
  /// Kill it in the guest where it runs for too long, or where the caller cancels.
  bool kill = false;
};

/// Whether the agent dropped output; it keeps 16 MiB of each kind.
enum class Truncated { no, possibly, yes };

/// How a program ended.
struct RunResult {
  std::optional<std::int64_t> exit_code;  ///< after a normal end
  std::optional<std::int64_t> signal;     ///< where a signal ended it
  std::string out;                        ///< bytes
  std::string err;                        ///< bytes
  Truncated out_truncated = Truncated::no;
  Truncated err_truncated = Truncated::no;
};

/// A program ran for longer than it was allowed to.
class ProgramTimeoutError : public TimeoutError {
 public:
  ProgramTimeoutError(const std::string& what, Details details, std::int64_t pid, bool ended)
      : TimeoutError(what, std::move(details)), pid_(pid), ended_(ended) {}

  /// Its process in the guest.
  std::int64_t pid() const { return pid_; }
  /// True where it was killed and is gone; false: it still runs, as far as is known.
  bool ended() const { return ended_; }

 private:
  std::int64_t pid_;
  bool ended_;
};

namespace helpers {

/// What an agent says of an output. Before 10.2 the member is absent where all is there and *false*
/// where output was cut; since then it is right. Both keep 16 MiB.
inline Truncated truncation(const std::optional<std::string>& data, std::optional<bool> flag) {
  constexpr std::size_t kept = 16 << 20;
  if (!flag) return Truncated::no;
  if (*flag) return Truncated::yes;
  return data && data->size() == kept ? Truncated::possibly : Truncated::no;
}

template <class Io>
class RunProgram {
 public:
  RunProgram(Io& io, std::string path, RunParams params)
      : io_(io), path_(std::move(path)), params_(std::move(params)) {}

  void start() {
    if (params_.timeout) deadline_ = deadline_after(*params_.timeout, io_.now());
    GuestExecParams exec;
    exec.args = std::move(params_.args);
    exec.env = std::move(params_.env);
    exec.input_data = std::move(params_.input);
    exec.capture_output = params_.capture;
    io_.call(GuestExecRequest(std::move(path_), std::move(exec)),
             [this](std::exception_ptr error, const GuestExec& started) {
               if (error) return io_.fail(std::move(error));
               pid_ = started.pid;
               ask();
             },
             // Late is better than never: only the answer tells which process it is.
             {.until = deadline_after(last_words, deadline_), .cancel = Cancel::unsent});
  }

 private:
  static constexpr Clock::duration shortest_pause = std::chrono::milliseconds(4);
  static constexpr Clock::duration longest_pause = std::chrono::seconds(1);
  /// For killing a program, and for its end.
  static constexpr Clock::duration last_words = std::chrono::seconds(10);

  void ask() {
    io_.call(GuestExecStatusRequest(pid_),
             [this](std::exception_ptr error, GuestExecStatus status) {
               if (error) return no_answer(std::move(error));
               if (status.exited) return io_.finish(result_of(std::move(status)));
               const auto now = io_.now();
               if (now >= deadline_) return too_long();
               io_.pause(std::min(pause_, deadline_ - now), [this](std::exception_ptr cancelled) {
                 if (cancelled) return give_up(std::move(cancelled));
                 ask();
               });
               pause_ = std::min(2 * pause_, longest_pause);
             },
             {.until = deadline_});
  }

  void no_answer(std::exception_ptr error) {
    const int code = failure_of(error).code;
    if (code == err_cancelled) return give_up(std::move(error));
    if (code == err_timed_out && io_.now() >= deadline_) return too_long();
    if (code == err_timed_out) {  // a guest that is busy or paused; the record may be gone with it
      answer_lost_ = true;
      return ask();
    }
    if (code == err_from_agent && answer_lost_) {
      error = protocol::make_error<TimeoutError>(
          GuestExecStatusRequest::command,
          "process " + std::to_string(pid_) + " has ended, and the answer that told how was lost",
          Outcome::unknown, std::make_error_code(std::errc::timed_out));
    }
    io_.fail(std::move(error));
  }

  void too_long() { give_up(nullptr); }

  /// @param error why, or null: it took too long
  void give_up(std::exception_ptr error) {
    if (!params_.kill) return leave(std::move(error), false);
    const auto until = deadline_after(last_words, io_.now());
    GuestExecParams kill;
    kill.args = {"-c", "kill -KILL " + std::to_string(pid_)};
    io_.call(GuestExecRequest("/bin/sh", std::move(kill)),
             [this, until, error](std::exception_ptr failed, const GuestExec& killer) {
               if (failed) return leave(error, false);
               reap(killer.pid, until, shortest_pause, [this, until, error](bool) {
                 reap(pid_, until, shortest_pause,
                      [this, error](bool ended) { leave(error, ended); });
               });
             },
             {.until = until, .cancel = Cancel::never});
  }

  /// Asks until a process has ended, which makes the agent forget it.
  void reap(std::int64_t pid, Clock::time_point until, Clock::duration pause,
            std::function<void(bool)> then) {
    io_.call(GuestExecStatusRequest(pid),
             [=, this](std::exception_ptr error, const GuestExecStatus& status) {
               if (error || status.exited || io_.now() >= until)
                 return then(!error && status.exited);
               io_.pause(pause, [=, this](std::exception_ptr) {
                 reap(pid, until, std::min(2 * pause, longest_pause), then);
               });
             },
             {.until = until, .cancel = Cancel::never});
  }

  void leave(std::exception_ptr error, bool ended) {
    if (error) return io_.fail(std::move(error));
    const std::string what =
        "guest-exec: process " + std::to_string(pid_) +
        (ended ? " ran for too long and was killed" : " has run for too long and is left behind");
    io_.fail(std::make_exception_ptr(
        ProgramTimeoutError(what,
                            {.command = std::string(GuestExecRequest::command),
                             .outcome = Outcome::unknown,
                             .err = std::make_error_code(std::errc::timed_out)},
                            pid_, ended)));
  }

  static RunResult result_of(GuestExecStatus status) {
    RunResult result;
    result.exit_code = status.exitcode;
    result.signal = status.signal;
    result.out_truncated = truncation(status.out_data, status.out_truncated);
    result.err_truncated = truncation(status.err_data, status.err_truncated);
    result.out = std::move(status.out_data).value_or("");
    result.err = std::move(status.err_data).value_or("");
    return result;
  }

  Io& io_;
  std::string path_;
  RunParams params_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::int64_t pid_ = 0;
  Clock::duration pause_ = shortest_pause;
  bool answer_lost_ = false;
};

}  // namespace helpers

}  // namespace qga
