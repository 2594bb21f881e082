// SPDX-License-Identifier: LGPL-3.0-or-later
//
// libarchive walks the directory, and writes the archive.
#include "pack.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

namespace qga_tool {

namespace {

struct FreeEntry {
  void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
};
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

class Packer {
 public:
  Packer(std::filesystem::path directory, ArchiveSink sink, const PackOptions& options,
         TreeCount& count)
      : directory_(std::move(directory)),
        sink_(std::move(sink)),
        options_(options),
        count_(count),
        reader_(::archive_read_disk_new()),
        writer_(::archive_write_new()) {}
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void run() {
    // The format of GNU has long names, and busybox understands it; it does not understand pax.
    check(::archive_write_set_format_gnutar(writer_.get()));
    check(::archive_write_set_bytes_in_last_block(writer_.get(), 1));
    check(::archive_write_open(writer_.get(), this, nullptr, &Packer::push, nullptr));
    archive* const reader = reader_.get();
    check_reader(::archive_read_disk_set_symlink_physical(reader));
    check_reader(::archive_read_disk_set_behavior(
        reader, ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS));
    check_reader(::archive_read_disk_open(reader, directory_.c_str()));
    while (const Entry entry = next()) add(entry.get());
    check(::archive_write_close(writer_.get()));
  }

 private:
  /// The next file, or null at the end. What cannot be read is refused, and the next one comes.
  Entry next() {
    for (;;) {
      Entry entry(::archive_entry_new());
      const int result = ::archive_read_next_header2(reader_.get(), entry.get());
      if (result == ARCHIVE_EOF) return nullptr;
      if (result == ARCHIVE_FATAL) check_reader(result);
      ::archive_read_disk_descend(reader_.get());  // does nothing where there is no directory
      if (result >= ARCHIVE_WARN) return entry;
      refuse(failure_of(reader_.get()));
    }
  }

  void add(archive_entry* entry) {
    const std::string name = name_of(entry);
    const auto type = ::archive_entry_filetype(entry);
    if (name == "." && !options_.new_directory) return;
    if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
      return refuse("'" + name + "' is a device, a FIFO or a socket, which cp -r does not copy");
    }
    // The first bytes come before the header, because an archive cannot take back a header.
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const bool has_bytes = type == AE_IFREG && ::archive_entry_size(entry) > 0;
    int result = ARCHIVE_EOF;
    if (has_bytes) result = ::archive_read_data_block(reader_.get(), &data, &size, &offset);
    if (result < ARCHIVE_WARN) return refuse(failure_of(reader_.get()));

    write_header(entry, name);
    la_int64_t at = 0;
    for (; result != ARCHIVE_EOF;
         result = ::archive_read_data_block(reader_.get(), &data, &size, &offset)) {
      if (result < ARCHIVE_WARN) {
        refuse(failure_of(reader_.get()));
        break;
      }
      write_zeros(offset - at);  // a hole
      write({static_cast<const char*>(data), size});
      at = offset + static_cast<la_int64_t>(size);
    }
    // A file that has become shorter is filled up with zeros.
    check(::archive_write_finish_entry(writer_.get()));
    if (type == AE_IFREG && options_.packed_file) options_.packed_file(name);
    if (name != ".") ++count_.files;
    tell();
  }

  /// The name in the archive: `.`, or `./a/b`.
  std::string name_of(archive_entry* entry) const {
    const std::string path = ::archive_entry_pathname(entry);
    const std::string name = path.substr(directory_.native().size());
    return name.empty() || name.starts_with('/') ? "." + name : "./" + name;
  }

  void write_header(archive_entry* entry, const std::string& name) {
    ::archive_entry_copy_pathname(entry, name.c_str());
    ::archive_entry_sparse_clear(entry);
    ::archive_entry_set_hardlink(entry, nullptr);
    ::archive_entry_set_perm(entry, copied_mode(::archive_entry_perm(entry), options_.owner));
    // The names of users mean others in the guest.
    ::archive_entry_set_uname(entry, nullptr);
    ::archive_entry_set_gname(entry, nullptr);
    if (!options_.owner) {
      ::archive_entry_set_uid(entry, 0);
      ::archive_entry_set_gid(entry, 0);
    }
    check(::archive_write_header(writer_.get(), entry));
  }

  void write(std::string_view bytes) {
    // A file that has become longer is cut: libarchive writes as much as the header says.
    if (::archive_write_data(writer_.get(), bytes.data(), bytes.size()) < 0) check(ARCHIVE_FATAL);
    count_.bytes += bytes.size();
    tell();
  }

  void write_zeros(la_int64_t size) {
    static const std::string zeros(64 << 10, '\0');
    for (; size > 0; size -= static_cast<la_int64_t>(zeros.size())) {
      write(std::string_view(zeros).substr(0, static_cast<std::size_t>(size)));
    }
  }

  static la_ssize_t push(archive* writer, void* self, const void* data, std::size_t size) {
    return static_cast<Packer*>(self)->push(writer, {static_cast<const char*>(data), size});
  }
  /// No exception may pass through libarchive, which is in C.
  la_ssize_t push(archive* writer, std::string_view bytes) try {
    if (error_) return -1;
    sink_(bytes);
    return static_cast<la_ssize_t>(bytes.size());
  } catch (...) {
    error_ = std::current_exception();
    ::archive_set_error(writer, EIO, "the archive cannot be written");
    return -1;
  }

  void check(int result) {
    if (error_) std::rethrow_exception(error_);
    if (result < ARCHIVE_WARN) throw ArchiveError(failure_of(writer_.get()));
  }
  void check_reader(int result) {
    if (result < ARCHIVE_WARN) throw ArchiveError(failure_of(reader_.get()));
  }

  void refuse(const std::string& reason) const {
    if (options_.refuse) options_.refuse(reason);
  }
  void tell() const {
    if (options_.progress) options_.progress(count_);
  }

  std::filesystem::path directory_;
  ArchiveSink sink_;
  const PackOptions& options_;
  TreeCount& count_;
  std::exception_ptr error_;
  Archive reader_;
  Archive writer_;  ///< writes to the members above when it ends
};

}  // namespace

void pack(const std::filesystem::path& directory, ArchiveSink sink, const PackOptions& options,
          TreeCount& count) {
  Packer(std::filesystem::canonical(directory), std::move(sink), options, count).run();
}

}  // namespace qga_tool
