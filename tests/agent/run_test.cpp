// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that are run to their end, and those that do not come to one.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::Outcome;
using qga::RunParams;
using qga::Truncated;

namespace {

RunParams script(const std::string& text) { return {.args = {"-c", text}}; }

/// Whether a process runs on this machine, which is the agent's.
bool runs(std::int64_t pid) { return ::kill(static_cast<pid_t>(pid), 0) == 0; }

/// The agent has forgotten a program: nothing is left to be collected.
template <class Way>
void check_forgotten(Way& ga, std::int64_t pid) {
  CHECK_THROWS_AS(ga.exec_status(pid), qga::AgentError);
}

}  // namespace

TEMPLATE_TEST_CASE("run gives the exit code and both outputs", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::RunResult result = ga.run("/bin/sh", script("echo $$; echo err >&2; exit 3"));
  CHECK(result.exit_code == 3);
  CHECK_FALSE(result.signal);
  CHECK(result.err == "err\n");
  CHECK(result.out_truncated == Truncated::no);
  CHECK(result.err_truncated == Truncated::no);
  check_forgotten(ga, std::stoll(result.out));
  CHECK(ga.run("/bin/true").exit_code == 0);
}

TEMPLATE_TEST_CASE("run passes bytes, arguments and an environment", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::string bytes(64 << 10, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 3);
  CHECK(ga.run("/bin/cat", {.input = bytes}).out == bytes);
  CHECK(ga.run("/usr/bin/env", {.env = {{"A=b c"}}}).out == "A=b c\n");
  CHECK(ga.run("/bin/echo", {.args = {"a b", "$c"}}).out == "a b $c\n");
  CHECK(ga.run("/bin/echo", {.args = {"x"}, .capture = false}).out.empty());
}

TEMPLATE_TEST_CASE("run tells a signal, and a program that there is not", "[agent]", Blocking,
                   Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::RunResult result = ga.run("/bin/sh", script("kill -TERM $$"));
  CHECK(result.signal == SIGTERM);
  CHECK_FALSE(result.exit_code);
  CHECK_THROWS_AS(ga.run("/no/such/program"), qga::AgentError);
  ga.ping();
}

TEMPLATE_TEST_CASE("run waits for what takes its time", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  CHECK(ga.run("/bin/sh", script("sleep 0.7; echo done")).out == "done\n");
}

TEMPLATE_TEST_CASE("run says where output was dropped", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto zeros = [&](const char* count) {
    return ga.run("/bin/sh", script("head -c " + std::string(count) + " /dev/zero"));
  };
  const qga::RunResult all = zeros("16777215");
  CHECK(all.out.size() == 16777215);
  CHECK(all.out_truncated == Truncated::no);
  const qga::RunResult cut = zeros("16777217");
  CHECK(cut.out.size() == 16777216);
  CHECK(cut.out_truncated != Truncated::no);
}

TEMPLATE_TEST_CASE("run ends at its deadline and names what it leaves behind", "[agent]", Blocking,
                   Async) {
  const Agent agent;
  TestType ga(agent.path());
  auto params = script("exec sleep 1000");
  params.timeout = 300ms;
  const auto start = qga::Clock::now();
  const auto error =
      error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", std::move(params)); });
  CHECK(qga::Clock::now() - start >= 300ms);
  CHECK(qga::Clock::now() - start < 10s);
  CHECK(error.code() == qga::err_timed_out);
  CHECK(error.outcome() == Outcome::unknown);
  CHECK_FALSE(error.ended());
  CHECK(std::string(error.what()).find(std::to_string(error.pid())) != std::string::npos);
  REQUIRE(runs(error.pid()));
  CHECK_FALSE(ga.exec_status(error.pid()).exited);
  ga.run("/bin/kill", {.args = {"-KILL", std::to_string(error.pid())}});
  CHECK(end_of(ga, error.pid()).signal == SIGKILL);
}

TEMPLATE_TEST_CASE("run kills at its deadline if asked to", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  auto params = script("exec sleep 1000");
  params.timeout = 300ms;
  params.kill = true;
  const auto error =
      error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", std::move(params)); });
  CHECK(error.ended());
  CHECK_FALSE(runs(error.pid()));
  check_forgotten(ga, error.pid());
}

TEMPLATE_TEST_CASE("a grandchild that holds the output keeps run waiting until its deadline",
                   "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  auto params = script("sleep 3 & echo started");
  params.timeout = 500ms;
  const auto error =
      error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", std::move(params)); });
  CHECK(end_of(ga, error.pid()).out_data == "started\n");  // when the grandchild has ended
}

TEMPLATE_TEST_CASE("run over an agent that falls silent ends at its deadline", "[agent]", Blocking,
                   Async) {
  Agent agent;
  TestType ga(agent.path());
  ga.ping();
  std::jthread silence([&] {
    std::this_thread::sleep_for(200ms);
    agent.stop();
  });
  auto params = script("exec sleep 0.5");
  params.timeout = 1s;
  const auto error =
      error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", std::move(params)); });
  silence.join();
  agent.resume();
  CHECK(error.pid() > 0);
  ga.ping();
}

TEMPLATE_TEST_CASE("run over an agent that is gone", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  ga.ping();
  std::jthread death([&] {
    std::this_thread::sleep_for(200ms);
    agent.kill();
  });
  CHECK_THROWS_AS(ga.run("/bin/sleep", {.args = {"2"}}), qga::UnreachableError);
  CHECK_THROWS_AS(ga.run("/bin/true"), qga::UnreachableError);
}

TEST_CASE("a blocking run is stopped, and the program killed", "[agent]") {
  const Agent agent;
  Blocking ga(agent.path());
  const std::string mark = agent.file("pid-of-program");
  std::stop_source stop;
  std::jthread stopper([&] {
    while (agent.get("pid-of-program").empty()) std::this_thread::sleep_for(1ms);
    stop.request_stop();
  });
  auto params = script("echo $$ >" + mark + "; exec sleep 1000");
  params.kill = true;
  CHECK_THROWS_AS(ga.with({.stop = stop.get_token()}).run("/bin/sh", std::move(params)),
                  qga::CancelledError);
  const std::int64_t pid = std::stoll(agent.get("pid-of-program"));
  CHECK_FALSE(runs(pid));
  check_forgotten(ga, pid);
}

TEST_CASE("an asynchronous run is cancelled, and the program killed", "[agent]") {
  const Agent agent;
  const std::string mark = agent.file("pid-of-program");
  Answer<qga::RunResult> answer;
  asio::cancellation_signal signal;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  auto params = script("echo $$ >" + mark + "; exec sleep 1000");
  params.kill = true;
  ga.async(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))))
      .run("/bin/sh", std::move(params));
  run_until(context, [&] { return !agent.get("pid-of-program").empty(); });
  CHECK_FALSE(answer.done());
  signal.emit(asio::cancellation_type::terminal);
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  const std::int64_t pid = std::stoll(agent.get("pid-of-program"));
  CHECK_FALSE(runs(pid));
  CHECK_THROWS_AS(ga.exec_status(pid), qga::AgentError);
}

TEST_CASE("a run whose context is destroyed is dropped unheard", "[agent]") {
  const Agent agent;
  Answer<qga::RunResult> answer;
  {
    asio::io_context context;
    qga::Client<> ga(context, patient());
    ga.connect(agent.path());
    ga.async(asio::bind_executor(context, to(answer))).run("/bin/sleep", {.args = {"1"}});
    context.run_for(100ms);
  }
  CHECK(answer.times == 0);
}
