// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A recorded session, and an agent that replays it in memory and keeps count of what it executes.
// Every reply is one of a kind, so that one that reaches the wrong request shows.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/testing/agent_params.hpp"
#include "qga/testing/detail/request_parser.hpp"

namespace cuts {

using qga::testing::Ids;

struct Step {
  std::string command;
  nlohmann::json arguments;
  std::string reply;      ///< a member; empty: the agent answers nothing
  nlohmann::json result;  ///< what a client gets of it
  std::string wire;       ///< the request as a client writes it, up to its id

  bool refused() const { return reply.starts_with("\"error\""); }
  /// Only a refusal is answered.
  bool silent() const {
    return command == "guest-shutdown" || command.starts_with("guest-suspend-");
  }
  /// Executed late it does harm that nobody is there to undo.
  bool dangerous() const { return silent() || command.starts_with("guest-fsfreeze-freeze"); }
};

/// Steps, and how many of them are in flight together.
struct Script {
  std::vector<Step> steps;
  std::vector<std::size_t> batches;
  std::map<std::string, std::size_t> by_wire;

  void add(std::string command, nlohmann::json arguments, std::string reply) {
    const std::string end = arguments.is_null() ? "" : ",\"arguments\":" + arguments.dump();
    const std::string wire = "{\"execute\":\"" + command + '"' + end;
    by_wire[wire] = steps.size();
    auto result = reply.empty()
                      ? nlohmann::json::object()
                      : nlohmann::json::parse("{" + reply + "}").value("return", nlohmann::json());
    steps.push_back(
        {std::move(command), std::move(arguments), std::move(reply), std::move(result), wire});
  }
};

/// The session of the cut tests: the handshake, replies of all sizes, payloads, refusals, commands
/// without a reply, dangerous ones, and several in flight.
inline Script recorded_session() {
  Script script;
  const auto add = [&](std::string command, nlohmann::json arguments, std::string reply) {
    script.add(std::move(command), std::move(arguments), std::move(reply));
  };
  const auto number = [&] { return std::to_string(1000 + script.steps.size()); };
  const auto returns = [&](const std::string& text) { return "\"return\": " + text; };
  const auto refuses = [&] {
    return R"("error": {"class": "GenericError", "desc": "not )" + number() + "\"}";
  };
  const auto open = [&] {
    add("guest-file-open", {{"path", "/" + number()}, {"mode", "r"}}, returns(number()));
  };
  const auto read = [&](std::size_t bytes) {
    const std::string text = number() + std::string(bytes / 3 * 4 - 4, 'A');
    add("guest-file-read", {{"handle", 1000 + script.steps.size()}, {"count", bytes}},
        returns("{\"count\": " + std::to_string(bytes) + ", \"buf-b64\": \"" + text +
                "\", \"eof\": false}"));
  };
  const auto batch = [&](std::size_t size) { script.batches.push_back(size); };

  add("guest-get-host-name", nullptr, returns("{\"host-name\": \"n" + number() + "\"}"));
  open();
  batch(1), batch(1);
  for (int i = 0; i < 4; ++i) read(12);
  batch(4);
  add("guest-file-write", {{"handle", 1006}, {"buf-b64", std::string(300, 'B')}},
      returns("{\"count\": " + number() + ", \"eof\": false}"));
  batch(1);
  add("guest-get-osinfo", nullptr,
      returns(R"({"id": "debian", "name": "Debian \u00e9\"{[", "version": ")" + number() + "\"}"));
  batch(1);
  read(6000);
  batch(1);
  add("guest-file-open", {{"path", "/no\"}]\\/" + number()}}, refuses());
  batch(1);
  open();
  add("guest-set-time", {{"time", 1000000000}}, returns("{\"set\": " + number() + "}"));
  add("guest-file-open", {{"path", "/none"}}, refuses());
  read(30);
  add("guest-get-users", nullptr, returns("[" + number() + "]"));
  batch(5);
  add("guest-shutdown", {{"mode", "reboot"}}, "");
  batch(1);
  add("guest-suspend-ram", nullptr, refuses());
  batch(1);
  add("guest-exec",
      {{"path", "/bin/ls"}, {"arg", {"-l", "/"}}, {"capture-output", true}, {"input-data", "QUJD"}},
      returns("{\"pid\": " + number() + "}"));
  add("guest-exec-status", {{"pid", 1017}},
      returns("{\"exited\": true, \"exitcode\": " + number() + "}"));
  batch(1), batch(1);
  read(3);
  add("guest-suspend-hybrid", nullptr, "");
  read(9);
  batch(3);
  add("guest-fsfreeze-freeze", nullptr, returns(number()));
  add("guest-fsfreeze-thaw", nullptr, returns(number()));
  batch(1), batch(1);
  add("guest-sync", {{"id", 77}}, returns("77"));
  open();
  batch(1), batch(1);
  return script;
}

