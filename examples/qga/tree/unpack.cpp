// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads an archive by libarchive, and writes its files by calls that take a directory and a name in
// it. libarchive can write, too, but from the working directory, which all threads share; and it
// remembers every directory of an archive, of which a guest may send any number.
#include "unpack.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_tree.hpp"

namespace qga_tool {

namespace {

/// Mode, owner and time of an entry.
struct Attributes {
  mode_t mode = 0;
  uid_t user = 0;
  gid_t group = 0;
  std::array<timespec, 2> times{};  ///< as `futimens` has them
};

/// Reads an archive that comes in pieces.
class Reader {
 public:
  explicit Reader(ArchiveSource source)
      : source_(std::move(source)), archive_(::archive_read_new()) {
    archive* const reader = archive_.get();
    check(::archive_read_support_format_tar(reader));
    check(::archive_read_support_filter_none(reader));
    check(::archive_read_open(reader, this, nullptr, &Reader::pull, nullptr));
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The next entry; null: the end.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    // By itself the header of the next one would be read with the rest of these contents.
    if (in_entry_) check(::archive_read_data_skip(archive_.get()));
    header_left_ = longest_header;
    const int result = ::archive_read_next_header(archive_.get(), &entry);
    header_left_.reset();
    in_entry_ = result != ARCHIVE_EOF;
    if (!in_entry_) return nullptr;
    check(result);
    return entry;
  }

  struct Block {
    std::string_view bytes;
    off_t offset = 0;
  };
  /// The next bytes of the entry's contents; nothing at their end.
  std::optional<Block> block() {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int result = ::archive_read_data_block(archive_.get(), &data, &size, &offset);
    if (result == ARCHIVE_EOF) return std::nullopt;
    check(result);
    return Block{{static_cast<const char*>(data), size}, static_cast<off_t>(offset)};
  }

 private:
  /// A header is held in memory. libarchive limits names, but not maps of holes.
  static constexpr std::size_t longest_header = 4 << 20;
  static constexpr std::size_t longest_piece = 64 << 10;

  static la_ssize_t pull(archive* reader, void* self, const void** buffer) {
    return static_cast<Reader*>(self)->pull(reader, buffer);
  }
  /// No exception may pass through libarchive, which is in C.
  la_ssize_t pull(archive* reader, const void** buffer) try {
    if (rest_.empty()) rest_ = source_();
    const std::string_view piece = rest_.substr(0, longest_piece);
    rest_.remove_prefix(piece.size());
    if (header_left_ && piece.size() > *header_left_) {
      throw ArchiveError("a header of the archive must have " + std::to_string(longest_header) +
                         " bytes or fewer");
    }
    if (header_left_) *header_left_ -= piece.size();
    *buffer = piece.data();
    return static_cast<la_ssize_t>(piece.size());
  } catch (...) {
    error_ = std::current_exception();
    ::archive_set_error(reader, EIO, "the archive cannot be read");
    return -1;
  }

  /// A warning is about what is not copied anyway, such as a name in another encoding.
  void check(int result) {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (result >= ARCHIVE_WARN || result == ARCHIVE_EOF) return;
    throw ArchiveError("the archive from the guest is broken: " + failure_of(archive_.get()));
  }

  ArchiveSource source_;
  std::string_view rest_;
  std::optional<std::size_t> header_left_;
  bool in_entry_ = false;
  std::exception_ptr error_;
  Archive archive_;
};

class Unpacker {
 public:
  Unpacker(const std::filesystem::path& directory, const UnpackOptions& options, TreeCount& count)
      : tree_(directory), options_(options), count_(count) {}

  void run(Reader& reader) {
    while (archive_entry* const entry = reader.next()) {
      if (++entries_ > options_.max_files) {
        throw std::runtime_error("the guest has sent more than " +
                                 std::to_string(options_.max_files) +
                                 " files: --max-files allows more");
      }
      add(reader, entry);
      tell();
    }
    while (!open_.empty()) leave_directory();
    // The deepest come first, because a directory's mode may forbid to go through it.
    std::ranges::stable_sort(left_, std::greater(), [](const Directory& one) {
      return std::ranges::count(one.path, '/');
    });
    while (!left_.empty()) finish_directory();
  }

