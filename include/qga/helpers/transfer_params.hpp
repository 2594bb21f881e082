// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The parameters, the result and the errors of a transfer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "qga/detail/protocol/errors.hpp"
#include "qga/error.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1 {

/// How a file is transferred.
struct TransferParams {
  /// Bytes that are there already from an earlier transfer, which this one continues. They are not
  /// compared, and a stream is read from where it stands.
  std::uint64_t offset = 0;
  /// Bytes in a request, 1 to 47 MiB.
  std::size_t chunk = 256 << 10;
  /// Requests in flight together, 1 to 64. An upload has at most 4096 bytes of them in flight, or
  /// one that is longer and the next.
  std::size_t in_flight = 4;
  /// A file that has more bytes than this is an error (`BadReplyError` from a guest).
  std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
  /// Is called with the number of bytes transferred so far, `offset` included, and the total where
  /// it is known. It may stop or cancel the transfer; it must not make calls of the client. What it
  /// throws ends the transfer.
  std::function<void(std::uint64_t, std::optional<std::uint64_t>)> progress = {};
  /// Compare SHA-256 of what was transferred with what the guest has. This needs `/bin/sh`, `tail`,
  /// `head` and `sha256sum` in the guest, and an agent that may run programs: where one is missing
  /// the transfer fails before its first byte.
  bool verify = false;
  /// Permissions of an uploaded file, such as 0644: at most 07777. None: a file that was there
  /// keeps its own, a new one may be read and written by its owner alone. The agent cannot set
  /// them: it takes `/bin/sh` in the guest, and an agent that may run programs. Where that is
  /// missing, a new file has what the agent gives it, which is as a rule that everybody may write
  /// it; `TransferResult::mode_set` tells.
  std::optional<unsigned> mode = {};
  /// Keep what was transferred when the transfer fails, so that a later one can continue it.
  bool keep_partial = false;
  /// How long it may take; none: each request has its own time. Cleaning up takes up to 10 s more.
  std::optional<Clock::duration> timeout = {};
};

/// What was transferred.
struct TransferResult {
  std::uint64_t bytes = 0;  ///< without `offset`
  std::string sha256 = {};  ///< of these bytes, in hexadecimal digits, where it was verified
  /// After an upload: whether the file has the permissions of `TransferParams::mode`.
  bool mode_set = false;

  static void fields(auto& self, auto& visit) {
    visit("bytes", self.bytes);
    visit("sha256", self.sha256);
    visit("mode-set", self.mode_set);
  }
};

/// Every error of a transfer after its file was opened is a `TransferError`, beside its own type,
/// such as `ReadError`. Errors of the host are `std::system_error`s alone.
class TransferError : public virtual GuestAgentError {
 public:
  /// Makes one of another error, which tells what went wrong.
  TransferError(const GuestAgentError& cause, std::uint64_t bytes)
      : GuestAgentError(cause), bytes_(bytes) {
    detail::ErrorAccess::set_text(*this, std::string(cause.what()) + "; " + std::to_string(bytes) +
                                             " bytes were transferred");
  }

  /// How many bytes were transferred, without `offset`. `keep_partial` decides whether they are
  /// still there.
  std::uint64_t bytes() const { return bytes_; }

 protected:
  /// For classes that name what went wrong themselves.
  explicit TransferError(std::uint64_t bytes) : bytes_(bytes) {}

 private:
  std::uint64_t bytes_;
};

/// What was transferred could not be verified.
class VerificationError : public BadReplyError, public TransferError {
 public:
  /// What is wrong.
  enum class Reason {
    mismatch,     ///< the guest has other bytes; an upload is undone
    unavailable,  ///< the guest cannot hash. `outcome()` is `not_sent` where that was found out
                  ///< before the transfer; afterwards the guest's file is left as it was
                  ///< transferred
  };

  /// Makes one; the library does.
  VerificationError(const std::string& what, Details details, std::uint64_t bytes, Reason reason)
      : GuestAgentError(err_bad_reply, what, details),
        BadReplyError(what, details),
        TransferError(bytes),
        reason_(reason) {}

  /// What is wrong.
  Reason reason() const { return reason_; }

 private:
  Reason reason_;
};

}  // namespace qga::inline v0_1
