// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Gives each guest its turn.
#include "each_guest.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <vector>

#include <asio/post.hpp>

#include "print.hpp"
#include "report.hpp"

namespace qga_tool {

GuestTask::GuestTask(Tool& tool, const GuestName& guest, std::size_t max_reply_size, Done done)
    : tool_(tool),
      guest_(guest),
      max_reply_size_(max_reply_size),
      done_(std::move(done)),
      timer_(tool.context) {}

void GuestTask::start(const std::function<void(GuestTask&)>& work, bool later) {
  qga::ClientParams params = tool_.client_params(tool_.guests.are_many() ? guest_.name : "");
  params.max_reply_size = max_reply_size_;
  params.defer_connect = true;
  try {
    client_.emplace(qga::connect(guest_.address, std::move(params)));
  } catch (const qga::ConnectError&) {  // an address that is none
    return fail(std::current_exception());
  }
  if (later || client_->is_open()) return work(*this);
  reconnect(
      [this, work](std::exception_ptr error) { error ? fail(std::move(error)) : work(*this); });
}

void GuestTask::close(std::function<void()> then) {
  if (!client_) return asio::post(tool_.context, std::move(then));
  client_->async_close(asio::bind_executor(
      tool_.context, [this, then = std::move(then)](const std::exception_ptr&) mutable {
        asio::post(tool_.context, std::move(then));
      }));
}

void GuestTask::reconnect(std::function<void(std::exception_ptr)> then) {
  client_->async_reconnect(asio::bind_executor(tool_.context, std::move(then)),
                           {.stop = tool_.stop.token()});
}

void GuestTask::pause(qga::Clock::duration time, std::function<void()> then) {
  timer_.expires_after(time);
  timer_.async_wait([this, then = std::move(then)](const std::error_code&) {
    if (tool_.stop.signal() == 0) return then();
    fail(std::make_exception_ptr(InterruptedError()));
  });
}

void GuestTask::complain(const std::string& line) const {
  qga_tool::complain(tool_.guests.are_many() ? guest_.name + ": " + line : line);
}

namespace {

/// The bound on a reply of each guest: together they may not fill the memory of this machine.
std::size_t reply_size(std::size_t connected) {
  constexpr std::size_t all = std::size_t{1} << 30;
  constexpr std::size_t least = 1 << 20;
  return std::clamp(all / connected, least, qga::default_max_reply_size);
}

class EachGuest {
 public:
  EachGuest(Tool& tool, std::function<void(GuestTask&)> work, Connected connected)
      : tool_(tool),
        work_(std::move(work)),
        later_(connected == Connected::later),
        guests_(tool.guests.all()),
        tasks_(guests_.size()),
        most_(std::min(guests_.size(), most_connected())),
        report_(tool, guests_) {}

  int run() {
    const std::stop_callback on_stop(
        tool_.stop.token(), [this] { asio::post(tool_.context, [this] { interrupt(); }); });
    start_some();
    tool_.context.restart();
    tool_.context.run();
    return report_.finish();
  }

 private:
  void start_some() {
    while (running_ < most_ && next_ < guests_.size() && tool_.stop.signal() == 0) start(next_++);
  }

  void start(std::size_t guest) {
    ++running_;
    const auto done = [this, guest](std::optional<Answer> answer, std::exception_ptr error) {
      answer ? report_.answer(guest, std::move(*answer)) : report_.fail(guest, std::move(error));
      tasks_[guest]->close([this, guest] {
        tasks_[guest].reset();
        --running_;
        start_some();
      });
    };
    tasks_[guest] = std::make_unique<GuestTask>(tool_, guests_[guest], reply_size(most_), done);
    tasks_[guest]->start(work_, later_);
  }

  void interrupt() {
    for (const auto& task : tasks_) {
      if (task) task->interrupt();
    }
  }

  Tool& tool_;
  std::function<void(GuestTask&)> work_;
  bool later_;
  std::vector<GuestName> guests_;
  std::vector<std::unique_ptr<GuestTask>> tasks_;
  std::size_t most_;
  std::size_t running_ = 0;
  std::size_t next_ = 0;
  Report report_;
};

}  // namespace

int each_guest(Tool& tool, std::function<void(GuestTask&)> work, Connected connected) {
  return EachGuest(tool, std::move(work), connected).run();
}

}  // namespace qga_tool
