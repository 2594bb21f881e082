// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Walks the directory, and writes the archive by libarchive. libarchive can walk, too, but it
// returns to a directory after those beside it, when a tar that unpacks it has set its mode
// already.
#include "pack.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_tree.hpp"

namespace qga_tool {

namespace {

struct FreeEntry {
  void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
};
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

/// The names in a directory, in order.
std::vector<std::string> names_in(int directory, const Parts& parts) {
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fd < 0 ? nullptr : ::fdopendir(fd), &::closedir);
  if (!stream) fail_with_errno("cannot read", parts);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const found = ::readdir(stream.get())) {
    const std::string_view name = found->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) fail_with_errno("cannot read", parts);
  std::ranges::sort(names);
  return names;
}

class Packer {
 public:
  Packer(const std::filesystem::path& directory, ArchiveSink sink, const PackOptions& options,
         TreeCount& count)
      : tree_(directory),
        sink_(std::move(sink)),
        options_(options),
        count_(count),
        writer_(::archive_write_new()) {}
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void run() {
    // The format of GNU has long names, and busybox understands it; it does not understand pax.
    check(::archive_write_set_format_gnutar(writer_.get()));
    check(::archive_write_set_bytes_in_last_block(writer_.get(), 1));
    check(::archive_write_open(writer_.get(), this, nullptr, &Packer::push, nullptr));
    struct stat status {};
    if (::fstat(tree_.directory({}), &status) != 0) fail_with_errno("cannot read", {});
    if (options_.new_directory) write_header(status, {});
    add_files_in({});
    check(::archive_write_close(writer_.get()));
  }

 private:
  void add_files_in(const Parts& directory) {
    Parts parts = directory;
    for (const std::string& name : names_in(tree_.directory(directory), directory)) {
      parts.push_back(name);
      try {
        add(parts);
      } catch (const std::system_error& error) {
        if (error_) throw;  // that of the sink
        options_.refuse(error.what());
      }
      parts.pop_back();
    }
  }

  void add(const Parts& parts) {
    if (path_of(parts).size() >= PATH_MAX) {
      return options_.refuse("a path must be shorter than " + std::to_string(PATH_MAX) +
                             " bytes, and that of '" + parts.back() + "' is longer");
    }
    const int parent = tree_.parent(parts);
    const char* const name = parts.back().c_str();
    struct stat status {};
    if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      fail_with_errno("cannot read", parts);
    }
    if (S_ISREG(status.st_mode)) {
      add_file(parts);
    } else if (S_ISLNK(status.st_mode)) {
      write_header(status, parts, target_of(parent, parts));
    } else if (S_ISDIR(status.st_mode)) {
      write_header(status, parts);
    } else {
      return options_.refuse("'" + path_of(parts) +
                             "' is a device, a FIFO or a socket, which cp -r does not copy");
    }
    ++count_.files;
    tell();
    if (S_ISDIR(status.st_mode)) add_files_in(parts);
  }

  static std::string target_of(int parent, const Parts& parts) {
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlinkat(parent, parts.back().c_str(), target.data(), target.size());
    if (size < 0) fail_with_errno("cannot read", parts);
    return {target.data(), static_cast<std::size_t>(size)};
  }

  void add_file(const Parts& parts) {
    const Descriptor file = tree_.open_file(parts);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) fail_with_errno("cannot read", parts);
    write_header(status, parts);
    // libarchive fills up with zeros, and cuts, what is not as long as the header says.
    off_t left = status.st_size;
    while (left > 0) {
      const ssize_t size = ::read(file.get(), buffer_.data(), buffer_.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) fail_with_errno("cannot read", parts);
      if (size == 0) {
        options_.refuse("'" + path_of(parts) + "' became shorter while it was read");
        break;
      }
      write({buffer_.data(), static_cast<std::size_t>(size)});
      left -= size;
    }
    check(::archive_write_finish_entry(writer_.get()));
    if (options_.packed_file) options_.packed_file("./" + path_of(parts));
  }

  void write_header(const struct stat& status, const Parts& parts, const std::string& target = "") {
    const Entry entry(::archive_entry_new());
    ::archive_entry_copy_stat(entry.get(), &status);
    const std::string name = parts.empty() ? "." : "./" + path_of(parts);
    ::archive_entry_copy_pathname(entry.get(), name.c_str());
    if (!target.empty()) ::archive_entry_copy_symlink(entry.get(), target.c_str());
    ::archive_entry_set_perm(entry.get(), copied_mode(status.st_mode, options_.owner));
    // The names of users mean others in the guest.
    if (!options_.owner) {
      ::archive_entry_set_uid(entry.get(), 0);
      ::archive_entry_set_gid(entry.get(), 0);
    }
    check(::archive_write_header(writer_.get(), entry.get()));
  }

  void write(std::string_view bytes) {
    const la_ssize_t size = ::archive_write_data(writer_.get(), bytes.data(), bytes.size());
    check(size < 0 ? ARCHIVE_FATAL : ARCHIVE_OK);
    count_.bytes += bytes.size();
    tell();
  }

  static la_ssize_t push(archive*, void* self, const void* data, std::size_t size) {
    static_cast<Packer*>(self)->push({static_cast<const char*>(data), size});
    return static_cast<la_ssize_t>(size);
  }
  /// No exception may pass through libarchive, which is in C. It is not told of an error either,
  /// because it would leak memory then: `check` tells.
  void push(std::string_view bytes) noexcept {
    if (error_) return;
    try {
      sink_(bytes);
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  void check(int result) {
    if (error_) std::rethrow_exception(error_);
    if (result < ARCHIVE_WARN) throw ArchiveError(failure_of(writer_.get()));
  }
  void tell() const {
    if (options_.progress) options_.progress(count_);
  }

  HostTree tree_;
  ArchiveSink sink_;
  const PackOptions& options_;
  TreeCount& count_;
  std::exception_ptr error_;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
  Archive writer_;  ///< writes to the members above when it ends
};

}  // namespace

void pack(const std::filesystem::path& directory, ArchiveSink sink, const PackOptions& options,
          TreeCount& count) {
  Packer(directory, std::move(sink), options, count).run();
}

}  // namespace qga_tool
