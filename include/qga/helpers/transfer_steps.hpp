// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the algorithms of both directions of a transfer share: what is sent, what is in flight, and
// what is left by a failure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/commands/file.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/sha256.hpp"
#include "qga/helpers/transfer_params.hpp"

namespace qga::inline v0_1 {
namespace detail {

/// Makes an error: the guest cannot hash, or it has other bytes.
inline std::exception_ptr verification_error(const std::string& what, Outcome outcome,
                                             std::uint64_t bytes,
                                             VerificationError::Reason reason) {
  return std::make_exception_ptr(VerificationError(what, {.outcome = outcome}, bytes, reason));
}

/// The most bytes of a request: what it takes in base64 has to be less than 64 MiB.
inline constexpr std::size_t largest_chunk = 47 << 20;

/// What both directions share: opening, requests in flight, the end, and what is left by a failure.
template <class Io>
class FileTransfer {
 public:
  FileTransfer(const FileTransfer&) = delete;
  FileTransfer& operator=(const FileTransfer&) = delete;

  void start() {
    if (params_.timeout) until_ = deadline_after(*params_.timeout, io_.now());
    try {
      if (params_.chunk < 1 || params_.chunk > largest_chunk) refuse("chunk must be 1 to 47 MiB");
      if (params_.in_flight < 1 || params_.in_flight > 64) refuse("in_flight must be 1 to 64");
      if (params_.mode && *params_.mode > 07777) refuse("a mode must be 0 to 07777");
      open_host();
    } catch (...) {
      return io_.fail(std::current_exception());
    }
    params_.verify ? look_for_tools() : prepare();
  }

 protected:
  FileTransfer(Io& io, std::string path, TransferParams params)
      : io_(io), path_(std::move(path)), params_(std::move(params)) {}
  ~FileTransfer() = default;

  virtual std::string mode() const = 0;
  virtual void open_host() = 0;
  /// Prepares the guest's file, before it is opened; ends with `open`.
  virtual void prepare() { open(); }
  /// Keeps requests in flight; sets `ended_` where there are no more. May throw.
  virtual void fill() = 0;
  /// Writes what the guest has buffered, before its file is closed.
  virtual void flush() = 0;
  /// Is called when the guest's file is closed and verified. May throw.
  virtual void commit() = 0;
  /// Is called after a failure, with the guest's file closed; ends with `give_up`.
  virtual void undo() = 0;

  /// Sends one of the requests that are in flight together.
  /// @param on_reply may throw
  template <Request R, class OnReply>
  void send(const R& request, OnReply on_reply) {
    ++in_flight_;
    io_.call(request,
             [this, on_reply](std::exception_ptr error, const typename R::Reply& reply) {
               --in_flight_;
               attempt([&] {
                 if (error) std::rethrow_exception(error);
                 on_reply(reply);
               });
               next_step();
             },
             {.until = until_});
  }

  void transferred(std::string_view bytes) {
    if (params_.verify) hash_.add(bytes);
  }
  void count(std::size_t bytes) {
    bytes_ += bytes;
    if (params_.progress) params_.progress(params_.offset + bytes_, total_);
  }

  void close() {
    const auto next = [this](std::exception_ptr error) {
      const bool unsent = error && outcome_of(error) == Outcome::not_sent;
      if (!unsent) file_.forget();
      const bool again = unsent && !error_;  // it was cancelled or out of time: now it cleans up
      failed(std::move(error));
      if (again) return close();
      error_ ? undo() : verify();
    };
    io_.call(GuestFileCloseRequest(file_.handle()), next, cleaning());
  }

  void open() {
    io_.call(GuestFileOpenRequest(path_, mode()),
             [this](std::exception_ptr error, std::int64_t handle) {
               if (error) return io_.fail(std::move(error));
               file_ = File(handle, io_.guard(GuestFileCloseRequest(handle)));
               measure();
             },
             // An answer that comes late is awaited: only it tells what has to be closed.
             {.until = deadline_after(cleanup_time, until_),
              .sent_by = until_,
              .cancel = Cancel::unsent});
  }

  /// @param until the latest time at which the program may end
  void run_in_guest(std::vector<std::string> args, Continuation<RunResult> then,
                    Clock::time_point until = Clock::time_point::max()) {
    RunParams params;
    params.args = std::move(args);
    params.kill = true;
    const Step limit{.until = std::min(until, until_), .harmless = true};
    program_.emplace(io_, limit, std::move(then), "/bin/sh", std::move(params), true);
    program_->start();
  }

  void give_up() { io_.fail(error_with<TransferError>(error_, bytes_)); }

  Step cleaning() {
    if (!error_) return {.until = until_};
    if (!clean_until_) clean_until_ = deadline_after(cleanup_time, io_.now());
    return cleaning_up(*clean_until_);
  }

