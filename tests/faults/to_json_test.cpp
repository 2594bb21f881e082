// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Replies become JSON again whatever the guest put into them: an exporter is not ended by its
// guest.
#include <string>

#include <nlohmann/json.hpp>

#include "faults.hpp"

using namespace faults;

TEMPLATE_TEST_CASE("to_json: a NUL in a string", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-info",
           script::returns(R"({"version": "a\u0000b", "supported_commands": [)"
                           R"({"name": "\u0000", "enabled": true, "success-response": true}]})"));
  TestType ga(agent.path());
  const qga::GuestAgentInfo info = ga.info();
  nlohmann::json json;
  REQUIRE_NOTHROW(json = info);
  CHECK(json.at("version") == std::string("a\0b", 3));
  CHECK(json.at("supported_commands").at(0).at("name") == std::string("\0", 1));
  CHECK(json.dump().find(R"("a\u0000b")") != std::string::npos);
}

TEMPLATE_TEST_CASE("to_json: an enumerator that is newer than the library", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  agent.on("guest-network-get-interfaces",
           script::returns(R"([{"name": "eth0", "ip-addresses": [{"ip-address-type": "ipv7",)"
                           R"( "ip-address": "::7", "prefix": 64}]}])"));
  TestType ga(agent.path());
  const auto interfaces = ga.network_get_interfaces();
  nlohmann::json json;
  REQUIRE_NOTHROW(json = interfaces);
  const nlohmann::json& address = json.at(0).at("ip-addresses").at(0);
  CHECK(address.at("ip-address") == "::7");
  CHECK(address.value("ip-address-type", nlohmann::json()) != "ipv4");
  CHECK(address.value("ip-address-type", nlohmann::json()) != "ipv6");
  CHECK_NOTHROW(json.dump());
}
