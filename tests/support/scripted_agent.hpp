// SPDX-License-Identifier: LGPL-3.0-or-later
//
// An agent that does what a table tells it, on a UNIX socket in a directory of its own: it hears as
// qemu-ga hears (a stream of objects, 0xFF resets the parser, requests strictly in order), answers
// handshakes as agents of any age do, and everything else as the test wants. It runs nothing.
//
//   ScriptedAgent agent(Ids::rejected);
//   agent.on("guest-file-open", script::returns("1000"));
//   agent.once("guest-file-close", script::all(script::says("{\"ret"), script::hangs_up()));
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "ears.hpp"
#include "sockets.hpp"

namespace qga_test {

/// What agents do with an `id`: 4.0 and later, 2.12, all others (2.8 and 3.1 among them).
enum class Ids { echoed, ignored, rejected };

/// A request as the agent understood it.
struct Heard {
  std::string command;
  nlohmann::json arguments;
  std::string id;  ///< its JSON text, where the request has one and the agent echoes it
};

class ScriptedAgent {
 public:
  using Duration = std::chrono::steady_clock::duration;
  /// What to do about a request; runs on the agent's thread.
  using Action = std::function<void(ScriptedAgent&, const Heard&)>;

  explicit ScriptedAgent(Ids ids = Ids::echoed)
      : ids_(ids),
        directory_(new_directory()),
        listener_(listening_on(path())),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this] { run(); }) {}
  ScriptedAgent(const ScriptedAgent&) = delete;
  ScriptedAgent& operator=(const ScriptedAgent&) = delete;
  ~ScriptedAgent() {
    stopping_ = true;
    wake();
    thread_.join();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string path() const { return directory_ + "/qga.sock"; }

  // ---- the script --------------------------------------------------------------------------

  /// What to do about every such command.
  void on(const std::string& command, Action action) {
    const std::lock_guard lock(mutex_);
    always_[command] = std::move(action);
  }
  /// What to do about the next such command that no earlier `once` is for.
  void once(const std::string& command, Action action) {
    const std::lock_guard lock(mutex_);
    next_.emplace_back(command, std::move(action));
  }
  /// Is asked about every request, ahead of `once` and `on`; an empty action leaves it to them.
  void before_all(std::function<Action(const Heard&)> choose) {
    const std::lock_guard lock(mutex_);
    before_all_ = std::move(choose);
  }
  /// What to do with the next client before it is heard.
  void on_connect(Action action) {
    const std::lock_guard lock(mutex_);
    connected_ = std::move(action);
  }
  /// Hear, but do nothing about it yet: as a guest that is paused, or has not started its agent.
  void mute(bool on = true) { set(muted_, on); }
  /// Do not even read.
  void deafen(bool on = true) { set(deaf_, on); }
  /// Ends all floods.
  void calm() { set(calm_, true); }
  /// Hangs up after so many more bytes.
  void cut_after(std::size_t bytes) { left_ = bytes; }

  // ---- what happened -----------------------------------------------------------------------

  /// All that clients have sent.
  std::string received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  /// What was executed, in order, the handshakes included.
  std::vector<Heard> executed() const {
    const std::lock_guard lock(mutex_);
    return executed_;
  }
  std::size_t executed(std::string_view command) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(executed_.begin(), executed_.end(),
                      [&](const Heard& heard) { return heard.command == command; }));
  }

  /// How many clients were accepted.
  std::size_t connections() const { return connections_; }

  // ---- for actions -------------------------------------------------------------------------

  void send(std::string_view bytes) {
    const bool cut = bytes.size() >= left_;
    if (cut) bytes = bytes.substr(0, left_);
    left_ -= left_ == unlimited ? 0 : bytes.size();
    while (!bytes.empty() && peer_ && !stopping_) {
      const ssize_t sent = ::send(peer_->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        wait_for(POLLOUT, std::chrono::hours(1));
      } else {
        peer_.reset();
      }
    }
    if (cut) {
      left_ = unlimited;
      hang_up();
    }
  }
  /// A reply line with `member` in it, and with the id where there is one to echo.
  void answer(const Heard& heard, std::string_view member) {
    std::string line = "{" + std::string(member);
    if (!heard.id.empty()) line += ", \"id\": " + heard.id;
    send(line + "}\n");
  }
  void wait(Duration time) { wait_for(0, time); }
  /// Sends `pattern` again and again: for so many bytes, until `calm`, or until the client is gone.
  void flood(std::string_view pattern, std::size_t bytes) {
    std::string block;
    while (block.size() < std::min<std::size_t>(bytes, 256 << 10)) block += pattern;
    for (std::size_t sent = 0; sent < bytes && peer_ && !calm_ && !stopping_;) {
      send(block);
      sent += block.size();
    }
  }
  void trickle(std::string_view bytes, Duration pause) {
    for (std::size_t i = 0; i < bytes.size() && peer_ && !calm_ && !stopping_; ++i) {
      send(bytes.substr(i, 1));
      wait(pause);
    }
  }
  void hang_up() {
    peer_.reset();
    ears_.forget();
  }
  /// Hangs up at the next input, which stays unread: the client gets a connection reset.
  void reset() { resetting_ = true; }

  /// What real agents do about the commands of a handshake, and about those that they do not know.
  void built_in(const Heard& heard) {
    if (heard.command == "guest-sync-delimited") {
      send("\xFF");
      answer(heard, "\"return\": " + heard.arguments.at("id").dump());
    } else if (heard.command == "guest-sync") {
      answer(heard, "\"return\": " + heard.arguments.at("id").dump());
    } else if (heard.command == "guest-ping") {
      answer(heard, "\"return\": {}");
    } else {
      answer(heard, "\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command " +
                        heard.command + " has not been found\"}");
    }
  }

 private:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  static std::string new_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "qga-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    return name;
  }

  void set(std::atomic<bool>& flag, bool on) {
    flag = on;
    wake();
  }
  void wake() {
    const std::uint64_t once = 1;
    static_cast<void>(!::write(wake_.get(), &once, sizeof once));
  }

  void run() {
    while (!stopping_) {
      std::array<pollfd, 3> polled{};
      polled[0] = {wake_.get(), POLLIN, 0};
      polled[1] = {peer_ ? -1 : listener_.get(), POLLIN, 0};
      polled[2] = {peer_ && !deaf_ ? peer_->get() : -1, POLLIN, 0};
      ::poll(polled.data(), polled.size(), -1);
      woken();
      if (polled[1].revents != 0) accept();
      if (polled[2].revents != 0 && !deaf_) read();
      process();
    }
  }

  void woken() {
    std::uint64_t times = 0;
    static_cast<void>(!::read(wake_.get(), &times, sizeof times));
  }

  void wait_for(short events, Duration time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (!stopping_ && !(events != 0 && calm_)) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return;
      std::array<pollfd, 2> polled{};
      polled[0] = {wake_.get(), POLLIN, 0};
      polled[1] = {events != 0 && peer_ ? peer_->get() : -1, events, 0};
      ::poll(polled.data(), polled.size(), static_cast<int>(left.count()));
      if (polled[0].revents != 0) woken();
      if (polled[1].revents != 0) return;
    }
    if (!stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void accept() {
    peer_.emplace(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ++connections_;
    Action action;
    {
      const std::lock_guard lock(mutex_);
      std::swap(action, connected_);
    }
    if (action) action(*this, {});
  }

  void read() {
    if (resetting_.exchange(false)) return hang_up();
    std::array<char, 64 << 10> buffer;
    const ssize_t bytes = ::read(peer_->get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes <= 0) return peer_.reset();
    const std::string_view text(buffer.data(), static_cast<std::size_t>(bytes));
    ears_.add(text);
    const std::lock_guard lock(mutex_);
    received_ += text;
  }

  /// Takes what was heard apart, as far as it goes.
  void process() {
    while (peer_ && !muted_ && !stopping_) {
      const std::optional<std::string> heard = ears_.next();
      if (!heard) return;
      if (*heard == "\xFF") {
        send(
            "{\"error\": {\"class\": \"GenericError\", "
            "\"desc\": \"JSON parse error, stray '\\uFFFD'\"}}\n");
      } else {
        hear(*heard);
      }
    }
  }

  void hear(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    const bool whole = json.is_object() && json.contains("execute");
    if (!whole || (ids_ == Ids::rejected && json.contains("id"))) {
      return answer(
          {}, std::string("\"error\": {\"class\": \"GenericError\", \"desc\": \"") +
                  (whole ? "QMP input object member 'id' is unexpected" : "Invalid JSON") + "\"}");
    }
    Heard heard{json.at("execute"), json.value("arguments", nlohmann::json()), {}};
    if (ids_ == Ids::echoed && json.contains("id")) heard.id = json.at("id").dump();
    if (const Action action = find(heard)) {
      action(*this, heard);
    } else {
      built_in(heard);
    }
  }

  Action find(const Heard& heard) {
    const std::lock_guard lock(mutex_);
    executed_.push_back(heard);
    if (before_all_) {
      if (Action action = before_all_(heard)) return action;
    }
    const auto once = std::find_if(next_.begin(), next_.end(), [&](const auto& planned) {
      return planned.first == heard.command;
    });
    if (once != next_.end()) {
      Action action = std::move(once->second);
      next_.erase(once);
      return action;
    }
    const auto found = always_.find(heard.command);
    return found != always_.end() ? found->second : Action();
  }

  const Ids ids_;
  const std::string directory_;
  Descriptor listener_;
  Descriptor wake_;
  std::optional<Descriptor> peer_;
  Ears ears_;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> muted_ = false;
  std::atomic<bool> deaf_ = false;
  std::atomic<bool> calm_ = false;
  std::atomic<bool> resetting_ = false;
  std::atomic<std::size_t> left_ = unlimited;
  std::atomic<std::size_t> connections_ = 0;

  mutable std::mutex mutex_;
  std::map<std::string, Action> always_;
  std::vector<std::pair<std::string, Action>> next_;
  Action connected_;
  std::function<Action(const Heard&)> before_all_;
  std::string received_;
  std::vector<Heard> executed_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace qga_test

#include "script.hpp"
