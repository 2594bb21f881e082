// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `wait_for` and `wait_address` step by step: what they ask, what makes them ask again, and what
// ends them.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/wait_address.hpp"
#include "qga/helpers/wait_for.hpp"

using namespace helper_test;
using qga::GuestIpAddressType;
using WaitFor = Scripted<qga::WaitResult, qga::detail::WaitFor>;
using WaitAddress = Scripted<std::optional<qga::GuestAddress>, qga::detail::WaitAddress>;
using Strings = std::vector<std::string>;

namespace {

const std::string ask = "guest-info {}";
const std::string check_frozen = "guest-fsfreeze-status {}";
const std::string list = "guest-network-get-interfaces {}";
const std::string execute = R"(guest-exec {"capture-output":true,"path":"x"})";
const std::string status = R"(guest-exec-status {"pid":7})";

Reply info(const std::string& command, bool enabled = true) {
  nlohmann::json known{{"name", command}, {"enabled", enabled}, {"success-response", true}};
  return {.json = {{"version", "7.2"}, {"supported_commands", {known}}}};
}
const Reply exec_info = info("guest-exec");
const Reply list_info = info("guest-network-get-interfaces");
const Reply thawed{.json = "thawed"};
const Reply frozen{.json = "frozen"};
const Reply no_value{};
const Reply started{.json = {{"pid", 7}}};
Reply ended(int code) { return {.json = {{"exited", true}, {"exitcode", code}}}; }
Reply refused() { return {.error = error<qga::AgentError>(Outcome::refused)}; }
Reply hung_up() { return {.error = error<qga::ReadError>()}; }

nlohmann::json interface(const std::string& mac, const Strings& addresses) {
  nlohmann::json known = nlohmann::json::array();
  for (const std::string& address : addresses) {
    const char* const type = address.find(':') == address.npos ? "ipv4" : "ipv6";
    known.push_back({{"ip-address", address}, {"ip-address-type", type}, {"prefix", 24}});
  }
  return {{"name", "eth"}, {"hardware-address", mac}, {"ip-addresses", known}};
}
Reply interfaces(std::vector<nlohmann::json> all) { return {.json = std::move(all)}; }

}  // namespace

TEST_CASE("wait_for: runs the program until it ends with 0") {
  WaitFor wait("x", qga::RunParams(), 1min);
  wait.run({exec_info, thawed, started, ended(1), exec_info, thawed, started, ended(0)});
  CHECK(wait.log == Strings{ask, check_frozen, execute, status, "pause 100", ask, check_frozen,
                            execute, status});
  REQUIRE(wait.finished);
  CHECK(*wait.finished);
  CHECK(wait.finished->attempts == 2);
  CHECK(wait.finished->last->exit_code == 0);
  CHECK(wait.finished->waited == 100ms);
}

TEST_CASE("wait_for: a program that is not there yet, a restart and a frozen guest do not end it") {
  WaitFor wait("x", qga::RunParams(), 1min);
  wait.is_connected = true;
  wait.run({exec_info, thawed, refused(),           // it is not there yet
            exec_info, thawed, started, hung_up(),  // the agent is restarted
            exec_info, frozen,                      // somebody froze the guest
            exec_info, thawed, started, ended(0)});
  REQUIRE(wait.finished);
  CHECK(*wait.finished);
  CHECK(wait.finished->attempts == 3);
  CHECK(std::count(wait.log.begin(), wait.log.end(), execute) == 3);
}

TEST_CASE("wait_for: what ends it") {
  SECTION("the time") {
    WaitFor wait("x", qga::RunParams(), 250ms);
    wait.run({exec_info, thawed, started, ended(3), exec_info, thawed, started, ended(4)});
    REQUIRE(wait.finished);
    CHECK_FALSE(*wait.finished);
    CHECK(wait.finished->last->exit_code == 4);
    CHECK(wait.finished->waited == 250ms);
  }
  SECTION("an agent that runs no programs") {
    WaitFor wait("x", qga::RunParams(), 1min);
    wait.run({info("guest-exec", false), thawed});
    REQUIRE(wait.finished);
    CHECK_FALSE(*wait.finished);
    CHECK(wait.finished->state == qga::ReadyState::disabled);
    CHECK(wait.finished->attempts == 0);
  }
  SECTION("a cancellation") {
    WaitFor wait("x", qga::RunParams(), 1min);
    wait.cancelled = error<qga::CancelledError>(Outcome::not_sent);
    wait.run({exec_info, thawed, started, ended(1)});
    error_of<qga::CancelledError>(wait);
  }
}

