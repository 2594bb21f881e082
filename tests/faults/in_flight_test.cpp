// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Asynchronous calls together: one fails and the others do not, and all of them end when the
// client, its connection or its context does.
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"

using namespace faults;

namespace {

using Client = qga::Client<>;

/// A client on a context, and calls that were started.
struct Started {
  explicit Started(const std::string& path, qga::ClientParams params = patient())
      : context(std::in_place), client(std::in_place, *context, std::move(params)) {
    client->connect(path);
  }

  Answer<std::int64_t>& open(const std::string& path, qga::CallOptions options = {}) {
    Answer<std::int64_t>& answer = answers.emplace_back();
    client->async(asio::bind_executor(*context, to(answer)), options).file_open(path);
    return answer;
  }
  void ping() {
    Answer<void> answer;
    client->async(asio::bind_executor(*context, to(answer))).ping();
    run_until(*context, [&] { return answer.done(); });
    answer.get();
  }

  std::deque<Answer<std::int64_t>> answers;
  std::optional<asio::io_context> context;
  std::optional<Client> client;
};

template <class Error>
Outcome outcome(Answer<std::int64_t>& answer) {
  return error_of<Error>([&] { answer.get(); }).outcome();
}

}  // namespace

TEST_CASE("in flight: closing ends every call with what is known of it", "[faults]") {
  const bool destroyed = GENERATE(false, true);
  ScriptedAgent agent(Ids::rejected);
  agent.on("guest-file-open", script::nothing());
  Started ga(agent.path());
  ga.ping();
  auto& sent = ga.open("/sent");
  auto& waiting = ga.open("/waiting");
  ga.context->restart();
  while (agent.executed("guest-file-open") == 0) ga.context->run_one_for(1ms);
  if (destroyed) {
    ga.client.reset();
  } else {
    ga.client->close();
  }
  CHECK(sent.times == 0);  // not within the call that closes
  run_dry(*ga.context);
  CHECK(outcome<qga::CancelledError>(sent) == Outcome::unknown);
  CHECK(outcome<qga::CancelledError>(waiting) == Outcome::not_sent);
  if (!destroyed) {
    ga.client->connect(agent.path());
    ga.ping();
  }
}

TEST_CASE("in flight: closing before anything was sent", "[faults]") {
  ScriptedAgent agent;
  Started ga(agent.path());
  auto& first = ga.open("/first");
  ga.client->close();
  auto& second = ga.open("/second");
  run_dry(*ga.context);
  CHECK(outcome<qga::CancelledError>(first) == Outcome::not_sent);
  CHECK(outcome<qga::ConnectError>(second) == Outcome::not_sent);
}

TEST_CASE("in flight: a context that ends drops the calls and what they own", "[faults]") {
  const bool started = GENERATE(false, true);
  ScriptedAgent agent;
  agent.on("guest-file-open", script::nothing());
  std::weak_ptr<Client> watched;
  int heard = 0;
  {
    asio::io_context context;
    auto client = std::make_shared<Client>(context, patient());
    watched = client;
    client->connect(agent.path());
    for (int i = 0; i < 3; ++i) {  // each handler keeps the client alive
      client->async([client, &heard](std::exception_ptr, std::int64_t) { ++heard; })
          .file_open("/x");
    }
    client.reset();
    if (started) {
      while (agent.executed("guest-file-open") < 3) context.run_one_for(1ms);
    }
    CHECK_FALSE(watched.expired());
  }
  CHECK(watched.expired());
  CHECK(heard == 0);
}

TEST_CASE("in flight: a client outlives the context that its calls were on", "[faults]") {
  ScriptedAgent agent;
  agent.on("guest-file-open", script::nothing());
  Client client(agent.path(), patient());
  auto owned = std::make_shared<int>();
  std::weak_ptr<int> watched = owned;
  {
    asio::io_context context;
    client
        .async(asio::bind_executor(context, [owned](std::exception_ptr, std::int64_t) { FAIL(); }))
        .file_open("/x");
    owned.reset();
    while (agent.executed("guest-file-open") == 0) context.run_one_for(1ms);
  }
  CHECK(watched.expired());
  client.ping();
}

TEST_CASE("in flight: finished calls that nobody hears of are dropped with the context",
          "[faults]") {
  ScriptedAgent agent;
  auto owned = std::make_shared<int>();
  std::weak_ptr<int> watched = owned;
  {
    asio::io_context context;
    Client client(context, patient());
    client.connect(agent.path());
    client.async([owned](std::exception_ptr) { FAIL(); }).ping();
    owned.reset();
    client.close();  // completes the call; its handler is posted and never runs
  }
  CHECK(watched.expired());
}

TEST_CASE("in flight: a handler may destroy its client", "[faults]") {
  ScriptedAgent agent;
  agent.on("guest-file-open", script::all(script::waits(10ms), script::hangs_up()));
  asio::io_context context;
  auto client = std::make_unique<Client>(context, patient());
  client->connect(agent.path());
  int cancelled = 0, lost = 0;
  const auto handler = [&](std::exception_ptr error, std::int64_t) {
    try {
      std::rethrow_exception(error);
    } catch (const qga::CancelledError&) {
      ++cancelled;
    } catch (const qga::ReadError&) {
      ++lost;
    }
    client.reset();
  };
  for (int i = 0; i < 3; ++i) client->async(handler).file_open("/x");
  run_dry(context);
  CHECK(cancelled + lost == 3);
  CHECK(client == nullptr);
}

