// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The host's end of a transfer: where its bytes come from (Source) and go to (Sink). A file on the
// host is written under a temporary name beside its own, and renamed when all is there.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qga/detail/number.hpp"
#include "qga/detail/protocol/random.hpp"

namespace qga::inline v0_1::detail {

// The functions of this file throw std::system_error where the host cannot do something.

class Source {
 public:
  virtual ~Source() = default;
  /// @param offset how many bytes to skip
  virtual void open(std::uint64_t offset) = 0;
  /// How many bytes there are from the start, where that is known.
  virtual std::optional<std::uint64_t> size() const = 0;
  /// The next bytes; fewer than `count` only at the end.
  virtual std::string next(std::size_t count) = 0;
};

class Sink {
 public:
  /// Undoes what was not committed.
  virtual ~Sink() = default;
  /// @param offset bytes that are there already
  virtual void open(std::uint64_t offset) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void commit() = 0;
};

[[noreturn]] inline void host_failure(const std::string& what, int err = errno) {
  throw std::system_error(err, std::generic_category(), what);
}

struct CloseHostFile {
  void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
};
using HostFile = std::unique_ptr<std::FILE, CloseHostFile>;

inline HostFile open_host_file(const std::filesystem::path& path, const char* mode) {
  HostFile file(std::fopen(path.c_str(), mode));
  if (!file) host_failure(path.string());
  return file;
}

class FileSource final : public Source {
 public:
  explicit FileSource(std::filesystem::path path) : path_(std::move(path)) {}

  void open(std::uint64_t offset) override {
    if (std::filesystem::is_directory(path_)) host_failure(path_.string(), EISDIR);
    file_ = open_host_file(path_, "rbe");
    if (std::filesystem::is_regular_file(path_)) size_ = std::filesystem::file_size(path_);
    if (size_ && offset > *size_) host_failure(path_.string() + " ends before the offset", EINVAL);
    if (!std::in_range<off_t>(offset)) host_failure(path_.string(), EOVERFLOW);
    if (offset > 0 && ::fseeko(file_.get(), static_cast<off_t>(offset), SEEK_SET) != 0) {
      host_failure(path_.string());
    }
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  std::string next(std::size_t count) override {
    std::string bytes(count, '\0');
    bytes.resize(std::fread(bytes.data(), 1, count, file_.get()));
    if (std::ferror(file_.get()) != 0) host_failure(path_.string());
    return bytes;
  }

 private:
  std::filesystem::path path_;
  HostFile file_;
  std::optional<std::uint64_t> size_;
};

/// Reads a stream from where it stands; the caller has left out the bytes before the offset.
class StreamSource final : public Source {
 public:
  explicit StreamSource(std::istream& stream) : stream_(stream) {}

  void open(std::uint64_t) override {}
  std::optional<std::uint64_t> size() const override { return {}; }
  std::string next(std::size_t count) override {
    std::string bytes(count, '\0');
    stream_.read(bytes.data(), static_cast<std::streamsize>(count));
    if (stream_.bad() || (stream_.fail() && !stream_.eof())) host_failure("a stream", EIO);
    bytes.resize(static_cast<std::size_t>(stream_.gcount()));
    return bytes;
  }

 private:
  std::istream& stream_;
};

class TextSource final : public Source {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}

  void open(std::uint64_t offset) override {
    at_ = number_as<std::size_t>(std::min<std::uint64_t>(offset, text_.size()));
  }
  std::optional<std::uint64_t> size() const override { return text_.size(); }
  std::string next(std::size_t count) override {
    std::string bytes = text_.substr(at_, count);
    at_ += bytes.size();
    return bytes;
  }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

/// Writes a temporary file, which replaces the file in the end. A device or a pipe is written
/// directly, and a partial file is continued where it is.
class FileSink final : public Sink {
 public:
  explicit FileSink(std::filesystem::path path) : path_(std::move(path)) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override {
    if (continued_ && file_) {
      static_cast<void>(std::fflush(file_.get()));
      static_cast<void>(!::ftruncate(::fileno(file_.get()), *continued_));
    }
    if (temporary_.empty()) return;
    file_.reset();
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }

