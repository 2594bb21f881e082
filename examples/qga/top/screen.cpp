// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Keys, signals, the guests and the time of the next sample are waited for on one thread.
#include "screen.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include "../print.hpp"
#include "../ready.hpp"
#include "terminal.hpp"
#include "watchers.hpp"

namespace qga_tool::top {

namespace {

using namespace std::chrono_literals;

/// Answers that come within this time of another are drawn together.
constexpr auto draw_delay = 200ms;
/// The second sample, with which the rates come, is not later than this.
constexpr Ui::Interval longest_first = 1s;
/// How often to look whether a process in the background has come to the foreground.
constexpr auto background_pause = 200ms;

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 16> text{};
  ::localtime_r(&now, &parts);
  std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

class Screen {
 public:
  Screen(Tool& tool, Ui::Interval interval)
      : tool_(tool),
        context_(tool.context),
        tidy_up_(tool.stop),
        resized_(context_, SIGWINCH),
        stopped_(context_, SIGTSTP),
        continued_(context_, SIGCONT),
        keys_(context_, STDIN_FILENO, Ready::To::read),
        sample_timer_(context_),
        draw_timer_(context_),
        watchers_(tool, [this] { on_answer(); }),
        ui_(!tool.guests.are_many(), interval) {}

  int run() {
    // It may be called late, when this is gone.
    const std::stop_callback on_stop(tool_.stop.token(), [&context = context_] {
      asio::post(context, [&context] { context.stop(); });
    });
    await_keys();
    await_signals();
    sample();
    draw();
    context_.restart();
    context_.run();
    if (!error_.empty()) return exit_unreachable;
    return tool_.stop.signal() != 0 ? 128 + tool_.stop.signal() : exit_done;
  }

  /// Why it has ended; empty: the user has left.
  const std::string& error() const { return error_; }

 private:
  /// A handler that does nothing once this is gone: those that are due when the context is stopped
  /// are called when it runs again, to close the connections.
  template <class Function>
  auto while_there(Function function) {
    return [there = std::weak_ptr<const bool>(there_), function](const auto&... result) {
      if (there.lock()) function(result...);
    };
  }

  void end() { context_.stop(); }

  void sample() {
    clock_ = clock_text();
    watchers_.sample();
    ++samples_;
    sampled_ = qga::Clock::now();
    await_sample();
  }

  void await_sample() {
    if (ui_.is_paused()) {
      sample_timer_.cancel();
      return;
    }
    const Ui::Interval interval =
        samples_ < 2 ? std::min(ui_.interval(), longest_first) : ui_.interval();
    sample_timer_.expires_at(sampled_ + interval);
    sample_timer_.async_wait(while_there([this](const std::error_code& error) {
      if (error) return;
      sample();
      schedule_draw();
    }));
  }

  void on_answer() {
    if (!tool_.guests.are_many() && samples_ == 1) fail_if_unreachable();
    watchers_.unanswered() == 0 ? draw() : schedule_draw();
  }

  /// A socket that was not there from the first is rather a mistake than a guest that is gone.
  void fail_if_unreachable() {
    for (const Watched* guest : watchers_.guests()) {
      if (guest->row.state != GuestState::no_socket) continue;
      error_ = guest->row.error;
      end();
    }
  }

  void schedule_draw() {
    if (is_stopped_ || std::exchange(is_draw_due_, true)) return;
    draw_timer_.expires_after(draw_delay);
    draw_timer_.async_wait(while_there([this](const std::error_code& error) {
      if (!error) draw();
    }));
  }

  void draw() {
    if (is_stopped_) return;
    is_draw_due_ = false;
    draw_timer_.cancel();
    terminal_.takes_output() ? terminal_.draw(picture()) : schedule_draw();
  }

  std::vector<Line> picture() { return ui_.draw(watchers_.guests(), terminal_.size(), clock_); }

  void await_keys() {
    keys_.async_wait(while_there([this] {
      bool any = false;
      const Ui::Interval interval = ui_.interval();
      const bool paused = ui_.is_paused();
      while (const std::optional<Key> key = terminal_.key()) {
        any = true;
        ui_.press(*key);
        picture();  // what the next key means depends on it
      }
      if (ui_.has_quit() || (!any && terminal_.is_closed())) return end();
      if (interval != ui_.interval() || paused != ui_.is_paused()) await_sample();
      draw();
      await_keys();
    }));
  }

  void await_signals() {
    await(resized_, [this] {
      terminal_.resize();
      draw();
    });
    await(stopped_, [this] {
      is_stopped_ = true;
      terminal_.stop();
      resume();
    });
    await(continued_, [this] { resume(); });
  }

  template <class Function>
  void await(asio::signal_set& signals, Function then) {
    signals.async_wait(while_there([this, &signals, then](const std::error_code& error, int) {
      if (error) return;
      then();
      await(signals, then);
    }));
  }

  void resume() {
    is_stopped_ = !terminal_.resume();
    is_draw_due_ = false;
    if (!is_stopped_) return draw();
    draw_timer_.expires_after(background_pause);
    draw_timer_.async_wait(while_there([this](const std::error_code& error) {
      if (!error && is_stopped_) resume();
    }));
  }

  Tool& tool_;
  asio::io_context& context_;
  const std::shared_ptr<const bool> there_ = std::make_shared<const bool>(true);
  const Stop::TidyUp tidy_up_;
  // Before the terminal, because ncurses handles signals that nobody else does.
  asio::signal_set resized_;
  asio::signal_set stopped_;
  asio::signal_set continued_;
  Terminal terminal_;
  Ready keys_;
  asio::steady_timer sample_timer_;
  asio::steady_timer draw_timer_;
  Watchers watchers_;
  Ui ui_;
  std::string clock_;
  int samples_ = 0;
  qga::Clock::time_point sampled_;
  bool is_draw_due_ = false;
  bool is_stopped_ = false;  ///< another program has the terminal
  std::string error_;
};

}  // namespace

bool has_screen() { return Terminal::is_usable(); }

int show_screen(Tool& tool, Ui::Interval interval) {
  tool.guests.now();  // where there is none, that is an error
  std::string error;
  int status = 0;
  {
    Screen screen(tool, interval);
    status = screen.run();
    error = screen.error();
  }
  close_connections(tool);
  if (!error.empty()) complain(error);
  return status;
}

}  // namespace qga_tool::top
