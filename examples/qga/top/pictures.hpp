// SPDX-License-Identifier: LGPL-3.0-or-later
//
// top without a screen: prints pictures, as text or as JSON, one after the other.
#pragma once

#include <cstdint>

#include "../tool.hpp"

namespace qga_tool::top {

struct PictureParams {
  qga::Clock::duration interval;
  std::uint64_t count = 0;  ///< 0: until a signal
  bool memory = false;      ///< of a single guest; that of many is always shown
};

/// One picture of one guest: tables of its processors, disks and interfaces.
/// @return the exit code
int print_pictures(Tool& tool, const PictureParams& params);

/// One picture of many guests: a table with a row for each.
/// @return the exit code
int print_pictures_of_many(Tool& tool, const PictureParams& params);

}  // namespace qga_tool::top