 private:
  struct Directory {
    std::string path;
    Attributes attributes;
  };
  /// How many bytes are remembered of directories.
  static constexpr std::size_t most_remembered = 8 << 20;

  void add(Reader& reader, archive_entry* entry) {
    const Parts parts = parts_of(
        text(::archive_entry_pathname(entry), ::archive_entry_pathname_utf8(entry), "path"));
    while (!open_.empty() && !is_within(parts, parts_of(open_.back().path))) leave_directory();

    const bool is_link = ::archive_entry_hardlink(entry) != nullptr ||
                         ::archive_entry_hardlink_utf8(entry) != nullptr;
    const auto type = ::archive_entry_filetype(entry);
    if (!is_link && type == AE_IFDIR) return add_directory(parts, attributes_of(entry));
    if (parts.empty())
      throw ArchiveError("the guest has sent a file in the place of the directory");
    if (!is_link && type != AE_IFREG && type != AE_IFLNK) return refuse(parts);
    ++count_.files;
    if (is_link) return add_hard_link(parts, entry);
    type == AE_IFREG ? add_file(parts, reader, entry) : add_symbolic_link(parts, entry);
  }

  void refuse(const Parts& parts) const {
    std::string text = "'";
    text += path_of(parts);  // g++ 12 warns of "'" + path_of(parts)
    options_.refuse(text + "' is a device, a FIFO or a socket, which cp -r does not copy");
  }

  static bool is_within(const Parts& parts, const Parts& directory) {
    return std::ranges::mismatch(directory, parts).in1 == directory.end();
  }

  /// libarchive has a text in one form or in the other.
  static std::string_view text(const char* plain, const char* utf8, const char* what) {
    if (plain != nullptr) return plain;
    if (utf8 != nullptr) return utf8;
    throw ArchiveError(std::string("the guest has sent a file without a ") + what);
  }

  Attributes attributes_of(archive_entry* entry) const {
    Attributes attributes;
    attributes.mode = copied_mode(::archive_entry_perm(entry), options_.owner);
    attributes.user = static_cast<uid_t>(::archive_entry_uid(entry));
    attributes.group = static_cast<gid_t>(::archive_entry_gid(entry));
    timespec& modified = attributes.times[1];
    attributes.times[0].tv_nsec = UTIME_NOW;
    modified.tv_nsec = UTIME_NOW;
    if (::archive_entry_mtime_is_set(entry) != 0) {
      modified.tv_sec = ::archive_entry_mtime(entry);
      modified.tv_nsec = ::archive_entry_mtime_nsec(entry);
    }
    return attributes;
  }

  /// The owner comes first, because a change of it takes set-user-id bits away.
  void set_attributes(int fd, const Attributes& attributes, const Parts& parts) const {
    if (options_.owner && ::fchown(fd, attributes.user, attributes.group) != 0) {
      fail_with_errno("cannot set the owner of", parts);
    }
    if (::fchmod(fd, attributes.mode) != 0) fail_with_errno("cannot set the mode of", parts);
    if (::futimens(fd, attributes.times.data()) != 0) {
      fail_with_errno("cannot set the time of", parts);
    }
  }

  void add_directory(const Parts& parts, const Attributes& attributes) {
    tree_.directory(parts, true);
    if (!parts.empty()) ++count_.files;
    if (parts.empty() && !options_.new_directory) return;
    // A guest may send the same one any number of times.
    std::string path = path_of(parts);
    if (!open_.empty() && open_.back().path == path) {
      open_.back().attributes = attributes;
    } else {
      open_.push_back({std::move(path), attributes});
    }
  }

  /// The mode and time of a directory are set when it has all of its files. Some programs return to
  /// a directory that they have left: so this waits for the end, for as many as can be remembered.
  void leave_directory() {
    remembered_ += size_of(open_.back());
    left_.push_back(std::move(open_.back()));
    open_.pop_back();
    while (remembered_ > most_remembered) finish_directory();
  }
  void finish_directory() {
    const Directory first = std::move(left_.front());
    left_.pop_front();
    remembered_ -= size_of(first);
    const Parts parts = parts_of(first.path);
    set_attributes(tree_.directory(parts), first.attributes, parts);
  }
  static std::size_t size_of(const Directory& directory) {
    return sizeof directory + directory.path.size();
  }

