// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs a program on this machine while a guest is frozen, and makes sure that it ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <qga/client.hpp>

#include "stop.hpp"

namespace qga_tool {

struct HostResult {
  int exit_code = 0;    ///< 126 and 127 as env(1) has them
  std::string failure;  ///< text for the user; empty where the program ended by itself
};

/// Looks for a program, so that nothing has to be begun for one that is not there.
/// @return how running it would end; nothing: there is such a program
std::optional<HostResult> missing_program(const std::string& name);

/// Runs a program, passes on signals that ask the tool to end, and kills the program where it does
/// not end in time.
/// @param until when the program is asked to end
/// @param stdout_is_ours true: what the program writes to stdout goes to stderr
HostResult run_on_host(const Stop& stop, const std::vector<std::string>& program,
                       qga::Clock::time_point until, bool stdout_is_ours);

}  // namespace qga_tool
