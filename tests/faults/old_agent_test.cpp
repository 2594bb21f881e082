// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Agents of all ages: those that echo ids (4.0 and later), that ignore them (2.12), and that reject
// them (2.8, 3.1).
#include <string>
#include <thread>

#include "faults.hpp"

using namespace faults;

namespace {

constexpr auto os_info = R"({"id": "debian", "kernel-release": "6.1.0"})";

void tell(ScriptedAgent& agent) {
  agent.on("guest-sync", script::returns("-7"));
  agent.on("guest-info", script::returns(R"({"version": "x", "supported_commands": []})"));
  agent.on("guest-get-osinfo", script::returns(os_info));
  agent.on("guest-get-time", script::returns("1700000000123456789"));
  agent.on("guest-file-open", script::returns("1000"));
  agent.on("guest-file-write", script::returns(R"({"count": 3, "eof": false})"));
  agent.on("guest-file-seek", script::returns(R"({"position": 1, "eof": false})"));
  agent.on("guest-file-read", script::returns(R"({"buf-b64": "YWI=", "count": 2, "eof": true})"));
  agent.on("guest-file-flush", script::returns("{}"));
  agent.on("guest-file-close", script::fails("handle '1' has not been found"));
  agent.on("guest-exec", script::returns(R"({"pid": 42})"));
  agent.on("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 3})"));
  agent.on("guest-fsfreeze-freeze", script::returns("2"));
  agent.on("guest-fsfreeze-thaw", script::returns("2"));
  agent.on("guest-shutdown", script::nothing());
  agent.on("guest-suspend-ram", script::fails("not supported"));
}

}  // namespace

TEMPLATE_TEST_CASE("agents of any age are served", "[faults]", Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  tell(agent);
  TestType ga(agent.path(), {.timeout = 10s});
  for (int round = 0; round < 2; ++round) {
    ga.ping();
    CHECK(ga.sync(-7) == -7);
    CHECK(ga.sync_delimited(1234567890123456789) == 1234567890123456789);
    CHECK(ga.info().version == "x");
    CHECK(ga.get_osinfo().id == "debian");
    CHECK(ga.get_time().time_since_epoch().count() == 1700000000123456789);
    CHECK(ga.file_open("/x", "w+") == 1000);
    CHECK(ga.file_write(1000, "abc").count == 3);
    CHECK(ga.file_seek(1000, 1, qga::QGASeek::set).position == 1);
    CHECK(ga.file_read(1000).buf_b64 == "ab");
    ga.file_flush(1000);
    const auto error = error_of<qga::AgentError>([&] { ga.file_close(1); });
    CHECK(error.desc() == "handle '1' has not been found");
    CHECK(error.outcome() == Outcome::refused);
    CHECK(ga.exec("/bin/true") == 42);
    CHECK(ga.exec_status(42).exitcode == 3);
    CHECK(ga.fsfreeze_freeze() == 2);
    CHECK(ga.fsfreeze_thaw() == 2);
    CHECK(error_of<qga::CommandNotFoundError>([&] { ga.get_load(); }).outcome() ==
          Outcome::refused);
    CHECK(ga.execute("guest-get-osinfo") == nlohmann::json::parse(os_info));
    ga.shutdown();
    CHECK(error_of<qga::AgentError>([&] { ga.suspend_ram(); }).desc() == "not supported");
    ga.ping();
  }
  CHECK(agent.executed("guest-file-open") == 2);
  CHECK(agent.executed("guest-shutdown") == 2);
  CHECK(agent.executed("guest-suspend-ram") == 2);
  for (const Heard& heard : agent.executed()) {
    if (heard.command != "guest-sync-delimited") CHECK(heard.id.empty() == (ids != Ids::echoed));
  }
}

TEMPLATE_TEST_CASE("an agent may be replaced by one of another age", "[faults]", Blocking, Async) {
  ScriptedAgent old_agent(Ids::rejected), new_agent(Ids::echoed), odd_agent(Ids::ignored);
  TestType ga(old_agent.path());
  for (ScriptedAgent* const agent : {&new_agent, &odd_agent, &old_agent, &new_agent}) {
    ga.ping();
    ga.connect(agent->path());
    ga.ping();
  }
}

TEMPLATE_TEST_CASE("a refused command whose sync is answered later holds nothing up", "[faults]",
                   Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-suspend-hybrid", script::fails("not supported"));
  agent.on("guest-suspend-ram", script::nothing());
  agent.once("guest-sync-delimited", script::behaves());  // of the handshake
  agent.once("guest-sync-delimited", script::all(script::waits(100ms), script::behaves()));
  TestType ga(agent.path(), {.timeout = 3s});
  CHECK(error_of<qga::AgentError>([&] { ga.suspend_hybrid(); }).outcome() == Outcome::refused);
  CHECK_NOTHROW(ga.suspend_ram());
  CHECK_NOTHROW(ga.ping());
}

TEMPLATE_TEST_CASE("a refused command whose sync is never answered costs one more call", "[faults]",
                   Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-suspend-hybrid", script::fails("not supported"));
  agent.on("guest-suspend-ram", script::nothing());
  agent.once("guest-sync-delimited", script::behaves());
  agent.once("guest-sync-delimited", script::nothing());  // the guest restarts here
  TestType ga(agent.path());
  CHECK(error_of<qga::AgentError>([&] { ga.suspend_hybrid(); }).outcome() == Outcome::refused);
  try {
    ga.with({.timeout = brief}).suspend_ram();
  } catch (const qga::TimeoutError& error) {
    CHECK(error.outcome() == Outcome::not_sent);
  }
  CHECK_NOTHROW(ga.with({.timeout = 3s}).suspend_ram());
  CHECK_NOTHROW(ga.with({.timeout = 3s}).ping());
}

TEMPLATE_TEST_CASE("an extra reply that arrives between two calls answers neither", "[faults]",
                   Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.once("guest-file-open", script::all(script::returns("1"), script::waits(50ms),
                                            script::returns("99"), script::fails("no")));
  agent.on("guest-file-open", script::returns("2"));
  TestType ga(agent.path());
  ga.ping();
  CHECK(ga.file_open("/1") == 1);
  std::this_thread::sleep_for(200ms);
  CHECK(ga.file_open("/2") == 2);
}
