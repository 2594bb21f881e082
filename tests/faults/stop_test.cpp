// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Calls of every kind that are ended from outside: before anything was sent, while the answer to
// one of their commands is missing, or in a pause. A stop ends them at once, unless only an answer
// tells what has to be cleaned up; then, and without a stop, the deadline does. Nobody spins.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "ended.hpp"
#include "good_agent.hpp"
#include "more_scenes.hpp"
#include "scenes.hpp"

using namespace faults;

namespace {

/// What limits the time of a call.
enum class Limit { client, timeout, deadline };

/// One scene with an agent and a client of its own.
template <class Way>
struct Play {
  Play(const Scene<Way>& of, Limit limited_by, qga::Clock::duration after)
      : limit(limited_by),
        time(after),
        connected(of.connected),
        client(connected ? agent->path() : later(), params()),
        scene(of) {
    behave(*agent);
    if (scene.prepare) scene.prepare(way, client);
    if (scene.stand_still) scene.stand_still(*agent);
  }

  std::string later() const { return agent->path() + ".later"; }

  qga::ClientParams params() const {
    qga::ClientParams params = patient();
    if (limit == Limit::client) params.timeout = time;
    params.defer_connect = !connected;
    return params;
  }
  qga::CallOptions options() const {
    qga::CallOptions options;
    if (limit == Limit::timeout) options.timeout = time;
    if (limit == Limit::deadline) options.deadline = qga::Clock::now() + time;
    return options;
  }

  bool standing() const {
    if (scene.connected) return agent->executed(scene.command) >= scene.times;
    return qga::Clock::now() > begun + 100ms;  // a pause cannot be seen from outside
  }

  template <class Moment, class End>
  Ending play(Moment moment, End end) {
    return ending_of([this] { scene.call(way, client, options()); }, moment, end,
                     [this] { agent.reset(); });
  }

  /// The next call works, now that the agent does.
  void check_works() {
    if (!agent) return;
    behave(*agent);
    agent->mute(false);
    if (!scene.connected) {
      std::filesystem::create_symlink(agent->path(), later());
      client.connect(later());
    }
    CHECK(way.plain(client, [](auto&& ga) { return ga.get_host_name(); }) == "good");
  }

  const Limit limit;
  const qga::Clock::duration time;
  const bool connected;
  std::optional<ScriptedAgent> agent{std::in_place};
  Way way;
  Client client;
  Scene<Way> scene;
  const qga::Clock::time_point begun = qga::Clock::now();
};

/// For calls that are not to end at their deadline.
constexpr qga::Clock::duration far_away = long_enough;
/// For calls that are, after they have come to a standstill.
constexpr qga::Clock::duration near = 1500ms;

/// What waits for a guest tells how far that has come, also when the time is up.
template <class Way>
bool tells(const Scene<Way>& scene, const Ending& ending) {
  return scene.name.starts_with("wait_") && !ending.error;
}

/// An answer that comes once `stopped` is true.
struct Late {
  std::atomic<bool>& stopped;
  script::Action answer;

  script::Action operator()(const Heard&) const {
    return stopped ? answer : script::all(script::waits(1ms), *this);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a stop before anything is sent", "[faults]", StopBlocking, StopAsync,
                   CancelAsync) {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_all_scenes));
  const Limit limit = GENERATE(Limit::client, Limit::timeout, Limit::deadline);
  const auto scene = all_scenes<TestType>()[number];
  if (!scene.first) return;
  const bool ignored = scene.stop == Stop::ignored;
  CAPTURE(scene.name, limit);
  Play<TestType> play(scene, limit, ignored ? near : far_away);
  // A connection that was used a second ago is asked again before it is.
  if (scene.prepare) std::this_thread::sleep_for(1200ms);
  const std::size_t executed = play.agent->executed(scene.command);
  const std::size_t received = play.agent->received().size();
  play.agent->mute();
  const Ending ending =
      play.play([&] { return play.agent->received().size() > received; }, [&] { play.way.end(); });
  CAPTURE(ending.text());
  CHECK_FALSE(ending.hung);
  CHECK(idles(ending));
  if (ignored) {
    CHECK(ending.template is<qga::TimeoutError>());
    CHECK(ending.took >= near);
    CHECK(ending.took < near + tolerance);
  } else {
    CHECK(ending.template is<qga::CancelledError>());
    CHECK(ending.since_end < tolerance);
    CHECK(error_of<qga::GuestAgentError>([&] { std::rethrow_exception(ending.error); }).outcome() ==
          Outcome::not_sent);
  }
  play.check_works();
  if (play.agent && scene.command != "guest-get-host-name") {
    CHECK(play.agent->executed(scene.command) == executed);
  }
}

