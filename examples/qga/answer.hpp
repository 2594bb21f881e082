// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Shows the agent's answers: as JSON, as the agent has sent them, or as text for people. Skips the
// commands that this agent does not offer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

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

/// Sends one command, and prints its reply.
/// @param show makes a Table or a line of the reply
template <class Request, class Show>
int answer(Tool& tool, const Request& request, Show show) {
  if (tool.json) {
    print_json(tool.ga().execute(Request::command));
  } else {
    print(show(tool.ga().execute(request)));
  }
  return 0;
}

/// The reply to a command; nothing where the agent does not know it or may not run it.
template <class Request>
std::optional<typename Request::Reply> ask_if_offered(Tool& tool, const Request& request) {
  try {
    return tool.ga().execute(request);
  } catch (const qga::CommandNotFoundError&) {
    return std::nullopt;
  }
}

/// Makes one JSON document from the replies to several commands. Each command that the agent offers
/// has a member, named as the command.
template <class... Requests>
nlohmann::json json_of(Tool& tool) {
  nlohmann::json all = nlohmann::json::object();
  const auto add = [&](std::string_view command) {
    try {
      all[std::string(command)] = tool.ga().execute(command);
    } catch (const qga::CommandNotFoundError&) {
      // The document has no member for it.
    }
  };
  (add(Requests::command), ...);
  return all;
}

}  // namespace qga_tool
