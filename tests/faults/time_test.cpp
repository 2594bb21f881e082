// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One meaning of time: a timeout and a deadline of a call are for the whole call, whatever steps
// it has; those of a client are for each command, and where none is given the library's hold.
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include "agent.hpp"
#include "deferred.hpp"
#include "full_house.hpp"
#include "good_agent.hpp"

using namespace faults;

namespace {

/// A helper of several steps.
template <class Way>
struct Helper {
  std::string name;
  std::function<void(Way&, qga::CallOptions)> call;
};

template <class Way>
std::vector<Helper<Way>> helpers() {
  const auto bytes = std::string(3 << 20, 'x');
  return {
      {"run", [](Way& ga, auto options) { ga.with(options).run("/bin/true"); }},
      {"run with long input",
       [](Way& ga, auto options) {
         ga.with(options).run("/bin/cat", {.input = std::string(70'000, 'x')});
       }},
      {"download",
       [](Way& ga, auto options) {
         std::ostringstream out;
         ga.with(options).download("/x", out);
       }},
      {"write_file", [](Way& ga, auto options) { ga.with(options).write_file("/x", "abc"); }},
      {"read_file", [](Way& ga, auto options) { ga.with(options).read_file("/x"); }},
      {"capabilities", [](Way& ga, auto options) { ga.with(options).capabilities(); }},
      {"sample", [](Way& ga, auto options) { ga.with(options).sample(); }},
      {"usage", [](Way& ga, auto options) { ga.with(options).usage(1ms); }},
      {"write",
       [bytes](Way& ga, auto options) {
         qga::File file = ga.open("/x", "w");
         ga.with(options).write(file, bytes);
       }},
  };
}
constexpr std::size_t number_of_helpers = 9;

/// Each answer takes so long.
void slow_down(ScriptedAgent& agent, qga::Clock::duration time) {
  const auto slowly = [&](const std::string& command, script::Action action) {
    agent.on(command, script::all(script::waits(time), std::move(action)));
  };
  slowly("guest-info", script::returns(R"({"version": "9.9", "supported_commands": []})"));
  slowly("guest-exec", script::returns("{\"pid\": 77}"));
  slowly("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 0})"));
  slowly("guest-file-seek", seeks(0));
  slowly("guest-file-read", script::returns(end_of_file));
  slowly("guest-file-write", counts_bytes());
  slowly("guest-file-flush", script::returns("{}"));
  slowly("guest-fsfreeze-status", script::returns("\"thawed\""));
  slowly("guest-get-cpustats", script::returns("[]"));
  slowly("guest-get-diskstats", script::returns("[]"));
  slowly("guest-network-get-interfaces", script::returns("[]"));
}

/// A program that ends after all, so that a call without a deadline does too.
script::Action exits_late() {
  return [begun = qga::Clock::now()](const Heard&) {
    const bool exited = qga::Clock::now() > begun + brief + 2 * tolerance;
    return script::returns(exited ? R"({"exited": true, "exitcode": 0})" : R"({"exited": false})");
  };
}

/// The two ways to set the time of a call, from now on.
qga::CallOptions options_of(bool point, qga::Clock::duration time) {
  qga::CallOptions options;
  if (point) {
    options.deadline = qga::Clock::now() + time;
  } else {
    options.timeout = time;
  }
  return options;
}

}  // namespace

TEMPLATE_TEST_CASE("a program that never exits ends with the timeout of its call", "[faults]",
                   Blocking, Async) {
  const bool point = GENERATE(false, true);
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-exec-status", exits_late());
  TestType ga(agent.path());
  const auto error = error_at_deadline<qga::ProgramTimeoutError>(
      [&] { ga.with(options_of(point, brief)).run("/bin/sleep"); });
  CHECK(error.pid() == good_pid);
  CHECK(error.outcome() == Outcome::unknown);
  CHECK(ga.get_host_name() == "good");
}

TEMPLATE_TEST_CASE("a real program ends with the timeout of its call", "[faults]", Blocking,
                   Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto begun = qga::Clock::now();
  const auto error = error_of<qga::ProgramTimeoutError>(
      [&] { ga.with({.timeout = 1s}).run("/bin/sleep", {.args = {"20"}, .kill = true}); });
  const auto took = qga::Clock::now() - begun;
  CHECK(took >= 1s);
  CHECK(took < 15s);
  CHECK(error.ended());
}

TEMPLATE_TEST_CASE("the earlier of two timeouts ends a program", "[faults]", Blocking, Async) {
  const bool own = GENERATE(false, true);
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-exec-status", exits_late());
  TestType ga(agent.path());
  error_at_deadline<qga::ProgramTimeoutError>([&] {
    ga.with({.timeout = own ? 1h : qga::Clock::duration(brief)})
        .run("/bin/sleep", {.timeout = own ? qga::Clock::duration(brief) : 1h});
  });
}

TEMPLATE_TEST_CASE("a timeout covers all steps of a helper", "[faults]", Blocking, Async) {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_helpers));
  const bool point = GENERATE(false, true);
  const auto helper = helpers<TestType>().at(number);
  CAPTURE(helper.name, point);
  ScriptedAgent agent;
  behave(agent);
  slow_down(agent, brief * 6 / 10);
  TestType ga(agent.path());
  ga.ping();
  const auto begun = qga::Clock::now();
  const auto options = options_of(point, brief);
  CHECK_THROWS_AS(helper.call(ga, options), qga::TimeoutError);
  const auto took = qga::Clock::now() - begun;
  CHECK(took >= brief);
  CHECK(took < brief + 2 * tolerance);  // cleaning up has time of its own
  behave(agent);
  CHECK(ga.get_host_name() == "good");
}