TEMPLATE_TEST_CASE("a stop while something is awaited", "[faults]", StopBlocking, StopAsync,
                   CancelAsync) {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_all_scenes));
  const Limit limit = GENERATE(Limit::client, Limit::timeout, Limit::deadline);
  const auto scene = all_scenes<TestType>()[number];
  CAPTURE(scene.name, limit);
  Play<TestType> play(scene, limit, scene.stop == Stop::ends ? far_away : near);
  const Ending ending = play.play([&] { return play.standing(); }, [&] { play.way.end(); });
  CAPTURE(ending.text());
  CHECK_FALSE(ending.hung);
  CHECK(idles(ending));
  switch (scene.stop) {
    case Stop::ends:
      CHECK(ending.template is<qga::CancelledError>());
      CHECK(ending.since_end < tolerance);
      break;
    case Stop::waits:
      CHECK((tells(scene, ending) || ending.template is<qga::CancelledError>() ||
             ending.template is<qga::TimeoutError>()));
      CHECK(ending.took < near + tolerance);
      break;
    case Stop::ignored:
      CHECK(ending.template is<qga::TimeoutError>());
      CHECK(ending.took >= near);
      CHECK(ending.took < near + tolerance);
      break;
  }
  play.check_works();
}

TEMPLATE_TEST_CASE("without a stop a call ends at its deadline", "[faults]", StopBlocking,
                   StopAsync, CancelAsync) {
  const std::size_t number = GENERATE(range(std::size_t{0}, number_of_all_scenes));
  const Limit limit = GENERATE(Limit::client, Limit::timeout, Limit::deadline);
  const auto scene = all_scenes<TestType>()[number];
  if (scene.own_limits && limit == Limit::client) return;
  CAPTURE(scene.name, limit);
  Play<TestType> play(scene, limit, brief);
  const Ending ending = play.play([] { return true; }, [] {});
  CAPTURE(ending.text());
  CHECK_FALSE(ending.hung);
  CHECK(idles(ending));
  CHECK((tells(scene, ending) || ending.template is<qga::TimeoutError>()));
  CHECK(ending.took >= brief);
  CHECK(ending.took < brief + tolerance);
  play.check_works();
}

TEMPLATE_TEST_CASE("an answer that comes after the stop still tells what to clean up", "[faults]",
                   StopBlocking, StopAsync, CancelAsync) {
  std::atomic<bool> stopped = false;
  ScriptedAgent agent;
  behave(agent);
  TestType way;
  Client client(agent.path(), patient());
  const auto answers_late = [&](const char* reply) {
    return Late{stopped, script::answers(reply)};
  };
  const auto play = [&](const std::string& command, auto call) {
    return ending_of([&] { way.call(client, {}, call); },
                     [&] { return agent.executed(command) == 1; },
                     [&] {
                       way.end();
                       stopped = true;
                     },
                     [] {});
  };
  SECTION("a file is closed") {
    agent.once("guest-file-open", answers_late("\"return\": 1234"));
    const Ending ending = play("guest-file-open", [](auto&& ga) { return ga.open("/x"); });
    CAPTURE(ending.text());
    // The answer may win.
    CHECK((!ending.error || ending.template is<qga::CancelledError>()));
    way.plain(client, [](auto&& ga) { return ga.ping(); });
    CHECK(agent.executed("guest-file-close") == 1);
  }
  SECTION("a program is killed") {
    agent.once("guest-exec", answers_late("\"return\": {\"pid\": 1234}"));
    agent.once("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 0})"));
    agent.once("guest-exec-status", script::returns(R"({"exited": true, "signal": 9})"));
    const Ending ending = play("guest-exec", [](auto&& ga) {
      return ga.run("/bin/sleep", {.args = {"1000"}, .kill = true});
    });
    CAPTURE(ending.text());
    CHECK(ending.template is<qga::CancelledError>());
    CHECK(agent.executed("guest-exec") == 2);
  }
}
