// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes the files of an archive that a guest sends into a directory, and nowhere else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "archive.hpp"

namespace qga_tool {

/// Gives the next bytes of an archive, which stay until the next call; none: its end.
using ArchiveSource = std::function<std::string_view()>;

struct UnpackOptions {
  bool owner = false;         ///< sets owner and group, by number, and keeps set-user-id bits
  bool new_directory = true;  ///< the directory itself gets the mode and time of the archive's
  std::uint64_t max_files = 10'000'000;  ///< an archive with more is refused
  TreeProgress progress;
  TreeRefusal refuse = [](const std::string&) {};
};

/// Unpacks an archive of `tar`, in memory that does not grow with it. Files that are there already
/// are replaced; symbolic links are never followed. Devices, FIFOs and sockets are refused.
/// @param count is kept up to date, also where this fails
/// @throws ArchiveError the archive is broken
/// @throws std::runtime_error it has a path that leads out of the directory, or too many files; a
///         file cannot be written. What was written until then stays
void unpack(ArchiveSource source, const std::filesystem::path& directory,
            const UnpackOptions& options, TreeCount& count);

}  // namespace qga_tool
