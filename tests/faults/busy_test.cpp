// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A helper has its client from its first step to its last: a blocking one for itself, so that
// whatever another thread calls meanwhile is a `BusyError`; an asynchronous one beside other
// asynchronous calls. None of that does the helper any harm.
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "good_agent.hpp"

using namespace faults;

namespace {

using Client = qga::Client<>;

static_assert(std::derived_from<qga::BusyError, qga::RequestError>);

/// An agent whose program ends with the fourth status.
struct Agent : ScriptedAgent {
  Agent() {
    behave(*this);
    for (int i = 0; i < 3; ++i) {
      once("guest-exec-status",
           script::all(script::waits(20ms), script::returns(R"({"exited": false})")));
    }
    on("guest-exec-status",
       script::returns(R"({"exited": true, "exitcode": 7, "out-data": "b3V0"})"));
  }

  /// Whether `command` was executed between the start of the program and its end.
  bool executed_meanwhile(std::string_view command) const {
    std::size_t statuses = 0;
    for (const Heard& heard : executed()) {
      statuses += heard.command == "guest-exec-status";
      if (heard.command == command && statuses > 0 && statuses < 4) return true;
    }
    return false;
  }
};

void check(const qga::RunResult& result) {
  CHECK(result.exit_code == 7);
  CHECK(result.out == "out");
}

void check(const qga::BusyError& error) {
  CHECK(error.code() == qga::err_cannot_write);
  CHECK(error.err() == std::errc::device_or_resource_busy);
  CHECK(error.outcome() == Outcome::not_sent);
  CHECK_FALSE(error.is_unreachable());
}

/// Something that a client can be called for.
struct Use {
  std::string name;
  std::function<void(Client&)> call;
};

std::vector<Use> uses() {
  return {
      {"a command", [](Client& ga) { ga.get_host_name(); }},
      {"a command with options", [](Client& ga) { ga.with({.timeout = 60s}).get_host_name(); }},
      {"run", [](Client& ga) { ga.run("/bin/true"); }},
      {"read_file", [](Client& ga) { ga.read_file("/x"); }},
      {"wait_ready", [](Client& ga) { ga.wait_ready(5s); }},
      {"close", [](Client& ga) { ga.close(); }},
      {"connect", [](Client& ga) { ga.connect("/no/such/socket"); }},
  };
}
constexpr std::size_t number_of_uses = 7;

/// Repeats `use` until `done`, and counts how often it was refused.
template <class Done>
std::size_t refusals(Client& client, const Use& use, Done done) {
  std::size_t count = 0;
  while (!done()) {
    try {
      use.call(client);
      if (!done()) throw std::logic_error(use.name + " was not refused");
    } catch (const qga::BusyError& error) {
      if (++count == 1) check(error);
    }
    std::this_thread::yield();
  }
  return count;
}

}  // namespace

TEST_CASE("busy: a blocking helper has the client in its pauses too", "[faults]") {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_uses));
  const Use use = uses().at(number);
  CAPTURE(use.name);
  Agent agent;
  Client client(agent.path(), patient());
  std::exception_ptr error;
  qga::RunResult result;
  std::atomic<bool> done = false;
  std::jthread runner([&] {
    try {
      result = client.run("/bin/make");
    } catch (...) {
      error = std::current_exception();
    }
    done = true;
  });
  wait_until([&] { return agent.executed("guest-exec-status") >= 1; });
  // The last status is not the end of the call: nothing is tried from then on.
  const auto ends = [&] { return done || agent.executed("guest-exec-status") >= 3; };
  std::size_t count = 0;
  std::exception_ptr failure;
  try {
    count = refusals(client, use, ends);
  } catch (...) {
    failure = std::current_exception();
  }
  runner.join();
  if (failure) std::rethrow_exception(failure);
  CHECK(count > 0);
  REQUIRE_FALSE(error);
  check(result);
  CHECK(agent.executed("guest-exec") == 1);
  CHECK_FALSE(agent.executed_meanwhile("guest-get-host-name"));
  CHECK(client.get_host_name() == "good");
}

TEST_CASE("busy: a blocking call beside an asynchronous helper", "[faults]") {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_uses - 2));
  const Use use = uses().at(number);
  CAPTURE(use.name);
  Agent agent;
  Answer<qga::RunResult> answer;
  asio::io_context context;
  Client client(agent.path(), patient());
  client.async(asio::bind_executor(context, to(answer))).run("/bin/make");
  std::atomic<bool> done = false;
  std::jthread runner([&] {
    context.run();
    done = true;
  });
  wait_until([&] { return agent.executed("guest-exec-status") >= 1; });
  const auto ends = [&] { return done || agent.executed("guest-exec-status") >= 3; };
  const std::size_t count = refusals(client, use, ends);
  runner.join();
  CHECK(count > 0);
  check(answer.get());
  CHECK_FALSE(agent.executed_meanwhile("guest-get-host-name"));
  CHECK(client.get_host_name() == "good");
}

TEST_CASE("busy: asynchronous helpers and commands go on beside each other", "[faults]") {
  Agent agent;
  agent.once("guest-file-read", script::returns(three_bytes));
  agent.on("guest-file-read", script::returns(end_of_file));
  Answer<qga::RunResult> run;
  Answer<std::string> read, name;
  asio::io_context context;
  Client client(agent.path(), patient());
  client.async(asio::bind_executor(context, to(run))).run("/bin/make");
  client.async(asio::bind_executor(context, to(read))).read_file("/x");
  run_until(context, [&] { return agent.executed("guest-exec-status") >= 1; });
  client.async(asio::bind_executor(context, to(name))).get_host_name();
  run_dry(context);
  check(run.get());
  CHECK(read.get() == "abc");
  CHECK(name.get() == "good");
}

TEST_CASE("busy: an asynchronous call beside a blocking helper is refused", "[faults]") {
  const bool helper = GENERATE(false, true);
  Agent agent;
  Client client(agent.path(), patient());
  std::exception_ptr error;
  qga::RunResult result;
  std::jthread runner([&] {
    try {
      result = client.run("/bin/make");
    } catch (...) {
      error = std::current_exception();
    }
  });
  wait_until([&] { return agent.executed("guest-exec-status") >= 1; });
  Answer<std::string> answer;
  asio::io_context context;
  auto calls = client.async(asio::bind_executor(context, to(answer)));
  if (helper) {
    calls.read_file("/x");
  } else {
    calls.get_host_name();
  }
  run_dry(context);
  runner.join();
  CHECK_FALSE(error);
  check(result);
  check(error_of<qga::BusyError>([&] { answer.get(); }));
  CHECK(client.get_host_name() == "good");
}
