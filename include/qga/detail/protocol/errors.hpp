// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes the errors that callers see: one place for their wording, and for what a helper adds to
// the error of one of its steps.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "qga/detail/protocol/redact.hpp"
#include "qga/detail/protocol/value.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1::detail {

inline std::string_view describe(Outcome outcome) {
  switch (outcome) {
    case Outcome::not_sent:
      return "; the command was not sent";
    case Outcome::refused:
      return "; the command was refused";
    default:
      return "; the command was sent, its outcome is unknown";
  }
}

/// `<command>: <what> (<the system's words>); <outcome>`
inline std::string error_text(std::string_view command, std::string_view what, Outcome outcome,
                              std::error_code shown) {
  std::string text(command);
  if (!text.empty()) text += ": ";
  text += what;
  if (shown && shown != std::errc::not_connected) text += " (" + shown.message() + ")";
  if (!command.empty()) text += describe(outcome);
  return text;
}

/// @tparam Error the system's words are added to the text of a connection's error; in other texts
///         they would only repeat `what`
template <class Error>
std::exception_ptr make_error(std::string_view command, std::string_view what, Outcome outcome,
                              std::error_code err = {}) {
  constexpr bool of_connection =
      std::is_base_of_v<UnreachableError, Error> && !std::is_base_of_v<TimeoutError, Error>;
  return std::make_exception_ptr(
      Error(error_text(command, what, outcome, of_connection ? err : std::error_code()),
            {.command = std::string(command), .outcome = outcome, .err = err}));
}

/// `make_error` of one type of error.
using MakeError = std::exception_ptr (*)(std::string_view, std::string_view, Outcome,
                                         std::error_code);

inline std::exception_ptr bad_reply(std::string_view command, std::string_view what,
                                    Outcome outcome) {
  return make_error<BadReplyError>(command, "bad reply: " + printable(what), outcome);
}

inline std::exception_ptr not_connected(std::string_view command) {
  return make_error<ConnectError>(command, "not connected", Outcome::not_sent,
                                  std::make_error_code(std::errc::not_connected));
}

inline std::exception_ptr no_target() {
  return make_error<ConnectError>("", "it is not known where to connect to", Outcome::not_sent,
                                  std::make_error_code(std::errc::not_connected));
}

inline std::exception_ptr busy(std::string_view command) {
  return make_error<BusyError>(command, "another call is using the client", Outcome::not_sent,
                               std::make_error_code(std::errc::device_or_resource_busy));
}

inline std::exception_ptr cancelled(std::string_view command, Outcome outcome) {
  return make_error<CancelledError>(command, "cancelled", outcome,
                                    std::make_error_code(std::errc::operation_canceled));
}

inline std::exception_ptr timed_out(std::string_view command, Outcome outcome) {
  return make_error<TimeoutError>(command, "timed out", outcome,
                                  std::make_error_code(std::errc::timed_out));
}

inline std::exception_ptr wrong_argument(std::string_view command, std::string_view what,
                                         std::errc err = std::errc::invalid_argument) {
  return make_error<RequestError>(command, what, Outcome::not_sent, std::make_error_code(err));
}

/// Whether the agent says that the command cannot be used: a policy, frozen file systems or the
/// guest's system forbid it. Agents since 4.2 say so by the class, those before 1.2 by others, and
/// those between by a `GenericError` with one of these sentences (to 9.0: for the guest's system).
inline bool is_not_available(const GuestAgentError::Details& said) {
  const std::string_view error_class = said.error_class;
  if (error_class == "CommandNotFound" || error_class == "CommandDisabled" ||
      error_class == "Unsupported") {
    return true;
  }
  return error_class == "GenericError" &&
         (said.desc == "The command " + said.command + " has been disabled for this instance" ||
          said.desc == "this feature or command is not currently supported");
}

/// Makes an error from the value of an `error` member. Some agents leave out the class.
/// @throws Malformed where it is not an object with `desc`
inline std::exception_ptr agent_error(std::string_view command, const Value& error) {
  const auto text = [&](const char* key, bool required) {
    const Value found = error.member(key);
    if (!required && !found.is_given<std::string>()) return std::string();
    if (!found.found() || found.kind() != '"') {
      throw Malformed(std::string("an error without '") + key + "'");
    }
    return json_unescaped(found.characters());
  };
  GuestAgentError::Details details{.command = std::string(command),
                                   .outcome = Outcome::refused,
                                   .error_class = text("class", false),
                                   .desc = text("desc", true)};
  std::string what = details.command + ": " + printable(details.desc);
  if (!details.error_class.empty()) what += " (" + printable(details.error_class) + ")";
  if (is_not_available(details)) {
    return std::make_exception_ptr(CommandNotFoundError(what, std::move(details)));
  }
  return std::make_exception_ptr(AgentError(what, std::move(details)));
}