TEST_CASE("in flight: the time of one is up and the others get theirs", "[faults]") {
  ScriptedAgent agent;
  agent.once("guest-file-open", script::returns("1"));
  agent.once("guest-file-open", script::all(script::waits(2 * brief), script::returns("2")));
  agent.once("guest-file-open", script::returns("3"));
  agent.once("guest-file-open", script::returns("4"));
  Started ga(agent.path());
  ga.ping();
  auto& first = ga.open("/1");
  auto& second = ga.open("/2", {.timeout = brief});
  auto& third = ga.open("/3");
  run_until(*ga.context, [&] { return second.done(); });
  auto& fourth = ga.open("/4");
  run_dry(*ga.context);
  CHECK(first.get() == 1);
  CHECK(outcome<qga::TimeoutError>(second) == Outcome::unknown);
  CHECK(third.get() == 3);
  CHECK(fourth.get() == 4);
}

TEST_CASE("in flight: one is cancelled and the others get theirs", "[faults]") {
  const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial,
                             asio::cancellation_type::total);
  ScriptedAgent agent;
  agent.once("guest-file-open", script::all(script::waits(brief), script::returns("1")));
  agent.once("guest-file-open", script::returns("2"));
  agent.once("guest-file-open", script::returns("3"));
  Started ga(agent.path());
  ga.ping();
  asio::cancellation_signal signal;
  Answer<std::int64_t> first;
  ga.client
      ->async(
          asio::bind_executor(*ga.context, asio::bind_cancellation_slot(signal.slot(), to(first))))
      .file_open("/1");
  auto& second = ga.open("/2");
  ga.context->restart();
  while (agent.executed("guest-file-open") == 0) ga.context->run_one_for(1ms);
  signal.emit(type);
  auto& third = ga.open("/3");
  run_dry(*ga.context);
  if (type == asio::cancellation_type::total) {  // promises that nothing happened: too late
    CHECK(first.get() == 1);
  } else {
    CHECK(outcome<qga::CancelledError>(first) == Outcome::unknown);
  }
  CHECK(second.get() == 2);
  CHECK(third.get() == 3);
}

TEST_CASE("in flight: a reply cut short and the next one glued to it", "[faults]") {
  ScriptedAgent agent;
  agent.once("guest-file-open", script::says("{\"return\": "));
  agent.on("guest-file-open", script::returns("2"));
  Started ga(agent.path());
  ga.ping();
  auto& first = ga.open("/1");
  auto& second = ga.open("/2", {.timeout = 4 * brief});
  run_until(*ga.context, [&] { return first.done(); });
  CHECK(outcome<qga::BadReplyError>(first) == Outcome::unknown);
  auto& third = ga.open("/3");
  run_dry(*ga.context);
  CHECK(outcome<qga::BadReplyError>(second) == Outcome::unknown);
  CHECK(third.get() == 2);
}

TEST_CASE("in flight: a reply that is skipped costs its call alone", "[faults]") {
  ScriptedAgent agent;
  agent.once("guest-file-open", script::returns("1"));
  agent.once("guest-file-open", script::nothing());
  agent.on("guest-file-open", script::returns("3"));
  Started ga(agent.path());
  ga.ping();
  auto& first = ga.open("/1");
  auto& second = ga.open("/2");
  auto& third = ga.open("/3");
  run_dry(*ga.context);
  CHECK(first.get() == 1);
  CHECK(outcome<qga::BadReplyError>(second) == Outcome::unknown);
  CHECK(third.get() == 3);
  ga.ping();
}

TEST_CASE("in flight: an agent that hangs up fails all of them", "[faults]") {
  ScriptedAgent agent;
  // All of them are written before the first answer.
  agent.once("guest-file-open", script::all(script::waits(200ms), script::returns("1")));
  agent.once("guest-file-open", script::hangs_up());
  Started ga(agent.path());
  ga.ping();
  auto& first = ga.open("/1");
  auto& second = ga.open("/2");
  auto& third = ga.open("/3");
  run_dry(*ga.context);
  CHECK(first.get() == 1);
  CHECK(outcome<qga::ReadError>(second) == Outcome::unknown);
  CHECK(outcome<qga::ReadError>(third) == Outcome::unknown);
}

TEST_CASE("in flight: many calls to an agent of any age", "[faults]") {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-file-open", [](const Heard& heard) {
    return script::returns(heard.arguments.at("path").get<std::string>());
  });
  Started ga(agent.path());
  for (int i = 0; i < 1000; ++i) ga.open(std::to_string(i));
  run_dry(*ga.context);
  for (int i = 0; i < 1000; ++i) REQUIRE(ga.answers[static_cast<std::size_t>(i)].get() == i);
}
