// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Whole files, between host and guest: in chunks of which several are in flight, in constant
// memory, with every count checked. What fails leaves nothing half-written.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <istream>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>

#include "qga/commands/file.hpp"
#include "qga/error.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/sha256.hpp"
#include "qga/helpers/step.hpp"
#include "qga/protocol/base64.hpp"
#include "qga/protocol/errors.hpp"
#include "qga/protocol/session.hpp"

namespace qga {

/// How a file is transferred.
struct TransferParams {
  /// Bytes that are there already, from an earlier transfer; it goes on behind them. What is there
  /// is taken as it is, and a stream from where it stands.
  std::uint64_t offset = 0;
  /// Bytes in a request, 1 to 47 MiB.
  std::size_t chunk = 256 << 10;
  /// Requests in flight together, 1 to 64. Of an upload only those that have 4096 bytes together,
  /// or the one that is under way and the next.
  std::size_t in_flight = 4;
  /// A file that has more bytes than this is an error (`BadReplyError` from a guest).
  std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
  /// Is told how many bytes are there, and how many there will be where that is known. Called on
  /// the way, so it must not use the client; what it throws ends the transfer.
  std::function<void(std::uint64_t, std::optional<std::uint64_t>)> progress = {};
  /// Compare SHA-256 of what was transferred with what the guest has. Takes `/bin/sh`, `tail`,
  /// `head` and `sha256sum` in the guest, and an agent that may run programs.
  bool verify = false;
  /// Leave what was transferred where it is when the transfer fails, to go on later with `offset`.
  bool keep_partial = false;
  /// How long it may take; none: each request has its own time. Cleaning up takes up to 10 s more.
  std::optional<Clock::duration> timeout = {};
};

/// What was transferred.
struct TransferResult {
  std::uint64_t bytes = 0;  ///< without `offset`
  std::string sha256 = {};  ///< of these bytes, in hexadecimal digits, where it was verified
};

namespace helpers {

/// What both directions share: opening, requests in flight, the end, and what is left of a failure.
template <class Io>
class Transfer {
 public:
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void start() {
    if (params_.timeout) until_ = deadline_after(*params_.timeout, io_.now());
    try {
      if (params_.chunk == 0 || params_.in_flight == 0)
        refuse("chunk and in_flight are at least 1");
      open_host();
    } catch (...) {
      return io_.fail(std::current_exception());
    }
    io_.call(GuestFileOpenRequest(path_, mode()),
             [this](std::exception_ptr error, std::int64_t handle) {
               if (error) return io_.fail(std::move(error));
               file_ = File(handle, io_.last_resort(GuestFileCloseRequest(handle), close_patience));
               measure();
             },
             // Late is better than never: only the answer tells what has to be closed.
             {.until = deadline_after(patience, until_), .cancel = Cancel::unsent});
  }

 protected:
  Transfer(Io& io, std::string path, TransferParams params)
      : io_(io), path_(std::move(path)), params_(std::move(params)) {}
  ~Transfer() = default;

  virtual std::string mode() const = 0;
  virtual void open_host() = 0;
  /// Keeps requests in flight; says so with `ended_` where there are no more. May throw.
  virtual void fill() = 0;
  /// Before the file is closed.
  virtual void flush() = 0;
  /// The guest's file is closed and verified. May throw.
  virtual void commit() = 0;
  /// After a failure, with the guest's file closed; ends with `give_up`.
  virtual void undo() = 0;