/// The outcome of a step that failed; `unknown` for an error that is not the library's.
inline Outcome outcome_of(const std::exception_ptr& error) {
  const GuestAgentError* const known = error_of(error);
  return known != nullptr ? known->outcome() : Outcome::unknown;
}

/// The `err_*` code of an error; 0 where there is none, or where it is not the library's.
inline int code_of(const std::exception_ptr& error) {
  const GuestAgentError* const known = error_of(error);
  return known != nullptr ? known->code() : 0;
}

/// The `err()` of an error; empty where there is none, or where it is not the library's.
inline std::error_code err_of(const std::exception_ptr& error) {
  const GuestAgentError* const known = error_of(error);
  return known != nullptr ? known->err() : std::error_code();
}

/// The agent's error where it tried the command and failed; null where the command cannot be used,
/// and for errors of other kinds. It is valid as long as a copy of `error` is. The type is found by
/// catching it, because a program may be compiled with -fno-rtti, without dynamic_cast.
inline const AgentError* failure_of(const std::exception_ptr& error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const CommandNotFoundError&) {
    return nullptr;
  } catch (const AgentError& failed) {
    return &failed;
  } catch (...) {
    return nullptr;
  }
}

/// Changes an error that nobody else has seen yet.
struct ErrorAccess {
  /// Sets the outcome of the whole, where it differs from that of the last step.
  static void set_outcome(GuestAgentError& error, Outcome outcome) {
    std::string text = error.what();
    const std::string_view before = describe(error.outcome());
    if (text.ends_with(before)) text.erase(text.size() - before.size());
    GuestAgentError::Details details = *error.details_;
    details.outcome = outcome;
    error.details_ = std::make_shared<const GuestAgentError::Details>(std::move(details));
    set_text(error, text.append(describe(outcome)));
  }
  static void set_text(GuestAgentError& error, const std::string& text) {
    static_cast<std::runtime_error&>(error) = std::runtime_error(text);
  }
};

/// Calls `visit` with the exception itself, where it is the library's: what `visit` changes stays
/// changed.
template <class Visit>
void visit_error(const std::exception_ptr& error, Visit visit) {
  try {
    std::rethrow_exception(error);
  } catch (GuestAgentError& known) {
    visit(known);
  } catch (...) {
    // The error is not the library's.
  }
}

/// Sets the outcome to `unknown`, because an earlier step of the whole had an effect.
inline void lift_outcome(const std::exception_ptr& error) {
  visit_error(error, [](GuestAgentError& known) {
    if (known.outcome() != Outcome::unknown) ErrorAccess::set_outcome(known, Outcome::unknown);
  });
}

/// An error of type `Cause` that is an `Extra`, too.
template <class Cause, class Extra>
class ErrorWith final : public Cause, public Extra {
 public:
  ErrorWith(const Cause& cause, const Extra& extra)
      : GuestAgentError(extra), Cause(cause), Extra(extra) {}
};

/// Returns the error as one that is an `Extra`, too. An error that is an `Extra` already, or that
/// is not the library's, is returned as it is.
/// @tparam Extra a class derived from GuestAgentError, made from one and from `args`
template <class Extra, class... Args>
std::exception_ptr error_with(const std::exception_ptr& error, const Args&... args) {
  const auto with = [&](const auto& cause) {
    using Cause = std::remove_cvref_t<decltype(cause)>;
    return std::make_exception_ptr(ErrorWith<Cause, Extra>(cause, Extra(cause, args...)));
  };
  try {
    std::rethrow_exception(error);
  } catch (const Extra&) {
    return error;
  } catch (const ConnectError& cause) {
    return with(cause);
  } catch (const ReadError& cause) {
    return with(cause);
  } catch (const WriteError& cause) {
    return with(cause);
  } catch (const TimeoutError& cause) {
    return with(cause);
  } catch (const CommandNotFoundError& cause) {
    return with(cause);
  } catch (const AgentError& cause) {
    return with(cause);
  } catch (const BadReplyError& cause) {
    return with(cause);
  } catch (const CancelledError& cause) {
    return with(cause);
  } catch (const BusyError& cause) {
    return with(cause);
  } catch (const RequestError& cause) {
    return with(cause);
  } catch (...) {
    return error;
  }
}

}  // namespace qga::inline v0_1::detail
