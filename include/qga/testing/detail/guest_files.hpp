// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The files of a faked guest, and the handles of those that are open. There are no directories: a
// path is a name, and can always be created. Not for several threads at once.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "qga/testing/detail/arguments.hpp"

namespace qga::inline v0_1::testing::detail {

class GuestFiles {
 public:
  std::map<std::string, std::string> contents;
  /// How many bytes all files together may have.
  std::uint64_t disk_size = std::uint64_t{1} << 30;

  std::size_t open_handles() const { return handles_.size(); }
  /// Forgets all handles, as an agent does that was started again with its guest.
  void restart() {
    handles_.clear();
    next_handle_ = first_handle;
  }

  /// Carries out a command that begins with `guest-file-`.
  /// @return what stands under `return`
  nlohmann::json carry_out(std::string_view command, const Arguments& given) {
    if (command == "guest-file-open") return open(given);
    const std::int64_t number = given.number("handle");
    const auto found = handles_.find(number);
    if (found == handles_.end()) {
      throw CommandFailed("handle '" + std::to_string(number) + "' has not been found");
    }
    if (command == "guest-file-read") return read(found->second, given);
    if (command == "guest-file-write") return write(found->second, given);
    if (command == "guest-file-seek") return seek(found->second, given);
    if (command == "guest-file-close") handles_.erase(found);
    return nlohmann::json::object();
  }

 private:
  static constexpr std::int64_t first_handle = 1000;
  /// The agent reads no more at once.
  static constexpr std::int64_t most_at_once = std::int64_t{48} << 20;

  struct Handle {
    std::string path;
    bool reads;
    bool writes;
    bool appends;
    std::size_t position = 0;
  };

  nlohmann::json open(const Arguments& given) {
    const std::string path = given.text("path");
    const std::string mode = given.text("mode", "r");
    constexpr std::array<std::string_view, 15> modes{"r",   "rb",  "w",   "wb",  "a",
                                                     "ab",  "r+",  "rb+", "r+b", "w+",
                                                     "wb+", "w+b", "a+",  "ab+", "a+b"};
    if (std::find(modes.begin(), modes.end(), mode) == modes.end()) {
      throw CommandFailed("invalid file open mode '" + mode + "'");
    }
    const char kind = mode.front();
    if (kind == 'r' && !contents.contains(path)) {
      throw CommandFailed("failed to open file '" + path + "' (mode: '" + mode +
                          "'): No such file or directory");
    }
    std::string& bytes = contents[path];
    if (kind == 'w') bytes.clear();
    const bool both = mode.find('+') != std::string::npos;
    handles_[next_handle_] = {path, both || kind == 'r', both || kind != 'r', kind == 'a'};
    return next_handle_++;
  }

  nlohmann::json read(Handle& handle, const Arguments& given) {
    const std::int64_t count = given.optional_number("count").value_or(4096);
    if (count < 0 || count > most_at_once) invalid_count(count);
    if (!handle.reads) throw CommandFailed("failed to read file: Bad file descriptor");
    const std::string& bytes = contents[handle.path];
    const auto asked = static_cast<std::size_t>(count);
    const std::size_t from = std::min(handle.position, bytes.size());
    const std::string_view piece = std::string_view(bytes).substr(from, asked);
    handle.position += piece.size();
    return {{"count", piece.size()}, {"buf-b64", to_base64(piece)}, {"eof", piece.size() < asked}};
  }

  nlohmann::json write(Handle& handle, const Arguments& given) {
    std::string piece = given.bytes("buf-b64");
    const auto count = given.optional_number("count");
    if (count) {
      if (*count < 0 || static_cast<std::size_t>(*count) > piece.size()) invalid_count(*count);
      piece.resize(static_cast<std::size_t>(*count));
    }
    if (!handle.writes) throw CommandFailed("failed to write to file: Bad file descriptor");
    std::string& bytes = contents[handle.path];
    if (handle.appends) handle.position = bytes.size();
    check_disk(bytes.size(), handle.position, piece.size());
    bytes.resize(std::max(bytes.size(), handle.position + piece.size()));
    bytes.replace(handle.position, piece.size(), piece);
    handle.position += piece.size();
    return {{"count", piece.size()}, {"eof", false}};
  }

  nlohmann::json seek(Handle& handle, const Arguments& given) {
    const std::int64_t offset = given.number("offset");
    std::int64_t origin = 0;
    switch (whence(given)) {
      case 0:
        break;
      case 1:
        origin = static_cast<std::int64_t>(handle.position);
        break;
      default:
        origin = static_cast<std::int64_t>(contents[handle.path].size());
    }
    if (offset > std::numeric_limits<std::int64_t>::max() - origin || origin + offset < 0) {
      throw CommandFailed("failed to seek file: Invalid argument");
    }
    handle.position = static_cast<std::size_t>(origin + offset);
    return {{"position", handle.position}, {"eof", false}};
  }

  void check_disk(std::size_t size, std::size_t position, std::size_t added) const {
    std::uint64_t used = 0;
    for (const auto& [path, bytes] : contents) used += bytes.size();
    const std::uint64_t end = std::uint64_t{position} + added;
    if (end > size && used - size + end > disk_size) {
      throw CommandFailed("failed to write to file: No space left on device");
    }
  }

  static std::int64_t whence(const Arguments& given) {
    const nlohmann::json* const value = given.find("whence");
    if (value == nullptr || value->is_number()) {
      const std::int64_t code = given.number("whence");
      if (code < 0 || code > 2) {
        throw CommandFailed("invalid whence code " + std::to_string(code));
      }
      return code;
    }
    const std::string name = given.text("whence");
    constexpr std::array<std::string_view, 3> names{"set", "cur", "end"};
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      throw CommandFailed("Parameter 'whence' does not accept value '" + name + "'");
    }
    return found - names.begin();
  }

  [[noreturn]] static void invalid_count(std::int64_t count) {
    throw CommandFailed("value '" + std::to_string(count) + "' is invalid for argument count");
  }

  std::map<std::int64_t, Handle> handles_;
  std::int64_t next_handle_ = first_handle;
};

}  // namespace qga::inline v0_1::testing::detail
