// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Everything the library throws because of a guest: the err_* codes and one hierarchy.
// Uses the standard library only; every other header may include this one.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace qga::inline v0_1 {

/// @name Error codes
/// What `GuestAgentError::code()` returns. 1000 to 1004 are those of the V library `qga`.
/// @{
inline constexpr int err_no_connect = 1000;    ///< no connection, or it is closed
inline constexpr int err_cannot_read = 1001;   ///< the channel broke while a reply was awaited
inline constexpr int err_cannot_write = 1002;  ///< the request could not be written
inline constexpr int err_timed_out = 1003;     ///< the deadline of the call passed
inline constexpr int err_from_agent = 1004;    ///< the agent answered with an error
inline constexpr int err_bad_reply = 1005;     ///< malformed, oversized or wrongly typed reply
inline constexpr int err_cancelled = 1006;     ///< cancelled by the caller
/// @}

/// What is known of a call that failed: of a command, or of a helper as a whole.
enum class Outcome {
  not_sent,  ///< Nothing with an effect reached the agent, and nothing will. A repeat is safe.
  unknown,   ///< It was sent and no usable answer came: it may have run, or may yet run. For a
             ///< helper: a step has changed something in the guest, or may have.
  refused,   ///< The agent answered that it did not carry it out.
};

namespace detail {
struct ErrorAccess;
}

/// The root of everything thrown for a guest. Copying one never throws.
class GuestAgentError : public std::runtime_error {
 public:
  /// What an error knows beside its code and its text.
  struct Details {
    std::string command = {};             ///< the command's wire name; empty for a connection
    Outcome outcome = Outcome::not_sent;  ///< what is known of the call
    std::error_code err = {};             ///< the system's or Asio's error, where there was one
    std::string error_class = {};         ///< the agent's `class`
    std::string desc = {};                ///< the agent's `desc`
  };

  /// Makes one; the library does, and tests may.
  /// @param code one of the `err_*` constants
  /// @param what the text
  /// @param details what else is known
  GuestAgentError(int code, const std::string& what, Details details)
      : std::runtime_error(what),
        code_(code),
        details_(std::make_shared<const Details>(std::move(details))) {}
  // There is no move: an error that was moved from would have no details.
  GuestAgentError(const GuestAgentError&) noexcept = default;
  GuestAgentError& operator=(const GuestAgentError&) noexcept = default;

  /// One of the `err_*` constants.
  int code() const noexcept { return code_; }

  /// True where the agent could not be talked to (codes 1000 to 1003, not a refused request).
  virtual bool is_unreachable() const noexcept { return false; }

  /// The agent's error class (`GenericError`, `CommandNotFound`); empty without an agent's answer,
  /// and where the agent names none.
  std::string_view error_class() const noexcept { return details_->error_class; }

  /// The agent's own words, verbatim and untrusted; `what()` holds them with control characters
  /// escaped.
  std::string_view desc() const noexcept { return details_->desc; }

  /// The underlying error of the system or of Asio; empty where there was none.
  std::error_code err() const noexcept { return details_->err; }

  /// The wire name of the command that failed; empty where a connection failed.
  std::string_view command() const noexcept { return details_->command; }

  /// The outcome of the call, as far as it is known.
  Outcome outcome() const noexcept { return details_->outcome; }

 protected:
  /// The classes below name this constructor, but it never runs: the base is virtual, so the class
  /// that is thrown initialises it.
  GuestAgentError() : std::runtime_error("") {}

 private:
  friend detail::ErrorAccess;

  int code_ = 0;
  std::shared_ptr<const Details> details_;
};

// The base is virtual, so that an error can be of two kinds: what went wrong (`TimeoutError`), and
// what a helper knows beside it (`FreezeError`, `ProgramError`, `TransferError`).

/// The agent could not be reached, or went away.
class UnreachableError : public virtual GuestAgentError {
 public:
  bool is_unreachable() const noexcept override { return true; }

 protected:
  UnreachableError() = default;
};

