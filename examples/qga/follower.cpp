// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Three things go on at the same time, each one step after the other: what the program writes is
// read and then printed; our stdin is read, and sent; the size of our terminal is sent.
#include "follower.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <system_error>
#include <utility>

#include <unistd.h>
#include <asio/bind_executor.hpp>
#include <asio/post.hpp>

#include "failure.hpp"
#include "print.hpp"
#include "raw_terminal.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

/// For each of killing a program and waiting for its end.
constexpr qga::Clock::duration kill_time = 10s;

/// A pipe takes this without waiting where it takes anything.
constexpr std::size_t longest_write = 4096;

bool is_transient(int err) { return err == EAGAIN || err == EWOULDBLOCK || err == EINTR; }

std::exception_ptr system_error(const std::string& what) {
  return std::make_exception_ptr(std::system_error(errno, std::system_category(), what));
}

}  // namespace

Follower::Output::Output(asio::io_context& context, int number, const FollowParams& params)
    : fd(number),
      text(!params.raw_output && ::isatty(number) != 0, params.encoding),
      ready(context, number, Ready::To::write) {}

Follower::Follower(Tool& tool, qga::Process process, FollowParams params)
    : tool_(tool),
      context_(tool.context),
      process_(std::move(process)),
      params_(std::move(params)),
      out_(context_, STDOUT_FILENO, params_),
      err_(context_, STDERR_FILENO, params_),
      stdin_(context_, STDIN_FILENO, Ready::To::read),
      timer_(context_),
      size_changed_(context_) {}

Follower::~Follower() {
  finish(Followed::Why::failed);
  drain();  // the calls end before the process does
  process_ = {};
  try {
    tool_.client().async_close(asio::bind_executor(context_, [](const std::exception_ptr&) {}));
  } catch (const std::exception&) {  // then the client's destructor tries again
  }
  drain();
}

void Follower::drain() noexcept {
  try {
    context_.restart();
    context_.run();
  } catch (const std::exception& error) {
    complain(error.what());
  }
}

qga::CallOptions Follower::options() const { return {.stop = end_.get_token()}; }

Followed Follower::follow() {
  const std::stop_callback on_stop(tool_.stop.token(), [this] {
    asio::post(context_, [this] { finish(Followed::Why::stopped); });
  });
  if (params_.timeout) {
    timer_.expires_after(*params_.timeout);
    timer_.async_wait([this](const std::error_code& error) {
      if (!error) finish(Followed::Why::too_long);
    });
  }
  if (params_.terminal) follow_size();
  input_ended_ = !params_.input;
  read();
  send_input();
  context_.restart();
  context_.run();
  if (result_.why == Followed::Why::ended) result_.status = process_.wait();
  return result_;
}

bool Follower::kill() {
  try {
    process_.with({.timeout = kill_time}).kill();
  } catch (const qga::GuestAgentError&) {  // it may have ended
  }
  try {
    return process_.with({.timeout = kill_time}).wait().ended;
  } catch (const qga::GuestAgentError&) {
    return false;
  }
}

void Follower::finish(Followed::Why why, std::exception_ptr error) {
  if (std::exchange(over_, true)) return;
  result_ = {why, {}, std::move(error)};
  end_.request_stop();
  stdin_.cancel();
  out_.ready.cancel();
  err_.ready.cancel();
  std::error_code ignored;
  size_changed_.cancel(ignored);
  timer_.cancel();
}

// ---- what the program writes --------------------------------------------------------------------

void Follower::read() {
  const auto then = [this](const std::exception_ptr& error, const qga::ProcessOutput& output) {
    if (over_) return;
    // A guest may be paused. Nothing is lost, and the user can leave.
    if (has_code(error, qga::err_timed_out)) {
      if (!std::exchange(silent_, true)) tell_silence();
      return read();
    }
    if (error) return finish(Followed::Why::lost, error);
    silent_ = false;
    if (output) {
      Output& ours = output.stream == qga::ProcessStream::out ? out_ : err_;
      return print(ours, ours.text.add(output.bytes), [this] { read(); });
    }
    print(out_, out_.text.finish(),
          [this] { print(err_, err_.text.finish(), [this] { finish(Followed::Why::ended); }); });
  };
  process_.async(asio::bind_executor(context_, then), options()).read();
}

