// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program of a faked guest while it runs, in the hands of a test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "qga/helpers/start_params.hpp"
#include "qga/params.hpp"
#include "qga/testing/detail/guest_process.hpp"
#include "qga/testing/program.hpp"

namespace qga::inline v0_1::testing {

/// A program of a faked guest that was started. A function that stands for a program gets one, and
/// says what the program does from then on:
///
///     guest.add_program("/bin/cat", [](RunningProgram& cat) {
///       cat.on_input([](RunningProgram& me, std::string_view bytes) {
///         bytes.empty() ? me.exit() : me.write(bytes);
///       });
///     });
///
/// It runs until `exit`, `end_by_signal`, or a signal of the client. The functions that it is given
/// run where the agent runs (see `Agent`), one at a time and under no lock; where one throws, the
/// program has ended by the signal 6 (SIGABRT), with the text of the exception on its standard
/// error.
///
/// It can be copied, and a copy may be kept and used on any thread: a test that holds one decides
/// itself when the program writes and ends. It must not be used when the guest is gone.
class RunningProgram {
 public:
  /// For the library itself.
  explicit RunningProgram(std::shared_ptr<detail::GuestProcess> process)
      : process_(std::move(process)) {}

  /// How the client has started it. Its `input` is complete only where it was started by `run`.
  const ProgramCall& call() const { return process_->call; }
  /// The process id in the faked guest.
  std::int64_t pid() const { return process_->pid; }
  /// False once it has ended, or the guest was restarted.
  bool is_running() const { return process_->is_running(); }

  /// Writes bytes; nothing where it has ended.
  /// @param bytes any bytes
  /// @param stream standard output or standard error; in a terminal both are one
  void write(std::string_view bytes, ProcessStream stream = ProcessStream::out) {
    process_->write(bytes, stream);
  }
  /// Ends it.
  /// @param code its exit code, 0 to 255
  void exit(std::int64_t code = 0) { process_->end({.exit_code = code}); }
  /// Ends it as a signal does. In a terminal, the client is told an exit code of 128 and the
  /// signal.
  /// @param number of the signal, such as 11
  void end_by_signal(std::int64_t number) { process_->end_by_signal(number); }

  /// Does something later, unless the program has ended by then.
  /// @param time from now or, in a function that was called by `after`, from when that was due.
  ///        Zero: at the client's next request. Time is looked at whenever a client asks something,
  ///        which it does 4 times a second at least while it reads or waits
  /// @param function what to do
  void after(Clock::duration time, std::function<void(RunningProgram&)> function) {
    process_->after(time, std::move(function));
  }
  /// Reads the input as it comes. Without this, the program reads nothing, and a client can write
  /// no more than a pipe holds.
  /// @param function is called with each piece of the input, and with no bytes at the end of it
  void on_input(std::function<void(RunningProgram&, std::string_view)> function) {
    process_->on_input(std::move(function));
  }
  /// Handles signals. Without this, they do what they do to any program: most of them end it.
  /// @param function is called with the number of each signal but 9 (SIGKILL), and may do nothing
  void on_signal(std::function<void(RunningProgram&, int)> function) {
    process_->on_signal(std::move(function));
  }

  /// The terminal, with its size now; none: it runs in none. The signal 28 (SIGWINCH) tells that
  /// the size has changed.
  std::optional<Terminal> terminal() const { return process_->terminal(); }
  /// Says whether the terminal passes all bytes as they are. At first it does not, as a real one:
  /// it shows what is typed, hands it over in lines, and makes signals of Ctrl-C and Ctrl-\.
  void set_raw(bool raw) { process_->set_raw(raw); }

 private:
  std::shared_ptr<detail::GuestProcess> process_;
};

}  // namespace qga::inline v0_1::testing
