// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Directories to be copied, how they look, and archives as a hostile guest makes them.
#pragma once

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "tool.hpp"

namespace qga_test {

inline void make_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << bytes).flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string binary(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * i >> 7);
  return bytes;
}

/// A directory with all that may be in one.
inline void make_tree(const std::filesystem::path& root) {
  using namespace std::filesystem;
  create_directories(root / "empty directory");
  create_directories(root / "d" / "e");
  make_file(root / "empty file", "");
  make_file(root / "binary", binary(300'000));
  make_file(root / "block", binary(512));
  make_file(root / "d" / "private", "secret");
  make_file(root / "d" / "e" / "program", "#!/bin/sh\n");
  make_file(root / "read only", "r");
  make_file(root / "new\nline", "n");
  make_file(root / "back\\slash", "b");
  make_file(root / "carriage\rreturn", "c");
  make_file(root / "h\xc3\xb6her", "utf-8");
  make_file(root / "not utf-8 \xff", "bytes");
  make_file(root / "-rf", "dash");
  make_file(root / "--", "dashes");
  create_symlink("binary", root / "relative");
  create_symlink("d/e", root / "to a directory");
  create_symlink("/no/such/file", root / "dangling");
  create_symlink("../..", root / "out");
  path deep = root;
  for (int i = 0; i < 9; ++i) deep /= std::string(40, static_cast<char>('a' + i));
  create_directories(deep);
  make_file(deep / std::string(200, 'x'), "a long path");
  permissions(root / "d" / "private", perms(0600));
  permissions(root / "d" / "e" / "program", perms(0755));
  permissions(root / "read only", perms(0444));
  permissions(root / "d" / "e", perms(0711));
  permissions(root / "empty directory", perms(0700));
  permissions(root, perms(0750));
}

/// Everything below a directory: type and mode, and contents or target. Two that are equal have
/// equal texts.
inline std::map<std::string, std::string> look_of(const std::filesystem::path& root,
                                                  bool times = true) {
  std::map<std::string, std::string> all;
  const auto add = [&](const std::filesystem::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error("lstat " + path.string());
    const bool link = S_ISLNK(status.st_mode);
    std::string look = std::to_string(status.st_mode);
    if (times && !link) look += " at " + std::to_string(status.st_mtim.tv_sec);
    if (link) look += " to " + std::filesystem::read_symlink(path).string();
    if (S_ISREG(status.st_mode)) look += " with " + contents(path.string());
    all[path.lexically_relative(root).string()] = look;
  };
  add(root);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) add(entry.path());
  return all;
}

/// A file of an archive.
struct Item {
  std::string path;
  unsigned type = AE_IFREG;
  std::string content = "new";
  std::string link = {};  ///< the target of a symbolic link
  std::string hard_link = {};
  unsigned mode = 0644;
};

/// An archive as libarchive writes it, which does not care where its paths lead to.
inline std::string archive_of(const std::vector<Item>& items,
                              int (*format)(archive*) = archive_write_set_format_gnutar) {
  std::string bytes;
  archive* const out = ::archive_write_new();
  format(out);
  ::archive_write_open(
      out, &bytes, nullptr,
      [](archive*, void* to, const void* data, std::size_t size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
      },
      nullptr);
  for (const Item& item : items) {
    archive_entry* const entry = ::archive_entry_new();
    ::archive_entry_set_pathname(entry, item.path.c_str());
    ::archive_entry_set_filetype(entry, item.type);
    ::archive_entry_set_perm(entry, static_cast<mode_t>(item.mode));
    ::archive_entry_set_mtime(entry, 1'000'000'000, 0);
    const bool has_content = item.type == AE_IFREG && item.hard_link.empty();
    ::archive_entry_set_size(entry, has_content ? static_cast<la_int64_t>(item.content.size()) : 0);
    if (!item.link.empty()) ::archive_entry_set_symlink(entry, item.link.c_str());
    if (!item.hard_link.empty()) ::archive_entry_set_hardlink(entry, item.hard_link.c_str());
    if (::archive_write_header(out, entry) < ARCHIVE_WARN) {
      throw std::runtime_error(::archive_error_string(out));
    }
    if (has_content) ::archive_write_data(out, item.content.data(), item.content.size());
    ::archive_entry_free(entry);
  }
  ::archive_write_free(out);
  return bytes;
}

}  // namespace qga_test
