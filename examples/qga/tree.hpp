// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `cp -r`: copies a directory through the guest's `tar`. What it does is in the directory `tree`,
// which is built where libarchive is.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "tool.hpp"

namespace qga_tool {

struct TreeOptions {
  bool to_host = false;
  std::string from;
  std::string to;
  bool verify = false;
  bool owner = false;
  std::uint64_t max_files = 10'000'000;
  std::optional<std::uint64_t> max_bytes;
  std::optional<double> limit;  ///< seconds, for all of it
};

#ifdef QGA_TOOL_HAS_LIBARCHIVE
/// Copies a directory.
/// @return the exit code; nothing where the source is no directory, and nothing was done
std::optional<int> copy_tree(Tool& tool, const TreeOptions& options);
#else
inline std::optional<int> copy_tree(Tool&, const TreeOptions&) {
  throw std::runtime_error(
      "this qga cannot cp -r: it must be built with libarchive (libarchive-dev), and not "
      "statically");
}
#endif

}  // namespace qga_tool
