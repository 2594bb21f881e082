// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The agent behind `Agent`: serves one client after the other on an executor. It reads a request,
// does what the script or the guest says about it, step by step, and reads no other one meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fcntl.h>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>

#include "qga/testing/action.hpp"
#include "qga/testing/agent_params.hpp"
#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/detail/request_parser.hpp"
#include "qga/testing/detail/script.hpp"
#include "qga/testing/guest.hpp"

namespace qga::inline v0_1::testing::detail {

/// Keeps a descriptor out of programs that a test starts: they would hold a connection open.
inline void close_on_exec(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

class AgentCore : public std::enable_shared_from_this<AgentCore> {
 public:
  using Protocol = asio::local::stream_protocol;

  AgentCore(const asio::any_io_executor& executor, AgentParams params)
      : params_(std::move(params)),
        work_(executor),
        strand_(asio::make_strand(executor)),
        acceptor_(strand_),
        timer_(strand_),
        accept_timer_(strand_) {}

  Script script;
  Guest guest;

  /// Binds the socket. @throws std::system_error
  void listen(const std::string& path) {
    acceptor_.open();
    close_on_exec(acceptor_.native_handle());
    acceptor_.bind(Protocol::endpoint(path));
    acceptor_.listen();
  }
  /// Begins to serve clients.
  void start() {
    on_strand([](AgentCore& core) { core.advance(); });
  }
  /// Ends everything, soon.
  void stop() {
    on_strand([](AgentCore& core) {
      core.stopped_ = true;
      asio::error_code ignored;
      core.acceptor_.close(ignored);
      core.timer_.cancel();
      core.accept_timer_.cancel();
      core.waiting_.clear();
      core.drop_peer();
      core.steps_.clear();
      core.work_.reset();
    });
  }

  /// Serves a connected socket, once the clients before it have left.
  /// @param descriptor is closed in the end
  void add_client(int descriptor) {
    auto socket = std::make_shared<Protocol::socket>(strand_, Protocol(), descriptor);
    on_strand([socket](AgentCore& core) {
      if (core.stopped_) return;
      core.waiting_.push_back(std::move(*socket));
      core.advance();
    });
  }
  /// Drops the steps that are left.
  void cancel() {
    on_strand([](AgentCore& core) {
      core.steps_.clear();
      core.timer_.cancel();
    });
  }
  void disconnect() {
    on_strand([](AgentCore& core) {
      core.drop_peer();
      core.parser_.clear();
      core.advance();
    });
  }
  void set_paused(bool paused) {
    paused_ = paused;
    start();
  }
  void set_reading(bool reads) {
    reads_ = reads;
    start();
  }
  void disconnect_after(std::size_t bytes) { bytes_left_ = bytes; }

  std::size_t connections() const { return connections_; }

 private:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  template <class Function>
  void on_strand(Function function) {
    asio::post(strand_, [self = shared_from_this(), function]() mutable { function(*self); });
  }

  // ---- clients ---------------------------------------------------------------------------------

  void next_client() {
    if (waiting_.empty()) return accept();
    peer_.emplace(std::move(waiting_.front()));
    waiting_.pop_front();
    ++generation_;
    ++connections_;
    resets_ = false;
    asio::error_code ignored;
    peer_->non_blocking(true, ignored);
    request_ = {};
    add_steps(script.take_on_connect());
    advance();
  }

  void accept() {
    if (accepts_ || !acceptor_.is_open()) return;
    accepts_ = true;
    acceptor_.async_accept(
        [self = shared_from_this()](asio::error_code error, Protocol::socket socket) {
          self->accepts_ = false;
          if (self->stopped_) return;
          if (error) return self->accept_later();
          close_on_exec(socket.native_handle());
          self->waiting_.push_back(std::move(socket));
          self->advance();
        });
  }

  /// Tries again: the process may have no descriptor left.
  void accept_later() {
    accept_timer_.expires_after(std::chrono::milliseconds(20));
    accept_timer_.async_wait([self = shared_from_this()](asio::error_code) {
      if (!self->stopped_) self->advance();
    });
  }

  void drop_peer() {
    peer_.reset();
    ++generation_;
  }

  // ---- input -----------------------------------------------------------------------------------

  void read() {
    if (awaits_input_ || !peer_ || !reads_) return;
    awaits_input_ = true;
    peer_->async_wait(Protocol::socket::wait_read,
                      [self = shared_from_this(), generation = generation_](asio::error_code) {
                        self->awaits_input_ = false;
                        if (generation == self->generation_ && self->is_idle() && self->reads_)
                          self->read_some();
                        self->advance();
                      });
  }

  void read_some() {
    if (resets_) {
      parser_.clear();
      return drop_peer();
    }
    asio::error_code error;
    const std::size_t bytes = peer_->read_some(asio::buffer(input_), error);
    if (error == asio::error::would_block || error == asio::error::interrupted) return;
    if (error) return drop_peer();
    const std::string_view text(input_.data(), bytes);
    script.add_received(text);
    parser_.add(text);
  }

  /// Decides what to do about a value that a client has sent.
  void hear(const std::string& text) {
    request_ = {};
    if (text == RequestParser::reset) {
      return add_steps(fails("JSON parse error, stray '\uFFFD'"));
    }
    nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return add_steps(fails("JSON parse error"));
    if (!json.is_object()) return add_steps(fails("QMP input must be a JSON object"));
    if (!json.contains("execute") || !json["execute"].is_string()) {
      return add_steps(fails("QMP input lacks member 'execute'"));
    }
    for (const auto& [member, value] : json.items()) {
      const bool is_known = member == "execute" || member == "arguments" ||
                            (member == "id" && params_.ids != Ids::rejected);
      if (!is_known) return add_steps(fails("QMP input member '" + member + "' is unexpected"));
    }
    request_.command = json["execute"].get<std::string>();
    if (json.contains("arguments")) request_.arguments = std::move(json["arguments"]);
    if (params_.ids == Ids::echoed && json.contains("id")) request_.id = json["id"].dump();
    script.add_request(request_);
    std::optional<Action> action = script.scripted(request_);
    add_steps(action ? *action : carries_out());
  }

  // ---- steps -----------------------------------------------------------------------------------

  void add_steps(const Action& action) {
    steps_.insert(steps_.begin(), action.steps().begin(), action.steps().end());
  }

  /// No step is left, and none is under way.
  bool is_idle() const { return !busy_ && steps_.empty(); }

  /// Does what can be done now.
  void advance() {
    try {
      while (!busy_ && !stopped_) {
        if (!steps_.empty()) {
          const Step step = std::move(steps_.front());
          steps_.pop_front();
          std::visit([this](const auto& one) { perform(one); }, step);
          continue;
        }
        if (!peer_) return next_client();
        if (paused_) break;
        const std::optional<std::string> value = parser_.next();
        if (!value) break;
        hear(*value);
      }
      if (!stopped_ && is_idle()) read();
    } catch (const std::exception&) {  // there is no memory, or the system has refused something
      steps_.clear();
      drop_peer();
      accept_later();
    }
  }

  void perform(const ReplyStep& step) { reply("return", step.value); }
  void perform(const ErrorStep& step) {
    reply("error", {{"class", step.error_class}, {"desc", step.desc}});
  }
  void perform(const SendStep& step) {
    if (!peer_ || step.times == 0) return;
    if (step.times > 1) steps_.push_front(SendStep{step.bytes, step.times - 1});
    send_shared(step.bytes);
  }
  void perform(const SendSlowlyStep& step) {
    if (!peer_ || step.bytes.empty()) return;
    steps_.push_front(SendSlowlyStep{step.bytes.substr(1), step.pause});
    steps_.push_front(WaitStep{step.pause});
    send(step.bytes.substr(0, 1));
  }
  void perform(const WaitStep& step) {
    busy_ = true;
    timer_.expires_at(deadline_after(step.time, Clock::now()));
    timer_.async_wait([self = shared_from_this()](asio::error_code) {
      self->busy_ = false;
      self->advance();
    });
  }
  void perform(const CarryOutStep& step) {
    Action action = built_in();
    if (step.answers) add_steps(action);
  }
  void perform(const FunctionStep& step) {
    try {
      add_steps(step.function(request_));
    } catch (const std::exception& error) {
      add_steps(fails(error.what()));
    } catch (...) {
      add_steps(fails("the test's function has thrown something"));
    }
  }
  void perform(const DisconnectStep&) {
    drop_peer();
    parser_.clear();
  }
  void perform(const ResetStep&) { resets_ = true; }
  void perform(const PauseStep&) { paused_ = true; }

  void reply(const char* member, const nlohmann::json& value) {
    std::string line = request_.command == "guest-sync-delimited" && *member == 'r' ? "\xFF" : "";
    line += "{\"" + std::string(member) + "\": " + text_of(value);
    if (!request_.id.empty()) line += ", \"id\": " + request_.id;
    send(line + "}\n");
  }
  /// ASCII, as qemu-ga writes it.
  static std::string text_of(const nlohmann::json& value) {
    return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }

  void send(std::string bytes) {
    send_shared(std::make_shared<const std::string>(std::move(bytes)));
  }
  void send_shared(std::shared_ptr<const std::string> bytes) {
    const std::size_t left = bytes_left_;
    const bool cut = bytes->size() >= left;
    const std::size_t size = cut ? left : bytes->size();
    if (left != unlimited) bytes_left_ = cut ? unlimited : left - size;
    if (!peer_) return;
    if (size == 0 && !cut) return;
    busy_ = true;
    output_ = std::move(bytes);
    asio::async_write(*peer_, asio::buffer(output_->data(), size),
                      [self = shared_from_this(), generation = generation_, cut](
                          asio::error_code error, std::size_t) {
                        self->busy_ = false;
                        if (generation == self->generation_ && (error || cut)) {
                          self->drop_peer();
                          if (cut) self->parser_.clear();
                        }
                        self->advance();
                      });
  }

  // ---- without a script ------------------------------------------------------------------------

  Action built_in() {
    try {
      const std::string& command = request_.command;
      if (std::optional<Action> action = script.recorded(request_)) return std::move(*action);
      if (command == "guest-sync" || command == "guest-sync-delimited") {
        return returns(Arguments(request_.arguments).number("id"));
      }
      if (command == "guest-ping") return returns(nlohmann::json::object());
      if (params_.has_guest) {
        if (command == "guest-info") return returns(info());
        if (std::optional<Action> action = guest.carry_out(request_)) return std::move(*action);
      }
      return fails("The command " + command + " has not been found", "CommandNotFound");
    } catch (const CommandFailed& failed) {
      return fails(failed.what(), failed.error_class());
    }
  }

  nlohmann::json info() const {
    std::set<std::string> names = script.commands();
    for (std::string& command : Guest::commands()) names.insert(std::move(command));
    names.insert({"guest-info", "guest-ping", "guest-sync", "guest-sync-delimited"});
    const bool frozen = guest.is_frozen();
    nlohmann::json list = nlohmann::json::array();
    for (const std::string& name : names) {
      const bool enabled =
          !script.is_disabled(name) && (!frozen || Guest::works_while_frozen(name));
      const bool answers = name != "guest-shutdown" && !name.starts_with("guest-suspend-");
      list.push_back({{"name", name}, {"enabled", enabled}, {"success-response", answers}});
    }
    return {{"version", params_.version}, {"supported_commands", std::move(list)}};
  }

  const AgentParams params_;
  /// An agent that does not read waits for nothing, and must not let its context run dry.
  asio::executor_work_guard<asio::any_io_executor> work_;
  asio::strand<asio::any_io_executor> strand_;  // everything below is used on it, but for atomics
  Protocol::acceptor acceptor_;
  asio::steady_timer timer_;  ///< of a step
  asio::steady_timer accept_timer_;
  std::deque<Protocol::socket> waiting_;  ///< clients behind the one that is served
  std::optional<Protocol::socket> peer_;
  std::uint64_t generation_ = 0;  ///< changes with each beginning and end of a connection
  RequestParser parser_;
  Request request_;         ///< whose steps are under way
  std::deque<Step> steps_;  ///< still to be done
  std::shared_ptr<const std::string> output_;
  std::array<char, 64 << 10> input_{};
  bool busy_ = false;  ///< a step is under way
  bool accepts_ = false;
  bool awaits_input_ = false;
  bool resets_ = false;
  bool stopped_ = false;

  std::atomic<bool> paused_ = false;
  std::atomic<bool> reads_ = true;
  std::atomic<std::size_t> bytes_left_ = unlimited;
  std::atomic<std::size_t> connections_ = 0;
};

}  // namespace qga::inline v0_1::testing::detail
