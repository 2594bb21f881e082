// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Follows a program of the guest that was started: what it writes goes to our stdout and stderr as
// it comes, and our stdin to the program. All of it runs on one thread.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <qga/client.hpp>

#include "guest_text.hpp"
#include "ready.hpp"
#include "tool.hpp"

namespace qga_tool {

struct FollowParams {
  bool input = false;         ///< whether our stdin goes to the program; otherwise it has none
  bool raw_output = false;    ///< nothing is escaped, on a terminal either
  std::string encoding = {};  ///< of what it writes; empty: as it is
  std::optional<qga::Clock::duration> timeout = {};  ///< how long it may run
  /// The program has a terminal of this size, which is shown on that of stdin. Its size follows
  /// ours, and a key without an answer does not end it.
  std::optional<qga::Terminal> terminal = {};
  /// Makes input of what is typed; nothing: the user wants to leave.
  std::function<std::optional<std::string>(std::string)> keys = {};
};

/// Why a program is not followed any more.
struct Followed {
  enum class Why {
    ended,     ///< with `status`
    too_long,  ///< the timeout
    stopped,   ///< a signal to the tool
    left,      ///< the user's keys
    lost,      ///< `error`: the guest or its agent
    failed,    ///< `error`: our stdin, stdout or stderr
  };
  Why why = Why::lost;
  qga::ProcessStatus status = {};
  std::exception_ptr error = {};
};

class Follower {
 public:
  /// @throws UsageError there is no such encoding
  Follower(Tool& tool, qga::Process process, FollowParams params);
  /// Ends the program, unless it has ended or is released, and closes the client. That is over when
  /// this returns; it takes 5 s at most where the guest does not answer.
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  /// Follows the program to its end. To be called once.
  Followed follow();

  const qga::Process& process() const { return process_; }
  /// Kills the program. @return whether it is gone
  bool kill();
  /// Lets the program go on.
  void release() { process_.release(); }

 private:
  /// One of our outputs.
  struct Output {
    Output(asio::io_context& context, int fd, const FollowParams& params);
    int fd;
    GuestText text;
    Ready ready;
  };

  void read();
  void tell_silence() const;
  void print(Output& output, std::string text, std::function<void()> then);
  void print_some();
  void await_input();
  void read_input();
  void send_input();
  void not_sent(const std::exception_ptr& error);
  void follow_size();
  void await_resize();
  void resize();
  void finish(Followed::Why why, std::exception_ptr error = nullptr);
  void drain() noexcept;
  qga::CallOptions options() const;

  static constexpr std::size_t longest_queue = 64 << 10;

  Tool& tool_;
  asio::io_context& context_;
  qga::Process process_;
  FollowParams params_;
  std::stop_source end_;
  bool over_ = false;
  Followed result_;

  Output out_;
  Output err_;
  Output* printing_ = nullptr;
  std::string text_;  ///< is printed; the first `printed_` bytes are done
  std::size_t printed_ = 0;
  std::function<void()> then_;

  Ready stdin_;
  std::string queue_;  ///< input that is to be sent
  bool awaits_input_ = false;
  bool input_ended_ = false;
  bool input_closed_ = false;
  bool sending_ = false;

  asio::steady_timer timer_;
  asio::signal_set size_changed_;
  bool resizes_ = false;
  bool has_new_size_ = false;
  bool silent_ = false;  ///< the user was told that the guest does not answer
};

}  // namespace qga_tool
