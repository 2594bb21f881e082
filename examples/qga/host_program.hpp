// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program on this machine that runs while a guest is frozen: it must come to an end.
#pragma once

#include <string>
#include <vector>

#include <qga/client.hpp>

#include "stop.hpp"

namespace qga_tool {

struct HostResult {
  int exit_code = 0;    ///< as a shell has it: 127 where there is no such program
  std::string failure;  ///< what the user has to be told, if anything
};

/// Runs a program, hands on signals that ask us to end, and kills it where it does not end in time.
/// @param until when it is asked to end
/// @param stdout_is_ours what it writes there goes to stderr
HostResult run_on_host(const Stop& stop, const std::vector<std::string>& program,
                       qga::Clock::time_point until, bool stdout_is_ours);

}  // namespace qga_tool
