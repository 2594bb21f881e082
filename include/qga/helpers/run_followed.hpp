// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `run` for what only a shell in the guest can do: output as it comes, another user, a working
// directory. The program is started and followed as by `start`.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "qga/helpers/process_end.hpp"
#include "qga/helpers/process_state.hpp"
#include "qga/helpers/read_process.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/start.hpp"

namespace qga::inline v0_1::detail {

template <class Io>
class RunFollowed {
 public:
  RunFollowed(Io& io, std::string path, RunParams params)
      : io_(io), path_(std::move(path)), params_(std::move(params)) {}

  void start() {
    if (params_.timeout) deadline_ = deadline_after(*params_.timeout, io_.now());
    deadline_ = std::min(deadline_, io_.until());
    Program program{
        std::move(path_), {}, params_.input.empty() ? InputKind::none : InputKind::file};
    program.params.args = std::move(params_.args);
    program.params.env = std::move(params_.env);
    program.params.add_env = std::move(params_.add_env);
    program.params.cwd = std::move(params_.cwd);
    program.params.user = std::move(params_.user);
    program.params.merge = keeps(GuestExecCaptureOutputMode::merged);
    start_.emplace(
        io_, Step{.until = deadline_},
        [this](std::exception_ptr error, std::shared_ptr<ProcessState> process) {
          if (error) return io_.fail(std::move(error));
          process_ = std::move(process);
          if (!params_.kill) process_->guard->disarm();
          read();
        },
        std::move(program), std::move(params_.input));
    start_->start();
  }

 private:
  bool keeps(GuestExecCaptureOutputMode mode) const {
    const auto* const chosen = std::get_if<GuestExecCaptureOutputMode>(&params_.capture);
    return chosen != nullptr && *chosen == mode;
  }
  bool keeps(ProcessStream stream) const {
    if (const auto* const both = std::get_if<bool>(&params_.capture)) return *both;
    return !keeps(GuestExecCaptureOutputMode::none) &&
           !keeps(stream == ProcessStream::out ? GuestExecCaptureOutputMode::stderr_
                                               : GuestExecCaptureOutputMode::stdout_);
  }

  void read() {
    read_.emplace(
        io_, Step{.until = deadline_},
        [this](std::exception_ptr error, ProcessOutput output) {
          if (error) return give_up(std::move(error));
          if (!output) return finish();
          try {
            add(output);
          } catch (...) {
            return give_up(std::current_exception());
          }
          read();
        },
        process_);
    read_->start();
  }

  void add(const ProcessOutput& output) {
    if (params_.output) return params_.output(output.stream, output.bytes);
    if (!keeps(output.stream)) return;
    const bool is_out = output.stream == ProcessStream::out;
    std::string& kept = is_out ? result_.out : result_.err;
    const std::string_view fits =
        std::string_view(output.bytes).substr(0, kept_output - kept.size());
    kept += fits;
    if (fits.size() < output.bytes.size()) {
      (is_out ? result_.out_truncated : result_.err_truncated) = Truncated::yes;
    }
  }

  void finish() {
    result_.exit_code = process_->end->exit_code;
    result_.signal = process_->end->signal;
    if (!result_.exit_code && !result_.signal) {
      return io_.fail(error_with<ProgramError>(program_end_lost(), process_->pid, true));
    }
    io_.finish(std::move(result_));
  }

  void give_up(std::exception_ptr error) {
    error_ = std::move(error);
    if (process_->end || !params_.kill) return gave_up();
    limit_ = cleaning_up(deadline_after(kill_grace, io_.now()));
    const auto signalled = [this](const std::exception_ptr& unsent) {
      unsent ? gave_up() : await_end();
    };
    kill_.emplace(io_, limit_, signalled, process_, 9);
    kill_->start();
  }

  void await_end() {
    const auto then = [this](const std::exception_ptr&, const ProcessStatus&) { gave_up(); };
    wait_.emplace(io_, limit_, then, process_);
    wait_->start();
  }

  void gave_up() {
    const bool ended = process_->end.has_value();
    if (code_of(error_) == err_timed_out && io_.now() >= deadline_) {
      return io_.fail(program_ran_too_long(process_->pid, ended));
    }
    lift_outcome(error_);
    io_.fail(error_with<ProgramError>(error_, process_->pid, ended));
  }

  Io& io_;
  std::string path_;
  RunParams params_;
  Clock::time_point deadline_ = Clock::time_point::max();
  RunResult result_;
  std::exception_ptr error_;
  Step limit_;
  std::shared_ptr<ProcessState> process_;
  std::optional<SubAlgorithm<Io, std::shared_ptr<ProcessState>, StartProgram>> start_;
  std::optional<SubAlgorithm<Io, ProcessOutput, ReadProcess>> read_;
  std::optional<SubAlgorithm<Io, void, SignalProcess>> kill_;
  std::optional<SubAlgorithm<Io, ProcessStatus, WaitProcess>> wait_;
};

}  // namespace qga::inline v0_1::detail
