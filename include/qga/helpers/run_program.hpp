// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs a program in the guest to its end: starts it once, asks how it is doing, collects what it
// wrote, and leaves no record of it in the agent.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/commands/exec.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/error.hpp"
#include "qga/helpers/start_params.hpp"

namespace qga::inline v0_1 {

/// How `run` runs a program.
struct RunParams {
  std::vector<std::string> args = {};  ///< without its own name
  /// `NAME=value` each; *replaces* the agent's environment, PATH included. None: inherits it.
  std::optional<std::vector<std::string>> env = {};
  std::vector<std::string> add_env = {};  ///< `NAME=value` each, beside the environment; see below
  std::string cwd = {};    ///< working directory; empty: the agent's or `/`; see below
  std::string user = {};   ///< whom to run as; empty: the agent's user; see below
  std::string input = {};  ///< bytes for its standard input
  GuestExecCaptureOutput capture = true;  ///< whether, or which, output to keep
  /// Is called with what the program writes, while it runs: output of any length, in constant
  /// memory. `RunResult` has none of it then. What it throws ends the call. It must not make calls
  /// of the client.
  ///
  /// This and `add_env`, `cwd` and `user` need a guest with a POSIX shell, and an agent that may
  /// open files; `StartParams` has their details.
  std::function<void(ProcessStream, std::string_view)> output = {};
  /// How long it may run; none: for ever.
  std::optional<Clock::duration> timeout = {};
  /// Kill it in the guest where it runs for too long, or where the caller cancels.
  bool kill = false;
};

/// Whether the agent dropped output; it keeps 16 MiB of each kind.
enum class Truncated { no, possibly, yes };

constexpr std::array<std::string_view, 3> wire_names(Truncated) {
  return {"no", "possibly", "yes"};
}

/// How a program ended.
struct RunResult {
  std::optional<std::int64_t> exit_code;    ///< after a normal end
  std::optional<std::int64_t> signal;       ///< where a signal ended it
  std::string out;                          ///< bytes
  std::string err;                          ///< bytes
  Truncated out_truncated = Truncated::no;  ///< whether `out` is cut
  Truncated err_truncated = Truncated::no;  ///< whether `err` is cut

  static void fields(auto& self, auto& visit) {
    visit("exitcode", self.exit_code);
    visit("signal", self.signal);
    visit.bytes("out-data", self.out);
    visit.bytes("err-data", self.err);
    visit("out-truncated", self.out_truncated);
    visit("err-truncated", self.err_truncated);
  }
};

/// Every error of `run` after the program was started is a `ProgramError`, beside its own type,
/// such as `ReadError`. Its `outcome()` is `unknown`.
class ProgramError : public virtual GuestAgentError {
 public:
  /// Makes one of another error, which tells what went wrong.
  ProgramError(const GuestAgentError& cause, std::int64_t pid, bool ended)
      : GuestAgentError(cause), pid_(pid), ended_(ended) {
    detail::ErrorAccess::set_text(*this, std::string(cause.what()) + "; process " +
                                             std::to_string(pid) +
                                             (ended ? " has ended" : " may still run"));
  }

  /// The process id in the guest.
  std::int64_t pid() const { return pid_; }
  /// True where it has ended, or was killed and is gone; false: it still runs, as far as is known.
  bool ended() const { return ended_; }

 protected:
  /// For classes that name what went wrong themselves.
  ProgramError(std::int64_t pid, bool ended) : pid_(pid), ended_(ended) {}

 private:
  std::int64_t pid_;
  bool ended_;
};

/// A program ran for longer than it was allowed to.
class ProgramTimeoutError : public TimeoutError, public ProgramError {
 public:
  /// Makes one; the library does.
  ProgramTimeoutError(const std::string& what, Details details, std::int64_t pid, bool ended)
      : GuestAgentError(err_timed_out, what, details),
        TimeoutError(what, details),
        ProgramError(pid, ended) {}
};

namespace detail {

/// Whether a program has to be followed, as by `start`: the command `guest-exec` alone cannot do
/// it.
inline bool is_followed(const RunParams& params) {
  return params.output || !params.add_env.empty() || !params.cwd.empty() || !params.user.empty();
}

/// Input of this size fits into a pipe. Longer input makes the agent busy-loop where the program
/// does not read it.
inline constexpr std::size_t pipe_size = 64 << 10;

inline std::exception_ptr program_ran_too_long(std::int64_t pid, bool ended) {
  const std::string what =
      "guest-exec: process " + std::to_string(pid) +
      (ended ? " ran for too long and was killed" : " has run for too long and is left behind");
  return std::make_exception_ptr(
      ProgramTimeoutError(what,
                          {.command = std::string(GuestExecRequest::command),
                           .outcome = Outcome::unknown,
                           .err = std::make_error_code(std::errc::timed_out)},
                          pid, ended));
}

inline std::exception_ptr program_end_lost() {
  return make_error<TimeoutError>(GuestExecStatusRequest::command,
                                  "the answer that told the program's end was lost",
                                  Outcome::unknown, std::make_error_code(std::errc::timed_out));
}

/// The time for killing a program, and for its end.
inline constexpr Clock::duration kill_grace = std::chrono::seconds(10);

/// How many bytes of each output are kept.
inline constexpr std::size_t kept_output = 16 << 20;

/// Whether an agent dropped output. With old agents (5.2) the member is absent where all is there
/// and *false* where output was cut; with later ones it is right. All keep 16 MiB.
inline Truncated truncation(const std::optional<std::string>& data, std::optional<bool> flag) {
  if (!flag) return Truncated::no;
  if (*flag) return Truncated::yes;
  return data && data->size() == kept_output ? Truncated::possibly : Truncated::no;
}

template <class Io>
class RunProgram {
 public:
  /// @param is_own true: a program that a helper runs for itself, whose errors carry no process id
  RunProgram(Io& io, std::string path, RunParams params, bool is_own = false)
      : io_(io), path_(std::move(path)), params_(std::move(params)), is_own_(is_own) {}

