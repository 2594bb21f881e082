// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A guest agent in the process of a test: to test a program that uses guests, without one.
//
//   qga::testing::Agent agent;
//   agent.files()["/etc/hostname"] = "web1\n";
//   agent.once("guest-file-close", qga::testing::fails("disk full"));
//   qga::Client ga(agent.path());
//
// This is the one header of qga::testing that a test includes, beside qga/client.hpp.
#pragma once

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <asio/any_io_executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include "qga/testing/action.hpp"
#include "qga/testing/agent_params.hpp"
#include "qga/testing/detail/agent_core.hpp"
#include "qga/testing/detail/script.hpp"
#include "qga/testing/detail/socket_path.hpp"
#include "qga/testing/files.hpp"
#include "qga/testing/guest.hpp"
#include "qga/testing/program.hpp"
#include "qga/testing/recording.hpp"
#include "qga/testing/running_program.hpp"

/// A scriptable agent for users' own tests.
namespace qga::inline v0_1::testing {

/// A scriptable agent with a faked guest behind it. It runs nothing and freezes nothing.
///
/// It has two forms. Made from parameters alone, it has a thread of its own, which its destructor
/// ends: for blocking programs, and for tests of other processes. Made from an executor or an
/// execution context, it does its work there and has no thread: for asynchronous programs, whose
/// test then has one thread. In both forms all methods may be called on any thread, also from the
/// functions that a test gives it; those run one at a time, on the thread of the agent or on the
/// executor.
///
/// It serves one client at a time, as a real agent does: others wait until that one has left. It
/// parses requests as qemu-ga does, and carries them out one by one, in their order.
///
/// About each request, the first of these that has something to say decides: `intercept`, `once`,
/// `on`, `disable`, `replay`, the handshake and `guest-ping`, the faked guest. What none of them
/// knows is answered by `CommandNotFound`.
class Agent {
 public:
  /// Starts an agent on a thread of its own.
  /// @param params where it listens and what it is like
  /// @throws std::system_error where it cannot listen, or there is no thread
  explicit Agent(AgentParams params = {})
      : Agent(std::make_unique<asio::io_context>(1), std::move(params)) {}

  /// Starts an agent without a thread.
  /// @param executor runs the agent, and the functions that the test gives it. The agent must be
  ///        destroyed before the context of the executor is. It gives the context work until `stop`
  ///        or the end of the agent: `run()` of an `io_context` does not return before that
  /// @param params where it listens and what it is like
  /// @throws std::system_error where it cannot listen
  explicit Agent(const asio::any_io_executor& executor, AgentParams params = {})
      : path_(params.path),
        core_(std::make_shared<detail::AgentCore>(executor, std::move(params))) {
    listen();
  }
  /// As above, on the executor of a context.
  template <std::derived_from<asio::execution_context> Context>
  explicit Agent(Context& context, AgentParams params = {})
      : Agent(asio::any_io_executor(context.get_executor()), std::move(params)) {}

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  /// Disconnects its client and, where it has a thread, waits for the end of it. So no function
  /// that the agent calls may destroy it.
  ~Agent() {
    stop();
    if (thread_.joinable()) thread_.join();
  }

  // ---- connecting ------------------------------------------------------------------------------

  /// Where the agent listens, for `qga::Client ga(agent.path())`.
  const std::string& path() const { return path_.get(); }

  /// Connects without the path, by a socket pair.
  /// @return a descriptor that the caller owns, for `Client<>::from_handle`
  /// @throws std::system_error
  int connect() {
    int pair[2] = {};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
      throw std::system_error(errno, std::system_category(), "socketpair");
    }
    for (const int end : pair) detail::close_on_exec(end);
    core_->add_client(pair[0]);
    return pair[1];
  }
  /// Connects without the path, by a socket pair.
  /// @param executor of the stream that is returned, or its context
  /// @return a stream, for `qga::Client ga(agent.connect(context))`
  /// @throws std::system_error
  template <class Executor>
  asio::local::stream_protocol::socket connect(Executor&& executor) {
    return asio::local::stream_protocol::socket(std::forward<Executor>(executor),
                                                asio::local::stream_protocol(), connect());
  }

