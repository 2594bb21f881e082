// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A scripted guest in which one program can be started and followed. One of its steps can fail, and
// it knows what is left in the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "broken_step.hpp"
#include "qga/detail/protocol/base64.hpp"
#include "scripted_agent.hpp"

namespace faults {

class StartedGuest : public qga_test::ScriptedAgent {
 public:
  static constexpr std::int64_t program = 7;

  /// What the program writes.
  std::string out = "output";
  /// What is in the other file of output, which tells the name of a terminal.
  std::string err;
  /// True: it reads nothing.
  bool full = false;
  /// True: it ends when its input is closed.
  bool ends_with_input = false;
  /// True: it has ended when somebody looks.
  bool has_ended = false;
  /// What the first script says.
  std::string setup = "Linux\nnone\n";

  StartedGuest() {
    before_all([this](const qga_test::Heard& heard) { return hear(heard); });
  }
  ~StartedGuest() { before_all({}); }

  /// Breaks the step of this number, counted from now; or calls a function there.
  void break_at(std::size_t step, std::optional<Fault> fault, std::function<void()> act = {}) {
    const std::lock_guard lock(mutex_);
    steps_ = 0;
    broken_ = step;
    fault_ = fault;
    act_ = std::move(act);
    lie_ = "[[]]";
    reached_.clear();
  }
  /// Has the step of this number, counted from now, get this reply, as JSON text. The guest does
  /// not carry the request out.
  void lie_at(std::size_t step, std::string reply) {
    break_at(step, Fault::bad);
    const std::lock_guard lock(mutex_);
    lie_ = std::move(reply);
  }
  /// Has every request of a command get these replies in turn, as JSON text, from now on.
  void lie_always(std::string command, std::vector<std::string> replies) {
    const std::lock_guard lock(mutex_);
    always_ = std::move(command);
    in_turn_ = std::move(replies);
    turn_ = 0;
  }
  /// Breaks nothing more. @return the command that was broken; empty: there was no such step
  std::string mend() {
    const std::lock_guard lock(mutex_);
    broken_ = 0;
    return reached_;
  }
  bool has_directory() const { return get(directory_); }
  bool runs() const { return get(runs_); }
  std::size_t handles() const {
    const std::lock_guard lock(mutex_);
    return files_.size();
  }

 private:
  using json = nlohmann::json;
  using Action = qga_test::ScriptedAgent::Action;

  struct File {
    std::string name;
    std::size_t at = 0;
  };

  bool get(const bool& member) const {
    const std::lock_guard lock(mutex_);
    return member;
  }

  std::optional<Action> hear(const qga_test::Heard& heard) {
    namespace script = qga_test::script;
    if (heard.command.starts_with("guest-sync") || heard.command == "guest-ping") return {};
    std::function<void()> act;
    {
      const std::lock_guard lock(mutex_);
      if (++steps_ == broken_) {
        reached_ = heard.command;
        if (fault_ == Fault::closed) return script::hangs_up();
        // A close that fails has closed all the same.
        if (heard.command == "guest-file-close") carry_out(heard.command, heard.arguments);
        if (fault_ == Fault::refused) return script::fails("scripted");
        if (fault_ == Fault::silent) return script::nothing();
        if (fault_ == Fault::bad) return script::returns(lie_);
        act = act_;
      }
    }
    if (act) act();
    const std::lock_guard lock(mutex_);
    if (heard.command == always_) return script::returns(in_turn_[turn_++ % in_turn_.size()]);
    return carry_out(heard.command, heard.arguments.is_object() ? heard.arguments : json::object());
  }

  Action carry_out(const std::string& command, const json& given) {
    namespace script = qga_test::script;
    const auto returns = [](const json& value) { return script::returns(value.dump()); };
    if (command == "guest-exec") return returns({{"pid", exec(given)}});
    if (command == "guest-exec-status") return status(given.at("pid"));
    if (command == "guest-file-open") {
      // The script has removed itself when its program begins.
      const auto path = given.at("path").get<std::string>();
      if (path.ends_with("/run")) return script::fails("no such file");
      files_[++last_handle_] = {path};
      return returns(last_handle_);
    }
    const auto found = files_.find(given.value("handle", std::int64_t{0}));
    if (found == files_.end()) return script::fails("no such handle");
    File& file = found->second;
    if (command == "guest-file-close") {
      if (file.name.ends_with("/in") && ends_with_input) runs_ = false;
      files_.erase(found);
    } else if (command == "guest-file-seek") {
      file.at = given.at("offset");
      return returns({{"position", file.at}, {"eof", false}});
    } else if (command == "guest-file-read") {
      return read(file, given.at("count"));
    } else if (command == "guest-file-write") {
      std::string bytes;
      qga::detail::base64_decode(given.at("buf-b64").get<std::string>(), bytes);
      return returns({{"count", bytes.size()}, {"eof", false}});
    } else if (command == "guest-file-flush" && full) {
      return script::fails("Resource temporarily unavailable");
    }
    return returns(json::object());
  }

  std::int64_t exec(const json& given) {
    const std::string all = given.dump();
    std::string input;
    qga::detail::base64_decode(given.value("input-data", std::string()), input);
    if (input.starts_with("# qga start")) {
      directory_ = true;
      return setup_pid;
    }
    if (all.find("/run\"") != all.npos) {
      runs_ = directory_ && !has_ended;
      directory_ = false;
      return program;
    }
    if (all.find("\"-rf\"") != all.npos) directory_ = false;
    if (all.find("kill -") != all.npos && all.find("\"7\"") != all.npos) runs_ = false;
    return tool_pid;
  }

  Action status(std::int64_t pid) const {
    json reply{{"exited", pid != program || !runs_}};
    if (pid == setup_pid) {
      std::string said;
      qga::detail::base64_encode(setup, said);
      reply["out-data"] = said;
    }
    if (reply["exited"]) reply["exitcode"] = 0;
    return qga_test::script::returns(reply.dump());
  }

  Action read(File& file, std::size_t count) const {
    if (file.name.starts_with("/proc/") && !runs_) return qga_test::script::fails("gone");
    const std::string content = file.name.ends_with("/out")   ? out
                                : file.name.ends_with("/err") ? err
                                                              : std::string();
    const std::string bytes =
        file.at < content.size() ? content.substr(file.at, count) : std::string();
    file.at += bytes.size();
    std::string text;
    qga::detail::base64_encode(bytes, text);
    return qga_test::script::returns(
        json{{"count", bytes.size()}, {"buf-b64", text}, {"eof", bytes.empty()}}.dump());
  }

  static constexpr std::int64_t setup_pid = 5;
  static constexpr std::int64_t tool_pid = 9;

  mutable std::mutex mutex_;
  std::size_t steps_ = 0;
  std::size_t broken_ = 0;
  std::optional<Fault> fault_;
  std::function<void()> act_;
  std::string lie_;
  std::string always_;
  std::vector<std::string> in_turn_;
  std::size_t turn_ = 0;
  std::string reached_;
  bool directory_ = false;
  bool runs_ = false;
  std::int64_t last_handle_ = 30;
  std::map<std::int64_t, File> files_;
};

}  // namespace faults
