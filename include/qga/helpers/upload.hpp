// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The algorithm of an upload.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "qga/commands/file.hpp"
#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/host_file.hpp"
#include "qga/helpers/transfer_params.hpp"
#include "qga/helpers/transfer_steps.hpp"

namespace qga::inline v0_1::detail {

/// The script that makes file $1, unless it is there, and gives it permissions $2, unless that is
/// empty.
inline constexpr std::string_view make_file_script =
    "[ -e \"$1\" ] || (umask 077 && : >\"$1\") && { [ -z \"$2\" ] || chmod -- \"$2\" \"$1\"; }";

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
    if (mode) static_cast<void>(std::snprintf(octal.data(), octal.size(), "%04o", *mode));
    this->run_in_guest(
        {"-c", std::string(make_file_script), "sh", this->path_, octal.data()},
        [this](std::exception_ptr error, const RunResult& run) {
          const int code = code_of(error);
          if (error && code != err_from_agent) return this->io_.fail(std::move(error));
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

}  // namespace qga::inline v0_1::detail
