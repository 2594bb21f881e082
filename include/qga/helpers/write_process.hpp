// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes to the standard input of a program that runs, through a FIFO.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "qga/helpers/process_state.hpp"

namespace qga::inline v0_1::detail {

inline std::exception_ptr input_is_busy() {
  return wrong_argument(GuestFileWriteRequest::command,
                        "a program's input must be written by one call at a time",
                        std::errc::device_or_resource_busy);
}

/// The agent does not tell how much a full FIFO took. So each piece is short enough for the kernel
/// to take all of it or nothing, and the next one is sent when it was taken.
template <class Io>
class WriteProcess : ProcessSteps<Io> {
 public:
  WriteProcess(Io& io, std::shared_ptr<ProcessState> process, std::string bytes)
      : ProcessSteps<Io>(io, std::move(process)), bytes_(std::move(bytes)) {}

  void start() {
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    if (this->process_.end) return ended();  // `read` may have closed the input then
    if (!this->process_.input.is_open()) {
      return this->io_.fail(wrong_argument(GuestFileWriteRequest::command,
                                           "the program's input must be open",
                                           std::errc::bad_file_descriptor));
    }
    if (!this->lock(&ProcessState::writing)) return this->io_.fail(input_is_busy());
    this->process_.input_doubtful ? settle() : next();
  }

 private:
  /// An earlier call has ended without its answers. What the agent has of it is written now, or
  /// thrown away, and its failure is forgotten.
  void settle() {
    this->io_.call(GuestFileFlushRequest(this->process_.input.handle()),
                   [this](std::exception_ptr error) {
                     const bool refused = error && outcome_of(error) == Outcome::refused;
                     error_ = refused ? nullptr : std::move(error);
                   });
    forget_failure([this] { next(); });
  }

  /// The agent remembers a failed flush until something is written again, even if it is nothing.
  void forget_failure(std::function<void()> then) {
    this->io_.call(BasicGuestFileWriteRequest<std::string_view>(this->process_.input.handle(), ""),
                   [this, then = std::move(then)](std::exception_ptr error, const GuestFileWrite&) {
                     if (error_) return this->fail(error_);
                     if (error && outcome_of(error) != Outcome::refused) return this->fail(error);
                     this->process_.input_doubtful = false;
                     then();
                   });
  }

  void next() {
    if (this->process_.end) return ended();
    if (at_ == bytes_.size()) {
      this->process_.look.hurry();
      this->process_.waker->wake();
      return this->finish();
    }
    this->process_.input_doubtful = true;  // until all is answered
    const auto piece = std::string_view(bytes_).substr(at_, this->process_.piece);
    const std::int64_t handle = this->process_.input.handle();
    this->io_.call(BasicGuestFileWriteRequest<std::string_view>(handle, piece),
                   [this, piece](std::exception_ptr error, const GuestFileWrite& reply) {
                     refused_ = error && outcome_of(error) == Outcome::refused;
                     error_ = refused_ ? nullptr : std::move(error);
                     if (error_ || refused_) return;
                     try {
                       check_written(reply, piece.size());
                     } catch (...) {
                       error_ = std::current_exception();
                     }
                   });
    this->io_.call(GuestFileFlushRequest(handle),
                   [this, size = piece.size()](std::exception_ptr error) {
                     const bool refused = error && outcome_of(error) == Outcome::refused;
                     if (!error_ && !refused) error_ = std::move(error);
                     if (error_) return this->fail(error_);
                     // The FIFO is full, or the program has ended. What the agent could not flush
                     // it throws away.
                     if (refused || refused_) return forget_failure([this] { look(); });
                     this->process_.input_doubtful = false;
                     at_ += size;
                     pace_.hurry();
                     next();
                   });
  }

  void look() {
    this->look_for_end([this](std::exception_ptr error) {
      if (error) return this->fail(error);
      this->process_.end ? ended() : this->pause(pace_, [this] { next(); });
    });
  }

  void ended() { this->fail("the program has ended and reads no more", std::errc::broken_pipe); }

  std::string bytes_;
  std::size_t at_ = 0;
  bool refused_ = false;
  std::exception_ptr error_;
  Pace pace_{longest_look};
};

/// Closes the input: the program reads its end. Bytes in a FIFO are lost where no process has it
/// open. So this waits until the program has it open, which the removal of its script tells.
template <class Io>
class CloseInput : ProcessSteps<Io> {
 public:
  CloseInput(Io& io, std::shared_ptr<ProcessState> process)
      : ProcessSteps<Io>(io, std::move(process)) {}

  void start() {
    if (!this->process_.input.is_open()) return this->finish();
    if (auto error = this->check()) return this->io_.fail(std::move(error));
    if (!this->lock(&ProcessState::writing)) return this->io_.fail(input_is_busy());
    look_until_ = deadline_after(longest_start, this->io_.now());
    look();
  }

 private:
  /// The time for a script to begin: it may have failed before.
  static constexpr Clock::duration longest_start = std::chrono::seconds(10);

  void look() {
    ProcessState& process = this->process_;
    if (process.has_input || process.end || this->io_.now() >= look_until_) return close();
    this->io_.call(GuestFileOpenRequest(process.directory + "/run", "r"),
                   [this, &process](std::exception_ptr error, std::int64_t handle) {
                     if (error && outcome_of(error) != Outcome::refused) return this->fail(error);
                     process.has_input = error != nullptr;
                     if (process.has_input) return close();
                     close_script(handle);
                   },
                   {.cancel = Cancel::unsent});
  }

  void close_script(std::int64_t handle) {
    this->io_.call(GuestFileCloseRequest(handle),
                   [this](std::exception_ptr error) {
                     if (error) return this->fail(error);
                     this->pause(pace_, [this] { look(); });
                   },
                   {.cancel = Cancel::never});
  }

  void close() {
    File& input = this->process_.input;
    this->io_.call(GuestFileCloseRequest(input.handle()),
                   [this, &input](std::exception_ptr error) {
                     if (!error || outcome_of(error) != Outcome::not_sent) input.forget();
                     if (error) return this->fail(error);
                     this->process_.look.hurry();
                     this->process_.waker->wake();
                     this->finish();
                   },
                   {.cancel = Cancel::never});
  }

  Clock::time_point look_until_ = {};
  Pace pace_{longest_look};
};

}  // namespace qga::inline v0_1::detail
