// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads what a program writes, while it runs. Its outputs are files of the guest, which grow.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "qga/helpers/process_state.hpp"
#include "qga/helpers/start_script.hpp"

namespace qga::inline v0_1::detail {

/// Several reads are in flight together. The agent answers in order, so that each continues where
/// the one before it has ended. The first looks whether the program is still there: what the others
/// do not find then, does not come any more.
template <class Io>
class ReadProcess : ProcessSteps<Io> {
 public:
  ReadProcess(Io& io, std::shared_ptr<ProcessState> process)
      : ProcessSteps<Io>(io, std::move(process)) {}

  void start() {
    ProcessState& process = this->process_;
    if (!this->lock(&ProcessState::reading)) {
      return this->io_.fail(wrong_argument(GuestFileReadRequest::command,
                                           "a program's output must be read by one call at a time",
                                           std::errc::device_or_resource_busy));
    }
    if (process.drained || !process.unread.empty()) return hand_over();
    if (auto error = this->check()) return this->fail(error);
    give_back();
  }

 private:
  static constexpr std::size_t first_read = 64 << 10;
  static constexpr std::size_t long_read = 128 << 10;
  static constexpr std::size_t long_reads = 4;  ///< in flight
  /// Read parts of a file are given back to the guest's disk by as much as this.
  static constexpr std::uint64_t part = 64 << 20;
  static constexpr std::size_t block = 4096;
  static constexpr Clock::duration cleanup_time = std::chrono::seconds(10);

  void give_back() {
    for (OutputFile& output : this->process_.outputs) {
      const std::uint64_t length = output.offset / block * block;
      if (output.inode.empty() || length < output.given_back + part) continue;
      output.given_back = length;
      RunParams params;
      params.args = {"-c", std::string(give_back_script), "sh", output.inode,
                     std::to_string(length)};
      params.capture = false;
      const auto then = [this, &output](const std::exception_ptr& error, const RunResult& result) {
        const bool impossible =
            error ? outcome_of(error) == Outcome::refused : result.exit_code != 0;
        if (impossible) output.inode.clear();
        give_back();
      };
      program_.emplace(this->io_, Step{.harmless = true}, then, "/bin/sh", std::move(params), true);
      return program_->start();
    }
    read();
  }

  void read() {
    ProcessState& process = this->process_;
    error_ = nullptr;
    if (!process.end && this->can_look()) {
      ++in_flight_;
      this->look_for_life([this](std::exception_ptr error) { answered(std::move(error)); });
    }
    for (OutputFile& output : process.outputs) read(output);
  }

  void read(OutputFile& output) {
    if (output.misplaced) seek(output);
    const std::size_t asked = output.fast ? long_read : first_read;
    std::size_t reads = output.fast ? long_reads : 1;
    output.misplaced = true;  // until all is answered
    in_flight_ += reads;
    for (; reads > 0; --reads) {
      this->io_.call(
          GuestFileReadRequest(output.file.handle(), static_cast<std::int64_t>(asked)),
          [this, asked, reads, &output](std::exception_ptr error, const GuestFileRead& reply) {
            if (!error && !error_) error = add(output, reply, asked);
            if (!error && !error_ && reads == 1) output.misplaced = false;
            answered(std::move(error));
          });
    }
  }

  /// After a read without an answer the file may stand anywhere.
  void seek(const OutputFile& output) {
    ++in_flight_;
    this->io_.call(
        GuestFileSeekRequest(output.file.handle(), static_cast<std::int64_t>(output.offset),
                             QGASeek::set),
        [this, wanted = output.offset](std::exception_ptr error, const GuestFileSeek& at) {
          if (!error && std::cmp_not_equal(at.position, wanted)) {
            error = bad_reply(GuestFileSeekRequest::command, "another position than asked for",
                              Outcome::unknown);
          }
          answered(std::move(error));
        });
  }

  std::exception_ptr add(OutputFile& output, const GuestFileRead& reply, std::size_t asked) {
    try {
      check_read(reply, asked);
    } catch (...) {
      return std::current_exception();
    }
    output.fast = reply.buf_b64.size() == asked;
    if (reply.buf_b64.empty()) return nullptr;
    output.offset += reply.buf_b64.size();
    auto& unread = this->process_.unread;
    if (unread.empty() || unread.back().stream != output.stream) {
      unread.push_back({output.stream, {}});
    }
    unread.back().bytes += reply.buf_b64;
    return nullptr;
  }

  void answered(std::exception_ptr error) {
    if (error && !error_) error_ = std::move(error);
    if (--in_flight_ > 0) return;
    ProcessState& process = this->process_;
    if (error_) return this->fail(error_);
    if (!process.unread.empty()) {
      process.look.hurry();
      return hand_over();
    }
    if (process.end) return close();
    if (!this->has_to_ask()) return wait();
    this->ask([this](std::exception_ptr unanswered) {
      if (unanswered) return this->fail(unanswered);
      // Whatever is asked again: it may have written before its end.
      this->process_.end ? read() : wait();
    });
  }

  void wait() {
    this->pause(
        this->process_.look, [this] { read(); }, this->process_.waker);
  }

  void hand_over() {
    ProcessOutput output;
    if (!this->process_.unread.empty()) {
      output = std::move(this->process_.unread.front());
      this->process_.unread.pop_front();
    }
    this->finish(std::move(output));
  }

  /// All was read: nothing is left in the guest.
  void close() {
    ProcessState& process = this->process_;
    process.drained = true;
    const auto close_one = [this](File& file) {
      if (!file.is_open()) return;
      ++in_flight_;
      this->io_.call(GuestFileCloseRequest(file.handle()),
                     [this, &file](const std::exception_ptr& error) {
                       if (!error || outcome_of(error) != Outcome::not_sent) file.forget();
                       if (--in_flight_ == 0) remove();
                     },
                     {.cancel = Cancel::never});
    };
    for (OutputFile& output : process.outputs) close_one(output.file);
    close_one(process.life);
    close_one(process.input);
    close_one(process.terminal);
  }

  void remove() {
    if (!this->process_.leave_behind) return hand_over();
    RunParams params;
    params.args = {"-rf", "--", this->process_.directory};
    params.capture = false;
    const auto then = [this](const std::exception_ptr&, const RunResult&) { hand_over(); };
    const Step limit = cleaning_up(deadline_after(cleanup_time, this->io_.now()));
    program_.emplace(this->io_, limit, then, "/bin/rm", std::move(params), true);
    program_->start();
  }

  std::size_t in_flight_ = 0;
  std::exception_ptr error_;
  std::optional<SubAlgorithm<Io, RunResult, RunProgram>> program_;
};

}  // namespace qga::inline v0_1::detail
