// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The answer that tells a program's end comes once: `run` waits for one that is late, and asks
// again only where it is lost.
#include <string>

#include "faults.hpp"

using namespace faults;

namespace {

constexpr auto usual = 2 * brief;  // the client's timeout, in which the other commands succeed
constexpr auto late = 4 * usual;

void start_programs(ScriptedAgent& agent) {
  agent.on("guest-exec", script::returns(R"({"pid": 7})"));
  // The agent forgets a program with the answer that tells its end.
  agent.on("guest-exec-status", script::fails("Invalid parameter 'pid'"));
}

constexpr auto end_of_program = R"({"exited": true, "exitcode": 3, "out-data": "aGk="})";

}  // namespace

TEMPLATE_TEST_CASE("late: run keeps the answer that tells the end", "[faults]", Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  start_programs(agent);
  agent.once("guest-exec-status",
             script::all(script::waits(late), script::returns(end_of_program)));
  TestType ga(agent.path(), {.timeout = usual});
  const qga::RunResult result = ga.run("/bin/x");
  CHECK(result.exit_code == 3);
  CHECK(result.out == "hi");
  CHECK(agent.executed("guest-exec-status") == 1);
  CHECK_NOTHROW(ga.with({.timeout = long_enough}).ping());
}

TEMPLATE_TEST_CASE("late: run asks again where the answer is lost", "[faults]", Blocking, Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  start_programs(agent);
  agent.once("guest-exec-status", script::nothing());
  agent.once("guest-exec-status", script::returns(end_of_program));
  TestType ga(agent.path(), {.timeout = usual});
  CHECK(ga.run("/bin/x").exit_code == 3);
  CHECK(agent.executed("guest-exec-status") == 2);
}

TEMPLATE_TEST_CASE("late: an end that was told to nobody is an error", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  start_programs(agent);
  agent.once("guest-exec-status", script::nothing());
  TestType ga(agent.path(), {.timeout = usual});
  const auto error = error_of<qga::ProgramError>([&] { ga.run("/bin/x"); });
  CHECK(error.ended());
  CHECK(error.pid() == 7);
}

TEMPLATE_TEST_CASE("late: the time of the program and of the call still hold", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  start_programs(agent);
  agent.on("guest-exec-status", script::mutes());
  TestType ga(agent.path(), {.timeout = usual});
  const bool of_call = GENERATE(true, false);
  const auto error = error_of<qga::ProgramError>([&] {
    if (of_call) ga.with({.timeout = late}).run("/bin/x");
    if (!of_call) ga.run("/bin/x", {.timeout = late});
  });
  CHECK(error.code() == qga::err_timed_out);
  CHECK_FALSE(error.ended());
}
