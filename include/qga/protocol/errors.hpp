// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes the errors that callers see: one place for their wording.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include "qga/error.hpp"
#include "qga/protocol/outline.hpp"
#include "qga/protocol/text.hpp"

namespace qga::protocol {

inline std::string_view describe(Outcome outcome) {
  switch (outcome) {
    case Outcome::not_sent:
      return "the command was not sent";
    case Outcome::refused:
      return "the command was refused";
    default:
      return "the command was sent, its outcome is unknown";
  }
}

/// `<command>: <what> (<system's words>); <outcome>`
inline std::string error_text(std::string_view command, std::string_view what, Outcome outcome,
                              std::error_code err) {
  std::string text(command);
  if (!text.empty()) text += ": ";
  text += what;
  if (err) text += " (" + err.message() + ")";
  if (!command.empty()) text.append("; ").append(describe(outcome));
  return text;
}

template <class Error>
std::exception_ptr make_error(std::string_view command, std::string_view what, Outcome outcome,
                              std::error_code err = {}) {
  return std::make_exception_ptr(
      Error(error_text(command, what, outcome, err),
            {.command = std::string(command), .outcome = outcome, .err = err}));
}

/// `make_error` of one type of error.
using MakeError = std::exception_ptr (*)(std::string_view, std::string_view, Outcome,
                                         std::error_code);

inline std::exception_ptr bad_reply(std::string_view command, std::string_view what,
                                    Outcome outcome) {
  return make_error<BadReplyError>(command, "bad reply: " + printable(what), outcome);
}

/// From the text of an `error` member.
/// @throws Malformed where it is not an object with `class` and `desc`
inline std::exception_ptr agent_error(std::string_view command, std::string_view error) {
  const Outline json(error);
  const auto text = [&](const char* key) {
    const Outline::Place found = json.find(Outline::root, key);
    if (found == Outline::root || json.kind(found) != '"') {
      throw Malformed(std::string("an error without '") + key + "'");
    }
    return json_unescaped(json.characters(found));
  };
  GuestAgentError::Details details{.command = std::string(command),
                                   .outcome = Outcome::refused,
                                   .error_class = text("class"),
                                   .desc = text("desc")};
  const std::string what = details.command + ": " + printable(details.desc) + " (" +
                           printable(details.error_class) + ")";
  if (details.error_class == "CommandNotFound") {
    return std::make_exception_ptr(CommandNotFoundError(what, std::move(details)));
  }
  return std::make_exception_ptr(AgentError(what, std::move(details)));
}

}  // namespace qga::protocol
