// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What all subcommands do that show the answer to a question: JSON as the agent has sent it, or a
// form for people; and what to do about questions that this agent does not answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

/// Of what has no answer but that it was done.
inline int done(const Tool& tool) {
  if (tool.json) print_json(nlohmann::json::object());
  return 0;
}

/// Asks one thing. @param show gets the reply and gives a Table or a line
template <class Request, class Show>
int answer(Tool& tool, const Request& request, Show show) {
  if (tool.json) {
    print_json(tool.ga().execute(Request::command));
  } else {
    print(show(tool.ga().execute(request)));
  }
  return 0;
}

/// An answer, or nothing from an agent that is too old for it or may not give it.
template <class Request>
std::optional<typename Request::Reply> ask_if_offered(Tool& tool, const Request& request) {
  try {
    return tool.ga().execute(request);
  } catch (const qga::CommandNotFoundError&) {
    return std::nullopt;
  }
}

/// One document from several commands: a member for each that the agent offers, named as the
/// command.
template <class... Requests>
nlohmann::json json_of(Tool& tool) {
  nlohmann::json all = nlohmann::json::object();
  const auto add = [&](std::string_view command) {
    try {
      all[std::string(command)] = tool.ga().execute(command);
    } catch (const qga::CommandNotFoundError&) {
      // A member less.
    }
  };
  (add(Requests::command), ...);
  return all;
}

}  // namespace qga_tool
