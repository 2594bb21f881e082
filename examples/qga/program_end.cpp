// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes an exit code of a program's end. A code of Windows has 32 bits, of which only 8 fit here.
#include "program_end.hpp"

#include <iomanip>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>

#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

std::optional<int> fitting_code(const ProgramEnd& end) {
  const std::int64_t code = end.exit_code.value_or(-1);
  if (code >= 0 && code <= 255) return static_cast<int>(code);
  const std::int64_t signal = end.signal.value_or(0);
  if (!end.exit_code && signal > 0 && signal < 127) return static_cast<int>(128 + signal);
  return std::nullopt;
}

/// A number as it is and, where it has 32 bits and more than 8, as Windows's documentation has it:
/// in hexadecimal.
std::string code_text(std::int64_t code) {
  std::ostringstream text;
  text << code;
  const bool is_short = code > 0 && code <= 255;
  if (!is_short && code >= std::numeric_limits<std::int32_t>::min() &&
      code <= std::numeric_limits<std::uint32_t>::max()) {
    text << " (0x" << std::hex << std::setfill('0') << std::setw(8)
         << static_cast<std::uint32_t>(code) << ")";
  }
  return text.str();
}

}  // namespace

std::string end_text(const ProgramEnd& end) {
  if (end.exit_code) return "the program ended with exit code " + code_text(*end.exit_code);
  // A Windows agent has the number of an exception for a signal.
  if (end.signal) return "the program ended by signal or exception " + code_text(*end.signal);
  return "the guest does not say how the program ended";
}

int exit_code_of(const ProgramEnd& end) { return fitting_code(end).value_or(exit_no_code); }

namespace {

/// An agent tells why a program cannot be started by a text alone: `Failed to execute child process
/// “x” (No such file or directory)`. The setup of a program that is followed has a text of its own.
int code_of_refusal(const qga::AgentError& error) {
  if (std::string_view(error.what()).starts_with("start: no such program: ")) {
    return exit_no_program;
  }
  std::string_view reason = error.desc();
  if (reason.find("Failed to execute child process") == std::string_view::npos) return exit_failed;
  reason = reason.substr(0, reason.find_last_not_of("'. \n") + 1);
  return reason.ends_with("(No such file or directory)") ? exit_no_program : exit_cannot_run;
}

}  // namespace

NotStartedError::NotStartedError(const qga::AgentError& error, const std::string& hint)
    : std::runtime_error(error.what() + hint), exit_code_(code_of_refusal(error)) {}

int exit_as(const ProgramEnd& end) {
  if (const std::optional<int> code = fitting_code(end)) return *code;
  complain(end_text(end) + "; qga exits with " + std::to_string(exit_no_code));
  return exit_no_code;
}

}  // namespace qga_tool
