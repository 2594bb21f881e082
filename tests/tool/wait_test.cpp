// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand wait: for an address, a program, a state of the file systems, or a guest's end.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

namespace {

std::string info_with(const std::string& command) {
  return R"({"version": "1", "supported_commands": [{"name": ")" + command +
         R"(", "enabled": true, "success-response": true}]})";
}

/// A guest with one interface.
class Networked : public ScriptedAgent {
 public:
  explicit Networked(const std::string& addresses) {
    on("guest-info", script::returns(info_with("guest-network-get-interfaces")));
    on("guest-fsfreeze-status", script::returns("\"thawed\""));
    on("guest-network-get-interfaces",
       script::returns(
           R"([{"name": "eth0", "hardware-address": "52:54:00:00:00:01", "ip-addresses": [)" +
           addresses + "]}]"));
  }
};

constexpr const char* both =
    R"({"ip-address": "192.0.2.5", "ip-address-type": "ipv4", "prefix": 24}, {"ip-address": "2001:db8::5", "ip-address-type": "ipv6", "prefix": 64})";

}  // namespace

TEST_CASE("wait --address: the first one of the family and of the interface") {
  const Networked guest(both);
  const auto wait = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {guest.path(), "wait", "--address"});
    return run_tool(more);
  };
  CHECK(wait({"any"}).out == "192.0.2.5\n");
  CHECK(wait({"v6"}).out == "2001:db8::5\n");
  CHECK(wait({"v4", "--mac", "52:54:00:00:00:01"}).out == "192.0.2.5\n");
  const Ended none = wait({"any", "--mac", "52:54:00:00:00:02", "--for", "0.3"});
  CHECK(none.out.empty());
  CHECK(none.err == "qga: no address\n");
  CHECK(none.code == 1);
  CHECK(json::parse(run_tool({guest.path(), "--json", "wait", "--address", "v4"}).out)
            .at("address") == "192.0.2.5");
}

TEST_CASE("wait --run: until a program of the guest ends with 0") {
  const Agent agent;
  const std::string file = agent.file("there");
  const std::string script = "[ -e \"$0\" ] || { : >\"$0\"; exit 3; }";
  const Ended ended = run_tool({agent.path(), "wait", "--run", "--", "sh", "-c", script, file});
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "ended with 0 after"));
  const Ended never = run_tool({agent.path(), "wait", "--for", "0.5", "--run", "--", "false"});
  CHECK(never.code == 1);
  CHECK(contains(never.err, "the last time with 1"));
  const json told = json::parse(
      run_tool({agent.path(), "--json", "wait", "--for", "0.3", "--run", "--", "false"}).out);
  CHECK(told.at("done") == false);
  CHECK(told.at("last").at("exitcode") == 1);
}

TEST_CASE("wait --frozen and --thawed: until somebody else has done it") {
  ScriptedAgent guest;
  guest.on("guest-fsfreeze-status", script::returns("\"frozen\""));
  CHECK(run_tool({guest.path(), "wait", "--frozen"}).code == 0);
  const Ended still = run_tool({guest.path(), "wait", "--thawed", "--for", "0.2"});
  CHECK(still.code == 1);
  CHECK(contains(still.err, "not thawed after"));
  guest.once("guest-fsfreeze-status", script::returns("\"frozen\""));
  guest.on("guest-fsfreeze-status", script::returns("\"thawed\""));
  CHECK(run_tool({guest.path(), "wait", "--thawed"}).code == 0);
}

TEST_CASE("wait --gone: until nobody answers") {
  auto agent = std::make_unique<Agent>();
  const std::string path = agent->path();
  const Ended there = run_tool({path, "wait", "--gone", "--for", "0.3"});
  CHECK(there.code == 1);
  CHECK(contains(there.err, "not gone after"));
  Running waiting({path, "wait", "--gone"});
  agent.reset();
  const Ended gone = waiting.wait();
  CHECK(gone.code == 0);
  CHECK(contains(gone.out, "gone after"));
}

TEST_CASE("wait: one thing at a time") {
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--frozen", "--thawed"}, std::vector<std::string>{"--run"},
        std::vector<std::string>{"--mac", "52:54:00:00:00:01"},
        std::vector<std::string>{"--address", "v4", "--mac", "zz"},
        std::vector<std::string>{"--address", "v4", "--mac", "52:54:00:00:00:0x"},
        std::vector<std::string>{"--gone", "--", "true"},
        std::vector<std::string>{"--address", "v5"}}) {
    std::vector<std::string> words{"/no/such/socket", "wait"};
    words.insert(words.end(), wrong.begin(), wrong.end());
    CAPTURE(wrong);
    CHECK(run_tool(words).code == 2);
  }
}
