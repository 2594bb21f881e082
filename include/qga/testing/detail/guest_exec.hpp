// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a faked guest does about a `guest-exec`: it starts the function that stands for the program,
// or does what a command of the library's own helpers asks for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/params.hpp"
#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/detail/guest_files.hpp"
#include "qga/testing/detail/guest_process.hpp"
#include "qga/testing/detail/guest_programs.hpp"
#include "qga/testing/detail/guest_shell.hpp"
#include "qga/testing/detail/start_script_parser.hpp"
#include "qga/testing/program.hpp"
#include "qga/testing/running_program.hpp"

namespace qga::inline v0_1::testing::detail {

/// Does what the result of a function says.
inline void apply(RunningProgram& program, const ProgramResult& result) {
  program.write(result.out);
  program.write(result.err, ProcessStream::err);
  const auto end = [code = result.exit_code, signal = result.signal](RunningProgram& ending) {
    signal ? ending.end_by_signal(*signal) : ending.exit(code);
  };
  result.runs_for > Clock::duration::zero() ? program.after(result.runs_for, end) : end(program);
}

/// Makes a program that does something while it runs of one that only has a result. It waits for
/// the end of its input where it uses that.
inline LiveProgram live(Program function) {
  return [called = std::make_shared<Program>(std::move(function))](RunningProgram& program) {
    try {
      apply(program, (*called)(program.call()));
    } catch (const InputIsOpen&) {
      const auto input = std::make_shared<std::string>();
      program.on_input([called, input](RunningProgram& waiting, std::string_view piece) {
        *input += piece;
        if (!piece.empty()) return;
        ProgramCall call = waiting.call();
        call.input = std::move(*input);
        apply(waiting, (*called)(call));
      });
    }
  };
}

/// The mutex of the guest is locked for its files and programs, and not while functions of a test
/// run.
class GuestExecutor {
 public:
  GuestExecutor(std::mutex& mutex, GuestFiles& files, GuestPrograms& programs)
      : mutex_(mutex), files_(files), programs_(programs) {}

  /// Carries a `guest-exec` out.
  /// @return the process id
  std::int64_t exec(const Arguments& given) {
    ProgramCall call{given.text("path"), given.texts("arg"), given.texts("env"),
                     given.bytes("input-data")};
    call.inherits_env = call.env.empty();
    const Capture capture = Capture::of(given);
    call.merges_output = capture.merged;
    const ShellCommand command = ShellCommand::of(call);
    switch (command.kind) {
      case ShellCommand::Kind::none:
        return start(std::move(call), capture);
      case ShellCommand::Kind::feed:
        return feed(command, capture);
      case ShellCommand::Kind::begin:
        return begin(command.path);
      default:
        break;
    }
    std::shared_ptr<GuestProcess> tool;
    ProgramResult result;
    {
      const std::lock_guard lock(mutex_);
      result = run_tool(command, call);
      tool = programs_.start(mutex_, std::move(call), capture.outputs(), true, closed_pipe());
    }
    RunningProgram running(tool);
    apply(running, result);
    return tool->pid;
  }

  /// Does all that programs have to do by now.
  void advance() {
    const auto now = Clock::now();
    for (;;) {
      std::shared_ptr<GuestProcess> process;
      GuestProcess::Event event;
      {
        const std::lock_guard lock(mutex_);
        for (const auto& one : programs_.all()) {
          event = one->next_event(now);
          if (!event) continue;
          process = one;
          break;
        }
      }
      if (!process) return;
      call(event, process);
    }
  }

  /// Ends all programs, as a reboot does. What was set up to be started is gone, too.
  void end_all() {
    std::vector<std::shared_ptr<GuestProcess>> all;
    {
      const std::lock_guard lock(mutex_);
      all = programs_.all();
      programs_.restart();
      set_up_.clear();
    }
    for (const auto& process : all) process->end({.signal = 9});
  }

 private:
  static std::shared_ptr<Pipe> closed_pipe(std::string bytes = {}) {
    auto pipe = std::make_shared<Pipe>();
    pipe->bytes = std::move(bytes);
    pipe->closed = true;
    return pipe;
  }

  static void call(const GuestProcess::Event& event, const std::shared_ptr<GuestProcess>& process) {
    RunningProgram program(process);
    const auto abort = [&](std::string_view why) {
      program.write(why, ProcessStream::err);
      program.end_by_signal(6);
    };
    try {
      event(program);
    } catch (const std::exception& error) {
      abort(error.what());
    } catch (...) {
      abort("");
    }
  }

  // ---- programs --------------------------------------------------------------------------------

  std::int64_t start(ProgramCall call, const Capture& capture) {
    std::shared_ptr<LiveProgram> function;
    std::shared_ptr<GuestProcess> process;
    {
      const std::lock_guard lock(mutex_);
      function = programs_.find(call.path);
      if (!function) {
        throw CommandFailed(
            "Guest agent command failed, error was 'Failed to execute child process \u201C" +
            call.path + "\u201D (No such file or directory)'");
      }
      auto input = closed_pipe(call.input);
      process = programs_.start(mutex_, std::move(call), capture.outputs(), true, std::move(input));
    }
    GuestExecutor::call(*function, process);
    return process->pid;
  }

