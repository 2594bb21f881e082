// SPDX-License-Identifier: LGPL-3.0-or-later
//
// An open file of the guest, which closes itself, and what can be done with it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/commands/file.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {

/// An open file of the guest. It is closed by `close` or else when this is destroyed or its client
/// is closed; a failure to write is not reported then. Where the client has no executor, destroying
/// it waits for the answer, 5 s at most and once for all files of a guest that does not answer;
/// otherwise the request goes on in the background. A handle is never closed twice.
///
/// It belongs to its connection: over a later one, where its number may be another file's, it is
/// refused and does nothing. It is refused with another client, too (`RequestError`). In a forked
/// child it does nothing. What it could not do is told to the trace (`TraceDirection::note`).
class File {
 public:
  File() = default;
  /// For the library's own use.
  File(std::int64_t handle, std::unique_ptr<detail::Guard> guard)
      : handle_(handle), guard_(std::move(guard)) {}

  /// True until it is closed or forgotten.
  bool is_open() const { return guard_ != nullptr; }
  /// The agent's number for it, for the commands `file_...`.
  std::int64_t handle() const { return handle_; }
  /// Leaves it open, for somebody else to close.
  void forget() noexcept {
    if (guard_) guard_->disarm();
    guard_.reset();
  }

  /// For the library's own use.
  const detail::Guard* guard() const { return guard_.get(); }

 private:
  std::int64_t handle_ = -1;
  std::unique_ptr<detail::Guard> guard_;
};

namespace detail {

/// @throws BadReplyError
inline void check_read(const GuestFileRead& reply, std::size_t asked) {
  if (std::cmp_equal(reply.count, reply.buf_b64.size()) && reply.buf_b64.size() <= asked) return;
  std::rethrow_exception(bad_reply(GuestFileReadRequest::command,
                                   "a count that is not that of its bytes", Outcome::unknown));
}

/// @throws BadReplyError
inline void check_written(const GuestFileWrite& reply, std::size_t sent) {
  if (std::cmp_equal(reply.count, sent)) return;
  std::rethrow_exception(
      bad_reply(GuestFileWriteRequest::command,
                "took " + std::to_string(reply.count) + " of " + std::to_string(sent) + " bytes",
                Outcome::unknown));
}

/// Checks a caller's file. @return what is wrong; null: nothing
template <class Io>
std::exception_ptr check_file(Io& io, const File& file, std::string_view command) {
  if (file.is_open()) return io.check(file.guard(), command);
  return wrong_argument(command, "the file must be open", std::errc::bad_file_descriptor);
}

template <class Io>
class OpenFile {
 public:
  OpenFile(Io& io, std::string path, std::string mode)
      : io_(io), path_(std::move(path)), mode_(std::move(mode)) {}

  void start() {
    io_.call(GuestFileOpenRequest(std::move(path_), std::move(mode_)),
             [this](std::exception_ptr error, std::int64_t handle) {
               if (error) return io_.fail(std::move(error));
               io_.finish(File(handle, io_.guard(GuestFileCloseRequest(handle))));
             },
             // Only the answer tells what has to be closed.
             {.cancel = Cancel::unsent});
  }

 private:
  Io& io_;
  std::string path_;
  std::string mode_;
};

/// Bytes are read and written in pieces: a reply has a limit, and an agent reads as much as it is
/// asked for into its memory.
inline constexpr std::size_t largest_piece = 1 << 20;

template <class Io>
class ReadFrom {
 public:
  ReadFrom(Io& io, const File* file, std::size_t count) : io_(io), file_(*file), left_(count) {}