  /// Sends one of the requests that are in flight together.
  /// @param take what to make of its reply; may throw
  template <class Request, class Take>
  void send(const Request& request, Take take) {
    ++in_flight_;
    io_.call(request,
             [this, take](std::exception_ptr error, const typename Request::Reply& reply) {
               --in_flight_;
               attempt([&] {
                 if (error) std::rethrow_exception(error);
                 take(reply);
               });
               go_on();
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
      const bool unsent = error && failure_of(error).outcome == Outcome::not_sent;
      const bool again = unsent && !error_;  // cancelled, or out of time: as a part of cleaning up
      failed(std::move(error));
      if (again) return close();
      error_ ? undo() : verify();
    };
    file_.forget();  // a handle is closed once, whatever becomes of it
    io_.call(GuestFileCloseRequest(file_.handle()), next, cleaning());
  }

  void give_up() { io_.fail(error_); }

  Step cleaning() {
    if (!error_) return {.until = until_};
    if (!clean_until_) clean_until_ = deadline_after(patience, io_.now());
    return {.until = *clean_until_, .cancel = Cancel::never};
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
    std::rethrow_exception(protocol::make_error<RequestError>(
        "", what, Outcome::not_sent, std::make_error_code(std::errc::invalid_argument)));
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

 private:
  /// For cleaning up.
  static constexpr Clock::duration patience = std::chrono::seconds(10);
  static constexpr Clock::duration close_patience = std::chrono::seconds(5);

  /// What has no end to seek to, such as a pipe, has no size either.
  void measure() {
    io_.call(GuestFileSeekRequest(file_.handle(), 0, QGASeek::end),
             [this](std::exception_ptr error, const GuestFileSeek& end) {
               if (error && failure_of(error).outcome != Outcome::refused) {
                 failed(std::move(error));
                 return go_on();
               }
               if (!error && end.position >= 0) {
                 guest_size_ = static_cast<std::uint64_t>(end.position);
               }
               if (!error || params_.offset > 0) return position();
               go_on();
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
                   std::rethrow_exception(protocol::bad_reply(GuestFileSeekRequest::command,
                                                              "another position than asked for",
                                                              Outcome::unknown));
                 }
               });
               go_on();
             },
             {.until = until_});
  }

  void go_on() {
    if (!ended_) attempt([this] { fill(); });
    if (in_flight_ > 0) return;
    if (error_) return close();
    if (ended_) flush();
  }

  void verify() {
    if (!params_.verify) return settle();
    const std::string script = "tail -c +\"$2\" <\"$1\" | head -c \"$3\" | sha256sum";
    RunParams params;
    params.args = {
        "-c", script, "sh", path_, std::to_string(params_.offset + 1), std::to_string(bytes_)};
    if (params_.timeout) params.timeout = until_ - io_.now();
    params.kill = true;
    const auto then = [this](std::exception_ptr error, const RunResult& run) {
      attempt([&] {
        if (error) std::rethrow_exception(error);
        digest_ = hash_.digest();
        if (run.exit_code != 0 || !run.out.starts_with(digest_ + " ")) {
          std::rethrow_exception(protocol::bad_reply(
              "", path_ + ": the guest has other bytes, or cannot tell: " + run.err + run.out,
              Outcome::unknown));
        }
      });
      error_ ? undo() : settle();
    };
    verification_.emplace(io_, Step{.until = until_}, then, "/bin/sh", std::move(params));
    verification_->start();
  }

  void settle() {
    attempt([this] { commit(); });
    if (error_) return undo();
    io_.finish({bytes_, digest_});
  }

  std::optional<Clock::time_point> clean_until_;
  Sha256 hash_;
  std::string digest_;
  std::optional<Part<Io, RunResult, RunProgram>> verification_;
};

template <class Io>
class Download final : public Transfer<Io> {
 public:
  Download(Io& io, std::string path, std::shared_ptr<Sink> sink, TransferParams params)
      : Transfer<Io>(io, std::move(path), std::move(params)), sink_(std::move(sink)) {}

 private:
  std::string mode() const override { return "r"; }
  void open_host() override { sink_->open(this->params_.offset); }

  /// Beyond the size that the file had, one at a time: only the guest knows where it ends, and
  /// reads that find nothing cost it as much as others.
  void fill() override {
    this->total_ = this->guest_size_;
    const std::uint64_t size = this->guest_size_.value_or(0);
    while (this->in_flight_ == 0 ||
           (this->in_flight_ < this->params_.in_flight && asked() <= size)) {
      asked_ += this->params_.chunk;
      this->send(GuestFileReadRequest(this->file_.handle(),
                                      static_cast<std::int64_t>(this->params_.chunk)),
                 [this](const GuestFileRead& reply) { take(reply); });
    }
  }

  std::uint64_t asked() const { return this->params_.offset + asked_; }

