// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guests that do not answer, or not yet: nothing but handshakes is written, so nothing runs late.
#include <string>

#include "faults.hpp"

using namespace faults;

TEMPLATE_TEST_CASE("into silence only handshakes are written", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.mute();
  TestType ga(agent.path(), {.timeout = brief});
  CHECK(outcome_at_deadline([&] { ga.shutdown(); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { ga.exec("/bin/rm"); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { ga.fsfreeze_freeze(); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { ga.ping(); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { ga.shutdown(); }) == Outcome::not_sent);
  CHECK(ga.is_open());
  wait_until([&] { return handshakes(agent.received()) == 5; });
}

TEMPLATE_TEST_CASE("an agent that starts late finds no old commands", "[faults]", Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "late"})"));
  agent.mute();
  TestType ga(agent.path());
  auto hasty = ga.with({.timeout = brief});
  CHECK(outcome_at_deadline([&] { hasty.shutdown(); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { hasty.exec("/bin/rm"); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { hasty.file_open("/x", "w"); }) == Outcome::not_sent);
  agent.mute(false);  // and answers all at once
  CHECK(ga.get_host_name() == "late");
  CHECK(ga.get_host_name() == "late");
  CHECK(agent.executed("guest-sync-delimited") == 4);
  for (const Heard& heard : agent.executed()) {
    CHECK((heard.command.starts_with("guest-sync") || heard.command == "guest-get-host-name"));
  }
}

TEMPLATE_TEST_CASE("an agent that falls silent runs what it was sent and no more", "[faults]",
                   Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-exec", script::returns(R"({"pid": 1})"));
  agent.on("guest-file-open", script::all(script::mutes(), script::returns("1000")));
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "back"})"));
  TestType ga(agent.path());
  auto hasty = ga.with({.timeout = brief});
  CHECK(ga.file_open("/x") == 1000);
  outcome_at_deadline([&] { hasty.exec("/bin/first"); });  // sent, unless the machine was slow
  CHECK(outcome_at_deadline([&] { hasty.exec("/bin/second"); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { hasty.shutdown(); }) == Outcome::not_sent);
  agent.mute(false);
  CHECK(ga.get_host_name() == "back");  // the late reply to the first `exec` is not its answer
  CHECK(agent.executed("guest-exec") <= 1);
  CHECK(agent.executed("guest-shutdown") == 0);
}

TEMPLATE_TEST_CASE("a reply that comes after its deadline is dropped", "[faults]", Blocking,
                   Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.once("guest-file-open", script::all(script::waits(2 * brief), script::returns("1")));
  agent.on("guest-file-open", script::returns("2"));
  TestType ga(agent.path());
  ga.ping();
  CHECK(outcome_at_deadline([&] { ga.with({.timeout = brief}).file_open("/late"); }) ==
        Outcome::unknown);
  CHECK(ga.file_open("/next") == 2);
  CHECK(ga.file_open("/next") == 2);
}

TEMPLATE_TEST_CASE("a call without time sends nothing", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  for (const auto timeout : {0ms, -1000ms}) {
    CHECK(error_of<qga::TimeoutError>([&] {
            ga.with({.timeout = timeout}).shutdown();
          }).outcome() == Outcome::not_sent);
  }
  ga.ping();
  CHECK(agent.executed("guest-shutdown") == 0);
}

TEMPLATE_TEST_CASE("a shutdown sent by hand is as careful, and is answered", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  agent.on("guest-shutdown", script::nothing());
  TestType ga(agent.path());
  ga.ping();
  CHECK(ga.execute("guest-shutdown", {{"mode", "reboot"}}) == nlohmann::json::object());
  const std::string sent = agent.received();
  const std::size_t last = sent.rfind('\xFF') - 1;
  CHECK(handshakes(sent.substr(last, sent.find("{\"execute\":\"guest-shutdown\"") - last)) == 1);
}

TEMPLATE_TEST_CASE("a guest that does not read ends a large write at its deadline", "[faults]",
                   Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-file-write", script::returns(R"({"count": 1, "eof": false})"));
  TestType ga(agent.path());
  ga.ping();
  agent.deafen();
  const std::string bytes(3 << 20, 'x');
  auto hasty = ga.with({.timeout = brief});
  CHECK(outcome_at_deadline([&] { hasty.file_write(1, bytes); }) == Outcome::not_sent);
  CHECK(outcome_at_deadline([&] { hasty.shutdown(); }) == Outcome::not_sent);
  agent.deafen(false);
  ga.ping();
  CHECK(agent.executed("guest-file-write") == 0);
  CHECK(agent.executed("guest-shutdown") == 0);
  CHECK(ga.file_write(1, bytes).count == 1);
  const auto executed = agent.executed();
  CHECK(executed.back().arguments.at("buf-b64").get_ref<const std::string&>().size() ==
        (bytes.size() + 2) / 3 * 4);
}
