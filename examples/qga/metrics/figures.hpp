// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes the text that Prometheus reads of what guests have answered, by its conventions: base
// units,
// `_total` for counters, each series once.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <qga/client.hpp>

#include "../watch.hpp"

namespace qga_tool {

/// A guest decides how many processors, disks, interfaces and file systems it has, and each has
/// several series. What is more than this is left out, and counted.
inline constexpr std::size_t most_processors = 256;
inline constexpr std::size_t most_devices = 128;  ///< of each kind
/// The longest value of a label in bytes. Longer ones are cut.
inline constexpr std::size_t longest_label = 128;

struct GuestFigures {
  std::string guest;  ///< its name
  Look look;
  std::optional<std::chrono::system_clock::time_point> last_thawed;
};

/// The text for all guests.
/// @param took how long it took to ask them
std::string metrics_text(const std::vector<GuestFigures>& guests, qga::Clock::duration took);

}  // namespace qga_tool
