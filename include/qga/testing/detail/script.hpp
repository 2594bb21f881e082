// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a test has told an agent to do, and what clients have asked. Every method may be called on
// any thread. No function of the test runs under the lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/testing/action.hpp"
#include "qga/testing/recording.hpp"

namespace qga::inline v0_1::testing::detail {

/// Decides about each request, ahead of all other rules; none: they decide.
using Interceptor = std::function<std::optional<Action>(const Request&)>;

class Script {
 public:
  void on(const std::string& command, Action action) {
    const std::lock_guard lock(mutex_);
    always_[command] = std::move(action);
  }
  void once(std::string command, Action action) {
    const std::lock_guard lock(mutex_);
    next_.emplace_back(std::move(command), std::move(action));
  }
  void intercept(Interceptor interceptor) {
    const std::lock_guard lock(mutex_);
    interceptor_ = std::move(interceptor);
  }
  void on_connect(Action action) {
    const std::lock_guard lock(mutex_);
    connected_ = std::move(action);
  }
  void set_disabled(const std::string& command, bool disabled) {
    const std::lock_guard lock(mutex_);
    disabled ? void(disabled_.insert(command)) : void(disabled_.erase(command));
  }
  void replay(const Recording& recording) {
    const std::lock_guard lock(mutex_);
    for (const Recording::Exchange& one : recording.exchanges()) {
      recorded_names_.insert(one.command);
      recorded_[key(one.command, one.arguments)].replies.push_back(one.reply);
    }
  }

  /// What to do with the next client, before its first request.
  Action take_on_connect() {
    const std::lock_guard lock(mutex_);
    return std::exchange(connected_, Action());
  }

  /// What the test says about a request.
  /// @return none: nothing
  std::optional<Action> scripted(const Request& request) {
    Interceptor interceptor;
    {
      const std::lock_guard lock(mutex_);
      interceptor = interceptor_;
    }
    if (interceptor) {
      if (std::optional<Action> action = call(interceptor, request)) return action;
    }
    const std::lock_guard lock(mutex_);
    const auto once = std::find_if(next_.begin(), next_.end(), [&](const auto& planned) {
      return planned.first == request.command;
    });
    if (once != next_.end()) {
      Action action = std::move(once->second);
      next_.erase(once);
      return action;
    }
    const auto found = always_.find(request.command);
    if (found != always_.end()) return found->second;
    return std::nullopt;
  }

  /// What a policy or a recording says about a request.
  /// @return none: nothing
  std::optional<Action> recorded(const Request& request) {
    const std::lock_guard lock(mutex_);
    if (disabled_.contains(request.command)) {
      return fails("Command " + request.command + " has been disabled: the command is not allowed",
                   "CommandNotFound");
    }
    const auto found = recorded_.find(key(request.command, request.arguments));
    if (found == recorded_.end()) return std::nullopt;
    auto& [replies, next] = found->second;
    const nlohmann::json& reply = replies[next];
    next = std::min(next + 1, replies.size() - 1);
    if (reply.contains("return")) return returns(reply["return"]);
    const nlohmann::json& error = reply["error"];
    if (!error.is_object()) return sends(reply.dump() + "\n");
    return fails(text(error, "desc"), text(error, "class"));
  }

  /// The commands that rules or a recording are for.
  std::set<std::string> commands() const {
    const std::lock_guard lock(mutex_);
    std::set<std::string> names = recorded_names_;
    for (const auto& [command, action] : always_) names.insert(command);
    for (const auto& [command, action] : next_) names.insert(command);
    return names;
  }
  bool is_disabled(const std::string& command) const {
    const std::lock_guard lock(mutex_);
    return disabled_.contains(command);
  }

  // ---- what was asked --------------------------------------------------------------------------

  void add_received(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    received_ += bytes;
  }
  void add_request(const Request& request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  std::string received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::size_t count(std::string_view command) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(requests_.begin(), requests_.end(),
                      [&](const Request& request) { return request.command == command; }));
  }
  void clear_requests() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
    received_.clear();
  }

 private:
  struct Replies {
    std::vector<nlohmann::json> replies;
    std::size_t next = 0;
  };

  static std::string key(const std::string& command, const nlohmann::json& arguments) {
    const bool has_none = arguments.is_null() || arguments.empty();
    return command + '\n' + (has_none ? std::string() : arguments.dump());
  }
  static std::string text(const nlohmann::json& error, const char* member) {
    const auto found = error.find(member);
    return found != error.end() && found->is_string() ? found->get<std::string>() : std::string();
  }

  static std::optional<Action> call(const Interceptor& interceptor, const Request& request) {
    try {
      return interceptor(request);
    } catch (const std::exception& error) {
      return fails(error.what());
    } catch (...) {
      return fails("the test's function has thrown something");
    }
  }

  mutable std::mutex mutex_;
  std::map<std::string, Action> always_;
  std::vector<std::pair<std::string, Action>> next_;
  Interceptor interceptor_;
  Action connected_;
  std::set<std::string> disabled_;
  std::map<std::string, Replies> recorded_;
  std::set<std::string> recorded_names_;
  std::string received_;
  std::vector<Request> requests_;
};

}  // namespace qga::inline v0_1::testing::detail