TEMPLATE_TEST_CASE("several calls share a deadline", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-get-host-name",
           script::all(script::waits(brief * 6 / 10), script::returns(R"({"host-name": "x"})")));
  TestType ga(agent.path());
  ga.ping();
  const auto begun = qga::Clock::now();
  auto calls = ga.with({.deadline = begun + brief});
  int answered = 0;
  CHECK_THROWS_AS(
      [&] {
        for (; answered < 100; ++answered) calls.get_host_name();
      }(),
      qga::TimeoutError);
  CHECK(answered <= 1);
  CHECK(qga::Clock::now() - begun >= brief);
  CHECK(qga::Clock::now() - begun < brief + tolerance);
  CHECK(error_of<qga::TimeoutError>([&] { calls.shutdown(); }).outcome() == Outcome::not_sent);
  ga.ping();
  CHECK(agent.executed("guest-shutdown") == 0);
}

TEMPLATE_TEST_CASE("the earlier of timeout and deadline ends a call", "[faults]", Blocking, Async) {
  const bool point = GENERATE(false, true);
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-get-host-name", script::nothing());
  TestType ga(agent.path());
  error_at_deadline<qga::TimeoutError>([&] {
    qga::CallOptions options;
    options.timeout = point ? 1h : qga::Clock::duration(brief);
    options.deadline = qga::Clock::now() + (point ? qga::Clock::duration(brief) : 1h);
    ga.with(options).get_host_name();
  });
}

TEST_CASE("a client has no timeout of its own unless it is given one", "[faults]") {
  CHECK(qga::ClientParams().timeout == std::nullopt);
  CHECK(qga::CallOptions().timeout == std::nullopt);
  CHECK(qga::CallOptions().deadline == qga::Clock::time_point::max());
  CHECK_FALSE(qga::CallOptions().stop.stop_possible());
}

TEMPLATE_TEST_CASE("a client's timeout of 5 s is the caller's own", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-fstrim", script::all(script::waits(6s), script::returns(R"({"paths": []})")));
  SECTION("what is slow by nature has longer where none is given") {
    TestType ga(agent.path(), qga::ClientParams());
    CHECK(ga.fstrim().paths.empty());
  }
  SECTION("5 s") {
    TestType ga(agent.path(), {.timeout = 5s});
    const auto begun = qga::Clock::now();
    CHECK_THROWS_AS(ga.fstrim(), qga::TimeoutError);
    CHECK(qga::Clock::now() - begun >= 5s);
  }
  SECTION("less") {
    TestType ga(agent.path(), {.timeout = brief});
    error_at_deadline<qga::TimeoutError>([&] { ga.fstrim(); });
  }
}

TEMPLATE_TEST_CASE("where no timeout is given a command has 5 s", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  behave(agent);
  TestType ga(agent.path(), qga::ClientParams());
  const auto begun = qga::Clock::now();
  SECTION("that is the library's own") {
    agent.on("guest-get-host-name", script::nothing());
    CHECK_THROWS_AS(ga.get_host_name(), qga::TimeoutError);
    CHECK(qga::Clock::now() - begun >= 5s);
    CHECK(qga::Clock::now() - begun < 5s + tolerance);
  }
  SECTION("and does not hold beside the caller's") {
    const bool point = GENERATE(false, true);
    agent.on("guest-get-host-name",
             script::all(script::waits(5500ms), script::returns(R"({"host-name": "slow"})")));
    CHECK(ga.with(options_of(point, long_enough)).get_host_name() == "slow");
  }
}

TEST_CASE("a connecting that is started later has its whole time then", "[faults]") {
  constexpr auto timeout = 3s;
  FullHouse house;
  asio::io_context context;
  qga::Client<> client(context, {.timeout = timeout});
  const asio::local::stream_protocol::endpoint endpoint(house.path());
  auto operation = client.async_connect(endpoint, qga_test::deferred);
  std::this_thread::sleep_for(timeout + 100ms);
  Answer<void> connected;
  std::move(operation)(asio::bind_executor(context, to(connected)));
  context.run_for(100ms);
  REQUIRE_FALSE(connected.done());
  const Descriptor first = house.accept();  // which makes room for one more
  run_until(context, [&] { return connected.done(); });
  CHECK_NOTHROW(connected.get());
  CHECK(client.is_open());
}

TEMPLATE_TEST_CASE("a helper's own time ends what is not sent yet", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.mute();
  // Each command has an hour, so that only the helper's own time can end it.
  TestType ga(agent.path(), {.timeout = 1h});
  const std::string file = agent.path() + ".copy";
  const std::vector<std::function<void()>> helpers{
      [&] { ga.run("/bin/x", {.timeout = 200ms}); },
      [&] { ga.run("/bin/x", {.timeout = 200ms, .kill = true}); },
      [&] { ga.run("/bin/x", {.input = std::string(1 << 20, 'x'), .timeout = 200ms}); },
      [&] { ga.download("/f", file, {.timeout = 200ms}); },
      [&] { ga.write_file("/f", "x", {.timeout = 200ms}); },
  };
  for (const auto& helper : helpers) {
    const auto error = error_of<qga::TimeoutError>(helper);
    CHECK(error.outcome() == Outcome::not_sent);
  }
  CHECK(agent.executed("guest-exec") + agent.executed("guest-file-open") == 0);
}