  /// The first failure counts. @param error null: none
  void failed(std::exception_ptr error) {
    if (!error_) error_ = std::move(error);
  }
  template <class Function>
  void attempt(Function function) {
    if (error_) return;
    try {
      function();
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  [[noreturn]] void refuse(std::string_view what) const {
    std::rethrow_exception(wrong_argument("", what));
  }

  Io& io_;
  const std::string path_;
  const TransferParams params_;
  Clock::time_point until_ = Clock::time_point::max();
  File file_;
  std::optional<std::uint64_t> guest_size_;  ///< of the file as it was opened
  std::optional<std::uint64_t> total_;
  std::uint64_t bytes_ = 0;
  std::size_t in_flight_ = 0;
  bool ended_ = false;  ///< there is nothing more to ask for
  std::exception_ptr error_;
  bool unverified_ = false;  ///< all bytes are there, but the guest could not hash them
  bool mode_set_ = false;    ///< the guest's file has the permissions that it is to have

 private:
  static constexpr Clock::duration cleanup_time = std::chrono::seconds(10);

  /// This is checked first: a good copy must not be lost because the guest cannot hash it.
  void look_for_tools() {
    run_in_guest({"-c", "head -c 0 </dev/null | tail -c +1 | sha256sum"},
                 [this](std::exception_ptr error, const RunResult& run) {
                   if (!error && run.exit_code == 0 && run.out.size() >= 64) return prepare();
                   if (error && outcome_of(error) != Outcome::refused) {
                     return io_.fail(std::move(error));
                   }
                   const std::string why = error ? error_of(error)->what() : printable(run.err);
                   io_.fail(verification_error(
                       "cannot verify: the guest has to run sh, head, tail and sha256sum: " + why,
                       Outcome::not_sent, 0, VerificationError::Reason::unavailable));
                 });
  }

  /// Asks for the size of the file. A pipe, for example, has no end to seek to, and no size.
  void measure() {
    io_.call(GuestFileSeekRequest(file_.handle(), 0, QGASeek::end),
             [this](std::exception_ptr error, const GuestFileSeek& end) {
               if (error && outcome_of(error) != Outcome::refused) {
                 failed(std::move(error));
                 return next_step();
               }
               if (!error && end.position >= 0) {
                 guest_size_ = static_cast<std::uint64_t>(end.position);
               }
               if (!error || params_.offset > 0) return position();
               next_step();
             },
             {.until = until_});
  }

  void position() {
    io_.call(GuestFileSeekRequest(file_.handle(), static_cast<std::int64_t>(params_.offset),
                                  QGASeek::set),
             [this](std::exception_ptr error, const GuestFileSeek& at) {
               attempt([&] {
                 if (error) std::rethrow_exception(error);
                 if (guest_size_ && params_.offset > *guest_size_) {
                   refuse("the guest's file ends before the offset");
                 }
                 if (std::cmp_not_equal(at.position, params_.offset)) {
                   std::rethrow_exception(bad_reply(GuestFileSeekRequest::command,
                                                    "another position than asked for",
                                                    Outcome::unknown));
                 }
               });
               next_step();
             },
             {.until = until_});
  }

  void next_step() {
    if (!ended_) attempt([this] { fill(); });
    if (in_flight_ > 0) return;
    if (error_) return close();
    if (ended_) flush();
  }

  void verify() {
    if (!params_.verify) return settle();
    const std::string script = "tail -c +\"$2\" <\"$1\" | head -c \"$3\" | sha256sum";
    run_in_guest(
        {"-c", script, "sh", path_, std::to_string(params_.offset + 1), std::to_string(bytes_)},
        [this](std::exception_ptr error, const RunResult& run) {
          unverified_ = error != nullptr || run.exit_code != 0;
          attempt([&] {
            if (error) std::rethrow_exception(error);
            digest_ = hash_.digest();
            if (run.out.starts_with(digest_ + " ")) return;
            const std::string said = printable(run.err + run.out);
            std::rethrow_exception(
                verification_error(path_ +
                                       (unverified_ ? ": the guest could not hash it: "
                                                    : ": the guest has other bytes: ") +
                                       said,
                                   Outcome::unknown, bytes_,
                                   unverified_ ? VerificationError::Reason::unavailable
                                               : VerificationError::Reason::mismatch));
          });
          error_ ? undo() : settle();
        });
  }

  void settle() {
    attempt([this] { commit(); });
    if (error_) return undo();
    io_.finish({bytes_, digest_, mode_set_});
  }

  std::optional<Clock::time_point> clean_until_;
  Sha256 hash_;
  std::string digest_;
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
};

}  // namespace detail

}  // namespace qga::inline v0_1
