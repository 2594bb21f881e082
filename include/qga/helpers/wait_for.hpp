// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waiting until a program of the guest ends with 0: until whatever it looks for is there.
#pragma once

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "qga/commands/exec.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/error.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/wait_steps.hpp"

namespace qga::inline v0_1 {

/// The result of `wait_for`.
struct WaitResult {
  bool done = false;                         ///< the program has ended with 0
  std::optional<RunResult> last = {};        ///< how it ended the last time; none: it never did
  std::string error = {};                    ///< why the last attempt failed; empty: it did not
  ReadyState state = ReadyState::no_socket;  ///< how far the guest has come
  int attempts = 0;                          ///< to run it
  Clock::duration waited = {};               ///< in all

  static void fields(auto& self, auto& visit) {
    visit("done", self.done);
    visit("last", self.last);
    visit("error", self.error);
    visit("state", self.state);
    visit("attempts", self.attempts);
    visit("seconds", self.waited);
  }

  /// True where the program has ended with 0.
  explicit operator bool() const { return done; }
};

namespace detail {

template <class Io>
class WaitFor final : public WaitSteps<Io> {
 public:
  WaitFor(Io& io, std::string path, RunParams params, Clock::duration timeout)
      : WaitSteps<Io>(io, timeout, GuestExecRequest::command),
        path_(std::move(path)),
        params_(std::move(params)) {}

  void start() {
    if (is_followed(params_) || params_.input.size() > pipe_size) {
      return this->io_.fail(wrong_argument(
          GuestExecRequest::command,
          "wait_for must be used without output, add_env, cwd and user, and its input must have "
          "64 KiB at most"));
    }
    WaitSteps<Io>::start();
  }

 private:
  void attempt() override {
    ++result_.attempts;
    RunParams params = params_;
    const auto left = this->deadline_ - this->io_.now();
    params.timeout = std::min<Clock::duration>(params.timeout.value_or(left), left);
    program_.emplace(
        this->io_, Step{.until = this->deadline_},
        [this](const std::exception_ptr& error, RunResult run) {
          if (code_of(error) == err_from_agent || !error)
            this->readiness_.state = ReadyState::ready;
          result_.error = error && error_of(error) != nullptr ? error_of(error)->what() : "";
          if (error) return this->again(error);
          result_.last = std::move(run);
          result_.done = result_.last->exit_code == 0;
          result_.done ? end() : this->again(nullptr);
        },
        path_, std::move(params));
    program_->start();
  }

  void give_up() override { end(); }

  void end() {
    result_.state = this->readiness_.state;
    result_.waited = this->io_.now() - this->begun_;
    this->io_.finish(std::move(result_));
  }

  std::string path_;
  RunParams params_;
  WaitResult result_;
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
};

}  // namespace detail

/// Waiting for a program; see `Helpers`.
template <class Carrier>
class WaitForHelpers {
 public:
  /// Runs a program again and again until it ends with 0, across restarts of the agent and the
  /// guest: `ga.wait_for("cloud-init", {.args = {"status", "--wait"}}, 10min)`. A program that ends
  /// otherwise, that is not there (yet), or whose end is lost by a restart, is run again after a
  /// pause of 0.1 s at first and 2 s in the end: it has to be one that does no harm if it runs
  /// twice.
  /// @param path a file, or a name that is looked for in the agent's PATH
  /// @param params as for `run`. `timeout` and `kill` are for each time that it runs; `output`,
  ///        `add_env`, `cwd` and `user` are refused (`RequestError`), and `input` has 64 KiB at
  ///        most
  /// @param timeout in all
  /// @return `WaitResult`, also when the time is up: converts to true where it has ended with 0
  /// @throws RequestError a parameter that is refused, or a text that cannot be sent
  /// @throws CancelledError the caller cancelled or stopped it, or closed the client
  /// @throws BusyError another call is using the client
  /// @timeout as `timeout` says. A program that runs then goes on, unless `RunParams::kill` is set.
  /// @since QEMU 2.5, all guests
  auto wait_for(std::string path, RunParams params, Clock::duration timeout) {
    return detail::carrier_of(*this).template perform<WaitResult, detail::WaitFor>(
        std::move(path), std::move(params), timeout);
  }
};

}  // namespace qga::inline v0_1