  void take(const GuestFileRead& reply) {
    check_read(reply, this->params_.chunk);
    if (reply.buf_b64.size() > this->params_.limit - this->bytes_) {
      std::rethrow_exception(protocol::bad_reply(
          GuestFileReadRequest::command, "the file is longer than its limit", Outcome::unknown));
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
class Upload final : public Transfer<Io> {
 public:
  Upload(Io& io, std::shared_ptr<Source> source, std::string path, TransferParams params)
      : Transfer<Io>(io, std::move(path), std::move(params)), source_(std::move(source)) {}

 private:
  std::string mode() const override { return this->params_.offset > 0 ? "r+" : "w"; }
  void open_host() override {
    source_->open(this->params_.offset);
    this->total_ = source_->size();
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

  /// Requests that the session does not let out yet would only take memory: the next is enough.
  std::size_t most_in_flight() const {
    const bool alone =
        protocol::base64_encoded_size(this->params_.chunk) > protocol::Session::window_bytes;
    return alone ? std::min<std::size_t>(this->params_.in_flight, 2) : this->params_.in_flight;
  }

  /// A full disk shows here; closing would lose that.
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

  /// An agent cannot remove a file, but make it empty.
  void undo() override {
    if (this->params_.keep_partial || this->params_.offset > 0) return this->give_up();
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
  std::uint64_t sent_ = 0;
};

/// A download into memory.
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
  Part<Io, TransferResult, Download> download_;
};

}  // namespace helpers

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
  /// written directly.
  /// @param guest path in the guest
  /// @param host path on the host
  /// @return `TransferResult`
  /// @throws BadReplyError counts that do not agree, more bytes than `limit`, another SHA-256
  /// The host's disk is written on the thread that calls or runs the executor.
  /// @since QEMU 0.15, all guests
  auto download(std::string guest, std::filesystem::path host,
                TransferParams params = TransferParams()) {
    return from_guest(std::move(guest), std::make_shared<helpers::FileSink>(std::move(host)),
                      std::move(params));
  }
  /// @param stream gets the bytes as they come, also those of a transfer that then fails; has to
  ///        live until this has ended
  auto download(std::string guest, std::ostream& stream, TransferParams params = TransferParams()) {
    return from_guest(std::move(guest), std::make_shared<helpers::StreamSink>(stream),
                      std::move(params));
  }

  /// Copies a file of the host to the guest. The guest's file is overwritten in place and keeps its
  /// permissions; one that is new can be read and written by all. It is flushed before it is
  /// closed, so that a full disk is an error.
  /// @param host path on the host
  /// @param guest path in the guest
  /// @return `TransferResult`
  /// @throws BadReplyError counts that do not agree, another SHA-256
  /// @throws RequestError the guest's file is longer than what is sent behind an `offset`
  /// @since QEMU 0.15, all guests
  auto upload(std::filesystem::path host, std::string guest,
              TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<helpers::FileSource>(std::move(host)), std::move(guest),
                    std::move(params));
  }
  /// @param stream is read to its end; has to live until this has ended
  auto upload(std::istream& stream, std::string guest, TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<helpers::StreamSource>(stream), std::move(guest),
                    std::move(params));
  }

  /// Reads a whole file of the guest.
  /// @param limit bytes; a file that has more is a `BadReplyError`
  /// @return its bytes
  /// @since QEMU 0.15, all guests
  auto read_file(std::string path, std::uint64_t limit = 64 << 20) {
    return self().template perform<std::string, helpers::ReadFile>(std::move(path), limit);
  }

  /// Writes a whole file of the guest, as `upload` does.
  /// @since QEMU 0.15, all guests
  auto write_file(std::string path, std::string bytes, TransferParams params = TransferParams()) {
    return to_guest(std::make_shared<helpers::TextSource>(std::move(bytes)), std::move(path),
                    std::move(params));
  }

 private:
  auto from_guest(std::string path, std::shared_ptr<helpers::Sink> sink, TransferParams params) {
    return self().template perform<TransferResult, helpers::Download>(
        std::move(path), std::move(sink), std::move(params));
  }
  auto to_guest(std::shared_ptr<helpers::Source> source, std::string path, TransferParams params) {
    return self().template perform<TransferResult, helpers::Upload>(
        std::move(source), std::move(path), std::move(params));
  }
  Carrier& self() { return static_cast<Carrier&>(*this); }
};

}  // namespace qga
