// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Files in the guest, through handles of the agent.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// Where a seek starts. @since QEMU 2.6
enum class QGASeek { set, cur, end, unknown };

constexpr std::array<std::string_view, 3> wire_names(QGASeek) { return {"set", "cur", "end"}; }

/// A `QGASeek`, or (any agent) its number: 0 set, 1 cur, 2 end. @since QEMU 2.6
using GuestFileWhence = std::variant<std::int64_t, QGASeek>;

/// What `file_read` replies. @since QEMU 0.15
struct GuestFileRead {
  std::int64_t count = 0;  ///< bytes read
  std::string buf_b64;     ///< the bytes themselves, decoded
  bool eof = false;        ///< may be true together with data; Windows: only with an empty read

  static void fields(auto& self, auto& visit) {
    visit("count", self.count);
    visit.bytes("buf-b64", self.buf_b64);
    visit("eof", self.eof);
  }
  friend bool operator==(const GuestFileRead&, const GuestFileRead&) = default;
};

/// What `file_write` replies. @since QEMU 0.15
struct GuestFileWrite {
  std::int64_t count = 0;  ///< bytes that the agent took
  bool eof = false;        ///< Windows: always false

  static void fields(auto& self, auto& visit) {
    visit("count", self.count);
    visit("eof", self.eof);
  }
  friend bool operator==(const GuestFileWrite&, const GuestFileWrite&) = default;
};

/// What `file_seek` replies. @since QEMU 0.15
struct GuestFileSeek {
  std::int64_t position = 0;  ///< from the start of the file
  bool eof = false;           ///< Windows: always false

  static void fields(auto& self, auto& visit) {
    visit("position", self.position);
    visit("eof", self.eof);
  }
  friend bool operator==(const GuestFileSeek&, const GuestFileSeek&) = default;
};

/// Optional arguments of `file_write`.
struct GuestFileWriteParams {
  /// The bytes are base64 already, and go out as they are.
  bool is_encoded = false;
  /// How many of the bytes to write; none: all.
  std::optional<std::int64_t> count = {};
};

/// `guest-file-open`. @since QEMU 0.15
struct GuestFileOpenRequest {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-file-open";

  std::string path;                 ///< absolute path
  std::optional<std::string> mode;  ///< as for fopen; none: r

  GuestFileOpenRequest() = default;
  explicit GuestFileOpenRequest(std::string path_, std::optional<std::string> mode_ = {})
      : path(std::move(path_)), mode(std::move(mode_)) {}

  static void fields(auto& self, auto& visit) {
    visit("path", self.path);
    visit("mode", self.mode);
  }
  /// Whether it changes the guest: to open a file for reading does not.
  bool has_effect() const { return mode.value_or("r") != "r" && mode != "rb"; }
};

/// `guest-file-close`. @since QEMU 0.15
struct GuestFileCloseRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-file-close";

  std::int64_t handle = 0;  ///< as `file_open` gave it

  GuestFileCloseRequest() = default;
  explicit GuestFileCloseRequest(std::int64_t handle_) : handle(handle_) {}

  static void fields(auto& self, auto& visit) { visit("handle", self.handle); }
};

/// `guest-file-read`. @since QEMU 0.15
struct GuestFileReadRequest {
  using Reply = GuestFileRead;
  static constexpr std::string_view command = "guest-file-read";
  /// What the agent reads where no count is given.
  static constexpr std::size_t default_count = 4096;
  /// What the agent reads at most. @since QEMU 5.0
  static constexpr std::size_t max_count = 48 << 20;

  std::int64_t handle = 0;            ///< as `file_open` gave it
  std::optional<std::int64_t> count;  ///< bytes; none: `default_count`

  GuestFileReadRequest() = default;
  explicit GuestFileReadRequest(std::int64_t handle_, std::optional<std::int64_t> count_ = {})
      : handle(handle_), count(count_) {}

  static void fields(auto& self, auto& visit) {
    visit("handle", self.handle);
    visit("count", self.count);
  }
  ReplyLimits limits() const {
    return detail::payload_limits(detail::base64_encoded_size(bytes()) + simple_reply_limits.bytes);
  }
  Clock::duration timeout() const { return detail::transfer_timeout(bytes()); }

 private:
  std::size_t bytes() const {
    if (!count) return default_count;
    return std::cmp_less(*count, max_count)
               ? static_cast<std::size_t>(std::max<std::int64_t>(*count, 0))
               : max_count;
  }
};

/// `guest-file-write`, with bytes that it owns or, in `file_write`, only refers to.
/// @since QEMU 0.15
template <class Bytes>
struct BasicGuestFileWriteRequest {
  using Reply = GuestFileWrite;
  static constexpr std::string_view command = "guest-file-write";

  std::int64_t handle = 0;            ///< as `file_open` gave it
  Bytes buf_b64;                      ///< the bytes themselves, not encoded unless `is_encoded`
  std::optional<std::int64_t> count;  ///< bytes to write; none: all
  bool is_encoded = false;            ///< `buf_b64` is base64 already; not on the wire

  BasicGuestFileWriteRequest() = default;
  BasicGuestFileWriteRequest(std::int64_t handle_, Bytes bytes_, GuestFileWriteParams params_ = {})
      : handle(handle_),
        buf_b64(std::move(bytes_)),
        count(params_.count),
        is_encoded(params_.is_encoded) {}

  static void fields(auto& self, auto& visit) {
    visit("handle", self.handle);
    if (self.is_encoded) {
      visit("buf-b64", self.buf_b64);
    } else {
      visit.bytes("buf-b64", self.buf_b64);
    }
    visit("count", self.count);
  }
  Clock::duration timeout() const { return detail::transfer_timeout(buf_b64.size()); }
};

