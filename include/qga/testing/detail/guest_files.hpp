// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The files of a faked guest, and the handles of those that are open. There are no directories: a
// path is a name, and can always be created. Not for several threads at once.
//
// Two things can be opened that are no files: the input of a program that `start` starts, and the
// file below /proc that can be read as long as a program runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/detail/guest_pipe.hpp"
#include "qga/testing/files.hpp"

namespace qga::inline v0_1::testing::detail {

class GuestFiles {
 public:
  FileTable contents;
  std::map<std::string, std::shared_ptr<Pipe>> pipes;  ///< by path, as the files
  /// How many bytes all files together may have.
  std::uint64_t disk_size = std::uint64_t{1} << 30;

  /// Removes what is in a directory.
  void remove_directory(const std::string& directory) {
    const auto is_within = [prefix = directory + '/'](const auto& entry) {
      return entry.first.starts_with(prefix);
    };
    std::erase_if(contents, is_within);
    std::erase_if(pipes, is_within);
  }

  /// Opens a file below /proc.
  /// @param alive whether its program runs
  nlohmann::json open_life(std::shared_ptr<const bool> alive) {
    Handle handle{.file = std::make_shared<std::string>(), .reads = true};
    handle.alive = std::move(alive);
    return add(std::move(handle));
  }

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
    Handle& handle = found->second;
    if (command == "guest-file-read") return read(handle, given);
    if (command == "guest-file-write") return write(handle, given);
    if (command == "guest-file-seek") return seek(handle, given);
    if (handle.pipe && command == "guest-file-flush") handle.pipe->flush();
    if (handle.pipe && command == "guest-file-close") handle.pipe->close();
    if (command == "guest-file-close") handles_.erase(found);
    return nlohmann::json::object();
  }

 private:
  static constexpr std::int64_t first_handle = 1000;
  /// The agent reads no more at once.
  static constexpr std::int64_t most_at_once = std::int64_t{48} << 20;

  struct Handle {
    std::shared_ptr<std::string> file = {};
    bool reads = false;
    bool writes = false;
    bool appends = false;
    std::size_t position = 0;
    std::optional<PipeWriter> pipe = {};     ///< in the place of a file
    std::shared_ptr<const bool> alive = {};  ///< of a file below /proc
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
    const auto pipe = pipes.find(path);
    if (pipe != pipes.end()) return add({.writes = true, .pipe = PipeWriter(pipe->second)});
    if (kind == 'r' && !contents.contains(path)) {
      throw CommandFailed("failed to open file '" + path + "' (mode: '" + mode +
                          "'): No such file or directory");
    }
    const auto file = file_of(contents, path);
    if (kind == 'w') file->clear();
    const bool both = mode.find('+') != std::string::npos;
    return add({file, both || kind == 'r', both || kind != 'r', kind == 'a'});
  }

  /// @return its number
  nlohmann::json add(Handle handle) {
    handles_.insert_or_assign(next_handle_, std::move(handle));
    return next_handle_++;
  }

  nlohmann::json read(Handle& handle, const Arguments& given) {
    const std::int64_t count = given.optional_number("count").value_or(4096);
    if (count < 0 || count > most_at_once) invalid_count(count);
    if (!handle.reads) throw CommandFailed("failed to read file: Bad file descriptor");
    if (handle.alive && !*handle.alive) {
      throw CommandFailed("failed to read file: No such process");
    }
    const std::string& bytes = *handle.file;
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
    if (handle.pipe) return {{"count", handle.pipe->write(piece)}, {"eof", false}};
    std::string& bytes = *handle.file;
    if (handle.appends) handle.position = bytes.size();
    check_disk(bytes.size(), handle.position, piece.size());
    bytes.resize(std::max(bytes.size(), handle.position + piece.size()));
    bytes.replace(handle.position, piece.size(), piece);
    handle.position += piece.size();
    return {{"count", piece.size()}, {"eof", false}};
  }

  nlohmann::json seek(Handle& handle, const Arguments& given) {
    const std::int64_t offset = given.number("offset");
    if (handle.pipe) throw CommandFailed("failed to seek file: Illegal seek");
    std::int64_t origin = 0;
    switch (whence(given)) {
      case 0:
        break;
      case 1:
        origin = static_cast<std::int64_t>(handle.position);
        break;
      default:
        origin = static_cast<std::int64_t>(handle.file->size());
    }
    if (offset > std::numeric_limits<std::int64_t>::max() - origin || origin + offset < 0) {
      throw CommandFailed("failed to seek file: Invalid argument");
    }
    handle.position = static_cast<std::size_t>(origin + offset);
    return {{"position", handle.position}, {"eof", false}};
  }

  void check_disk(std::size_t size, std::size_t position, std::size_t added) const {
    std::uint64_t used = 0;
    for (const auto& [path, bytes] : contents) used += bytes->size();
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
