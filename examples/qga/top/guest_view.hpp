// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One guest's own screen as lines: processors, memory, disks, network interfaces and file systems.
#pragma once

#include <vector>

#include "line.hpp"
#include "watchers.hpp"

namespace qga_tool::top {

/// All lines, which may be more than the screen has. On a wide screen they are in two columns.
std::vector<Line> guest_lines(const Watched& guest, int width);

}  // namespace qga_tool::top