/// `err_no_connect`: there is no connection, or the client is closed or moved from.
class ConnectError : public UnreachableError {
 public:
  /// Makes one; the library does, and tests may.
  ConnectError(const std::string& what, Details details)
      : GuestAgentError(err_no_connect, what, std::move(details)) {}
};

/// `err_cannot_read`: the channel ended or failed while a reply was awaited.
class ReadError : public UnreachableError {
 public:
  /// Makes one; the library does, and tests may.
  ReadError(const std::string& what, Details details)
      : GuestAgentError(err_cannot_read, what, std::move(details)) {}
};

/// `err_cannot_write`: the channel failed while the request was written.
class WriteError : public UnreachableError {
 public:
  /// Makes one; the library does, and tests may.
  WriteError(const std::string& what, Details details)
      : GuestAgentError(err_cannot_write, what, std::move(details)) {}
};

/// `err_timed_out`: the deadline of the call passed.
class TimeoutError : public UnreachableError {
 public:
  /// Makes one; the library does, and tests may.
  TimeoutError(const std::string& what, Details details)
      : GuestAgentError(err_timed_out, what, std::move(details)) {}
};

/// `err_from_agent`: the agent answered with an error; see `error_class()` and `desc()`.
class AgentError : public virtual GuestAgentError {
 public:
  /// Makes one; the library does, and tests may.
  AgentError(const std::string& what, Details details)
      : GuestAgentError(err_from_agent, what, std::move(details)) {}

 protected:
  AgentError() = default;
};

/// `err_from_agent`: the agent does not know the command, the guest's system lacks what it needs,
/// or it is disabled: by policy, or while file systems are frozen (`fsfreeze_status` tells which;
/// the text must not be parsed). Agents of all ages mean the same by it; `error_class()` stays what
/// the agent said.
class CommandNotFoundError : public AgentError {
 public:
  /// Makes one; the library does, and tests may.
  CommandNotFoundError(const std::string& what, Details details)
      : GuestAgentError(err_from_agent, what, std::move(details)) {}
};

/// `err_bad_reply`: the reply was malformed, too large, out of turn or of the wrong shape.
class BadReplyError : public virtual GuestAgentError {
 public:
  /// Makes one; the library does, and tests may.
  BadReplyError(const std::string& what, Details details)
      : GuestAgentError(err_bad_reply, what, std::move(details)) {}

 protected:
  BadReplyError() = default;
};

/// `err_cancelled`: the caller cancelled or stopped the call, closed the client under it, or
/// connected again.
class CancelledError : public virtual GuestAgentError {
 public:
  /// Makes one; the library does, and tests may.
  CancelledError(const std::string& what, Details details)
      : GuestAgentError(err_cancelled, what, std::move(details)) {}
};

/// `err_cannot_write`, never sent: the client itself refused the request, because an argument
/// cannot be put on the wire, or a guard belongs to another client. Its `err()` is
/// `std::errc::invalid_argument`, `message_size` or `bad_file_descriptor`. It says nothing about
/// the guest, so `is_unreachable()` is false.
class RequestError : public virtual GuestAgentError {
 public:
  /// Makes one; the library does, and tests may.
  RequestError(const std::string& what, Details details)
      : GuestAgentError(err_cannot_write, what, std::move(details)) {}

 protected:
  RequestError() = default;
};

/// `err_cannot_write`, never sent: another call is using the client. `err()` is
/// `std::errc::device_or_resource_busy`.
class BusyError : public RequestError {
 public:
  /// Makes one; the library does, and tests may.
  BusyError(const std::string& what, Details details)
      : GuestAgentError(err_cannot_write, what, std::move(details)) {}
};

/// The library's error in an exception pointer, as asynchronous calls give it to their handlers.
/// @param error a handler's first argument
/// @return null where there is no error, or one that is not the library's. It is valid as long as
///         a copy of `error` is.
inline const GuestAgentError* error_of(const std::exception_ptr& error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const GuestAgentError& known) {
    return &known;
  } catch (...) {
    return nullptr;
  }
}

}  // namespace qga::inline v0_1
