// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Agents that are not qemu-ga: each is in sync within the default time of its first command, and
// answers every later one at once.
#include <chrono>
#include <string>

#include "faults.hpp"
#include "strange_agent.hpp"

using namespace faults;

namespace {

/// Less than the 4 s after which a handshake is repeated.
constexpr auto at_once = 3s;

template <class Call>
void check_at_once(const char* what, Call&& call) {
  INFO(what);
  const auto begun = qga::Clock::now();
  call();
  CHECK(qga::Clock::now() - begun < at_once);
}

template <class Way>
void check_dozen(Way& ga, const StrangeKind& kind) {
  check_at_once("osinfo", [&] { CHECK(ga.get_osinfo().id == "strange"); });
  check_at_once("host name", [&] { CHECK(ga.get_host_name() == "strange"); });
  check_at_once("time", [&] {
    CHECK(std::chrono::abs(ga.get_time().time_since_epoch() - 1764324123456789000ns) < 10us);
  });
  check_at_once("timezone", [&] { CHECK(ga.get_timezone().offset == 3600); });
  check_at_once("users", [&] { CHECK(ga.get_users().empty()); });
  check_at_once("fsinfo", [&] { CHECK(ga.get_fsinfo().empty()); });
  check_at_once("interfaces", [&] {
    const auto found = ga.network_get_interfaces();
    REQUIRE(found.size() == 1);
    CHECK(found[0].ip_addresses.value_or(std::vector<qga::GuestIpAddress>()).empty());
  });
  check_at_once("status", [&] { CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed); });
  check_at_once("exec", [&] { CHECK(ga.exec("/bin/echo") == 42); });
  check_at_once("exec status", [&] { CHECK(ga.exec_status(42).out_data == "hi\n"); });
  check_at_once("open", [&] { CHECK(ga.file_open("/x") == 1000); });
  check_at_once("read", [&] { CHECK(ga.file_read(1000).buf_b64 == "hi"); });
  check_at_once("write", [&] { CHECK(ga.file_write(1000, "hi").count == 2); });
  check_at_once("close", [&] { ga.file_close(1000); });
  check_at_once("run", [&] { CHECK(ga.run("/bin/echo").out == "hi\n"); });
  if (kind.has_info) {
    check_at_once("info", [&] {
      const auto info = ga.info();
      REQUIRE(info.supported_commands.size() == 2);
      CHECK(info.supported_commands[0].success_response);
    });
  }
  if (kind.answers_unknown) {
    check_at_once("unknown", [&] {
      const auto error = error_of<qga::AgentError>([&] { ga.get_vcpus(); });
      CHECK(error.outcome() == Outcome::refused);
    });
  }
}

}  // namespace

TEMPLATE_TEST_CASE("strange agents: a handshake, a dozen commands, a timeout and a resync",
                   "[faults]", Blocking, Async) {
  for (const StrangeKind& kind : strange_kinds) {
    INFO(kind.name);
    StrangeAgent agent(kind);
    TestType ga(agent.path(), {});
    ga.ping();  // within the default 5 s
    check_dozen(ga, kind);
    agent.be_silent_about("guest-get-memory-blocks");
    CHECK(outcome_at_deadline([&] { ga.with({.timeout = brief}).get_memory_blocks(); }) ==
          Outcome::unknown);
    check_dozen(ga, kind);
  }
}

TEMPLATE_TEST_CASE("strange agents: after a pause, and one call behind another", "[faults]",
                   Blocking, Async) {
  for (const StrangeKind& kind : strange_kinds) {
    INFO(kind.name);
    StrangeAgent agent(kind);
    TestType ga(agent.path(), {});
    ga.ping();
    std::this_thread::sleep_for(1200ms);
    check_at_once("after a pause", [&] { CHECK(ga.get_host_name() == "strange"); });
    check_at_once("a helper of several requests",
                  [&] { CHECK(ga.read_file("/x").starts_with("hi")); });
  }
}

TEMPLATE_TEST_CASE("strange agents: a shutdown is accepted, answered or not", "[faults]", Blocking,
                   Async) {
  for (const StrangeKind& kind : strange_kinds) {
    INFO(kind.name);
    StrangeAgent agent(kind);
    TestType ga(agent.path(), {});
    ga.ping();
    check_at_once("shutdown", [&] { ga.shutdown(); });
    CHECK(agent.executed("guest-shutdown") == 1);
    check_at_once("and then", [&] { ga.ping(); });
  }
}

TEMPLATE_TEST_CASE("strange agents: wait_ready needs no guest-info", "[faults]", Blocking, Async) {
  for (const StrangeKind& kind : strange_kinds) {
    INFO(kind.name);
    StrangeAgent agent(kind);
    TestType ga(agent.path(), {});
    CHECK(ga.wait_ready(60s));
    check_at_once("then", [&] { CHECK(ga.get_host_name() == "strange"); });
  }
}
