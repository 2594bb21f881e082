// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How the tool ends where a program of the guest has ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

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

}  // namespace qga_tool
