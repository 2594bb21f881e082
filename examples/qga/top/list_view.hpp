// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The list of guests as lines: a heading, and a line for each guest. What does not fit into a
// narrow screen is left out, the least important first.
#pragma once

#include <span>
#include <vector>

#include "line.hpp"
#include "row.hpp"

namespace qga_tool::top {

Line list_heading(std::span<const Row> rows, const Order& order, int width);

/// @param rows all that are listed, because they decide how wide the columns are
/// @param first the index of the first row that is shown
/// @param selected the index of the row that the cursor is on
std::vector<Line> list_lines(std::span<const Row> rows, std::size_t first, std::size_t count,
                             std::size_t selected, int width);

}  // namespace qga_tool::top
