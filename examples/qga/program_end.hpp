// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How the tool ends where a program of the guest has ended, or could not be started.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include <qga/client.hpp>

namespace qga_tool {

/// How a program ended: neither of these where the guest does not say it.
struct ProgramEnd {
  std::optional<std::int64_t> exit_code;
  std::optional<std::int64_t> signal;
};

/// The tool's exit code for it, as a shell has it. Says so on stderr where the program's own does
/// not fit.
int exit_as(const ProgramEnd& end);

/// The same code, without a word.
int exit_code_of(const ProgramEnd& end);

/// How it ended, such as `the program ended with exit code 7`.
std::string end_text(const ProgramEnd& end);

/// A program could not be started.
class NotStartedError : public std::runtime_error {
 public:
  /// @param error the guest's refusal to start it
  /// @param hint is added to the error's text
  explicit NotStartedError(const qga::AgentError& error, const std::string& hint = "");
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

}  // namespace qga_tool
