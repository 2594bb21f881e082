// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What packing and unpacking an archive have in common: how far they have got, and what went wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <archive.h>
#include <archive_entry.h>

namespace qga_tool {

/// How far a copy has got.
struct TreeCount {
  std::uint64_t files = 0;  ///< and directories, and all else that has a name
  std::uint64_t bytes = 0;  ///< of the contents of files
};

/// An archive that makes no sense, or that cannot be written.
class ArchiveError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Is told how far a copy has got.
using TreeProgress = std::function<void(const TreeCount&)>;
/// Is told of a file that cannot be copied, and why. The others are.
using TreeRefusal = std::function<void(const std::string& reason)>;

struct FreeArchive {
  void operator()(archive* which) const { ::archive_free(which); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;

/// What libarchive says about its last failure.
inline std::string failure_of(archive* which) {
  const char* const text = ::archive_error_string(which);
  return text != nullptr ? text : "libarchive does not say why";
}

/// The part of a mode that a copy has. Without the owner, a set-user-id bit would mean another
/// user.
inline mode_t copied_mode(mode_t mode, bool owner) { return mode & (owner ? 07777 : 0777); }

}  // namespace qga_tool