  void open(std::uint64_t offset) override {
    follow_links();
    struct stat there {};
    const bool exists = ::stat(path_.c_str(), &there) == 0;
    if (!exists && errno != ENOENT) host_failure(path_.string());
    if (exists && S_ISDIR(there.st_mode)) host_failure(path_.string(), EISDIR);
    if (exists && !S_ISREG(there.st_mode)) {
      file_ = open_host_file(path_, "wbe");
      return;
    }
    if (offset > 0 && exists && std::cmp_equal(there.st_size, offset))
      return continue_at(there.st_size);
    if (exists) replaced_ = there;
    open_temporary();
    if (offset > 0) copy_start(offset);
  }
  void write(std::string_view bytes) override {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
      host_failure(path_.string());
    }
  }
  void commit() override {
    if (!file_) return;
    if (std::fflush(file_.get()) != 0) host_failure(path_.string());
    if (!temporary_.empty()) set_permissions(::fileno(file_.get()));
    // A rename must not survive a power cut without the bytes. A pipe cannot be synchronised.
    if (::fsync(::fileno(file_.get())) != 0 && errno != EINVAL && errno != EROFS) {
      host_failure(path_.string());
    }
    continued_.reset();
    if (std::fclose(file_.release()) != 0) host_failure(path_.string());
    if (temporary_.empty()) return;
    std::filesystem::rename(temporary_, path_);
    temporary_.clear();
  }

 private:
  /// Makes `path_` the file that a link names, also where that does not exist yet.
  void follow_links() {
    constexpr int most_links = 40;  // as many as the kernel follows
    for (int i = 0; i < most_links && std::filesystem::is_symlink(path_); ++i) {
      path_ = path_.parent_path() / std::filesystem::read_symlink(path_);
    }
  }

  void continue_at(off_t size) {
    file_ = open_host_file(path_, "r+be");
    if (::fseeko(file_.get(), size, SEEK_SET) != 0) host_failure(path_.string());
    continued_ = size;
  }

  /// Opens the temporary file. Only its owner may read it while the guest's bytes are written.
  void open_temporary() {
    constexpr std::size_t longest_kept = 255 - sizeof "..18446744073709551615" + 1;
    const std::string name = path_.filename().string().substr(0, longest_kept);
    for (;;) {
      std::filesystem::path beside = path_;
      beside.replace_filename("." + name + "." + std::to_string(random_bits()[0]));
      const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (fd < 0 && errno == EEXIST) continue;
      if (fd < 0) host_failure(path_.string());
      temporary_ = std::move(beside);
      file_.reset(::fdopen(fd, "wb"));
      if (file_) return;
      ::close(fd);
      host_failure(path_.string());
    }
  }

  /// Sets the permissions of the file that is replaced, or those of any new file.
  void set_permissions(int fd) const {
    mode_t mode = 0666 & ~current_umask();
    if (replaced_) {
      mode = replaced_->st_mode & 07777;
      // Only root may change the owner. Under another owner the set-id bits must not be kept.
      if (::fchown(fd, replaced_->st_uid, replaced_->st_gid) != 0) mode &= 0777;
    }
    if (::fchmod(fd, mode) != 0) host_failure(path_.string());
  }

  /// Reads the umask without changing it, because other threads would notice a change.
  static mode_t current_umask() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      if (word != "Umask:") continue;
      unsigned mask = 0;
      if (status >> std::oct >> mask) return number_as<mode_t>(mask);
    }
    return 077;
  }

  void copy_start(std::uint64_t offset) {
    const HostFile from = open_host_file(path_, "rbe");
    std::string piece(64 << 10, '\0');
    while (offset > 0) {
      const auto wanted = number_as<std::size_t>(std::min<std::uint64_t>(offset, piece.size()));
      const std::size_t read = std::fread(piece.data(), 1, wanted, from.get());
      if (read == 0) host_failure(path_.string() + " ends before the offset", EINVAL);
      write({piece.data(), read});
      offset -= read;
    }
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;      ///< empty: none is left
  std::optional<off_t> continued_;       ///< the size of a partial file that is continued
  std::optional<struct stat> replaced_;  ///< the file that it takes the place of
  HostFile file_;
};

class StreamSink final : public Sink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}

  void open(std::uint64_t) override {}
  void write(std::string_view bytes) override {
    if (!stream_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()))) fail();
  }
  void commit() override {
    if (!stream_.flush()) fail();
  }

 private:
  [[noreturn]] static void fail() { host_failure("a stream", EIO); }

  std::ostream& stream_;
};

class TextSink final : public Sink {
 public:
  explicit TextSink(std::string& text) : text_(text) {}

  void open(std::uint64_t) override {}
  void write(std::string_view bytes) override { text_ += bytes; }
  void commit() override {}

 private:
  std::string& text_;
};

}  // namespace qga::inline v0_1::detail
