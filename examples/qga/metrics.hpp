// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `metrics`: figures of guests for Prometheus. What it does is in the directory `metrics`, which is
// built where prometheus-cpp is.
#pragma once

#include <stdexcept>
#include <string>

#include "tool.hpp"

namespace qga_tool {

struct MetricsOptions {
  std::string listen;  ///< HOST:PORT; empty: print once
  std::string output;  ///< a file, instead of stdout
};

#ifdef QGA_TOOL_HAS_PROMETHEUS
/// Prints or serves the figures.
/// @return the exit code
int metrics(Tool& tool, const MetricsOptions& options);
#else
inline int metrics(Tool&, const MetricsOptions&) {
  throw std::runtime_error(
      "this qga has no metrics: it must be built with prometheus-cpp (prometheus-cpp-dev), and not "
      "statically");
}
#endif

}  // namespace qga_tool
