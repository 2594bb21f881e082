// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes an archive of a directory of this machine.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "archive.hpp"

namespace qga_tool {

/// Gets the next bytes of an archive.
using ArchiveSink = std::function<void(std::string_view)>;

struct PackOptions {
  bool owner = false;         ///< tells owner and group, by number, and set-user-id bits
  bool new_directory = true;  ///< tells the mode and time of the directory itself
  TreeProgress progress;
  TreeRefusal refuse = [](const std::string&) {};
  std::function<void(const std::string& name)> packed_file;  ///< is told each regular file
};

/// Writes an archive that every `tar` can read, in memory that does not grow with it. Symbolic
/// links are packed as such. What cannot be read, devices, FIFOs and sockets are refused.
/// @param count is kept up to date, also where this fails
/// @throws ArchiveError a path or a file is too long for an archive; what `sink` throws
void pack(const std::filesystem::path& directory, ArchiveSink sink, const PackOptions& options,
          TreeCount& count);

}  // namespace qga_tool
