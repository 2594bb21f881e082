// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The algorithms of file transfers: what is sent, what is in flight, and what is left by a failure.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
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
#include "qga/detail/protocol/base64.hpp"
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

/// What both directions share: opening, requests in flight, the end, and what is left by a failure.
template <class Io>
class FileTransfer {
 public:
  FileTransfer(const FileTransfer&) = delete;
  FileTransfer& operator=(const FileTransfer&) = delete;

  void start() {
    if (params_.timeout) until_ = deadline_after(*params_.timeout, io_.now());
    try {
      if (params_.chunk == 0 || params_.in_flight == 0) {
        refuse("chunk and in_flight must be 1 or more");
      }
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

template <class Io>
class Download final : public FileTransfer<Io> {
 public:
  Download(Io& io, std::string path, std::shared_ptr<Sink> sink, TransferParams params)
      : FileTransfer<Io>(io, std::move(path), std::move(params)), sink_(std::move(sink)) {}

 private:
  std::string mode() const override { return "r"; }
  void open_host() override { sink_->open(this->params_.offset); }

  /// Beyond the size that the file had, one read is made at a time: only the guest knows where the
  /// file ends, and reads that find nothing cost it as much as others.
  void fill() override {
    this->total_ = this->guest_size_;
    const std::uint64_t size = this->guest_size_.value_or(0);
    while (this->in_flight_ == 0 ||
           (this->in_flight_ < this->params_.in_flight && asked() <= size)) {
      asked_ += this->params_.chunk;
      this->send(GuestFileReadRequest(this->file_.handle(),
                                      static_cast<std::int64_t>(this->params_.chunk)),
                 [this](const GuestFileRead& reply) { on_read(reply); });
    }
  }

  std::uint64_t asked() const { return this->params_.offset + asked_; }

  void on_read(const GuestFileRead& reply) {
    check_read(reply, this->params_.chunk);
    if (reply.buf_b64.size() > this->params_.limit - this->bytes_) {
      std::rethrow_exception(bad_reply(GuestFileReadRequest::command,
                                       "the file is longer than its limit", Outcome::unknown));
    }
    this->transferred(reply.buf_b64);
    sink_->write(reply.buf_b64);
    if (!reply.buf_b64.empty()) this->count(reply.buf_b64.size());
    if (reply.eof || reply.buf_b64.empty()) this->ended_ = true;
  }

  void flush() override { this->close(); }
  void commit() override { sink_->commit(); }
  void undo() override {
    if (this->params_.keep_partial) {
      try {
        sink_->commit();
      } catch (const std::exception&) {  // the first failure counts
      }
    }
    sink_.reset();
    this->give_up();
  }

  std::shared_ptr<Sink> sink_;
  std::uint64_t asked_ = 0;
};

template <class Io>
class Upload final : public FileTransfer<Io> {
 public:
  /// @param sets_mode false: the file is there and has its permissions
  Upload(Io& io, std::shared_ptr<Source> source, std::string path, TransferParams params,
         bool sets_mode = true)
      : FileTransfer<Io>(io, std::move(path), std::move(params)),
        source_(std::move(source)),
        sets_mode_(sets_mode) {}

 private:
  static constexpr Clock::duration prepare_time = std::chrono::seconds(60);

  std::string mode() const override { return this->params_.offset > 0 ? "r+" : "w"; }
  void open_host() override {
    source_->open(this->params_.offset);
    this->total_ = source_->size();
  }

  /// The agent makes files that everybody may write. So a shell makes it before, where it can.
  void prepare() override {
    const auto& mode = this->params_.mode;
    if (!sets_mode_ || (this->params_.offset > 0 && !mode)) return this->open();
    std::array<char, 16> octal{};
    if (mode) std::snprintf(octal.data(), octal.size(), "%04o", *mode);
    const std::string script =
        "[ -e \"$1\" ] || (umask 077 && : >\"$1\") && { [ -z \"$2\" ] || chmod -- \"$2\" \"$1\"; }";
    this->run_in_guest(
        {"-c", script, "sh", this->path_, octal.data()},
        [this](std::exception_ptr error, const RunResult& run) {
          if (error && outcome_of(error) != Outcome::refused) {
            return this->io_.fail(std::move(error));
          }
          this->mode_set_ = !error && run.exit_code == 0;
          this->open();
        },
        deadline_after(prepare_time, this->io_.now()));
  }

  void fill() override {
    while (!this->ended_ && this->in_flight_ < most_in_flight()) {
      std::string bytes = source_->next(this->params_.chunk);
      const std::size_t size = bytes.size();
      this->ended_ = size < this->params_.chunk;
      if (size == 0) break;
      if (size > this->params_.limit - sent_) this->refuse("the file is longer than its limit");
      sent_ += size;
      this->transferred(bytes);
      this->send(GuestFileWriteRequest(this->file_.handle(), std::move(bytes)),
                 [this, size](const GuestFileWrite& reply) {
                   check_written(reply, size);
                   this->count(size);
                 });
    }
  }

  /// Requests that the session does not write yet would only take memory: the next one is enough.
  std::size_t most_in_flight() const {
    const bool alone = base64_encoded_size(this->params_.chunk) > window_bytes;
    return alone ? std::min<std::size_t>(this->params_.in_flight, 2) : this->params_.in_flight;
  }

  /// A flush reports a full disk; closing would not.
  void flush() override {
    this->io_.call(GuestFileFlushRequest(this->file_.handle()),
                   [this](std::exception_ptr error) {
                     this->failed(std::move(error));
                     this->close();
                   },
                   {.until = this->until_});
  }

  void commit() override {
    if (this->params_.offset > 0 && this->guest_size_.value_or(0) > this->params_.offset + sent_) {
      this->refuse("the guest's file was longer, and its end is still there");
    }
  }

  /// An agent cannot remove a file, but it can make it empty.
  void undo() override {
    const bool keeps = this->params_.keep_partial || this->params_.offset > 0 || this->unverified_;
    if (keeps) return this->give_up();
    this->io_.call(
        GuestFileOpenRequest(this->path_, "w"),
        [this](std::exception_ptr error, std::int64_t handle) {
          if (error) return this->give_up();
          this->io_.call(
              GuestFileCloseRequest(handle), [this](std::exception_ptr) { this->give_up(); },
              this->cleaning());
        },
        this->cleaning());
  }

  std::shared_ptr<Source> source_;
  const bool sets_mode_;
  std::uint64_t sent_ = 0;
};

/// Downloads a file into memory.
template <class Io>
class ReadFile {
 public:
  ReadFile(Io& io, std::string path, std::uint64_t limit)
      : io_(io),
        download_(
            io, Step{},
            [this](std::exception_ptr error, const TransferResult&) {
              error ? io_.fail(error) : io_.finish(std::move(text_));
            },
            std::move(path), std::make_shared<TextSink>(text_), TransferParams{.limit = limit}) {}

  void start() { download_.start(); }

 private:
  Io& io_;
  std::string text_;
  SubAlgorithm<Io, TransferResult, Download> download_;
};

}  // namespace detail

}  // namespace qga::inline v0_1