  void start() {
    if (params_.timeout) deadline_ = deadline_after(*params_.timeout, io_.now());
    deadline_ = std::min(deadline_, io_.until());
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
             // An answer that comes late is awaited: only it tells which process it is.
             {.until = deadline_after(kill_grace, deadline_),
              .sent_by = deadline_,
              .cancel = Cancel::unsent});
  }

 private:
  static constexpr Clock::duration shortest_pause = std::chrono::milliseconds(4);
  static constexpr Clock::duration longest_pause = std::chrono::seconds(1);
  static constexpr Clock::duration last_pause = std::chrono::milliseconds(50);

  void ask() {
    io_.call(GuestExecStatusRequest(pid_),
             [this](std::exception_ptr error, GuestExecStatus status) {
               if (error) return no_answer(std::move(error));
               if (status.exited) return io_.finish(result_of(std::move(status)));
               const auto now = io_.now();
               if (now >= deadline_) return give_up(nullptr);
               io_.pause(pause_before(deadline_ - now), [this](std::exception_ptr ended) {
                 if (!ended) return ask();
                 give_up(code_of(ended) == err_timed_out ? nullptr : ended);
               });
               pause_ = std::min(2 * pause_, longest_pause);
             },
             // The answer that tells the end comes once: a late one is awaited.
             {.until = deadline_, .awaits_late_answer = true});
  }

  /// The pause before the next question. The last one is asked shortly before the deadline, for a
  /// program that has ended in time.
  Clock::duration pause_before(Clock::duration left) const {
    return std::min({pause_, std::max(last_pause, left / 2), left});
  }

  void no_answer(std::exception_ptr error) {
    const int code = code_of(error);
    if (code == err_cancelled) return give_up(std::move(error));
    if (code == err_timed_out && io_.now() >= deadline_) return give_up(nullptr);
    if (err_of(error) == std::errc::no_message) {  // and the agent's record with it, maybe
      answer_lost_ = true;
      return ask();
    }
    const bool ended = code == err_from_agent && answer_lost_;
    if (ended) error = program_end_lost();
    fail(std::move(error), ended);
  }

  /// @param error why, or null: it took too long
  void give_up(std::exception_ptr error) {
    error_ = std::move(error);
    if (!params_.kill) return gave_up(false);
    kill_until_ = deadline_after(kill_grace, io_.now());
    GuestExecParams kill;
    kill.args = {"-c", "kill -KILL " + std::to_string(pid_)};
    io_.call(
        GuestExecRequest("/bin/sh", std::move(kill)),
        [this](std::exception_ptr failed, const GuestExec& killer) {
          if (failed) return gave_up(false);
          reap(killer.pid, shortest_pause, [this](bool) {
            reap(pid_, shortest_pause, [this](bool ended) { gave_up(ended); });
          });
        },
        cleaning_up(kill_until_));
  }

  /// Asks until a process has ended, which makes the agent forget it.
  void reap(std::int64_t pid, Clock::duration pause, std::function<void(bool)> then) {
    io_.call(
        GuestExecStatusRequest(pid),
        [=, this](std::exception_ptr error, const GuestExecStatus& status) {
          if (error || status.exited || io_.now() >= kill_until_) {
            return then(!error && status.exited);
          }
          io_.pause(
              pause,
              [=, this](std::exception_ptr) {
                reap(pid, std::min(2 * pause, longest_pause), then);
              },
              true);
        },
        cleaning_up(kill_until_));
  }

  void gave_up(bool ended) {
    if (is_own_ && !error_) error_ = timed_out(GuestExecRequest::command, Outcome::unknown);
    if (error_) return fail(std::move(error_), ended);
    io_.fail(program_ran_too_long(pid_, ended));
  }

  void fail(std::exception_ptr error, bool ended) {
    lift_outcome(error);
    if (is_own_) return io_.fail(std::move(error));
    io_.fail(error_with<ProgramError>(error, pid_, ended));
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
  const bool is_own_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point kill_until_ = {};
  std::int64_t pid_ = 0;
  Clock::duration pause_ = shortest_pause;
  bool answer_lost_ = false;
  std::exception_ptr error_;
};

}  // namespace detail

}  // namespace qga::inline v0_1