  void start() {
    if (auto error = check_file(io_, file_, GuestFileReadRequest::command)) {
      return io_.fail(std::move(error));
    }
    if (left_ == 0) return io_.finish({});
    const std::size_t asked = std::min(left_, largest_piece);
    io_.call(GuestFileReadRequest(file_.handle(), static_cast<std::int64_t>(asked)),
             [this, asked](std::exception_ptr error, const GuestFileRead& reply) {
               try {
                 if (error) std::rethrow_exception(error);
                 check_read(reply, asked);
                 bytes_ += reply.buf_b64;
               } catch (...) {
                 return io_.fail(std::current_exception());
               }
               left_ -= reply.buf_b64.size();
               if (reply.eof || reply.buf_b64.empty() || left_ == 0) {
                 return io_.finish(std::move(bytes_));
               }
               start();
             });
  }

 private:
  Io& io_;
  const File& file_;
  std::size_t left_;
  std::string bytes_;
};

template <class Io>
class WriteTo {
 public:
  WriteTo(Io& io, const File* file, std::string bytes)
      : io_(io), file_(*file), bytes_(std::move(bytes)) {}

  void start() {
    if (auto error = check_file(io_, file_, GuestFileWriteRequest::command)) {
      return io_.fail(std::move(error));
    }
    if (at_ == bytes_.size()) return io_.finish({});
    const auto piece = std::string_view(bytes_).substr(at_, largest_piece);
    io_.call(BasicGuestFileWriteRequest<std::string_view>(file_.handle(), piece),
             [this, size = piece.size()](std::exception_ptr error, const GuestFileWrite& reply) {
               try {
                 if (error) std::rethrow_exception(error);
                 check_written(reply, size);
               } catch (...) {
                 return io_.fail(std::current_exception());
               }
               at_ += size;
               start();
             });
  }

 private:
  Io& io_;
  const File& file_;
  std::string bytes_;
  std::size_t at_ = 0;
};

template <class Io>
class SeekIn {
 public:
  SeekIn(Io& io, const File* file, std::int64_t offset, QGASeek whence)
      : io_(io), file_(*file), offset_(offset), whence_(whence) {}

  void start() {
    if (auto error = check_file(io_, file_, GuestFileSeekRequest::command)) {
      return io_.fail(std::move(error));
    }
    io_.call(GuestFileSeekRequest(file_.handle(), offset_, whence_),
             [this](std::exception_ptr error, const GuestFileSeek& reply) {
               error ? io_.fail(std::move(error)) : io_.finish(reply.position);
             });
  }

 private:
  Io& io_;
  const File& file_;
  std::int64_t offset_;
  QGASeek whence_;
};

template <class Io>
class FlushFile {
 public:
  FlushFile(Io& io, const File* file) : io_(io), file_(*file) {}

  void start() {
    if (auto error = check_file(io_, file_, GuestFileFlushRequest::command)) {
      return io_.fail(std::move(error));
    }
    io_.call(GuestFileFlushRequest(file_.handle()), [this](std::exception_ptr error) {
      error ? io_.fail(std::move(error)) : io_.finish();
    });
  }

 private:
  Io& io_;
  const File& file_;
};

template <class Io>
class CloseFile {
 public:
  CloseFile(Io& io, File* file) : io_(io), file_(*file) {}

  void start() {
    if (auto error = check_file(io_, file_, GuestFileCloseRequest::command)) {
      return io_.fail(std::move(error));
    }
    io_.call(GuestFileFlushRequest(file_.handle()), [this](std::exception_ptr unflushed) {
      io_.call(GuestFileCloseRequest(file_.handle()),
               [this, unflushed](std::exception_ptr error) {
                 if (!error || outcome_of(error) != Outcome::not_sent) file_.forget();
                 error = unflushed ? unflushed : error;
                 error ? io_.fail(std::move(error)) : io_.finish();
               },
               {.cancel = Cancel::never});
    });
  }

 private:
  Io& io_;
  File& file_;
};

}  // namespace detail

