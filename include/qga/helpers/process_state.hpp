// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What is known of a program that was started, and the steps that its algorithms share: how its end
// is noticed, and how its errors are told.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/commands/exec.hpp"
#include "qga/commands/file.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/guard.hpp"
#include "qga/detail/protocol/waker.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/run_program.hpp"
#include "qga/helpers/start_params.hpp"

namespace qga::inline v0_1::detail {

/// A pause that grows while nothing happens.
class Pace {
 public:
  explicit Pace(Clock::duration longest) : longest_(longest) {}

  Clock::duration next() { return std::exchange(pause_, std::min(2 * pause_, longest_)); }
  void hurry() { pause_ = shortest; }

 private:
  static constexpr Clock::duration shortest = std::chrono::milliseconds(2);
  Clock::duration longest_;
  Clock::duration pause_ = shortest;
};

/// The longest pause between two looks at what a program does. Looking is a read of a file, which
/// does not show in the guest's log.
inline constexpr Clock::duration longest_look = std::chrono::milliseconds(250);
/// The longest pause between two questions for the status, which do show there.
inline constexpr Clock::duration longest_question = std::chrono::seconds(2);

/// A file that the program writes, open in the agent.
struct OutputFile {
  File file;
  ProcessStream stream = ProcessStream::out;
  std::uint64_t offset = 0;      ///< how much was read
  bool misplaced = false;        ///< the file may stand elsewhere
  bool fast = false;             ///< there was as much as was asked for: more comes at once
  std::string inode = {};        ///< device and inode, for giving back; empty: that is not possible
  std::uint64_t given_back = 0;  ///< how much
};

struct ProcessState {
  ProcessState() = default;
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;

  std::int64_t pid = 0;
  std::string directory;
  std::vector<OutputFile> outputs;
  File input;
  std::size_t piece = 0;  ///< how many bytes of input are written at once or not at all
  /// A file below /proc that can be read as long as the process is there. Systems without it have
  /// to be asked for the status.
  File life;
  File terminal;  ///< begins with the name of the terminal; not open: there is none
  std::string terminal_name;
  std::optional<ProcessStatus> end;
  std::deque<ProcessOutput> unread;  ///< was read from the guest, and not yet handed over

  bool leave_behind = false;
  bool has_input = false;  ///< the program has its input open, as far as is known
  bool gone = false;  ///< `life` could not be read any more: it has to be asked how it has ended
  bool answer_lost = false;     ///< that of a status, which may have told the end
  bool input_doubtful = false;  ///< it is not known what the agent still has to write
  bool drained = false;         ///< it has ended, and all was read
  bool reading = false;
  bool writing = false;

  Pace look{longest_look};
  Pace question{longest_question};
  Clock::time_point ask_at = {};
  const std::shared_ptr<Waker> waker = std::make_shared<Waker>();  ///< of the call that reads
  std::shared_ptr<ClientState> client;
  std::unique_ptr<Guard> guard;  ///< ends the program; null: it may be left behind. Acts first
};

/// What the algorithms of a program that was started have in common.
template <class Io>
class ProcessSteps {
 public:
  ProcessSteps(const ProcessSteps&) = delete;
  ProcessSteps& operator=(const ProcessSteps&) = delete;

 protected:
  ProcessSteps(Io& io, std::shared_ptr<ProcessState> process)
      : io_(io), process_(*process), owned_(std::move(process)) {}
  ~ProcessSteps() { unlock(); }

  /// Locks the outputs or the input of the program until this ends. @return false: another call has
  bool lock(bool ProcessState::*side) {
    if (std::exchange(process_.*side, true)) return false;
    locked_ = side;
    return true;
  }

  /// Ends the algorithm with its result. The next call may begin before this is destroyed.
  template <class... Result>
  void finish(Result&&... result) {
    unlock();
    io_.finish(std::forward<Result>(result)...);
  }

  /// @return what is wrong with the caller's process, for this client and connection
  std::exception_ptr check() const {
    const File& any = process_.outputs.front().file;
    return any.guard() != nullptr ? io_.check(any.guard(), GuestExecRequest::command) : nullptr;
  }

