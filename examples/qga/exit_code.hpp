// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool's own exit codes, and which one an error has. The manual explains them.
#pragma once

#include <string_view>

namespace qga_tool {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_wrong_use = 2;
inline constexpr int exit_unreachable = 3;
inline constexpr int exit_without_freeze = 4;
inline constexpr int exit_too_long = 124;  ///< as with timeout(1)
inline constexpr int exit_no_code = 255;

/// The exit code for the exception that is being handled.
int code_of_error();
/// What kind of error the exception that is being handled is: `kind` in the JSON of many guests.
std::string_view kind_of_error();

}  // namespace qga_tool