  /// Makes something new, in the place of a file or a link that has the name already.
  /// @param make returns -1 as system calls do
  template <class Make>
  int replace(int parent, const Parts& parts, Make make) {
    int made = make();
    if (made < 0 && errno == EEXIST && ::unlinkat(parent, parts.back().c_str(), 0) == 0) {
      made = make();
    }
    if (made < 0) fail_with_errno("cannot write", parts);
    return made;
  }

  void add_file(const Parts& parts, Reader& reader, archive_entry* entry) {
    const Attributes attributes = attributes_of(entry);
    const off_t size = ::archive_entry_size(entry);
    const int parent = tree_.parent(parts, true);
    Descriptor file(replace(parent, parts, [&] {
      constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
      return ::openat(parent, parts.back().c_str(), flags, 0600);
    }));
    off_t end = 0;
    while (const std::optional<Reader::Block> block = reader.block()) {
      write_all(file.get(), *block, parts);
      end = std::max(end, block->offset + static_cast<off_t>(block->bytes.size()));
      count_.bytes += block->bytes.size();
      tell();
    }
    // A hole at the end has no bytes.
    if (end < size && ::ftruncate(file.get(), size) != 0) fail_with_errno("cannot write", parts);
    set_attributes(file.get(), attributes, parts);
    if (!file.close()) fail_with_errno("cannot write", parts);
  }

  static void write_all(int fd, Reader::Block block, const Parts& parts) {
    while (!block.bytes.empty()) {
      const ssize_t size = ::pwrite(fd, block.bytes.data(), block.bytes.size(), block.offset);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) fail_with_errno("cannot write", parts);
      block.bytes.remove_prefix(static_cast<std::size_t>(size));
      block.offset += size;
    }
  }

  void add_symbolic_link(const Parts& parts, archive_entry* entry) {
    const Attributes attributes = attributes_of(entry);
    const std::string target(
        text(::archive_entry_symlink(entry), ::archive_entry_symlink_utf8(entry), "target"));
    const char* const name = parts.back().c_str();
    const int parent = tree_.parent(parts, true);
    replace(parent, parts, [&] { return ::symlinkat(target.c_str(), parent, name); });
    if (options_.owner &&
        ::fchownat(parent, name, attributes.user, attributes.group, AT_SYMLINK_NOFOLLOW) != 0) {
      fail_with_errno("cannot set the owner of", parts);
    }
    // Not every file system has times for links.
    static_cast<void>(::utimensat(parent, name, attributes.times.data(), AT_SYMLINK_NOFOLLOW));
  }

  void add_hard_link(const Parts& parts, archive_entry* entry) {
    const Parts other = parts_of(
        text(::archive_entry_hardlink(entry), ::archive_entry_hardlink_utf8(entry), "target"));
    if (other == parts || other.empty()) throw ArchiveError("the guest has sent a link to itself");
    const int parent = tree_.parent(parts, true);
    const Descriptor kept(::fcntl(parent, F_DUPFD_CLOEXEC, 0));  // the next call may close it
    const int other_parent = tree_.parent(other);
    replace(kept.get(), parts, [&] {
      return ::linkat(other_parent, other.back().c_str(), kept.get(), parts.back().c_str(), 0);
    });
  }

  void tell() const {
    if (options_.progress) options_.progress(count_);
  }

  HostTree tree_;
  const UnpackOptions& options_;
  TreeCount& count_;
  std::uint64_t entries_ = 0;
  std::vector<Directory> open_;  ///< each is within the one before it
  std::deque<Directory> left_;
  std::size_t remembered_ = 0;  ///< bytes in `left_`
};

}  // namespace

void unpack(ArchiveSource source, const std::filesystem::path& directory,
            const UnpackOptions& options, TreeCount& count) {
  Reader reader(std::move(source));
  Unpacker(directory, options, count).run(reader);
}

}  // namespace qga_tool
