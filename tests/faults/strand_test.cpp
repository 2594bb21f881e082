// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A client on a strand, which runs its handlers inline: one that throws must not take along the
// completions behind it.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include "good_agent.hpp"

using namespace faults;

namespace {

/// Answers so many requests in one go, with their numbers.
script::Action answers_together(std::size_t requests) {
  return [requests, ids = std::vector<std::string>()](ScriptedAgent& agent,
                                                      const Heard& heard) mutable {
    ids.push_back(heard.id);
    if (ids.size() < requests) return;
    std::string lines;
    for (std::size_t i = 0; i < requests; ++i) {
      lines += "{\"return\": " + std::to_string(i) + ", \"id\": " + ids[i] + "}\n";
    }
    agent.send(lines);
  };
}

}  // namespace

TEST_CASE("a handler that throws on a strand loses no completion", "[faults]") {
  const std::size_t thrower = GENERATE(0, 1, 2);
  constexpr std::size_t calls = 4;
  ScriptedAgent agent;
  behave(agent);
  asio::io_context context;
  qga::ClientParams params = patient();
  params.timeout = 3 * long_enough;  // nothing may wait for it
  qga::Client<> client(asio::any_io_executor(asio::make_strand(context)), params);
  client.connect(agent.path());
  agent.on("guest-file-open", answers_together(calls));
  std::vector<std::int64_t> answered;
  int failed = 0;
  for (std::size_t i = 0; i < calls; ++i) {
    client
        .async([&, i](std::exception_ptr error, std::int64_t number) {
          failed += error != nullptr;
          answered.push_back(number);
          if (i == thrower) throw std::runtime_error("from a handler");
        })
        .file_open("/x");
  }
  const auto deadline = qga::Clock::now() + long_enough;
  int thrown = 0;
  while (answered.size() < calls && qga::Clock::now() < deadline) {
    context.restart();
    try {
      context.run_one_until(deadline);
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  CHECK(thrown == 1);
  CHECK(failed == 0);
  CHECK(answered == std::vector<std::int64_t>{0, 1, 2, 3});
}

TEST_CASE("a handler that throws on a strand does not stop a helper", "[faults]") {
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 0})"));
  asio::io_context context;
  qga::Client<> client(asio::any_io_executor(asio::make_strand(context)), patient());
  client.connect(agent.path());
  bool threw = false;
  int ended = 0;
  client
      .async([&](std::exception_ptr) {
        threw = true;
        throw std::runtime_error("from a handler");
      })
      .ping();
  client
      .async([&](std::exception_ptr error, qga::RunResult) { ended += error == nullptr ? 1 : 100; })
      .run("/bin/true");
  const auto deadline = qga::Clock::now() + long_enough / 2;
  while (ended == 0 && qga::Clock::now() < deadline) {
    context.restart();
    try {
      context.run_one_until(deadline);
    } catch (const std::runtime_error&) {
    }
  }
  CHECK(threw);
  CHECK(ended == 1);
}
