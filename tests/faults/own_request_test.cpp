// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A user's own typed requests: they go wherever the library's own do, with limits, a time and an
// effect of their own.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "faults.hpp"

using namespace faults;

namespace own_request {

struct DiskModel {
  std::string vendor;
  std::optional<std::int64_t> revision;

  static void fields(auto& self, auto& visit) {
    visit("vendor", self.vendor);
    visit("revision", self.revision);
  }
};

struct DiskModelRequest {
  using Reply = DiskModel;
  static constexpr std::string_view command = "guest-vendor-disk-model";

  std::string device;
  std::string key = {};

  static void fields(auto& self, auto& visit) {
    visit("device", self.device);
    visit.bytes("key", self.key);
  }
  qga::ReplyLimits limits() const { return {200, 4, 8, 50}; }
};

struct BriefRequest : qga::NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-vendor-brief";
  qga::Clock::duration timeout() const { return brief; }
};

struct SilentRequest : qga::NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-vendor-silent";
  static constexpr bool success_response = false;
};

}  // namespace own_request

TEMPLATE_TEST_CASE("own request: goes out by its field table, and comes back by that of its reply",
                   "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-vendor-disk-model", script::returns(R"({"vendor": "V", "revision": 2})"));
  TestType ga(agent.path());
  const auto model = ga.execute(own_request::DiskModelRequest{"/dev/sda", std::string("\0k", 2)});
  CHECK(model.vendor == "V");
  CHECK(model.revision == 2);
  CHECK(agent.executed().back().arguments ==
        nlohmann::json{{"device", "/dev/sda"}, {"key", "AGs="}});
}

TEMPLATE_TEST_CASE("own request: its limits hold", "[faults]", Blocking, Async) {
  const std::vector<std::string> replies{
      R"({"vendor": ")" + std::string(51, 'x') + R"("})", R"({"vendor": "V", "x": [[[[1]]]]})",
      R"({"vendor": "V", "x": [1, 2, 3, 4, 5, 6, 7, 8]})",
      R"({"vendor": "V", "x": ")" + std::string(300, 'x') + R"("})"};
  for (const std::string& reply : replies) {
    INFO(reply);
    ScriptedAgent agent;
    agent.on("guest-vendor-disk-model", script::returns(reply));
    TestType ga(agent.path());
    const auto error = error_of<qga::BadReplyError>(
        [&] { ga.execute(own_request::DiskModelRequest{"/dev/sda"}); });
    CHECK(error.outcome() == Outcome::unknown);
    CHECK(std::string_view(error.what()).find("limit") != std::string_view::npos);
    CHECK_NOTHROW(ga.ping());
  }
}

TEMPLATE_TEST_CASE("own request: its time holds where the caller says nothing", "[faults]",
                   Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-vendor-brief", script::nothing());
  TestType ga(agent.path(), {});
  ga.ping();
  CHECK(outcome_at_deadline([&] { ga.execute(own_request::BriefRequest()); }) == Outcome::unknown);
}

TEMPLATE_TEST_CASE("own request: a command that answers only a failure is known to be accepted",
                   "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-vendor-silent", script::nothing());
  TestType ga(agent.path());
  CHECK_NOTHROW(ga.execute(own_request::SilentRequest()));
}
