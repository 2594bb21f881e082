// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Where an agent listens. Removed in the end, with the directory where that is its own.
#pragma once

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <stdlib.h>

namespace qga::inline v0_1::testing::detail {

class SocketPath {
 public:
  /// @param path empty: one in a private directory
  /// @throws std::system_error the directory cannot be made
  explicit SocketPath(std::string path) : path_(std::move(path)) {
    if (!path_.empty()) return;
    directory_ = (std::filesystem::temp_directory_path() / "qga-XXXXXX").string();
    if (::mkdtemp(directory_.data()) == nullptr) {
      throw std::system_error(errno, std::system_category(), directory_);
    }
    path_ = directory_ + "/qga.sock";
  }
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;
  ~SocketPath() {
    std::error_code ignored;
    if (bound_) std::filesystem::remove(path_, ignored);
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  const std::string& get() const { return path_; }
  /// The socket is there, and has to be removed.
  void set_bound() { bound_ = true; }

 private:
  std::string path_;
  std::string directory_;
  bool bound_ = false;
};

}  // namespace qga::inline v0_1::testing::detail
