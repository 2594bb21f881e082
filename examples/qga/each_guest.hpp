// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs a command on every guest of the command line, all at the same time and on one thread. It is
// the same for one guest and for many.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/steady_timer.hpp>
#include <qga/client.hpp>

#include "answer.hpp"
#include "guests.hpp"
#include "tool.hpp"

namespace qga_tool {

/// One guest while a command is at work on it. The work ends with `answer` or `fail`, to be called
/// once, when none of its calls is under way any more.
class GuestTask {
 public:
  using Done = std::function<void(std::optional<Answer>, std::exception_ptr)>;

  /// @param max_reply_size of the guest's replies, in bytes
  /// @param done is called once; exactly one of its arguments is there
  GuestTask(Tool& tool, const GuestName& guest, std::size_t max_reply_size, Done done);
  GuestTask(const GuestTask&) = delete;
  GuestTask& operator=(const GuestTask&) = delete;

  /// Connects, unless `later`, and then works.
  void start(const std::function<void(GuestTask&)>& work, bool later);
  /// Ends a pause. The calls have ended by the tool's stop token.
  void interrupt() { timer_.cancel(); }
  /// Closes the client, which takes 100 ms at most, and then calls a function.
  void close(std::function<void()> then);

  Tool& tool() const { return tool_; }
  const std::string& name() const { return guest_.name; }

  /// The commands and helpers, asynchronous; Ctrl-C ends them.
  /// @param handler as the library has it; is called on the thread of the tool
  template <class Handler>
  auto ga(Handler handler, qga::CallOptions options = {}) {
    options.stop = tool_.stop.token();
    return client_->async(asio::bind_executor(tool_.context, std::move(handler)),
                          std::move(options));
  }
  /// Sends one request.
  template <class Request, class Handler>
  void execute(const Request& request, Handler handler) {
    client_->async_execute(request, asio::bind_executor(tool_.context, std::move(handler)),
                           {.stop = tool_.stop.token()});
  }
  /// Sends one request that has to be answered: without a reply the work has failed.
  /// @param then gets the reply, where the request has one
  template <class Request, class Then>
  void ask(const Request& request, Then then) {
    execute(request, needed(std::move(then)));
  }
  /// A handler that fails the work where there is an error.
  /// @param then gets the result
  template <class Then>
  auto needed(Then then) {
    return [this, then = std::move(then)](std::exception_ptr error, auto... result) mutable {
      error ? fail(std::move(error)) : then(std::move(result)...);
    };
  }
  /// Connects again.
  void reconnect(std::function<void(std::exception_ptr)> then);
  /// Calls a function after a while; a signal fails the work instead.
  void pause(qga::Clock::duration time, std::function<void()> then);

  /// Prints a line about this guest on stderr.
  void complain(const std::string& line) const;

  void answer(Answer answer) { done_(std::move(answer), nullptr); }
  void fail(std::exception_ptr error) { done_(std::nullopt, std::move(error)); }

 private:
  Tool& tool_;
  const GuestName& guest_;
  std::size_t max_reply_size_;
  Done done_;
  std::optional<qga::AnyClient> client_;
  asio::steady_timer timer_;
};

/// Whether a guest is connected to before the work begins.
enum class Connected { first, later };

/// Works on each guest, and prints the answers. As many guests are connected at a time as
/// descriptors suffice for; the others wait for their turn.
/// @param work begins the work on a guest, and returns
/// @return the exit code
/// @throws the error of the only guest
int each_guest(Tool& tool, std::function<void(GuestTask&)> work,
               Connected connected = Connected::first);

}  // namespace qga_tool