/// Open files of the guest; see `Helpers`. A `File` has to live until the call that uses it has
/// ended, and must be open (`RequestError`). All fail while file systems are frozen
/// (`CommandNotFoundError`), and many distributions forbid them.
template <class Carrier>
class FileHelpers {
 public:
  /// Opens a file in the guest.
  /// @param path absolute path; no NUL (`RequestError`)
  /// @param mode as for fopen: r, w, a with b and +
  /// @return `File`, which closes itself
  /// @throws AgentError no such file, no permission, bad mode
  /// @timeout 5 s. A timeout may leave the file open, with an unknown handle.
  /// @since QEMU 0.15, all guests
  auto open(std::string path, std::string mode = "r") {
    return detail::carrier_of(*this).template perform<File, detail::OpenFile>(std::move(path),
                                                                              std::move(mode));
  }

  /// Reads from where the file stands, in requests of up to 1 MiB. After an error the position is
  /// unknown: `seek`.
  /// @param file an open file
  /// @param count bytes
  /// @return the bytes (`std::string`); fewer than `count` only at the end of the file
  /// @throws AgentError a read error
  /// @throws BadReplyError counts that do not agree
  /// @throws RequestError the file is closed, or of another client or connection
  /// @timeout 5 s for each request, and 4 s for each MiB. A timeout loses bytes, and the position
  ///          is unknown: `seek`.
  /// @since QEMU 0.15, all guests
  auto read(const File& file, std::size_t count) {
    return detail::carrier_of(*this).template perform<std::string, detail::ReadFrom>(&file, count);
  }

  /// Writes all of the bytes where the file stands, in requests of up to 1 MiB. Guests buffer: a
  /// full disk shows in `flush` or `close`. After an error the position is unknown: `seek`.
  /// @param file an open file
  /// @param bytes any bytes
  /// @throws AgentError a write error
  /// @throws BadReplyError the guest took fewer bytes
  /// @throws RequestError the file is closed, or of another client or connection
  /// @timeout 5 s for each request, and 4 s for each MiB. After a timeout any part may be written,
  ///          and the position is unknown: `seek`.
  /// @since QEMU 0.15, all guests
  auto write(const File& file, std::string bytes) {
    return detail::carrier_of(*this).template perform<void, detail::WriteTo>(&file,
                                                                             std::move(bytes));
  }

  /// Moves the position.
  /// @param file an open file
  /// @param offset bytes, may be negative
  /// @param whence where `offset` counts from
  /// @return the new position, from the start of the file (`std::int64_t`)
  /// @throws AgentError a position before the start; not a file that can be positioned
  /// @throws RequestError the file is closed, or of another client or connection
  /// @timeout 5 s. After a timeout the position is unknown: seek again, from the start or the end
  ///          of the file.
  /// @since QEMU 2.6, all guests
  auto seek(const File& file, std::int64_t offset, QGASeek whence = QGASeek::set) {
    return detail::carrier_of(*this).template perform<std::int64_t, detail::SeekIn>(&file, offset,
                                                                                    whence);
  }

  /// Writes what the guest has buffered.
  /// @param file an open file
  /// @throws AgentError a full disk, a write error
  /// @throws RequestError the file is closed, or of another client or connection
  /// @timeout 5 s. A timeout does not stop it; to flush again does no harm.
  /// @since QEMU 0.15, all guests
  auto flush(const File& file) {
    return detail::carrier_of(*this).template perform<void, detail::FlushFile>(&file);
  }

  /// Flushes and closes. The file is closed also where this throws, unless the close could not be
  /// sent: then it is still `is_open()`.
  /// @param file an open file
  /// @throws AgentError a full disk, a write error
  /// @throws RequestError the file is closed, or of another client or connection
  /// @timeout 5 s for each of two requests. After a timeout `is_open()` tells whether the
  ///          close was sent.
  /// @since QEMU 0.15, all guests
  auto close(File& file) {
    return detail::carrier_of(*this).template perform<void, detail::CloseFile>(&file);
  }
};

}  // namespace qga::inline v0_1
