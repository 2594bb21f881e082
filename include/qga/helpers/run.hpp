// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `run`: a program in the guest from its start to its end, with input of any length.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/random.hpp"
#include "qga/error.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/run_followed.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/transfer.hpp"

namespace qga::inline v0_1 {

namespace detail {

/// Input that does not fit into a pipe goes through a private file, whose name is removed before
/// the program starts.
template <class Io>
class Run {
 public:
  Run(Io& io, std::string path, RunParams params)
      : io_(io), path_(std::move(path)), params_(std::move(params)) {}

  void start() {
    if (params_.timeout) until_ = deadline_after(*params_.timeout, io_.now());
    until_ = std::min(until_, io_.until());
    if (is_followed(params_)) {
      const auto then = [this](std::exception_ptr error, RunResult result) {
        error ? io_.fail(std::move(error)) : io_.finish(std::move(result));
      };
      followed_.emplace(io_, Step(), then, std::move(path_), std::move(params_));
      return followed_->start();
    }
    if (params_.input.size() <= pipe_size) {
      return run(std::move(path_), std::move(params_), {}, [this](auto error, RunResult result) {
        error ? io_.fail(std::move(error)) : io_.finish(std::move(result));
      });
    }
    // The library chooses the file's name, so that it can remove it without an answer.
    const auto random = random_bits();
    file_ = "/tmp/qga-" + std::to_string(random[0]) + "-" + std::to_string(random[1]);
    RunParams params = timed({});
    params.kill = true;  // or it could make the file after its removal
    params.args = {"-c", "umask 077 && set -C && : >\"$0\"", file_};
    const auto then = [this](std::exception_ptr error, const RunResult& made) {
      if (error && outcome_of(error) != Outcome::unknown) return io_.fail(std::move(error));
      if (error) return remove(std::move(error));
      if (made.exit_code != 0) {
        return io_.fail(bad_reply("", "no temporary file: " + made.err, Outcome::refused));
      }
      send_input();
    };
    run("/bin/sh", std::move(params), {}, then, true);
  }

 private:
  void send_input() {
    TransferParams params;
    const auto then = [this](std::exception_ptr error, const TransferResult&) {
      if (error) return remove(std::move(error));
      run_with_input();
    };
    auto input = std::make_shared<TextSource>(std::move(params_.input));
    upload_.emplace(io_, Step{.until = until_}, then, std::move(input), file_, std::move(params),
                    false);
    upload_->start();
  }

  void run_with_input() {
    RunParams params = timed(std::move(params_));
    std::vector<std::string> args{"-c", "exec <\"$0\" && /bin/rm -f -- \"$0\" && exec \"$@\"",
                                  file_, std::move(path_)};
    std::move(params.args.begin(), params.args.end(), std::back_inserter(args));
    params.args = std::move(args);
    params.input.clear();
    run("/bin/sh", std::move(params), {}, [this](std::exception_ptr error, RunResult result) {
      error ? remove(std::move(error)) : io_.finish(std::move(result));
    });
  }

  /// Removes the file. A program that is started late finds no input then, and does not run.
  void remove(std::exception_ptr error) {
    RunParams params;
    params.args = {"-f", "--", file_};
    const auto until = deadline_after(std::chrono::seconds(10), io_.now());
    run(
        "/bin/rm", std::move(params), cleaning_up(until),
        [this, error](const std::exception_ptr&, const RunResult&) { io_.fail(error); }, true);
  }

  /// The parameters with what is left of the time.
  RunParams timed(RunParams params) const {
    if (until_ != Clock::time_point::max()) params.timeout = until_ - io_.now();
    return params;
  }

  void run(std::string path, RunParams params, Step limit, Continuation<RunResult> then,
           bool is_own = false) {
    program_.emplace(io_, limit, std::move(then), std::move(path), std::move(params), is_own);
    program_->start();
  }

  Io& io_;
  std::string path_;
  RunParams params_;
  Clock::time_point until_ = Clock::time_point::max();
  std::string file_;
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
  std::optional<SubAlgorithm<Io, TransferResult, Upload>> upload_;
  std::optional<SubAlgorithm<Io, RunResult, RunFollowed>> followed_;
};

}  // namespace detail

/// Running programs; see `Helpers`.
template <class Carrier>
class RunHelpers {
 public:
  /// Runs a program to its end. It is started once, whatever happens. After its end the agent keeps
  /// no record of it.
  ///
  /// Input of more than 64 KiB goes through a file below `/tmp`, which takes `/bin/sh` and
  /// `/bin/rm` in the guest, and an agent that may write files. That shell then runs `path`: where
  /// there is no such program, the exit code is 127. With captured output a program counts as ended
  /// only when its children have closed those outputs too: a daemon never ends. Killing needs a
  /// `/bin/sh` in the guest.
  ///
  /// @param path a file, or a name that is looked for in the agent's PATH; no shell is involved
  /// @param params arguments, environment, input, what to capture, how long it may run
  /// @return `RunResult`: exit code or signal, and what it wrote, as bytes
  /// @throws ProgramError every error is one, too, once the program was started: `pid()`, and
  ///         `ended()` where it is known to be gone. Its outcome is `unknown`: a repeat would run
  ///         the program twice
  /// @throws ProgramTimeoutError it ran for too long
  /// @throws AgentError no such program; the agent was restarted meanwhile
  /// @throws CancelledError the caller cancelled or stopped it, or closed the client
  /// @throws UnreachableError the channel broke, or no agent answers
  /// @timeout none for the program, unless `RunParams::timeout` or the options of the call set
  ///          one; each request has the time of its command. A `guest-exec` that was sent
  ///          is awaited for up to 5 s. A program that is not ended by then goes on in
  ///          the guest, unless `RunParams::kill` is set: killing takes up to 10 s more.
  /// @since QEMU 2.5, all guests
  auto run(std::string path, RunParams params = RunParams()) {
    return detail::carrier_of(*this).template perform<RunResult, detail::Run>(std::move(path),
                                                                              std::move(params));
  }
};

}  // namespace qga::inline v0_1
