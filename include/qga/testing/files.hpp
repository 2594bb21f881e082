// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The files of a faked guest, as a test sets and reads them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qga::inline v0_1::testing {

namespace detail {

/// Files by path. A file that is open, or that a program writes, is there without its path, too.
using FileTable = std::map<std::string, std::shared_ptr<std::string>>;

/// @return the bytes of a file, which is made where there is none
inline std::shared_ptr<std::string> file_of(FileTable& files, const std::string& path) {
  std::shared_ptr<std::string>& file = files[path];
  if (!file) file = std::make_shared<std::string>();
  return file;
}

}  // namespace detail

/// The contents of one file of a faked guest. It must not outlive the guest.
class FileContents {
 public:
  /// For the library itself.
  FileContents(std::mutex& mutex, detail::FileTable& files, std::string path)
      : mutex_(mutex), files_(files), path_(std::move(path)) {}

  /// Makes the file, or replaces what it holds.
  /// @param bytes any
  FileContents& operator=(std::string bytes) {
    const std::lock_guard lock(mutex_);
    *detail::file_of(files_, path_) = std::move(bytes);
    return *this;
  }
  FileContents(const FileContents&) = default;
  /// Makes the file hold what another one holds.
  FileContents& operator=(const FileContents& other) { return *this = other.str(); }

  /// What the file holds; empty where there is none.
  std::string str() const {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(path_);
    return found != files_.end() ? *found->second : std::string();
  }
  /// What the file holds; empty where there is none.
  operator std::string() const { return str(); }  // NOLINT(google-explicit-constructor)

  friend bool operator==(const FileContents& file, std::string_view bytes) {
    return file.str() == bytes;
  }

 private:
  std::mutex& mutex_;
  detail::FileTable& files_;
  std::string path_;
};

/// The files of a faked guest, by path. It may be used on any thread, and must not outlive the
/// guest.
class Files {
 public:
  /// For the library itself.
  Files(std::mutex& mutex, detail::FileTable& files) : mutex_(mutex), files_(files) {}

  /// The contents of a file, to set or to read. Asking for them makes no file.
  FileContents operator[](std::string path) const {
    return FileContents(mutex_, files_, std::move(path));
  }
  /// Whether there is such a file.
  bool contains(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return files_.contains(path);
  }
  /// Removes a file, where there is one.
  void erase(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    files_.erase(path);
  }
  /// The paths of all files, in the order of the alphabet.
  std::vector<std::string> paths() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [path, bytes] : files_) all.push_back(path);
    return all;
  }

 private:
  std::mutex& mutex_;
  detail::FileTable& files_;
};

}  // namespace qga::inline v0_1::testing