void Follower::tell_silence() const {
  if (params_.terminal) {
    std::cerr << "\r\nqga: the guest does not answer; ~. leaves\r\n";
  } else {
    complain("the guest does not answer; Ctrl-C ends the wait");
  }
}

void Follower::print(Output& output, std::string text, std::function<void()> then) {
  printing_ = &output;
  text_ = std::move(text);
  printed_ = 0;
  then_ = std::move(then);
  print_some();
}

void Follower::print_some() {
  if (printed_ == text_.size()) return std::exchange(then_, nullptr)();
  printing_->ready.async_wait([this] {
    if (over_) return;
    const std::size_t size = std::min(text_.size() - printed_, longest_write);
    const ssize_t written = ::write(printing_->fd, text_.data() + printed_, size);
    if (written < 0 && !is_transient(errno)) {
      const bool is_out = printing_ == &out_;
      return finish(Followed::Why::failed,
                    system_error(is_out ? "cannot write to stdout" : "cannot write to stderr"));
    }
    printed_ += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    print_some();
  });
}

// ---- our stdin ----------------------------------------------------------------------------------

void Follower::await_input() {
  if (input_ended_ || awaits_input_ || queue_.size() >= longest_queue) return;
  awaits_input_ = true;
  stdin_.async_wait([this] {
    awaits_input_ = false;
    if (!over_) read_input();
  });
}

void Follower::read_input() {
  std::array<char, 16 << 10> buffer;
  const ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (size < 0 && !is_transient(errno)) {
    return finish(Followed::Why::failed, system_error("cannot read stdin"));
  }
  if (size == 0) input_ended_ = true;
  if (size > 0) {
    std::string bytes(buffer.data(), static_cast<std::size_t>(size));
    std::optional<std::string> keys = params_.keys ? params_.keys(std::move(bytes)) : bytes;
    if (!keys) return finish(Followed::Why::left);
    queue_ += *keys;
  }
  send_input();
}

void Follower::send_input() {
  const auto then = [this](const std::exception_ptr& error) {
    sending_ = false;
    if (over_) return;
    if (error) not_sent(error);
    if (!over_) send_input();
  };
  if (!sending_ && !input_closed_ && (!queue_.empty() || input_ended_)) {
    sending_ = true;
    auto call = process_.async(asio::bind_executor(context_, then), options());
    if (queue_.empty()) {
      input_closed_ = true;
      call.close_input();
    } else {
      call.write(std::exchange(queue_, {}));
    }
  }
  await_input();
}

void Follower::not_sent(const std::exception_ptr& error) {
  const qga::GuestAgentError* const known = qga::error_of(error);
  if (known != nullptr && known->err() == std::errc::broken_pipe) {
    // The program reads no more; what it has written is still to come.
    input_ended_ = input_closed_ = true;
    queue_.clear();
    return;
  }
  if (input_closed_ || (params_.terminal && has_code(error, qga::err_timed_out))) return;
  finish(Followed::Why::lost, error);
}

// ---- the size of our terminal -------------------------------------------------------------------

void Follower::follow_size() {
  size_changed_.add(SIGWINCH);
  await_resize();
  const qga::Terminal now = terminal_here();  // it may have changed before
  has_new_size_ = now.rows != params_.terminal->rows || now.columns != params_.terminal->columns;
  resize();
}

void Follower::await_resize() {
  size_changed_.async_wait([this](const std::error_code& error, int) {
    if (error || over_) return;
    has_new_size_ = true;
    resize();
    await_resize();
  });
}

/// While one size is sent, only the last of those that follow is remembered.
void Follower::resize() {
  if (resizes_ || !std::exchange(has_new_size_, false)) return;
  resizes_ = true;
  const qga::Terminal size = terminal_here();
  // A terminal of the wrong size is no reason to end.
  const auto then = [this](const std::exception_ptr&) {
    resizes_ = false;
    if (!over_) resize();
  };
  process_.async(asio::bind_executor(context_, then), options()).resize(size.rows, size.columns);
}

}  // namespace qga_tool
