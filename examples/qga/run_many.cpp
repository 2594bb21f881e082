// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `run` in many guests at the same time. What the programs write is printed in whole lines, each
// behind the name of its guest: as it comes where the guest can do that, and otherwise at the end.
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>
#include <asio/bind_executor.hpp>

#include "each_guest.hpp"
#include "failure.hpp"
#include "guest_text.hpp"
#include "print.hpp"
#include "program_end.hpp"
#include "run_options.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

/// Prints one output of a guest's program.
class PrefixedLines {
 public:
  PrefixedLines(std::ostream& out, int fd, const std::string& guest, const RunOptions& options)
      : out_(out),
        prefix_(shown(guest) + ": "),
        text_(!options.raw_output && ::isatty(fd) != 0, options.encoding) {}

  void add(std::string_view bytes) { print(text_.add(bytes), false); }
  void finish() { print(text_.finish(), true); }

 private:
  /// A longer line is split, because a guest may send one without an end.
  static constexpr std::size_t longest_line = 64 << 10;

  void print(const std::string& text, bool last) {
    line_ += text;
    std::string lines;
    std::size_t begin = 0;
    while (begin < line_.size()) {
      std::size_t end = line_.find('\n', begin);
      const bool is_whole = end != std::string::npos;
      if (!is_whole) end = line_.size();
      if (!is_whole && !last && end - begin < longest_line) break;
      lines.append(prefix_).append(line_, begin, end - begin).append("\n");
      begin = end + 1;
    }
    line_.erase(0, begin);
    if (!lines.empty()) out_ << lines << std::flush;
  }

  std::ostream& out_;
  std::string prefix_;
  GuestText text_;
  std::string line_;  ///< has no end yet
};

/// The program in one guest, from its start to its end.
class GuestProgram : public std::enable_shared_from_this<GuestProgram> {
 public:
  GuestProgram(GuestTask& task, const std::vector<std::string>& words, const RunOptions& options)
      : task_(task),
        words_(words),
        options_(options),
        out_(std::cout, STDOUT_FILENO, task.name(), options),
        err_(std::cerr, STDERR_FILENO, task.name(), options) {}

  void start() {
    if (options_.buffered || task_.tool().json) return run_buffered();
    const auto then = [self = shared_from_this()](std::exception_ptr error, qga::Process process) {
      if (error && may_run_buffered(error, self->options_)) return self->run_buffered();
      if (error) return self->fail(std::move(error));
      self->process_ = std::move(process);
      if (self->options_.limit) {
        self->until_ = qga::deadline_after(duration_of(*self->options_.limit), qga::Clock::now());
      }
      self->read();
    };
    task_.ga(then).start(words_.front(), params_of<qga::StartParams>(words_, options_));
  }

 private:
  void fail(std::exception_ptr error) { task_.fail(not_started(std::move(error), words_.front())); }

  void answer(const ProgramEnd& end) {
    Answer answer{.status = exit_code_of(end)};
    if (answer.status != exit_done) answer.complaint = end_text(end);
    task_.answer(std::move(answer));
  }

  // ---- output at the end ------------------------------------------------------------------------

  void run_buffered() {
    const auto then = [self = shared_from_this()](std::exception_ptr error,
                                                  const qga::RunResult& result) {
      error ? self->fail(std::move(error)) : self->show(result);
    };
    task_.ga(then).run(words_.front(), buffered_params(words_, options_));
  }

  void show(const qga::RunResult& result) {
    for (const std::string& cut :
         {cut_text("stdout", result.out_truncated), cut_text("stderr", result.err_truncated)}) {
      if (!cut.empty() && !task_.tool().quiet) task_.complain(cut);
    }
    const ProgramEnd end{result.exit_code, result.signal};
    if (task_.tool().json) {
      return task_.answer({.json = json_of(result), .status = exit_code_of(end)});
    }
    out_.add(result.out);
    err_.add(result.err);
    out_.finish();
    err_.finish();
    answer(end);
  }

  // ---- output as it comes -----------------------------------------------------------------------

  template <class Handler>
  auto process(Handler handler, qga::CallOptions options) {
    return process_.async(asio::bind_executor(task_.tool().context, std::move(handler)),
                          std::move(options));
  }

  void read() {
    const auto then = [self = shared_from_this()](const std::exception_ptr& error,
                                                  const qga::ProcessOutput& output) {
      if (error) return self->not_read(error);
      if (!output) return self->ended();
      (output.stream == qga::ProcessStream::out ? self->out_ : self->err_).add(output.bytes);
      // As a closed pipe ends a program in a shell.
      if (!std::cout) return self->give_up("cannot write to stdout", true);
      self->read();
    };
    process(then, {.deadline = until_, .stop = task_.tool().stop.token()}).read();
  }

  void not_read(const std::exception_ptr& error) {
    if (task_.tool().stop.signal() != 0) return give_up("interrupted", options_.kill);
    if (!has_code(error, qga::err_timed_out)) return lose(error);
    if (qga::Clock::now() >= until_) return give_up("", options_.kill);
    // A guest may be paused, and nothing is lost.
    if (!std::exchange(silent_, true)) task_.complain("does not answer; Ctrl-C ends the wait");
    read();
  }

  void ended() {
    out_.finish();
    err_.finish();
    const auto then = [self = shared_from_this()](const std::exception_ptr& error,
                                                  const qga::ProcessStatus& status) {
      if (error) return self->lose(error);
      self->process_ = {};
      self->answer({status.exit_code, status.signal});
    };
    process(then, {.stop = task_.tool().stop.token()}).wait();
  }

  void lose(const std::exception_ptr& error) {
    process_.release();
    process_ = {};
    task_.fail(error);
  }

  /// Stops following the program.
  /// @param why empty: it has run for too long
  void give_up(const std::string& why, bool kill) {
    if (!kill) return left(why, false);
    const qga::CallOptions limit{.timeout = 10s};  // of each step; Ctrl-C does not end it
    const auto killed = [self = shared_from_this(), why, limit](const std::exception_ptr& error) {
      if (error) return self->left(why, false);
      const auto then = [self, why](const std::exception_ptr&, const qga::ProcessStatus& status) {
        self->left(why, status.ended);
      };
      self->process(then, limit).wait();
    };
    process(killed, limit).kill();
  }

  void left(const std::string& why, bool killed) {
    const std::string name = "process " + std::to_string(process_.pid());
    process_.release();
    process_ = {};
    if (stdout_is_closed()) {  // nothing is said about that
      if (!killed) task_.complain(name + " may still run");
      return task_.fail(std::make_exception_ptr(ClosedPipeError()));
    }
    if (!why.empty()) {
      const std::string fate = killed ? " was killed" : " may still run";
      return task_.fail(std::make_exception_ptr(std::runtime_error(why + "; " + name + fate)));
    }
    task_.complain(name + (killed ? " ran for too long and was killed"
                                  : " has run for too long and is left behind"));
    task_.answer({.status = exit_too_long});
  }

  GuestTask& task_;
  const std::vector<std::string>& words_;
  const RunOptions& options_;
  PrefixedLines out_;
  PrefixedLines err_;
  qga::Process process_;
  qga::Clock::time_point until_ = qga::Clock::time_point::max();
  bool silent_ = false;  ///< the user was told that the guest does not answer
};

}  // namespace

int run_many(Tool& tool, const std::vector<std::string>& words, const RunOptions& options) {
  return each_guest(tool, [&](GuestTask& task) {
    std::make_shared<GuestProgram>(task, words, options)->start();
  });
}

}  // namespace qga_tool
