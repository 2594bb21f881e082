// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool's own exit codes, and which one an error has. The manual explains them.
#pragma once

#include <string_view>

namespace qga_tool {

struct Tool;

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_wrong_use = 2;
inline constexpr int exit_unreachable = 3;
// The codes of commands that exit as a program does, as env(1) and timeout(1) have them.
inline constexpr int exit_without_freeze = 123;
inline constexpr int exit_too_long = 124;
inline constexpr int exit_own_failure = 125;  ///< instead of 1, 2 and 3
inline constexpr int exit_cannot_run = 126;   ///< there is such a program, but it cannot be run
inline constexpr int exit_no_program = 127;   ///< there is no such program
inline constexpr int exit_closed_pipe = 141;  ///< as a program that SIGPIPE ends
inline constexpr int exit_no_code = 255;      ///< the program's own does not fit

/// The exit code for the exception that is being handled.
int code_of_error(const Tool& tool);
/// What kind of error the exception that is being handled is: `kind` in the JSON of many guests.
std::string_view kind_of_error();
/// Prints the exception that is being handled, and returns the exit code for it. Nothing is printed
/// where stdout is a closed pipe.
int explain_error(const Tool& tool);

}  // namespace qga_tool
