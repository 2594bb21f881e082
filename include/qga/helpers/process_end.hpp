// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How a program that was started is doing, its end, signals to it, and the size of its terminal.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "qga/helpers/process_state.hpp"

namespace qga::inline v0_1::detail {

/// The status now.
template <class Io>
class AskProcess : ProcessSteps<Io> {
 public:
  AskProcess(Io& io, ProcessState* process) : ProcessSteps<Io>(io, process) {}

  void start() {
    if (this->process_.end) return this->io_.finish(*this->process_.end);
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    this->ask([this](std::exception_ptr error) {
      if (error) return this->fail(error);
      this->io_.finish(this->process_.end.value_or(ProcessStatus()));
    });
  }
};

/// Waits for the end.
template <class Io>
class WaitProcess : ProcessSteps<Io> {
 public:
  WaitProcess(Io& io, ProcessState* process) : ProcessSteps<Io>(io, process) {}

  void start() {
    if (!this->process_.end) {
      if (auto error = this->check()) return this->io_.fail(std::move(error));
    }
    next();
  }

 private:
  void next() {
    if (this->process_.end) return this->io_.finish(*this->process_.end);
    if (!this->process_.life.is_open()) return ask();
    this->look_for_life([this](std::exception_ptr error, bool gone) {
      if (error) return this->fail(error);
      gone ? ask() : this->pause(look_, [this] { next(); });
    });
  }

  void ask() {
    this->ProcessSteps<Io>::ask([this](std::exception_ptr error) {
      if (error) return this->fail(error);
      if (this->process_.end) return next();
      this->pause(question_, [this] { next(); });
    });
  }

  Pace look_{longest_look};
  Pace question_{longest_question};
};

/// Runs a small program of the guest for a program that was started.
template <class Io>
class ToolForProcess : protected ProcessSteps<Io> {
 protected:
  using ProcessSteps<Io>::ProcessSteps;

  void run(std::vector<std::string> args) {
    RunParams params;
    params.args = std::move(args);
    const auto then = [this](std::exception_ptr error, const RunResult& result) {
      if (error) return this->fail(error);
      if (result.exit_code != 0) {
        return this->fail(make_error<AgentError>(GuestExecRequest::command, printable(result.err),
                                                 Outcome::refused));
      }
      this->process_.look.hurry();
      this->process_.waker->wake();
      this->io_.finish();
    };
    program_.emplace(this->io_, Step(), then, "/bin/sh", std::move(params), true);
    program_->start();
  }

 private:
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
};

/// The script that sends signal number $1 to the processes of a session, or else to the one that is
/// there alone: process $2.
inline constexpr std::string_view signal_script =
    "kill -\"$1\" -\"$2\" 2>/dev/null || kill -\"$1\" \"$2\"";

template <class Io>
class SignalProcess : ToolForProcess<Io> {
 public:
  SignalProcess(Io& io, ProcessState* process, int signal)
      : ToolForProcess<Io>(io, process), signal_(signal) {}

  void start() {
    if (signal_ < 1 || signal_ > 64) {
      return this->io_.fail(
          wrong_argument(GuestExecRequest::command, "a signal must be a number from 1 to 64"));
    }
    if (this->process_.end) {
      return this->ProcessSteps<Io>::fail("the program has ended", std::errc::no_such_process);
    }
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    this->run({"-c", std::string(signal_script), "sh", std::to_string(signal_),
               std::to_string(this->process_.pid)});
  }

 private:
  int signal_;
};

/// The script that sets the size of a terminal: $1 lines, $2 characters in a line, terminal $3.
inline constexpr std::string_view resize_script = "stty rows \"$1\" cols \"$2\" <\"$3\"";

/// Sets the size of the terminal.
template <class Io>
class ResizeProcess : ToolForProcess<Io> {
 public:
  ResizeProcess(Io& io, ProcessState* process, unsigned rows, unsigned columns)
      : ToolForProcess<Io>(io, process), rows_(rows), columns_(columns) {}

  void start() {
    const bool in_range = rows_ >= 1 && rows_ <= 65535 && columns_ >= 1 && columns_ <= 65535;
    if (!in_range || !this->process_.terminal.is_open()) {
      return this->io_.fail(wrong_argument(
          GuestExecRequest::command,
          in_range ? "the program must have a terminal" : "a terminal's size must be 1 to 65535"));
    }
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    find();
  }

 private:
  void find() {
    if (!this->process_.terminal_name.empty()) return resize();
    this->io_.call(GuestFileReadRequest(this->process_.terminal.handle(), 4096),
                   [this](std::exception_ptr error, const GuestFileRead& reply) {
                     if (error) return this->fail(error);
                     const std::string& said = reply.buf_b64;
                     const auto at = said.find("/dev/");
                     const auto end = said.find('\n', at);
                     if (at == said.npos || end == said.npos) {  // it is only about to be made
                       return this->pause(pace_, [this] { find(); });
                     }
                     this->process_.terminal_name = said.substr(at, end - at);
                     resize();
                   });
  }

  void resize() {
    this->run({"-c", std::string(resize_script), "sh", std::to_string(rows_),
               std::to_string(columns_), this->process_.terminal_name});
  }

  unsigned rows_;
  unsigned columns_;
  Pace pace_{longest_look};
};

}  // namespace qga::inline v0_1::detail
