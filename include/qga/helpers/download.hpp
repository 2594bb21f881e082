// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The algorithm of a download, and of a file that is read into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "qga/commands/file.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/transfer_params.hpp"
#include "qga/helpers/transfer_steps.hpp"

namespace qga::inline v0_1::detail {

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

}  // namespace qga::inline v0_1::detail
