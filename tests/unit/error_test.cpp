// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The errors as callers catch them: codes that never change, one hierarchy, texts that are safe to
// print.
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "decoded.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/error.hpp"

using qga::GuestAgentError;
using qga::Outcome;
using qga::UnreachableError;

static_assert(qga::err_no_connect == 1000);
static_assert(qga::err_cannot_read == 1001);
static_assert(qga::err_cannot_write == 1002);
static_assert(qga::err_timed_out == 1003);
static_assert(qga::err_from_agent == 1004);
static_assert(qga::err_bad_reply == 1005);
static_assert(qga::err_cancelled == 1006);

static_assert(std::is_base_of_v<std::runtime_error, GuestAgentError>);
static_assert(std::is_base_of_v<qga::AgentError, qga::CommandNotFoundError>);
static_assert(!std::is_base_of_v<UnreachableError, qga::RequestError>);

namespace {

std::exception_ptr agent_error(std::string_view command, std::string_view text) {
  const qga::detail::JsonIndex json(text, qga::test::no_limits);
  return qga::detail::agent_error(command, qga::detail::Value(json));
}

const GuestAgentError::Details details{.command = "guest-x",
                                       .outcome = Outcome::unknown,
                                       .err = std::make_error_code(std::errc::timed_out),
                                       .error_class = "C",
                                       .desc = "D"};

/// Throws and catches an error as `Caught`, and checks all that it knows.
template <class Error, class Caught>
void check(int code, bool unreachable) {
  static_assert(std::is_nothrow_copy_constructible_v<Error>);
  static_assert(std::is_nothrow_copy_assignable_v<Error>);
  static_assert(std::is_final_v<Error> || std::has_virtual_destructor_v<Error>);
  try {
    throw Error("text", details);
  } catch (const Caught& caught) {
    const GuestAgentError copy = caught;
    CHECK(caught.is_unreachable() == unreachable);
    for (const GuestAgentError* error : {static_cast<const GuestAgentError*>(&caught), &copy}) {
      CHECK(error->code() == code);
      CHECK(error->what() == std::string("text"));
      CHECK(error->command() == "guest-x");
      CHECK(error->outcome() == Outcome::unknown);
      CHECK(error->err() == std::errc::timed_out);
      CHECK(error->error_class() == "C");
      CHECK(error->desc() == "D");
    }
  }
}

template <class Error>
Error caught(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace

TEST_CASE("every error is caught as what it is, and as GuestAgentError") {
  check<qga::ConnectError, UnreachableError>(1000, true);
  check<qga::ReadError, UnreachableError>(1001, true);
  check<qga::WriteError, UnreachableError>(1002, true);
  check<qga::TimeoutError, UnreachableError>(1003, true);
  check<qga::ConnectError, GuestAgentError>(1000, true);
  check<qga::ReadError, GuestAgentError>(1001, true);
  check<qga::WriteError, GuestAgentError>(1002, true);
  check<qga::TimeoutError, GuestAgentError>(1003, true);
  check<qga::AgentError, GuestAgentError>(1004, false);
  check<qga::CommandNotFoundError, qga::AgentError>(1004, false);
  check<qga::CommandNotFoundError, GuestAgentError>(1004, false);
  check<qga::BadReplyError, GuestAgentError>(1005, false);
  check<qga::CancelledError, GuestAgentError>(1006, false);
  check<qga::RequestError, GuestAgentError>(1002, false);
}

TEST_CASE("an error's text has the command, the reason, the system's words and the outcome") {
  const auto err = std::make_error_code(std::errc::broken_pipe);
  const auto error = caught<qga::WriteError>(qga::detail::make_error<qga::WriteError>(
      "guest-ping", "the channel broke", Outcome::unknown, err));
  CHECK(error.what() == "guest-ping: the channel broke (" + err.message() +
                            "); the command was sent, its outcome is unknown");
  CHECK(error.err() == err);
  CHECK(error.command() == "guest-ping");
  CHECK(error.outcome() == Outcome::unknown);

  const auto connect = caught<qga::ConnectError>(
      qga::detail::make_error<qga::ConnectError>("", "cannot connect", Outcome::not_sent));
  CHECK(connect.what() == std::string("cannot connect"));
  CHECK(connect.command().empty());
  CHECK_FALSE(connect.err());
}

TEST_CASE("an agent's error keeps its words verbatim, and shows them escaped") {
  const auto error = caught<qga::AgentError>(agent_error(
      "guest-exec",
      R"({"class": "GenericError", "desc": "no\n\u001b[2J\u009b\u0000 \u201csuch\u201d"})"));
  CHECK(error.desc() == std::string_view("no\n\x1B[2J\u009B\0 \u201Csuch\u201D", 21));
  CHECK(error.error_class() == "GenericError");
  CHECK(error.outcome() == Outcome::refused);
  CHECK(error.what() == std::string("guest-exec: no\\x0a\\x1b[2J\\x9b\\x00 \u201Csuch\u201D "
                                    "(GenericError)"));
  CHECK_FALSE(error.err());

  const auto not_found =
      agent_error("x", R"({"desc": "", "class": "CommandNotFound", "data": {"name": "x"}})");
  CHECK(caught<qga::CommandNotFoundError>(not_found).error_class() == "CommandNotFound");
}

TEST_CASE("an error without a class is an agent's error, too") {
  for (const char* const error :
       {R"({"desc": "no such thing", "code": -1})", R"({"class": null, "desc": "no such thing"})",
        R"({"class": "", "desc": "no such thing"})"}) {
    const auto seen = caught<qga::AgentError>(agent_error("guest-get-time", error));
    CHECK(seen.error_class().empty());
    CHECK(seen.what() == std::string("guest-get-time: no such thing"));
  }
}

TEST_CASE("what cannot be used is a CommandNotFoundError, whatever the agent's age") {
  const std::string sentence = "The command guest-x has been disabled for this instance";
  const std::string unsupported = "this feature or command is not currently supported";
  struct {
    std::string error_class, desc;
    bool not_found;
  } const cases[]{
      {"CommandNotFound", "anything", true},
      {"CommandDisabled", sentence, true},
      {"Unsupported", unsupported, true},
      {"GenericError", sentence, true},
      {"GenericError", unsupported, true},
      {"GenericError", sentence + ".", false},
      {"GenericError", "x" + sentence, false},
      {"GenericError", "The command guest-xy has been disabled for this instance", false},
      {"GenericError", "The command guest- has been disabled for this instance", false},
      {"GenericError", "the command guest-x has been disabled for this instance", false},
      {"GenericError", unsupported + " ", false},
      {"GenericError", "", false},
      {"DeviceNotFound", sentence, false},
      {"", sentence, false},
      {"commandnotfound", sentence, false}};
  for (const auto& one : cases) {
    CAPTURE(one.error_class, one.desc);
    const auto error = agent_error(
        "guest-x", nlohmann::json{{"class", one.error_class}, {"desc", one.desc}}.dump());
    const auto* const known = qga::error_of(error);
    REQUIRE(known != nullptr);
    CHECK((dynamic_cast<const qga::CommandNotFoundError*>(known) != nullptr) == one.not_found);
    CHECK(known->error_class() == one.error_class);
    CHECK(known->code() == qga::err_from_agent);
    const auto* const failure = qga::detail::failure_of(error);
    CHECK((failure == nullptr) == one.not_found);
    CHECK((failure == nullptr || failure->desc() == one.desc));
  }
}

TEST_CASE("only an agent's error is a failure of the agent") {
  using qga::detail::failure_of;
  CHECK(failure_of({}) == nullptr);
  CHECK(failure_of(qga::detail::not_connected("guest-x")) == nullptr);
  CHECK(failure_of(std::make_exception_ptr(std::runtime_error("x"))) == nullptr);
}

TEST_CASE("an agent's error of another shape is no error of an agent") {
  for (const char* error :
       {"{}", "[]", "5", "null", "\"x\"", "nope", "{", R"({"class": "X"})", R"({"class": 1})",
        R"({"class": 5, "desc": "x"})", R"({"class": "X", "desc": null})",
        R"({"class": "X", "desc": ["x"]})", "{\"class\": \"X\", \"desc\": \"\xFF\"}"}) {
    INFO(error);
    CHECK_THROWS_AS(agent_error("x", error), qga::detail::Malformed);
  }
}

TEST_CASE("a bad reply shows its reason escaped and cut") {
  const auto error = caught<qga::BadReplyError>(
      qga::detail::bad_reply("guest-x", "\x1B" + std::string(1 << 20, '\n'), Outcome::unknown));
  const std::string_view text = error.what();
  CHECK(text.starts_with("guest-x: bad reply: \\x1b\\x0a\\x0a"));
  CHECK(text.find('\x1B') == std::string_view::npos);
  CHECK(text.find('\n') == std::string_view::npos);
  CHECK(text.size() < 5000);
}
