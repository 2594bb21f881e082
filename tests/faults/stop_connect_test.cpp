// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Connecting to a socket whose backlog is full, ended by a stop request, by cancellation and by a
// deadline; also where a helper connects. The client then connects to an agent that is there.
#include <chrono>
#include <optional>
#include <string>

#include "ended.hpp"
#include "full_house.hpp"
#include "good_agent.hpp"

using namespace faults;

namespace {

/// Connects in each of the ways.
void connect(StopBlocking& way, Client& client, const std::string& path,
             qga::CallOptions options = {}) {
  options.stop = way.stop.get_token();
  client.connect(path, options);
}

/// Runs an asynchronous connecting to its end.
template <class Start>
void connected(asio::io_context& context, Start start) {
  Answer<void> answer;
  start(answer);
  run_until(context, [&] { return answer.times > 0; });
  answer.get();
}

void connect(StopAsync& way, Client& client, const std::string& path,
             qga::CallOptions options = {}) {
  options.stop = way.stop.get_token();
  connected(way.context, [&](Answer<void>& answer) {
    client.async_connect(path, asio::bind_executor(way.context, to(answer)), options);
  });
}

void connect(CancelAsync& way, Client& client, const std::string& path,
             qga::CallOptions options = {}) {
  connected(way.context, [&](Answer<void>& answer) {
    client.async_connect(path,
                         asio::bind_cancellation_slot(way.signal.slot(),
                                                      asio::bind_executor(way.context, to(answer))),
                         options);
  });
}

/// Connects to an agent that is there, and is answered.
template <class Way>
void check_works(Way& way, Client& client) {
  ScriptedAgent agent;
  behave(agent);
  way.renew();
  connect(way, client, agent.path());
  CHECK(way.plain(client, [](auto&& ga) { return ga.get_host_name(); }) == "good");
  client.close();
}

}  // namespace

TEMPLATE_TEST_CASE("connecting is stopped", "[faults]", StopBlocking, StopAsync, CancelAsync) {
  const bool limited = GENERATE(false, true);
  const FullHouse house;
  TestType way;
  Client client;
  qga::CallOptions options;
  if (limited) options.deadline = qga::Clock::now() + long_enough;
  const auto begun = qga::Clock::now();
  const Ending ending =
      ending_of([&] { connect(way, client, house.path(), options); },
                // Nothing is seen of a connecting that waits.
                [&] { return qga::Clock::now() > begun + 100ms; }, [&] { way.end(); }, [] {});
  CAPTURE(limited, ending.text());
  CHECK(ending.template is<qga::CancelledError>());
  CHECK(ending.since_end < tolerance);
  CHECK(idles(ending));
  CHECK_FALSE(client.is_open());
  check_works(way, client);
}

TEMPLATE_TEST_CASE("connecting that was stopped before it began", "[faults]", StopBlocking,
                   StopAsync) {
  const bool has_room = GENERATE(false, true);
  CAPTURE(has_room);
  const FullHouse house;
  const ScriptedAgent agent;
  TestType way;
  Client client;
  way.end();
  const std::string path = has_room ? agent.path() : house.path();
  const Ending ending =
      ending_of([&] { connect(way, client, path); }, [] { return true; }, [] {}, [] {});
  CAPTURE(ending.text());
  CHECK(ending.template is<qga::CancelledError>());
  CHECK(ending.took < tolerance);
  CHECK_FALSE(client.is_open());
  check_works(way, client);
}

TEMPLATE_TEST_CASE("connecting ends at its deadline", "[faults]", StopBlocking, StopAsync,
                   CancelAsync) {
  const bool point = GENERATE(false, true);
  const FullHouse house;
  TestType way;
  Client client;
  qga::CallOptions options;
  if (point) {
    options.deadline = qga::Clock::now() + brief;
  } else {
    options.timeout = brief;
  }
  const auto begun = qga::Clock::now();
  const Ending ending = ending_of([&] { connect(way, client, house.path(), options); },
                                  [] { return true; }, [] {}, [] {});
  CAPTURE(point, ending.text());
  CHECK(ending.template is<qga::ConnectError>());
  CHECK(qga::Clock::now() - begun >= brief);
  CHECK(ending.took < brief + tolerance);
  CHECK(idles(ending));
  check_works(way, client);
}

TEMPLATE_TEST_CASE("wait_ready is stopped while it connects", "[faults]", StopBlocking, StopAsync,
                   CancelAsync) {
  const FullHouse house;
  TestType way;
  qga::ClientParams params = patient();
  params.defer_connect = true;
  Client client(house.path(), params);
  const auto begun = qga::Clock::now();
  const Ending ending =
      ending_of([&] { way.call(client, {}, [](auto&& ga) { return ga.wait_ready(1h); }); },
                [&] { return qga::Clock::now() > begun + 100ms; }, [&] { way.end(); }, [] {});
  CAPTURE(ending.text());
  CHECK(ending.template is<qga::CancelledError>());
  CHECK(ending.since_end < tolerance);
  CHECK(idles(ending));
  check_works(way, client);
}
