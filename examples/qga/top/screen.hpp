// SPDX-License-Identifier: LGPL-3.0-or-later
//
// top on a terminal: a screen that is drawn anew at each sample, and that keys change.
#pragma once

#include "../tool.hpp"
#include "ui.hpp"

namespace qga_tool::top {

/// Whether there is a terminal for it, and this build can use it.
bool has_screen();

/// Shows the guests until the user leaves.
/// @return the exit code
int show_screen(Tool& tool, Ui::Interval interval);

}  // namespace qga_tool::top