/// `guest-file-write`, with bytes that it owns. @since QEMU 0.15
using GuestFileWriteRequest = BasicGuestFileWriteRequest<std::string>;

/// `guest-file-seek`. @since QEMU 0.15
struct GuestFileSeekRequest {
  using Reply = GuestFileSeek;
  static constexpr std::string_view command = "guest-file-seek";

  std::int64_t handle = 0;                ///< as `file_open` gave it
  std::int64_t offset = 0;                ///< bytes, may be negative
  GuestFileWhence whence = QGASeek::set;  ///< where `offset` counts from

  GuestFileSeekRequest() = default;
  GuestFileSeekRequest(std::int64_t handle_, std::int64_t offset_, GuestFileWhence whence_)
      : handle(handle_), offset(offset_), whence(whence_) {}

  static void fields(auto& self, auto& visit) {
    visit("handle", self.handle);
    visit("offset", self.offset);
    visit("whence", self.whence);
  }
};

/// `guest-file-flush`. @since QEMU 0.15
struct GuestFileFlushRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-file-flush";

  std::int64_t handle = 0;  ///< as `file_open` gave it

  GuestFileFlushRequest() = default;
  explicit GuestFileFlushRequest(std::int64_t handle_) : handle(handle_) {}

  static void fields(auto& self, auto& visit) { visit("handle", self.handle); }
};

/// The commands for files, by handles of the agent. See `Commands` for what holds for all of them.
///
/// Handles belong to the agent process: they survive the client, but not a restart of the agent or
/// of the guest, after which an old number may name *another* file. All fail while file systems are
/// frozen (`CommandNotFoundError`), and many distributions forbid them by default.
/// @tparam Carrier as for `Commands`
template <class Carrier>
class FileCommands {
 public:
  /// Opens a file in the guest. It stays open in the agent until `file_close`.
  /// @param path absolute path; no NUL (`RequestError`). A directory opens too.
  /// @param mode as for fopen: r, w, a with b and +
  /// @return the handle
  /// @throws AgentError no such file, no permission, bad mode
  /// @timeout 5 s. A timeout may leave an open handle behind, whose number is lost.
  /// @since QEMU 0.15, all guests
  auto file_open(std::string path, std::string mode = "r") {
    return detail::carrier_of(*this).execute(
        GuestFileOpenRequest(std::move(path), std::move(mode)));
  }

  /// Closes a handle. On a full disk the last bytes are lost here: `file_flush` first. Never close
  /// a handle again after an error: old agents crash.
  /// @param handle from `file_open`
  /// @throws AgentError no such handle, or the system could not write what was buffered
  /// @timeout 5 s. After a timeout the handle may be closed already: do not close it again.
  /// @since QEMU 0.15, all guests
  auto file_close(std::int64_t handle) {
    return detail::carrier_of(*this).execute(GuestFileCloseRequest(handle));
  }

  /// Reads from the handle's position.
  /// @param handle from `file_open`
  /// @param count bytes to read at most, 0 to 48 MiB; none: 4096. 64 KiB to 1 MiB is fastest.
  /// @return `GuestFileRead`; its `buf_b64` holds bytes, already decoded
  /// @throws AgentError no such handle, `count` out of range, read error
  /// @timeout 5 s, and 4 s for each MiB. A timeout loses the bytes, and the position may have
  ///          moved: seek before you read again.
  /// @since QEMU 0.15, all guests
  auto file_read(std::int64_t handle, std::optional<std::int64_t> count = {}) {
    return detail::carrier_of(*this).execute(GuestFileReadRequest(handle, count));
  }

  /// Writes at the handle's position. POSIX guests buffer: a full disk shows in `file_flush`.
  /// @param handle from `file_open`
  /// @param bytes any bytes, below 48 MiB (`RequestError`); not copied
  /// @param params how many of them, and whether they are base64 already
  /// @return `GuestFileWrite`; compare its `count`
  /// @throws AgentError no such handle, `count` out of range, write error
  /// @timeout 5 s, and 4 s for each MiB. After a timeout the bytes may or may not be written: seek
  ///          before you write again.
  /// @since QEMU 0.15, all guests
  auto file_write(std::int64_t handle, std::string_view bytes, GuestFileWriteParams params = {}) {
    return detail::carrier_of(*this).execute(
        BasicGuestFileWriteRequest<std::string_view>(handle, bytes, params));
  }

  /// Moves the handle's position.
  /// @param handle from `file_open`
  /// @param offset bytes, may be negative
  /// @param whence where `offset` counts from
  /// @return `GuestFileSeek`, with the new position
  /// @throws AgentError no such handle, a position before the start
  /// @timeout 5 s. After a timeout the position is unknown: seek again, from the start or the end
  ///          of the file.
  /// @since QEMU 0.15 (numbers), 2.6 (`QGASeek`); all guests
  auto file_seek(std::int64_t handle, std::int64_t offset, GuestFileWhence whence) {
    return detail::carrier_of(*this).execute(GuestFileSeekRequest(handle, offset, whence));
  }

  /// Writes what the agent has buffered; a full disk shows here.
  /// @param handle from `file_open`
  /// @throws AgentError no such handle, write error
  /// @timeout 5 s. A timeout does not stop it; to flush again does no harm.
  /// @since QEMU 0.15, all guests
  auto file_flush(std::int64_t handle) {
    return detail::carrier_of(*this).execute(GuestFileFlushRequest(handle));
  }
};

}  // namespace qga::inline v0_1
