// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guards of a guest that does not listen share one deadline, hold up nobody else, and tell the
// trace what they could not do. The bounds are those that the library promises.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"
#include "lines.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

using Time = qga::Clock::time_point;

template <class Way>
std::vector<qga::File> open_files(Way& ga, int count) {
  std::vector<qga::File> files;
  for (int i = 0; i < count; ++i) files.push_back(ga.open("/there"));
  return files;
}

qga::Clock::duration since(Time start) { return qga::Clock::now() - start; }

/// A client on a context that others use too.
struct OnContext {
  OnContext(asio::io_context& shared, const std::string& path)
      : context(shared), client(std::in_place, shared, patient()) {
    client->connect(path);
  }
  template <class Result, class Start>
  Result get(Start start) {
    Answer<Result> answer;
    start(client->async(asio::bind_executor(context, to(answer))));
    run_until(context, [&] { return answer.times > 0; });
    return answer.get();
  }
  qga::File open(const std::string& path) {
    return get<qga::File>([&](auto ga) { ga.open(path); });
  }

  asio::io_context& context;
  std::optional<qga::Client<>> client;
};

}  // namespace

TEST_CASE("deaf: a guest holds up no other guest of the same event loop", "[faults]") {
  const bool client_first = GENERATE(true, false);
  const bool frozen_too = GENERATE(false, true);
  CAPTURE(client_first, frozen_too);
  const auto most = frozen_too ? 30s : 5s;
  ScriptedGuest deaf, other;
  deaf.put("/there", "text");
  asio::io_context context;
  std::optional<OnContext> first(std::in_place, context, deaf.path());
  OnContext second(context, other.path());
  second.get<void>([](auto ga) { ga.ping(); });
  std::vector<qga::File> files = open_files(*first, 5);
  std::optional<qga::Frozen> frozen;
  if (frozen_too) frozen = first->get<qga::Frozen>([](auto ga) { ga.freeze(); });
  deaf.deafen();

  const Time start = qga::Clock::now();
  if (client_first) {
    first.reset();
  } else {
    files.clear();
    frozen.reset();
    first.reset();
  }
  second.get<void>([](auto ga) { ga.ping(); });
  CHECK(since(start) < 2s);
  second.client.reset();
  run_dry(context);
  CHECK(since(start) < most + tolerance);
  files.clear();
  frozen.reset();
  run_dry(context);
  CHECK(since(start) < most + tolerance);
}

TEST_CASE("deaf: the guards of a blocking client share one deadline", "[faults]") {
  const bool destroyed = GENERATE(false, true);
  CAPTURE(destroyed);
  ScriptedGuest guest;
  guest.put("/there", "text");
  Blocking ga(guest.path());
  std::vector<qga::File> files = open_files(ga, 5);
  guest.deafen();
  const Time start = qga::Clock::now();
  destroyed ? ga.end() : ga.close();
  CHECK(since(start) < 5s + tolerance);
  files.clear();
  CHECK(since(start) < 5s + tolerance);
}

TEMPLATE_TEST_CASE("deaf: open files do not hold up wait_ready", "[faults]", Blocking, Async) {
  const auto limit = GENERATE(1s, 2s);  // in which it connects once more
  CAPTURE(limit.count());
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  std::vector<qga::File> files = open_files(ga, 3);
  guest.deafen();
  const Time start = qga::Clock::now();
  const qga::Readiness ready = ga.wait_ready(limit);
  // What is left to be done in the background may take longer than the call.
  const auto took = std::is_same_v<TestType, Async> ? ready.waited : since(start);
  CHECK(ready.state == qga::ReadyState::silent);
  CHECK(took >= limit);
  CHECK(took < limit + 2s);
  guest.deafen(false);
}

TEMPLATE_TEST_CASE("deaf: the trace tells what a guard could not do", "[faults]", Blocking, Async) {
  Lines lines;
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  auto guest = std::make_unique<ScriptedGuest>();
  guest->put("/there", "text");
  TestType ga(guest->path(), std::move(params));
  SECTION("a file of a guest that does not listen") {
    std::optional<qga::File> file = ga.open("/there");
    guest->deafen();
    file.reset();
    ga.settle();
    CHECK(lines.noted("close"));
  }
  SECTION("a guest that refuses to thaw") {
    guest->on("guest-fsfreeze-thaw", script::fails("the hook failed"));
    std::optional<qga::Frozen> frozen = ga.freeze();
    frozen.reset();
    ga.settle();
    CHECK(lines.noted("thaw"));
  }
  SECTION("a guest that is gone") {
    std::optional<qga::Frozen> frozen = ga.freeze();
    guest.reset();
    frozen.reset();
    ga.settle();
    CHECK(lines.noted("thaw"));
  }
  SECTION("nothing where it did all it should") {
    {
      const qga::File file = ga.open("/there");
      const qga::Frozen frozen = ga.freeze();
    }
    ga.settle();
    CHECK_FALSE(lines.noted(""));
  }
}

TEST_CASE("deaf: a file that was not closed in time holds up no context afterwards", "[faults]") {
  ScriptedGuest guest;
  guest.put("/there", "text");
  qga::Client<> ga(guest.path(), {.timeout = brief});
  std::optional<qga::File> file = ga.open("/there");
  guest.mute();
  file.reset();  // no executor is known yet: this waits for the answer
  Answer<void> pinged;
  asio::io_context context;
  ga.async(asio::bind_executor(context, to(pinged))).ping();
  const Time start = qga::Clock::now();
  run_dry(context);
  CHECK(since(start) < 5s + tolerance);
  CHECK_THROWS_AS(pinged.get(), qga::TimeoutError);
}
