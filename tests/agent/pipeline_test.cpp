// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Many requests in flight on one client: in order, each with its own reply, and what fails is only
// what failed.
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "lines.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace std::chrono_literals;
using qga::Outcome;
using qga_test::Agent;
using qga_test::Answer;
using qga_test::error_of;
using qga_test::Lines;
using qga_test::patient;
using qga_test::run_dry;
using qga_test::run_until;
using qga_test::to;

namespace {

/// A client in sync, and the answers to many calls of `sync`.
struct Pipeline {
  explicit Pipeline(const std::string& path, std::size_t size, qga::ClientParams params = patient())
      : answers(size), client(path, std::move(params)) {
    Answer<void> answer;
    client.async(asio::bind_executor(context, to(answer))).ping();
    run_dry(context);
    answer.get();
  }

  /// Notes the order of the ends.
  auto handler(std::size_t i) {
    return asio::bind_executor(context, [this, i](std::exception_ptr error, std::int64_t value) {
      to(answers[i])(std::move(error), value);
      order.push_back(i);
    });
  }
  void start(std::size_t i, qga::CallOptions options = {}) {
    client.async(handler(i), std::move(options)).sync(id_of(i));
  }
  static std::int64_t id_of(std::size_t i) { return 1'000'000 + static_cast<std::int64_t>(i); }

  std::deque<Answer<std::int64_t>> answers;
  std::vector<std::size_t> order;
  asio::io_context context;
  qga::Client<> client;
};

}  // namespace

TEST_CASE("1000 requests in flight are answered in order", "[agent]") {
  const Agent agent;
  Pipeline pipeline(agent.path(), 1000);
  for (std::size_t i = 0; i < 1000; ++i) pipeline.start(i);
  CHECK(pipeline.order.empty());  // nothing completes within the call that starts it
  run_dry(pipeline.context);
  REQUIRE(pipeline.order.size() == 1000);
  for (std::size_t i = 0; i < 1000; ++i) {
    CHECK(pipeline.order[i] == i);
    CHECK(pipeline.answers[i].get() == Pipeline::id_of(i));
  }
}

TEST_CASE("requests that fail leave the others alone", "[agent]") {
  const Agent agent;
  std::deque<Answer<nlohmann::json>> unknown(100);
  std::deque<Answer<qga::GuestFileRead>> refused(100);
  std::deque<Answer<std::int64_t>> unencodable(100);
  Pipeline pipeline(agent.path(), 100);
  qga::Client<>& ga = pipeline.client;
  for (std::size_t i = 0; i < 100; ++i) {
    ga.async(asio::bind_executor(pipeline.context, to(unknown[i]))).execute("guest-nothing");
    pipeline.start(i);
    ga.async(asio::bind_executor(pipeline.context, to(refused[i]))).file_read(99999);
    ga.async(asio::bind_executor(pipeline.context, to(unencodable[i]))).file_open("\xFF");
  }
  run_dry(pipeline.context);
  REQUIRE(pipeline.order.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(pipeline.order[i] == i);
    CHECK(pipeline.answers[i].get() == Pipeline::id_of(i));
    CHECK_THROWS_AS(unknown[i].get(), qga::CommandNotFoundError);
    CHECK_THROWS_AS(refused[i].get(), qga::AgentError);
    CHECK_THROWS_AS(unencodable[i].get(), qga::RequestError);
  }
}

TEST_CASE("replies of every size in flight", "[agent]") {
  const Agent agent;
  std::deque<Answer<qga::GuestAgentInfo>> infos(50);
  Pipeline pipeline(agent.path(), 50);
  for (std::size_t i = 0; i < 50; ++i) {
    pipeline.client.async(asio::bind_executor(pipeline.context, to(infos[i]))).info();
    pipeline.start(i);
  }
  run_dry(pipeline.context);
  const qga::GuestAgentInfo info = infos[0].value.value();
  CHECK_FALSE(info.supported_commands.empty());
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(infos[i].get() == info);
    CHECK(pipeline.answers[i].get() == Pipeline::id_of(i));
  }
}