  /// Ends the algorithm with an error that tells the program's fate.
  void fail(const std::exception_ptr& error) {
    unlock();
    io_.fail(error_with<ProgramError>(error, process_.pid, process_.end.has_value()));
  }
  void fail(std::string_view what, std::errc err) {
    fail(make_error<AgentError>(GuestExecRequest::command, what, Outcome::refused,
                                std::make_error_code(err)));
  }

  /// Whether it has to be looked for the process, or to be asked for it.
  bool can_look() const { return process_.life.is_open() && !process_.gone; }
  bool has_to_ask() const {
    return process_.gone || (!process_.life.is_open() && io_.now() >= process_.ask_at);
  }

  /// Reads a little of the file that is there as long as the process. That this is refused tells
  /// the end. It is noted then, because the guest logs it.
  void look_for_life(Continuation<void> then) {
    io_.call(GuestFileReadRequest(process_.life.handle(), 1),
             [this, then = std::move(then)](std::exception_ptr error, const GuestFileRead&) {
               process_.gone = error && outcome_of(error) == Outcome::refused;
               then(process_.gone ? nullptr : std::move(error));
             });
  }

  /// Asks for the status. The answer that tells the end comes once, so a late one is awaited.
  void ask(Continuation<void> then) {
    io_.call(
        GuestExecStatusRequest(process_.pid),
        [this, then = std::move(then)](std::exception_ptr error, const GuestExecStatus& status) {
          if (process_.end) return then(nullptr);  // another call was told meanwhile
          if (error) return unanswered(std::move(error), then);
          process_.answer_lost = false;
          if (status.exited) end({true, status.exitcode, status.signal});
          process_.gone = false;
          process_.ask_at = deadline_after(process_.question.next(), io_.now());
          then(nullptr);
        },
        {.until = deadline_after(std::chrono::seconds(60), io_.now()), .awaits_late_answer = true});
  }

  /// Asks for the status where it is due, or where the process is gone. `ProcessState::end` tells
  /// what came of it.
  void look_for_end(Continuation<void> then) {
    if (!can_look()) return has_to_ask() ? ask(std::move(then)) : then(nullptr);
    look_for_life([this, then = std::move(then)](std::exception_ptr error) {
      process_.gone ? ask(then) : then(std::move(error));
    });
  }

  /// Waits before the next look. @param then is not called where the caller's time is over
  /// @param waker may end the wait; null: nothing does. It serves one call at a time
  void pause(Pace& pace, std::function<void()> then, const std::shared_ptr<Waker>& waker = {}) {
    const auto left = io_.until() - io_.now();
    if (left <= Clock::duration::zero()) return out_of_time();
    io_.pause(
        std::min<Clock::duration>(pace.next(), left),
        [this, then = std::move(then)](std::exception_ptr error) {
          if (error) return fail(error);
          if (io_.now() >= io_.until()) return out_of_time();
          then();
        },
        waker);
  }

  Io& io_;
  ProcessState& process_;

 private:
  void unlock() {
    if (locked_ != nullptr) process_.*std::exchange(locked_, nullptr) = false;
  }

  void end(ProcessStatus status) {
    process_.end = status;
    if (process_.guard) process_.guard->disarm();
  }

  void out_of_time() { fail(timed_out(GuestExecRequest::command, Outcome::unknown)); }

  void unanswered(std::exception_ptr error, const Continuation<void>& then) {
    if (outcome_of(error) == Outcome::unknown) process_.answer_lost = true;
    if (err_of(error) == std::errc::no_message) return ask(then);
    if (failure_of(error) != nullptr && process_.answer_lost) {
      end({true, {}, {}});  // how it has ended is not known any more
      return then(nullptr);
    }
    then(std::move(error));
  }

  /// A `Process` may end before its calls.
  const std::shared_ptr<ProcessState> owned_;
  bool ProcessState::*locked_ = nullptr;  ///< null: nothing
};

}  // namespace qga::inline v0_1::detail
