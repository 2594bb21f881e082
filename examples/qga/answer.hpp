// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Shows the agent's answers: as JSON, as the agent has sent them, or as text for people.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

/// Ends a subcommand whose only answer is that it succeeded.
inline int done(const Tool& tool) {
  if (tool.json) print_json(nlohmann::json::object());
  return 0;
}

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

/// The reply to a command as the agent has sent it, but that null for a list, which some agents
/// send, is an empty list.
template <class Request>
nlohmann::json json_reply(Tool& tool) {
  nlohmann::json reply = tool.ga().execute(Request::command);
  if (is_list<typename Request::Reply> && reply.is_null()) return nlohmann::json::array();
  return reply;
}

/// Sends one command, and prints its reply.
/// @param nothing what to print instead of an empty table
/// @param show makes a Table of the reply
template <class Request, class Show>
int answer(Tool& tool, const Request& request, std::string_view nothing, Show show) {
  if (tool.json) {
    print_json(json_reply<Request>(tool));
  } else {
    print(show(tool.ga().execute(request)), nothing);
  }
  return 0;
}

/// Asks several questions, and collects what is missing of the answers: where the guest refuses a
/// question, or its reply makes no sense.
class Questions {
 public:
  /// Calls a function that asks, and returns its result; nothing where the answer is missing.
  template <class Ask>
  std::optional<std::invoke_result_t<Ask>> ask(Ask ask) {
    try {
      // In place, because a nlohmann::json would otherwise offer to convert itself, too.
      std::optional<std::invoke_result_t<Ask>> answer(std::in_place, ask());
      answered_ = true;
      return answer;
    } catch (const qga::AgentError& error) {
      miss(error);
    } catch (const qga::BadReplyError& error) {
      miss(error);
    }
    return std::nullopt;
  }

  /// Why answers are missing.
  const std::vector<std::string>& missing() const { return missing_; }
  bool answered() const { return answered_; }
  /// @throws the first error, where all questions failed
  void check() const {
    if (!answered_ && error_) std::rethrow_exception(error_);
  }

 private:
  /// Notes the exception that is being handled.
  void miss(const std::exception& error) {
    if (!error_) error_ = std::current_exception();
    missing_.emplace_back(error.what());
  }

  bool answered_ = false;
  std::exception_ptr error_;  ///< the first
  std::vector<std::string> missing_;
};

/// Shows the answers to several commands together: those that there are, and why others are
/// missing. Without any answer it fails.
class Overview {
 public:
  explicit Overview(Tool& tool) : tool_(tool) {}

  /// The reply to a command; nothing where it is missing.
  template <class Request>
  std::optional<typename Request::Reply> ask(const Request& request) {
    return questions_.ask([&] { return tool_.ga().execute(request); });
  }

  /// Prints what the answers were made into, and what is missing.
  /// @param nothing what to print instead of an empty table where nothing is missing
  void print(const Table& table, std::string_view nothing = "") {
    questions_.check();
    const std::vector<std::string>& missing = questions_.missing();
    if (!table.empty() || missing.empty()) qga_tool::print(table, nothing);
    for (const std::string& reason : missing) qga_tool::print(missing_line(reason));
  }

  /// Asks, and prints one JSON document: each reply is a member, named as the command.
  template <class... Requests>
  void print_json() {
    nlohmann::json all = nlohmann::json::object();
    const auto add = [&all](std::string_view command, std::optional<nlohmann::json> reply) {
      if (reply) all[std::string(command)] = std::move(*reply);
    };
    (add(Requests::command, questions_.ask([this] { return json_reply<Requests>(tool_); })), ...);
    questions_.check();
    all["missing"] = questions_.missing();
    qga_tool::print_json(all);
  }

 private:
  Tool& tool_;
  Questions questions_;
};

}  // namespace qga_tool
