// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Copies whole files between guest and host, in constant memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/helpers/download.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/transfer_params.hpp"
#include "qga/helpers/upload.hpp"

namespace qga::inline v0_1 {

/// Transferring files; see `Helpers`.
///
/// All throw `AgentError` where the guest refuses (no such file, a full disk),
/// `CommandNotFoundError` where files are forbidden or frozen, and `std::system_error` for what the
/// host cannot do. Where a transfer fails, the host's file is as it was before, and the guest's
/// file, which had to be emptied to be written, is empty again, if the guest can still be reached.
template <class Carrier>
class TransferHelpers {
 public:
  /// Copies a file of the guest to the host. The host's file is written beside its name and then
  /// renamed, with the permissions of the one that it takes the place of; a device or a pipe is
  /// written directly. The host's disk is written on the thread that calls or runs the executor.
  /// @param guest path in the guest
  /// @param host path on the host
  /// @param params how to transfer
  /// @return `TransferResult`
  /// @throws BadReplyError counts that do not agree, more bytes than `limit`
  /// @throws VerificationError another SHA-256, or none
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @throws std::system_error the host cannot write
  /// @timeout 5 s for each request, and 4 s for each MiB, unless `params` or the options of the
  ///          call set a time for all. After a timeout as after any error, what was begun is
  ///          undone, unless `TransferParams::keep_partial` is set.
  /// @since QEMU 0.15, all guests
  auto download(std::string guest, std::filesystem::path host,
                TransferParams params = TransferParams()) {
    return from_guest(std::move(guest), std::make_shared<detail::FileSink>(std::move(host)),
                      std::move(params));
  }
  /// Copies a file of the guest to a stream; otherwise as to a file.
  /// @param guest path in the guest
  /// @param stream gets the bytes as they come, also those of a transfer that then fails; has to
  ///        live until this has ended
  /// @param params how to transfer
  /// @return `TransferResult`
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @timeout 5 s for each request, and 4 s for each MiB, unless `params` or the options of the
  ///          call set a time for all. After a timeout as after any error, what was begun is
  ///          undone, unless `TransferParams::keep_partial` is set.
  /// @since QEMU 0.15, all guests
  auto download(std::string guest, std::ostream& stream, TransferParams params = TransferParams()) {
    return from_guest(std::move(guest), std::make_shared<detail::StreamSink>(stream),
                      std::move(params));
  }

  /// Copies a file of the host to the guest. The guest's file is overwritten in place and keeps its
  /// permissions; one that is new can be read and written by all. It is flushed before it is
  /// closed, so that a full disk is an error.
  /// @param host path on the host
  /// @param guest path in the guest
  /// @param params how to transfer
  /// @return `TransferResult`
  /// @throws BadReplyError counts that do not agree
  /// @throws VerificationError another SHA-256, or none
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @throws RequestError with an `offset`: the guest's file is longer than all that was sent
  /// @throws std::system_error the host cannot read
  /// @timeout 5 s for each request, and 4 s for each MiB, unless `params` or the options of the
  ///          call set a time for all. After a timeout as after any error, what was begun is
  ///          undone, unless `TransferParams::keep_partial` is set.
  /// @since QEMU 0.15, all guests
  auto upload(std::filesystem::path host, std::string guest,
              TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<detail::FileSource>(std::move(host)), std::move(guest),
                    std::move(params));
  }
  /// Copies a stream of the host to the guest; otherwise as a file.
  /// @param stream is read to its end; has to live until this has ended
  /// @param guest path in the guest
  /// @param params how to transfer
  /// @return `TransferResult`
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @timeout 5 s for each request, and 4 s for each MiB, unless `params` or the options of the
  ///          call set a time for all. After a timeout as after any error, what was begun is
  ///          undone, unless `TransferParams::keep_partial` is set.
  /// @since QEMU 0.15, all guests
  auto upload(std::istream& stream, std::string guest, TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<detail::StreamSource>(stream), std::move(guest),
                    std::move(params));
  }

  /// Reads a whole file of the guest.
  /// @param path path in the guest
  /// @param limit bytes; a file that has more is a `BadReplyError`
  /// @return its bytes (`std::string`)
  /// @throws BadReplyError counts that do not agree, more bytes than `limit`
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @timeout 5 s for each request, and 4 s for each MiB, unless the options of the call set a time
  ///          for all. After a timeout the guest's file is closed, if the guest can be reached.
  /// @since QEMU 0.15, all guests
  auto read_file(std::string path, std::uint64_t limit = 64 << 20) {
    return detail::carrier_of(*this).template perform<std::string, detail::ReadFile>(
        std::move(path), limit);
  }

  /// Writes a whole file of the guest, as `upload` does.
  /// @param path path in the guest
  /// @param bytes what the file is to hold
  /// @param params how to transfer
  /// @return `TransferResult`
  /// @throws BadReplyError counts that do not agree
  /// @throws TransferError every error of the guest is one, too, once its file was opened
  /// @timeout 5 s for each request, and 4 s for each MiB, unless `params` or the options of the
  ///          call set a time for all. After a timeout as after any error, what was begun is
  ///          undone, unless `TransferParams::keep_partial` is set.
  /// @since QEMU 0.15, all guests
  auto write_file(std::string path, std::string bytes, TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<detail::TextSource>(std::move(bytes)), std::move(path),
                    std::move(params));
  }

 private:
  auto from_guest(std::string path, std::shared_ptr<detail::Sink> sink, TransferParams params) {
    return detail::carrier_of(*this).template perform<TransferResult, detail::Download>(
        std::move(path), std::move(sink), std::move(params));
  }
  auto to_guest(std::shared_ptr<detail::Source> source, std::string path, TransferParams params) {
    return detail::carrier_of(*this).template perform<TransferResult, detail::Upload>(
        std::move(source), std::move(path), std::move(params));
  }
};

}  // namespace qga::inline v0_1