  /// Drops what is left of the steps that are under way: ends `waits`, and `sends` without an end.
  void cancel() { core_->cancel(); }
  /// Disconnects the client that is served, now. It may connect again.
  void disconnect() { core_->disconnect(); }
  /// Ends the agent: it disconnects its client and accepts no other. An executor has no more work
  /// of it then.
  void stop() { core_->stop(); }

  // ---- what it does about requests -------------------------------------------------------------

  /// Says what to do about every request of a command; replaces what an earlier `on` has said.
  /// @param command the wire name, such as `guest-get-time`
  /// @param action for example `returns(5)`; `carries_out()` takes an earlier `on` back
  void on(const std::string& command, Action action) {
    core_->script.on(command, std::move(action));
  }
  /// Says what to do about the next request of a command, ahead of `on`. Several are for as many
  /// requests, in their order.
  void once(std::string command, Action action) {
    core_->script.once(std::move(command), std::move(action));
  }
  /// Has every request decided by a function, handshakes included.
  /// @param function returns an action, or nothing where the other rules are to decide. Empty: none
  void intercept(std::function<std::optional<Action>(const Request&)> function) {
    core_->script.intercept(std::move(function));
  }
  /// Says what to do with the next client that connects, before its first request.
  void on_connect(Action action) { core_->script.on_connect(std::move(action)); }
  /// Forbids a command, as the configuration of an agent does: a client throws
  /// `CommandNotFoundError`, and `guest-info` says so. Rules by `on` and `once` come first.
  void disable(const std::string& command) { core_->script.set_disabled(command, true); }
  /// Takes `disable` back.
  void enable(const std::string& command) { core_->script.set_disabled(command, false); }
  /// Replies as a real agent did. A request is found by its command and its arguments; where it was
  /// recorded several times, its replies come in turn, and then the last one again and again. Other
  /// requests go to the faked guest, where there is one.
  void replay(const Recording& recording) { core_->script.replay(recording); }

  /// Answers nothing from now on, as a guest that is paused or has not started its agent yet. What
  /// clients send is read and kept.
  void pause() { core_->set_paused(true); }
  /// Answers again, at first what was asked meanwhile.
  void resume() { core_->set_paused(false); }
  /// Says whether to read what clients send. Where it is not read, a client can write no more once
  /// the buffers of the system are full.
  void set_reading(bool reads) { core_->set_reading(reads); }
  /// Disconnects the client once so many more bytes were sent to it: in the middle of a reply.
  void disconnect_after(std::size_t bytes) { core_->disconnect_after(bytes); }

  // ---- the guest -------------------------------------------------------------------------------

  /// The faked guest.
  Guest& guest() { return core_->guest; }
  /// The same, to look at.
  const Guest& guest() const { return core_->guest; }
  /// The files of the faked guest: `agent.files()["/etc/hostname"] = "web1\n"`.
  Files files() { return core_->guest.files(); }

  // ---- what was asked --------------------------------------------------------------------------

  /// All requests that the agent has begun to carry out, in order, those of handshakes included.
  std::vector<Request> requests() const { return core_->script.requests(); }
  /// The commands of these requests, without those of handshakes (`guest-sync` and
  /// `guest-sync-delimited`).
  std::vector<std::string> commands() const {
    std::vector<std::string> names;
    for (Request& request : core_->script.requests()) {
      if (!request.command.starts_with("guest-sync")) names.push_back(std::move(request.command));
    }
    return names;
  }
  /// How many of these requests were of a command.
  std::size_t count(std::string_view command) const { return core_->script.count(command); }
  /// The bytes that clients have sent.
  std::string received() const { return core_->script.received(); }
  /// Forgets what was asked.
  void clear_requests() { core_->script.clear_requests(); }
  /// How many clients the agent has begun to serve.
  std::size_t connections() const { return core_->connections(); }

 private:
  Agent(std::unique_ptr<asio::io_context> context, AgentParams params)
      : context_(std::move(context)),
        path_(params.path),
        core_(std::make_shared<detail::AgentCore>(context_->get_executor(), std::move(params))) {
    listen();
    thread_ = std::thread([this] { context_->run(); });
  }

  void listen() {
    core_->listen(path_.get());
    path_.set_bound();
    core_->start();
  }

  std::unique_ptr<asio::io_context> context_;  ///< null: the executor is the caller's
  detail::SocketPath path_;
  std::shared_ptr<detail::AgentCore> core_;
  std::thread thread_;
};

}  // namespace qga::inline v0_1::testing
