// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Recordings of real agents, which qga::testing::Agent replays.
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "faults.hpp"
#include "qga/client.hpp"
#include "qga/testing/agent.hpp"

using namespace faults;
using FakeAgent = qga::testing::Agent;
using qga::testing::Recording;

TEMPLATE_TEST_CASE("recording: the session of a real agent is replayed", "[faults]", Blocking,
                   Async) {
  const Recording recording = Recording::load(QGA_TEST_DATA "/qemu-ga-7.2.jsonl");
  CHECK(recording.exchanges().size() > 100);
  FakeAgent agent({.has_guest = false});
  agent.replay(recording);
  TestType ga(agent.path());
  CHECK(ga.info().version == "7.2.22");
  CHECK(ga.get_host_name() == "tiny");
  CHECK(ga.get_osinfo().kernel_release == "6.1.0-56-amd64");
  CHECK(ga.get_timezone().zone == "CET");
  // Replies to the same request come in turn, and then the last one again and again.
  CHECK(ga.get_users().empty());
  CHECK(ga.get_users().at(0).user == "alice");
  CHECK_THROWS_AS(ga.get_users(), qga::CommandNotFoundError);  // it was frozen
  CHECK_THROWS_AS(ga.get_users(), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.execute("guest-file-open", {{"path", "/no/such"}}), qga::AgentError);
  CHECK(ga.execute("guest-file-open", {{"path", "/etc"}}) == 1000);
  CHECK_THROWS_AS(ga.network_get_route(), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.file_open("/not/recorded"), qga::CommandNotFoundError);
}

TEST_CASE("recording: what a trace tells is replayed, and can be written to a file", "[faults]") {
  const auto ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  FakeAgent real({.ids = ids});
  real.guest().add_program(
      "/bin/ls", [](const auto&) { return qga::testing::ProgramResult{.out = "secret"}; });
  real.on("guest-get-host-name", qga::testing::returns({{"host-name", "real"}}));
  Recording recording;
  std::string version;
  {
    qga::Client ga(real.path(), {.trace = recording.trace()});
    version = ga.info().version;
    ga.get_host_name();
    CHECK_THROWS_AS(ga.get_vcpus(), qga::CommandNotFoundError);
    ga.run("/bin/ls");  // what it has written is not in a trace
    ga.get_osinfo();
    ga.shutdown();
    real.once("guest-ping", qga::testing::ignores());
    CHECK_THROWS_AS(ga.with({.timeout = brief}).ping(), qga::TimeoutError);
    ga.get_timezone();
  }
  std::stringstream file;
  recording.write(file);
  const Recording again = Recording::read(file);
  CHECK(again.exchanges().size() == recording.exchanges().size());
  for (const auto& one : again.exchanges()) {
    INFO(one.command);
    CHECK(one.command.starts_with("guest-sync") == false);
    CHECK(one.reply.dump().find("c2VjcmV0") == std::string::npos);
  }

  FakeAgent agent({.has_guest = false});
  agent.replay(again);
  qga::Client ga(agent.path(), patient());
  CHECK(ga.get_host_name() == "real");
  CHECK_THROWS_AS(ga.get_vcpus(), qga::CommandNotFoundError);
  CHECK(ga.get_osinfo().id == "debian");
  CHECK(ga.get_timezone().zone == "UTC");
  CHECK_THROWS_AS(ga.info(), qga::CommandNotFoundError);  // longer than a line of a trace
}

TEST_CASE("recording: what is wrong with a file", "[faults]") {
  CHECK_THROWS_AS(Recording::load("/no/such/file"), std::runtime_error);
  std::istringstream broken("{\"request\": \"{}\"}\n\n5\n");
  CHECK_THROWS_WITH(Recording::read(broken), "line 3 of a recording must be a JSON object");
  std::istringstream unusual(
      R"({"note": "nothing"}
{"request": "{\"execute\": \"a\"}", "reply": "{\"return\": 1, \"id\": 3}", "ms": 1}
{"request": "half", "reply": "{\"return\": 1}"}
{"request": "{\"execute\": \"b\"}", "reply": "half"}
{"request": "{\"execute\": \"guest-sync\"}", "reply": "{\"return\": 1}"}
)");
  const Recording recording = Recording::read(unusual);
  REQUIRE(recording.exchanges().size() == 1);
  CHECK(recording.exchanges()[0].command == "a");
  CHECK(recording.exchanges()[0].reply == nlohmann::json{{"return", 1}});
}
