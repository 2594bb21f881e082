// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How a program that was started is doing, its end, signals to it, and the size of its terminal.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/helpers/process_state.hpp"

namespace qga::inline v0_1::detail {

/// The status now.
template <class Io>
class AskProcess : ProcessSteps<Io> {
 public:
  AskProcess(Io& io, std::shared_ptr<ProcessState> process)
      : ProcessSteps<Io>(io, std::move(process)) {}

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
  WaitProcess(Io& io, std::shared_ptr<ProcessState> process)
      : ProcessSteps<Io>(io, std::move(process)) {}

  void start() {
    if (!this->process_.end) {
      if (auto error = this->check()) return this->io_.fail(std::move(error));
    }
    next();
  }

 private:
  void next() {
    if (this->process_.end) return this->io_.finish(*this->process_.end);
    this->look_for_end([this](std::exception_ptr error) {
      if (error) return this->fail(error);
      this->process_.end ? next() : this->pause(look_, [this] { next(); });
    });
  }

  Pace look_{longest_look};
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
      if (result.exit_code != 0) return failed(result.err);
      this->process_.look.hurry();
      this->process_.waker->wake();
      this->io_.finish();
    };
    program_.emplace(this->io_, Step(), then, "/bin/sh", std::move(params), true);
    program_->start();
  }

  void fail_ended() { ProcessSteps<Io>::fail("the program has ended", std::errc::no_such_process); }

 private:
  /// The reason may be that the program has ended.
  void failed(std::string_view said) {
    const auto why =
        make_error<AgentError>(GuestExecRequest::command, printable(said), Outcome::refused);
    this->ask([this, why](const std::exception_ptr& error) {
      if (error) return this->fail(error);
      this->process_.end ? fail_ended() : this->fail(why);
    });
  }

  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
};

/// The script that sends signal number $1 to the processes of a session, or else to the one that is
/// there alone: process $2. Where the system tells whose child that is, it has to be the agent's,
/// which is the parent of this shell: the number of a program that has ended may be another's.
/// The children are noted first: afterwards, the system does not tell whose they were.
inline constexpr std::string_view signal_script =
    "if [ -r /proc/self/status ] &&"
    " [ \"$(sed -n 's/^PPid:[[:space:]]*//p' \"/proc/$2/status\" 2>/dev/null)\" != \"$PPID\" ];"
    " then echo 'no such process' >&2; exit 1; fi\n"
    "qga_children=$(cat \"/proc/$2/task/$2/children\" 2>/dev/null)\n"
    "kill -\"$1\" -\"$2\" 2>/dev/null || kill -\"$1\" \"$2\"";

/// The arguments of a shell that sends a signal. SIGKILL can meet the program before its script has
/// removed the directory. In a terminal it meets only what runs the terminal, whose end is SIGHUP
/// for the program: one that ignores this is ended, too.
inline std::vector<std::string> signal_arguments(int signal, std::int64_t pid,
                                                 const std::string& directory, bool in_terminal) {
  std::string script(signal_script);
  if (signal == 9) {
    script += "; qga_end=$?; rm -rf -- \"$3\"";
    if (in_terminal) {
      script += "; for qga_child in $qga_children; do kill -9 -\"$qga_child\" 2>/dev/null; done";
    }
    script += "; exit $qga_end";
  }
  return {"-c", std::move(script), "sh", std::to_string(signal), std::to_string(pid), directory};
}

template <class Io>
class SignalProcess : ToolForProcess<Io> {
 public:
  SignalProcess(Io& io, std::shared_ptr<ProcessState> process, int signal)
      : ToolForProcess<Io>(io, std::move(process)), signal_(signal) {}

  void start() {
    if (signal_ < 1 || signal_ > 64) {
      return this->io_.fail(
          wrong_argument(GuestExecRequest::command, "a signal must be a number from 1 to 64"));
    }
    if (this->process_.end) return this->fail_ended();
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    const ProcessState& process = this->process_;
    this->run(signal_arguments(signal_, process.pid,
                               process.leave_behind ? std::string() : process.directory,
                               process.terminal.is_open()));
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
  ResizeProcess(Io& io, std::shared_ptr<ProcessState> process, unsigned rows, unsigned columns)
      : ToolForProcess<Io>(io, std::move(process)), rows_(rows), columns_(columns) {}

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
    if (this->process_.end) return this->fail_ended();
    if (!this->process_.terminal_name.empty()) return resize();
    const std::int64_t handle = this->process_.terminal.handle();
    this->io_.call(
        GuestFileSeekRequest(handle, 0, QGASeek::set),
        [this](std::exception_ptr error, const GuestFileSeek&) { error_ = std::move(error); });
    this->io_.call(GuestFileReadRequest(handle, 4096),
                   [this](std::exception_ptr error, const GuestFileRead& reply) {
                     if (error_ || error) return this->fail(error_ ? error_ : error);
                     read_name(reply.buf_b64);
                   });
  }

  void read_name(std::string_view said) {
    const auto at = said.find("/dev/");
    const auto end = said.find('\n', at);
    if (at != said.npos && end != said.npos) {
      this->process_.terminal_name = said.substr(at, end - at);
      return resize();
    }
    // The terminal is only about to be made, or it cannot be made.
    this->look_for_end([this](std::exception_ptr error) {
      if (error) return this->fail(error);
      this->process_.end ? find() : this->pause(pace_, [this] { find(); });
    });
  }

  void resize() {
    this->run({"-c", std::string(resize_script), "sh", std::to_string(rows_),
               std::to_string(columns_), this->process_.terminal_name});
  }

  unsigned rows_;
  unsigned columns_;
  std::exception_ptr error_;
  Pace pace_{longest_look};
};

}  // namespace qga::inline v0_1::detail