  std::int64_t feed(const ShellCommand& command, const Capture& capture) {
    ProgramCall call = command.program;
    call.merges_output = capture.merged;
    std::shared_ptr<LiveProgram> function;
    std::shared_ptr<GuestProcess> process;
    {
      const std::lock_guard lock(mutex_);
      std::string input = std::move(*file_of(files_.contents, command.path));
      files_.contents.erase(command.path);
      call.input = input;
      function = programs_.find(call.path);
      process = programs_.start(mutex_, std::move(call), capture.outputs(), true,
                                closed_pipe(std::move(input)));
    }
    become(function, process, "sh: 1: exec: ");
    return process->pid;
  }

  /// Has a shell become a program.
  /// @param function null: there is no such program
  static void become(const std::shared_ptr<LiveProgram>& function,
                     const std::shared_ptr<GuestProcess>& process, std::string_view shell) {
    if (function) return call(*function, process);
    RunningProgram program(process);
    program.write(std::string(shell) + process->call.path + ": not found\n", ProcessStream::err);
    program.exit(127);
  }

  /// Starts a program that was set up.
  std::int64_t begin(const std::string& directory) {
    std::shared_ptr<LiveProgram> function;
    std::shared_ptr<GuestProcess> process;
    {
      const std::lock_guard lock(mutex_);
      const auto found = set_up_.find(directory);
      if (found == set_up_.end()) {
        process = programs_.start(mutex_, {.path = directory + "/run"}, {}, false, closed_pipe());
      } else {
        function = programs_.find(found->second.path);
        process = begin(found->second);
      }
    }
    become(function, process, "sh: 1: exec: ");
    return process->pid;
  }

  std::shared_ptr<GuestProcess> begin(const StartedProgram& program) {
    const StartParams& params = program.params;
    const std::string& directory = program.directory;
    using qga::detail::InputKind;
    ProgramCall call{program.path, params.args, qga::detail::variables_of(params)};
    call.cwd = params.cwd;
    call.user = params.user;
    call.inherits_env = !params.env;
    call.has_terminal = params.terminal.has_value();
    call.merges_output = params.merge || call.has_terminal;
    std::shared_ptr<Pipe> input;
    if (program.input == InputKind::fifo) {
      call.input = ProgramInput::not_closed();
      input = files_.pipes[directory + "/in"];
    } else {
      const auto file = files_.contents.find(directory + "/input");
      if (file != files_.contents.end()) call.input = *file->second;
      input = closed_pipe(call.input);
    }
    Outputs outputs{file_of(files_.contents, directory + "/out"), {}};
    const auto err = file_of(files_.contents, directory + "/err");
    outputs.err = params.merge ? outputs.out : err;
    std::optional<GuestTerminal> terminal;
    if (params.terminal) {
      call.env.insert(call.env.begin(), "TERM=" + params.terminal->type);
      terminal.emplace();
      terminal->size = *params.terminal;
      terminal->name = "/dev/pts/" + std::to_string(next_terminal_++);
      *err += terminal->name + '\n';
    }
    if (!params.leave_behind) files_.remove_directory(directory);
    set_up_.erase(directory);
    return programs_.start(mutex_, std::move(call), std::move(outputs), false, std::move(input),
                           std::move(terminal));
  }

  // ---- commands of the library's helpers -------------------------------------------------------

  ProgramResult run_tool(const ShellCommand& command, const ProgramCall& call) {
    using Kind = ShellCommand::Kind;
    FileTable& files = files_.contents;
    switch (command.kind) {
      case Kind::create:
        file_of(files, command.path);
        return {};
      case Kind::remove:
        files.erase(command.path);
        return {};
      case Kind::clear:
        set_up_.erase(command.path);
        files_.remove_directory(command.path);
        return {};
      case Kind::hash_none:
        return {.out = ShellCommand::sha256sum({})};
      case Kind::hash: {
        const auto file = file_of(files, command.path);
        const std::string_view bytes = *file;
        const std::size_t offset = std::min(command.offset, bytes.size());
        return {.out = ShellCommand::sha256sum(bytes.substr(offset, command.bytes))};
      }
      case Kind::set_up:
        return set_up(call.input);
      case Kind::signal: {
        const auto process = programs_.running(command.pid);
        if (!process) return {.exit_code = 1, .err = "no such process\n"};
        process->signal(command.signal);
        return {};
      }
      case Kind::resize: {
        const auto process = programs_.in_terminal(command.path);
        if (!process) {
          return {.exit_code = 2, .err = "sh: 1: cannot open " + command.path + ": No such file\n"};
        }
        process->resize(command.rows, command.columns);
        return {};
      }
      default:
        return {};
    }
  }

  /// Makes the directory of a program that is to be started.
  ProgramResult set_up(const std::string& script) {
    const std::optional<StartedProgram> program = parse_setup_script(script);
    if (!program) {
      return {.exit_code = 2,
              .err = "the faked guest must know the script of this version of the library"};
    }
    if (program->params.user.empty() && !programs_.find(program->path)) {
      return {.exit_code = 1, .err = "no such program: " + program->path + '\n'};
    }
    const std::string& directory = program->directory;
    for (const char* const output : {"/out", "/err"}) file_of(files_.contents, directory + output);
    if (program->input == qga::detail::InputKind::fifo) {
      files_.pipes[directory + "/in"] = std::make_shared<Pipe>();
    }
    set_up_[directory] = *program;
    return {.out = program->params.terminal ? "Linux\nutil-linux\n" : "Linux\nnone\n"};
  }

  std::mutex& mutex_;
  GuestFiles& files_;
  GuestPrograms& programs_;
  std::map<std::string, StartedProgram> set_up_;  ///< by directory
  int next_terminal_ = 0;
};

}  // namespace qga::inline v0_1::testing::detail
