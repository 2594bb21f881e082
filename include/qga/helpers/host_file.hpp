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
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/protocol/random.hpp"

namespace qga::helpers {

/// What throws in here says what the host could not do: std::system_error.
class Source {
 public:
  virtual ~Source() = default;
  /// @param offset bytes to leave out
  virtual void open(std::uint64_t offset) = 0;
  /// How many bytes there are from the start, where that is known.
  virtual std::optional<std::uint64_t> size() const = 0;
  /// The next bytes; fewer than `count` only at the end.
  virtual std::string next(std::size_t count) = 0;
};

class Sink {
 public:
  /// Takes back what was not committed.
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

/// From where the stream stands: what is to be left out, its owner has left out.
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

  void open(std::uint64_t offset) override { at_ = std::min<std::size_t>(offset, text_.size()); }
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

class FileSink final : public Sink {
 public:
  explicit FileSink(std::filesystem::path path) : path_(std::move(path)) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override {
    if (temporary_.empty()) return;
    file_.reset();
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }

  void open(std::uint64_t offset) override {
    namespace fs = std::filesystem;
    const fs::file_status status = fs::status(path_);
    if (fs::is_directory(status)) host_failure(path_.string(), EISDIR);
    if (fs::exists(status) && !fs::is_regular_file(status)) {  // a device or a pipe is no copy
      file_ = open_host_file(path_, "wbe");
      return;
    }
    if (fs::exists(status)) path_ = fs::canonical(path_);  // not the link, but what it names
    open_temporary();
    if (fs::exists(status)) fs::permissions(temporary_, status.permissions());
    if (offset > 0) copy_start(offset);
  }
  void write(std::string_view bytes) override {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
      host_failure(path_.string());
    }
  }
  void commit() override {
    if (std::fclose(file_.release()) != 0) host_failure(path_.string());
    if (temporary_.empty()) return;
    std::filesystem::rename(temporary_, path_);
    temporary_.clear();
  }

 private:
  void open_temporary() {
    for (;;) {
      std::filesystem::path name = path_;
      name.replace_filename("." + path_.filename().string() + "." +
                            std::to_string(protocol::random_bits()[0]));
      file_.reset(std::fopen(name.c_str(), "wbxe"));
      if (file_) {
        temporary_ = std::move(name);
        return;
      }
      if (errno != EEXIST) host_failure(path_.string());
    }
  }

  void copy_start(std::uint64_t offset) {
    const HostFile from = open_host_file(path_, "rbe");
    std::string piece(64 << 10, '\0');
    while (offset > 0) {
      const std::size_t wanted = std::min<std::uint64_t>(offset, piece.size());
      const std::size_t read = std::fread(piece.data(), 1, wanted, from.get());
      if (read == 0) host_failure(path_.string() + " ends before the offset", EINVAL);
      write({piece.data(), read});
      offset -= read;
    }
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;  ///< empty: none is left
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

}  // namespace qga::helpers
