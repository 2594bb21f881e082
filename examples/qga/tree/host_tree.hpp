// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A directory of this machine in which a guest's files are written and read. The guest chooses
// their names, so no name leads out of the directory, and no symbolic link is followed on the way.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace qga_tool {

/// A file that is open; closes it.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const { return fd_; }
  /// Closes it.
  /// @return false: `errno` tells what could not be written
  bool close();

 private:
  int fd_;
};

/// The parts of a path within the directory; none: the directory itself.
using Parts = std::vector<std::string>;

/// Splits a path that the guest has sent. A `.` is no part.
/// @throws std::runtime_error it is absolute, has `..`, or is longer than this system allows
Parts parts_of(std::string_view path);

/// The path that has these parts.
std::string path_of(const Parts& parts);

class HostTree {
 public:
  /// @throws std::system_error there is no such directory
  explicit HostTree(const std::filesystem::path& directory);

  /// A directory that is open until the next call.
  /// @param make makes what is missing of it
  /// @throws std::system_error a part is missing, or is not a directory, but a symbolic link, say
  int directory(const Parts& parts, bool make = false);
  /// The directory that holds the last of the parts.
  int parent(const Parts& parts, bool make = false);
  /// Opens a regular file for reading.
  /// @throws std::system_error it cannot be opened, or is no regular file
  Descriptor open_file(const Parts& parts);

 private:
  Descriptor root_;
  Parts at_;            ///< the parts of `reached_`
  Descriptor reached_;  ///< not open: the root
};

/// Throws what `errno` says about a path.
[[noreturn]] void fail_with_errno(const std::string& what, const Parts& parts);

}  // namespace qga_tool
