// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A client on a strand, which runs its handlers inline: one that throws must not take along the
// completions behind it.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
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
  const auto ids = std::make_shared<std::vector<std::string>>();
  return [requests, ids](const Heard& heard) {
    ids->push_back(heard.id);
    if (ids->size() < requests) return script::nothing();
    std::string lines;
    for (std::size_t i = 0; i < requests; ++i) {
      lines += "{\"return\": " + std::to_string(i) + ", \"id\": " + ids->at(i) + "}\n";
    }
    return script::says(lines);
  };
}

}  // namespace

TEST_CASE("a handler that throws on a strand loses no completion", "[faults]") {
  const std::size_t thrower = GENERATE(as<std::size_t>{}, 0, 1, 2);
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
  const auto run = [&](auto how) {
    try {
      context.restart();
      how();
      return false;
    } catch (const std::runtime_error&) {
      return true;
    }
  };
  const auto deadline = qga::Clock::now() + long_enough;
  bool thrown = false;
  while (!thrown && qga::Clock::now() < deadline) {
    thrown = run([&] { context.run_one_until(deadline); });
  }
  REQUIRE(thrown);
  // All are answered: nothing has to be waited for.
  CHECK_FALSE(run([&] { context.poll(); }));
  CHECK(failed == 0);
  CHECK(answered == std::vector<std::int64_t>{0, 1, 2, 3});
}
