// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Starts a program whose outputs are files of the guest and whose input is a FIFO or a file.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/detail/protocol/random.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/process_end.hpp"
#include "qga/helpers/process_state.hpp"
#include "qga/helpers/start_script.hpp"
#include "qga/helpers/upload.hpp"

namespace qga::inline v0_1::detail {

/// The result is what is known of the program.
template <class Io>
class StartProgram {
 public:
  /// @param content of the input, where that is a file
  StartProgram(Io& io, Program program, std::string content)
      : io_(io), program_(std::move(program)), content_(std::move(content)) {}

  void start() {
    if (auto error = check_program(program_)) return io_.fail(std::move(error));
    const auto random = random_bits();
    std::array<char, 33> name{};
    static_cast<void>(std::snprintf(name.data(), name.size(), "%016llx%016llx",
                                    static_cast<unsigned long long>(random[0]),
                                    static_cast<unsigned long long>(random[1])));
    program_.directory = "/tmp/qga-" + std::string(name.data());
    set_up();
  }

 private:
  static constexpr Clock::duration cleanup_time = std::chrono::seconds(10);
  /// Writes of this length are atomic: POSIX promises 512 bytes, Linux 4096. Encoded, a piece and
  /// the flush behind it have to fit into what is sent before an answer (`window_bytes`).
  static constexpr std::size_t piece_of_linux = 2816;
  static constexpr std::size_t piece_of_posix = 512;

  void set_up() {
    RunParams params;
    params.args = {"-c", std::string(setup_command)};
    params.input = setup_script(program_);
    params.kill = true;
    const Step harmless{.harmless = true};  // it leaves nothing where it fails
    run("/bin/sh", std::move(params), harmless, [this](std::exception_ptr error, RunResult made) {
      if (error && outcome_of(error) == Outcome::unknown) return undo(std::move(error));
      if (error) return no_shell(error);
      if (made.exit_code != 0) {
        made.err.erase(made.err.find_last_not_of('\n') + 1);
        const std::string why = made.err.empty() ? "the guest's shell failed, and does not say why"
                                                 : printable(made.err);
        return io_.fail(make_error<AgentError>("start", why, Outcome::refused));
      }
      read_setup(made.out);
      program_.input == InputKind::file ? send_input() : open_files();
    });
  }

  void no_shell(const std::exception_ptr& error) {
    if (failure_of(error) != nullptr) {
      visit_error(error, [](GuestAgentError& known) {
        ErrorAccess::set_text(known, std::string(known.what()) +
                                         "; the guest must have a POSIX shell as /bin/sh for this");
      });
    }
    io_.fail(error);
  }

  /// Lines of the script: the system, the kind of `script`, where the outputs are. What is too long
  /// to be one of these counts as missing.
  void read_setup(std::string_view said) {
    constexpr std::size_t longest_line = 64;
    std::array<std::string, 4> lines;
    for (std::string& line : lines) {
      const std::size_t end = said.find('\n');
      if (end == said.npos) break;
      if (end <= longest_line) line = said.substr(0, end);
      said.remove_prefix(end + 1);
    }
    is_linux_ = lines[0] == "Linux";
    script_ = lines[1];
    state_->piece = is_linux_ ? piece_of_linux : piece_of_posix;
    state_->directory = program_.directory;
    state_->leave_behind = program_.params.leave_behind;
    state_->outputs.resize(program_.params.merge || program_.params.terminal ? 1 : 2);
    for (std::size_t i = 0; i < state_->outputs.size(); ++i) {
      state_->outputs[i].stream = i == 0 ? ProcessStream::out : ProcessStream::err;
      state_->outputs[i].inode = lines[2 + i];
    }
  }

  void send_input() {
    const auto then = [this](std::exception_ptr error, const TransferResult&) {
      error ? undo(std::move(error)) : open_files();
    };
    upload_.emplace(io_, Step(), then, std::make_shared<TextSource>(std::move(content_)),
                    program_.directory + "/input", TransferParams(), false);
    upload_->start();
  }

  void open_files() {
    for (OutputFile& output : state_->outputs) {
      open(output.stream == ProcessStream::out ? "/out" : "/err", "r", output.file);
    }
    if (program_.params.terminal) open("/err", "r", state_->terminal);
    // The agent opens it for reading, too. So opening does not wait, and the end of the program
    // does not break the pipe.
    if (program_.input == InputKind::fifo) open("/in", "r+", state_->input);
  }

  void open(const std::string& name, std::string mode, File& file) {
    ++in_flight_;
    io_.call(GuestFileOpenRequest(program_.directory + name, std::move(mode)),
             [this, &file](std::exception_ptr error, std::int64_t handle) {
               if (!error) file = File(handle, io_.guard(GuestFileCloseRequest(handle)));
               if (error && !error_) error_ = std::move(error);
               if (--in_flight_ > 0) return;
               error_ ? undo(error_) : execute();
             },
             {.cancel = Cancel::unsent, .harmless = true});
  }

  void execute() {
    GuestExecParams exec;
    exec.args = {program_.directory + "/run", script_};
    io_.call(GuestExecRequest("/bin/sh", std::move(exec)),
             [this](std::exception_ptr error, const GuestExec& started) {
               if (error) return undo(std::move(error));
               state_->pid = started.pid;
               if (!state_->leave_behind) state_->guard = io_.guard(kill_request(started.pid));
               watch();
             },
             {.cancel = Cancel::unsent});
  }

  /// As long as the process is there, the file below /proc can be read. Where it stands beyond its
  /// end, each read asks the kernel.
  void watch() {
    if (!is_linux_) return finish();
    io_.call(GuestFileOpenRequest("/proc/" + std::to_string(state_->pid) + "/cmdline", "r"),
             [this](const std::exception_ptr& error, std::int64_t handle) {
               if (error) return finish();
               state_->life = File(handle, io_.guard(GuestFileCloseRequest(handle)));
               io_.call(GuestFileSeekRequest(handle, 1 << 30, QGASeek::set),
                        [this](const std::exception_ptr& unmoved, const GuestFileSeek&) {
                          if (unmoved) state_->life = File();
                          finish();
                        },
                        {.cancel = Cancel::never});
             },
             {.cancel = Cancel::unsent});
  }

  void finish() {
    state_->client = state_->outputs.front().file.guard()->client();
    io_.finish(std::move(state_));
  }

  GuestExecRequest kill_request(std::int64_t pid) const {
    GuestExecParams params;
    params.args =
        signal_arguments(9, pid, program_.directory, program_.params.terminal.has_value());
    return GuestExecRequest("/bin/sh", std::move(params));
  }

  /// Removes the directory, and with it the script: a program that is started late does not run.
  void undo(std::exception_ptr error) {
    RunParams params;
    params.args = {"-rf", "--", program_.directory};
    const Step limit = cleaning_up(deadline_after(cleanup_time, io_.now()));
    run("/bin/rm", std::move(params), limit,
        [this, error](const std::exception_ptr&, const RunResult&) { io_.fail(error); });
  }

  void run(std::string path, RunParams params, Step limit, Continuation<RunResult> then) {
    tool_.emplace(io_, limit, std::move(then), std::move(path), std::move(params), true);
    tool_->start();
  }

  Io& io_;
  Program program_;
  std::string content_;
  bool is_linux_ = false;
  std::string script_;
  std::shared_ptr<ProcessState> state_ = std::make_shared<ProcessState>();
  std::size_t in_flight_ = 0;
  std::exception_ptr error_;
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> tool_;
  std::optional<SubAlgorithm<Io, TransferResult, Upload>> upload_;
};

}  // namespace qga::inline v0_1::detail
