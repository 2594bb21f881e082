// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs of a faked guest: functions of a test that stand for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/helpers/start_params.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::testing {

namespace detail {

/// A function has used an input that the client has not closed yet.
class InputIsOpen : public std::logic_error {
 public:
  InputIsOpen()
      : std::logic_error("the input is not complete: read it by RunningProgram::on_input") {}
};

}  // namespace detail

/// The bytes of a program's standard input, to be used as a string.
class ProgramInput {
 public:
  ProgramInput() = default;
  /// All of the input.
  ProgramInput(std::string bytes)  // NOLINT(google-explicit-constructor): it is a string
      : bytes_(std::move(bytes)) {}
  /// For the library itself: an input that the client has not closed yet.
  static ProgramInput not_closed() {
    ProgramInput input;
    input.is_closed_ = false;
    return input;
  }

  /// All bytes. Where the client has not closed the input of a program that it has started, this
  /// throws, to the library: see `Program`.
  const std::string& str() const {
    if (!is_closed_) throw detail::InputIsOpen();
    return bytes_;
  }
  /// The same as `str`, where a string is expected.
  operator const std::string&() const { return str(); }  // NOLINT(google-explicit-constructor)
  /// The same as `str`, where a view is expected.
  operator std::string_view() const { return str(); }  // NOLINT(google-explicit-constructor)
  /// Whether there is none; as `str`.
  bool empty() const { return str().empty(); }
  /// How many bytes; as `str`.
  std::size_t size() const { return str().size(); }
  /// The first byte; as `str`.
  auto begin() const { return str().begin(); }
  /// Behind the last byte; as `str`.
  auto end() const { return str().end(); }

  friend bool operator==(const ProgramInput& input, std::string_view bytes) {
    return input.str() == bytes;
  }
  friend std::string operator+(std::string text, const ProgramInput& input) {
    return std::move(text) + input.str();
  }
  friend std::string operator+(const ProgramInput& input, std::string_view text) {
    return input.str() + std::string(text);
  }

 private:
  std::string bytes_;
  bool is_closed_ = true;
};

/// How a client has started a program.
struct ProgramCall {
  std::string path = {};               ///< as the client has named it
  std::vector<std::string> args = {};  ///< without the program itself
  /// `NAME=value` each, as the client has set or added them; `TERM`, too, where there is a
  /// terminal.
  std::vector<std::string> env = {};
  ProgramInput input = {};     ///< bytes of its standard input
  std::string cwd = "/";       ///< working directory
  std::string user = {};       ///< as the client has named it; empty: the agent's own
  bool inherits_env = true;    ///< whether it has the agent's environment, beside `env`
  bool has_terminal = false;   ///< whether it runs in a terminal; see `RunningProgram::terminal`
  bool merges_output = false;  ///< whether its standard error goes where its standard output goes

  /// The value of a variable that the client has set or added; none: it has not.
  std::optional<std::string> variable(std::string_view name) const {
    std::optional<std::string> value;
    for (const std::string& one : env) {
      if (one.starts_with(name) && one.substr(name.size(), 1) == "=") {
        value = one.substr(name.size() + 1);
      }
    }
    return value;
  }
};

/// How a program of a faked guest ends.
struct ProgramResult {
  std::int64_t exit_code = 0;  ///< of a program that ends by itself
  std::string out = {};        ///< bytes that it writes to its standard output when it begins
  std::string err = {};        ///< bytes that it writes to its standard error when it begins
  /// The signal that ended it; then there is no exit code.
  std::optional<std::int64_t> signal = {};
  /// How long it runs after its start. `Clock::duration::max()`: until it is killed.
  Clock::duration runs_for = {};
};

/// A function that stands for a program. It runs when the program is started, where the agent runs
/// (see `Agent`), one call at a time and under no lock. Where it throws, the program has ended by
/// the signal 6 (SIGABRT), with the text of the exception on its standard error.
///
/// A program that was started by `start` gets its input later. Where the function uses `input`
/// then, that throws, and the function is called a second time when the client has closed the
/// input, with all of it. So it should use its input before it does anything else that counts.
using Program = std::function<ProgramResult(const ProgramCall&)>;

class RunningProgram;

/// A function that stands for a program which does something while it runs; see `RunningProgram`.
/// It runs when and where a `Program` does, and the program runs on when it has returned.
using LiveProgram = std::function<void(RunningProgram&)>;

}  // namespace qga::inline v0_1::testing
