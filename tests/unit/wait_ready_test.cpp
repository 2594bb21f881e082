// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `wait_ready` step by step: when it connects again, when it gives up, and what it tells then.
#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/wait_ready.hpp"

using namespace helper_test;
using qga::ReadyState;
using Wait = Scripted<qga::Readiness, qga::detail::WaitReady>;
using Strings = std::vector<std::string>;

namespace {

const std::string ask = "guest-info {}";
const std::string check_frozen = "guest-fsfreeze-status {}";

Reply info(bool exec_enabled = true) {
  nlohmann::json exec{
      {"name", "guest-exec"}, {"enabled", exec_enabled}, {"success-response", true}};
  return {.json = {{"version", "7.2"}, {"supported_commands", {exec}}}};
}
const Reply thawed{.json = "thawed"};
const Reply frozen{.json = "frozen"};
const Reply no_value{};
Reply no_socket() {
  return {.error = qga::detail::make_error<qga::ConnectError>(
              "", "scripted", Outcome::not_sent,
              std::make_error_code(std::errc::no_such_file_or_directory))};
}
Reply silence(Clock::duration takes) {
  return {.error = error<qga::TimeoutError>(Outcome::not_sent), .takes = takes};
}
Reply hung_up() { return {.error = error<qga::ReadError>()}; }

}  // namespace

TEST_CASE("ready: an agent that answers on a connection that there is") {
  Wait wait(10s, "");
  wait.run({info(), thawed});
  CHECK(wait.log == Strings{ask, check_frozen});
  REQUIRE(wait.finished);
  CHECK(wait.finished->state == ReadyState::ready);
  CHECK(*wait.finished);
  CHECK(wait.finished->version == "7.2");
  CHECK(wait.finished->attempts == 1);
}

TEST_CASE("ready: connects until there is a socket, ever less often, up to once a second") {
  Wait wait(1min, "");
  wait.is_connected = false;
  wait.run({no_socket(), no_socket(), no_socket(), no_socket(), no_socket(), no_socket(),
            no_socket(), no_value, info(), thawed});
  CHECK(wait.log == Strings{"connect", "pause 50", "connect", "pause 100", "connect", "pause 200",
                            "connect", "pause 400", "connect", "pause 800", "connect", "pause 1000",
                            "connect", "pause 1000", "connect", ask, check_frozen});
  CHECK(wait.finished->state == ReadyState::ready);
  CHECK_FALSE(wait.finished->err);
  CHECK(wait.finished->waited == 3550ms);
}

TEST_CASE("ready: connects again where nobody answers, and waits for longer") {
  Wait wait(1min, "");
  wait.run({silence(1s), no_value, silence(2s), no_value, hung_up(), no_value, info(), thawed});
  CHECK(wait.log ==
        Strings{ask, "connect", ask, "connect", ask, "pause 50", "connect", ask, check_frozen});
  CHECK(wait.finished->attempts == 4);
}

TEST_CASE("ready: a connection that cannot be made again is asked again") {
  Wait wait(1min, "");
  wait.knows_where = false;
  wait.run({silence(1s), silence(2s), info(), thawed});
  CHECK(wait.log == Strings{ask, ask, ask, check_frozen});
}

TEST_CASE("not ready: the time is up, and how far it came") {
  SECTION("no socket") {
    Wait wait(100ms, "");
    wait.is_connected = false;
    wait.run({no_socket(), no_socket()});
    CHECK(wait.log == Strings{"connect", "pause 50", "connect", "pause 50"});
    CHECK(wait.finished->state == ReadyState::no_socket);
    CHECK(wait.finished->err == std::errc::no_such_file_or_directory);
    CHECK(wait.finished->attempts == 0);
  }
  SECTION("silent") {
    Wait wait(3s, "");
    wait.run({silence(1s), no_value, silence(2s)});
    CHECK(wait.finished->state == ReadyState::silent);
    CHECK_FALSE(*wait.finished);
    CHECK(wait.latest <= wait.now_);
  }
  SECTION("a descriptor whose other end has gone") {
    Wait wait(1min, "");
    wait.is_connected = false;
    wait.knows_where = false;
    wait.run({});
    CHECK(wait.finished->state == ReadyState::no_socket);
  }
}

TEST_CASE("not ready, and waiting does not help") {
  SECTION("frozen") {
    Wait wait(1min, "guest-exec");
    wait.run({info(false), frozen});
    CHECK(wait.finished->state == ReadyState::frozen);
  }
  SECTION("disabled") {
    Wait wait(1min, "guest-exec");
    wait.run({info(false), thawed});
    CHECK(wait.finished->state == ReadyState::disabled);
  }
  SECTION("not known") {
    Wait wait(1min, "guest-new");
    wait.run({info(), {.error = error<qga::CommandNotFoundError>(Outcome::refused)}});
    CHECK(wait.finished->state == ReadyState::disabled);
  }
}

TEST_CASE("an agent that refuses to tell of itself is one") {
  Wait wait(1min, "");
  wait.run({{.error = error<qga::CommandNotFoundError>(Outcome::refused)}, thawed});
  CHECK(wait.finished->state == ReadyState::ready);
}

TEST_CASE("ready: cancelling ends it") {
  Wait asking(1min, "");
  asking.run({{.error = error<qga::CancelledError>()}});
  error_of<qga::CancelledError>(asking);
  Wait pausing(1min, "");
  pausing.is_connected = false;
  pausing.cancelled = error<qga::CancelledError>();
  pausing.run({no_socket()});
  error_of<qga::CancelledError>(pausing);
  Wait connecting(1min, "");
  connecting.is_connected = false;
  connecting.run({{.error = error<qga::CancelledError>()}});
  error_of<qga::CancelledError>(connecting);
}