TEST_CASE("cancelling some of many", "[agent]") {
  Agent agent;
  std::deque<asio::cancellation_signal> signals(200);
  Pipeline pipeline(agent.path(), 200);
  agent.stop();
  for (std::size_t i = 0; i < 200; ++i) {
    pipeline.client.async(asio::bind_cancellation_slot(signals[i].slot(), pipeline.handler(i)))
        .sync(Pipeline::id_of(i));
  }
  // The first 64 at most were sent; these are of both kinds.
  for (std::size_t i = 0; i < 200; i += 7) signals[i].emit(asio::cancellation_type::terminal);
  run_until(pipeline.context, [&] { return pipeline.order.size() == 29; });
  pipeline.context.poll();
  CHECK(pipeline.order.size() == 29);
  agent.resume();
  run_dry(pipeline.context);
  REQUIRE(pipeline.order.size() == 200);
  std::size_t last = 0;
  for (std::size_t at = 29; at < 200; ++at) {  // those that were left, in order
    CHECK(pipeline.order[at] > last);
    last = pipeline.order[at];
  }
  for (std::size_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    if (i % 7 != 0) {
      CHECK(pipeline.answers[i].get() == Pipeline::id_of(i));
      continue;
    }
    const auto error = error_of<qga::CancelledError>([&] { pipeline.answers[i].get(); });
    if (i >= 64) CHECK(error.outcome() == Outcome::not_sent);
  }
}

TEST_CASE("the deadline of one among many", "[agent]") {
  for (const std::size_t late : {std::size_t{0}, std::size_t{50}, std::size_t{150}}) {
    CAPTURE(late);
    Agent agent;
    Pipeline pipeline(agent.path(), 200);
    agent.stop();
    for (std::size_t i = 0; i < 200; ++i) {
      pipeline.start(i, i == late ? qga::CallOptions{.timeout = 50ms} : qga::CallOptions{});
    }
    run_until(pipeline.context, [&] { return !pipeline.order.empty(); });
    pipeline.context.poll();
    CHECK(pipeline.order == std::vector<std::size_t>{late});
    agent.resume();
    run_dry(pipeline.context);
    REQUIRE(pipeline.order.size() == 200);
    for (std::size_t i = 0; i < 200; ++i) {
      CAPTURE(i);
      if (i != late) {
        CHECK(pipeline.answers[i].get() == Pipeline::id_of(i));
        continue;
      }
      const auto error = error_of<qga::TimeoutError>([&] { pipeline.answers[i].get(); });
      if (late >= 64) CHECK(error.outcome() == Outcome::not_sent);
    }
  }
}

TEST_CASE("an agent that is killed under many", "[agent]") {
  Agent agent;
  Pipeline pipeline(agent.path(), 200);
  agent.stop();
  for (std::size_t i = 0; i < 200; ++i) pipeline.start(i);
  agent.kill();
  run_dry(pipeline.context);
  REQUIRE(pipeline.order.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    CHECK(pipeline.order[i] == i);
    const auto error = error_of<qga::ReadError>([&] { pipeline.answers[i].get(); });
    if (i >= 64) CHECK(error.outcome() == Outcome::not_sent);
  }
  agent.restart();
  pipeline.client.connect(agent.path());
  CHECK(pipeline.client.sync(5) == 5);
}

TEST_CASE("handlers start more requests", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  int left = 500;
  std::int64_t wrong = 0;
  struct Chain {
    asio::io_context& context;
    qga::Client<>& ga;
    int& left;
    std::int64_t& wrong;
    std::int64_t id;
    void operator()(std::exception_ptr error, std::int64_t value) const {
      if (error || value != id) ++wrong;
      if (--left <= 0) return;
      Chain next = *this;
      next.id = id + 1;
      ga.async(asio::bind_executor(context, next)).sync(next.id);
    }
  };
  ga.async(asio::bind_executor(context, Chain{context, ga, left, wrong, 1})).sync(1);
  run_dry(context);
  CHECK(left == 0);
  CHECK(wrong == 0);
}

TEST_CASE("many threads start requests on one client", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  std::mutex mutex;
  std::size_t right = 0, wrong = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    asio::post(context, [&, i] {
      ga.async(asio::bind_executor(context,
                                   [&, i](std::exception_ptr error, std::int64_t value) {
                                     const std::lock_guard lock(mutex);
                                     ++(!error && value == i ? right : wrong);
                                   }))
          .sync(i);
    });
  }
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { context.run(); });
  }
  CHECK(right == 400);
  CHECK(wrong == 0);
}