class ReplayAgent {
 public:
  /// @param ends_at_sentinel it is an agent that ends at a byte 0xFF, and is started again. What it
  ///        has read is lost then
  explicit ReplayAgent(const Script& script, Ids ids = Ids::echoed, bool ends_at_sentinel = false)
      : script_(&script),
        ids_(ids),
        ends_at_sentinel_(ends_at_sentinel),
        executed_(script.steps.size()),
        answered_(script.steps.size()) {}

  /// What the agent has to say to that; a request that is not whole waits for the rest of it.
  std::string hear(std::string_view bytes) {
    const std::size_t before = said_.size();
    if (ends_at_sentinel_) {
      hear_lines(bytes);
      return said_.substr(before);
    }
    parser_.add(bytes);
    while (const auto heard = parser_.next()) {
      if (*heard == "\xFF") {
        silent_.reset();
        answer({}, fault("JSON parse error, stray"));
      } else {
        obey(*heard);
      }
    }
    return said_.substr(before);
  }

  /// How often a step was executed.
  int executed(std::size_t step) const { return executed_[step]; }
  /// Where in all that the agent said the first answer to a step ended; 0: there was none.
  std::size_t answered(std::size_t step) const { return answered_[step]; }

 private:
  static std::string fault(const std::string& desc) {
    return R"("error": {"class": "GenericError", "desc": ")" + desc + "\"}";
  }

  /// Such agents read lines.
  void hear_lines(std::string_view bytes) {
    lines_ += bytes;
    if (lines_.find('\xFF') != std::string::npos) {
      lines_.clear();
      silent_.reset();
    }
    for (std::size_t end = lines_.find('\n'); end != std::string::npos; end = lines_.find('\n')) {
      if (end > 0) obey(lines_.substr(0, end));
      lines_.erase(0, end + 1);
    }
  }

  void answer(const std::string& id, const std::string& member) {
    said_ += "{" + member + (id.empty() ? "" : ", \"id\": " + id) + "}\n";
  }

  void obey(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return answer({}, fault("JSON parse error"));
    const bool has_id = json.contains("id");
    if (has_id && ids_ == Ids::rejected) return answer({}, fault("'id' is unexpected"));
    const std::string id = has_id && ids_ == Ids::echoed ? json.at("id").dump() : std::string();
    // What is left of a mangled request may be an object with an id of its own.
    if (!json.contains("execute")) return answer(id, fault("QMP input lacks member 'execute'"));
    const std::string command = json.at("execute").dump();
    const auto arguments = json.value("arguments", nlohmann::json());
    if (command == "\"guest-sync-delimited\"") {
      if (!arguments.is_object() || !arguments.contains("id")) return answer(id, fault("no id"));
      said_ += '\xFF';
      answer(id, "\"return\": " + arguments.at("id").dump());
      if (const auto silent = std::exchange(silent_, {})) answered_[*silent] = said_.size();
      return;
    }
    const std::string end = arguments.is_null() ? "" : ",\"arguments\":" + arguments.dump();
    const auto step = script_->by_wire.find("{\"execute\":" + command + end);
    if (step == script_->by_wire.end()) {
      // A sync that is no step is a part of a handshake.
      const bool syncs = command == "\"guest-sync\"" && arguments.contains("id");
      return answer(
          id, syncs ? "\"return\": " + arguments.at("id").dump() : fault("not in the script"));
    }
    execute(step->second, id);
  }

  void execute(std::size_t index, const std::string& id) {
    ++executed_[index];
    const Step& step = script_->steps[index];
    if (step.reply.empty()) {
      silent_ = index;
      return;
    }
    answer(id, step.reply);
    if (answered_[index] == 0) answered_[index] = said_.size();
  }

  const Script* script_;
  Ids ids_;
  bool ends_at_sentinel_;
  qga::testing::detail::RequestParser parser_;
  std::string lines_;  ///< what an agent that ends at a byte 0xFF has read, and not yet obeyed
  std::string said_;
  std::optional<std::size_t> silent_;  ///< the barrier behind it is to come
  std::vector<int> executed_;
  std::vector<std::size_t> answered_;
};

}  // namespace cuts