TEST_CASE("wait_for: what is wrong with its parameters ends it, and nothing is run") {
  SECTION("parameters that it has not") {
    qga::RunParams params;
    const int which = GENERATE(0, 1, 2, 3, 4);
    CAPTURE(which);
    if (which == 0) params.user = "nobody";
    if (which == 1) params.cwd = "/tmp";
    if (which == 2) params.add_env = {"A=1"};
    if (which == 3) params.output = [](qga::ProcessStream, std::string_view) {};
    if (which == 4) params.input = std::string((64 << 10) + 1, 'x');
    WaitFor wait("x", params, 1min);
    wait.run({});
    error_of<qga::RequestError>(wait);
    CHECK(wait.log.empty());
  }
  SECTION("a text that cannot be sent") {
    WaitFor wait("x", qga::RunParams(), 1min);
    wait.run({exec_info, thawed, {.error = error<qga::RequestError>(Outcome::not_sent)}});
    error_of<qga::RequestError>(wait);
    CHECK(wait.log == Strings{ask, check_frozen, execute});
  }
  SECTION("input that fits") {
    WaitFor wait("x", qga::RunParams{.input = std::string(64 << 10, 'x')}, 1min);
    wait.run({exec_info, thawed, started, ended(0)});
    REQUIRE(wait.finished);
    CHECK(*wait.finished);
  }
}

TEST_CASE("wait_address: the first address of the family and of the interface") {
  const std::string mac = "52:54:00:ab:cd:ef";
  const std::vector<nlohmann::json> all{
      interface("52:54:00:00:00:01", {"127.0.0.1", "192.0.2.1"}),
      interface("52-54-00-AB-CD-EF", {"fe80::1", "2001:db8::7", "192.0.2.2"})};
  const struct {
    GuestIpAddressType family;
    std::string mac, address;
  } cases[] = {{GuestIpAddressType::unknown, "", "192.0.2.1"},
               {GuestIpAddressType::ipv6, "", "2001:db8::7"},
               {GuestIpAddressType::unknown, mac, "2001:db8::7"},
               {GuestIpAddressType::ipv4, mac, "192.0.2.2"}};
  for (const auto& [family, hardware, address] : cases) {
    CAPTURE(hardware, address);
    WaitAddress wait(family, hardware, 1min);
    wait.run({list_info, thawed, interfaces(all)});
    REQUIRE(wait.finished);
    REQUIRE(*wait.finished);
    CHECK((*wait.finished)->address == address);
  }
}

TEST_CASE("wait_address: asks again until there is one, ever less often") {
  WaitAddress wait(GuestIpAddressType::ipv4, "", 1min);
  const Reply none = interfaces({interface("aa:bb:cc:dd:ee:ff", {"169.254.3.4", "::1"})});
  std::deque<Reply> replies;
  for (int i = 0; i < 7; ++i) replies.insert(replies.end(), {list_info, thawed, none});
  replies.insert(replies.end(), {list_info, thawed, interfaces({interface("", {"198.51.100.1"})})});
  wait.run(std::move(replies));
  Strings pauses;
  std::copy_if(wait.log.begin(), wait.log.end(), std::back_inserter(pauses),
               [](const std::string& line) { return line.starts_with("pause"); });
  CHECK(pauses == Strings{"pause 100", "pause 200", "pause 400", "pause 800", "pause 1600",
                          "pause 2000", "pause 2000"});
  CHECK((*wait.finished)->address == "198.51.100.1");
}

TEST_CASE("wait_address: none where the time is up") {
  WaitAddress wait(GuestIpAddressType::unknown, "", 100ms);
  wait.run({list_info, thawed, interfaces({})});
  REQUIRE(wait.finished);
  CHECK_FALSE(*wait.finished);
}
