// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A client that connects to another guest does nothing there that was meant for the first one: what
// is under way ends, and guards act on the guest that they are of. Both guests hand out the same
// handles and process ids.
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include "fate.hpp"
#include "faults.hpp"
#include "lines.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

using Told = std::vector<std::string>;

/// The commands that a guest has heard, but for handshakes.
Told told(const ScriptedGuest& guest) {
  Told commands;
  for (const Heard& heard : guest.executed()) {
    if (heard.command == "guest-ping" || heard.command.starts_with("guest-sync")) continue;
    commands.push_back(heard.command);
  }
  return commands;
}

/// A client on a context, which leaves guest one for guest two.
struct Mover {
  explicit Mover(qga::ClientParams params = patient()) : ga(context, std::move(params)) {
    ga.connect(one.path());
  }

  template <class Result>
  auto handler(Answer<Result>& answer) {
    return asio::bind_executor(context, to(answer));
  }
  template <class Done>
  void run_while_waiting(Done done) {
    wait_until([&] {
      context.restart();
      context.poll();
      return done();
    });
  }
  /// Runs until guest one has heard a command.
  void run_until_told(const std::string& command) {
    run_while_waiting([&] { return one.executed(command) > 0; });
  }
  /// Runs until guest one has answered a command, and for a moment of the pause that follows.
  void run_into_pause_behind(const std::string& command) {
    run_until_told(command);
    context.restart();
    context.run_for(50ms);
  }
  /// Connects to guest two.
  void move_on() {
    before = told(two);
    if (asynchronous) {
      Answer<void> connected;
      ga.async_connect(asio::local::stream_protocol::endpoint(two.path()), handler(connected));
      run_while_waiting([&] { return connected.times > 0; });
      connected.get();
    } else {
      ga.connect(two.path());
    }
  }

  const bool asynchronous = GENERATE(false, true);  ///< how it connects
  ScriptedGuest one, two;
  Told before;  ///< what guest two had heard, from others
  asio::io_context context;
  qga::Client<> ga;
};

}  // namespace

TEMPLATE_TEST_CASE("another guest: a guard thaws the one that it froze", "[faults]", Blocking,
                   Async) {
  const bool used = GENERATE(false, true);
  CAPTURE(used);
  ScriptedGuest one, two;
  Blocking(two.path()).fsfreeze_freeze();  // by somebody whose snapshot is under way
  TestType ga(one.path());
  std::optional<qga::Frozen> frozen = ga.freeze();
  ga.connect(two.path());
  if (used) ga.ping();
  SECTION("when it is destroyed") {}
  SECTION("although the client was asked to thaw") {
    try {
      static_cast<void>(ga.thaw(*frozen));
      CHECK_FALSE(one.frozen());
    } catch (const qga::RequestError&) {  // the guard is not of this connection
    }
  }
  frozen.reset();
  ga.settle();
  wait_until([&] { return !one.frozen(); });
  CHECK(one.thaws() == 1);
  CHECK(two.frozen());
  CHECK(told(two) == Told{"guest-fsfreeze-freeze"});
  CHECK(ga.is_open());
  ga.ping();
}

TEST_CASE("another guest: it is not frozen for long by a blocking client", "[faults]") {
  ScriptedGuest one, two;
  Blocking ga(one.path());
  std::optional<qga::Frozen> frozen = ga.freeze();
  ga.connect(two.path());
  frozen.reset();
  CHECK_FALSE(one.frozen());  // already
  CHECK(told(two) == Told());
}

TEST_CASE("another guest: a program that runs is not looked for in it", "[faults]") {
  Answer<qga::RunResult> answer;
  Mover mover;
  CAPTURE(mover.asynchronous);
  Blocking(mover.two.path()).exec("/forever");  // somebody else's, with the same process id
  mover.ga.async(mover.handler(answer)).run("/forever", {.timeout = 10s, .kill = true});
  mover.run_into_pause_behind("guest-exec-status");
  mover.move_on();
  run_dry(mover.context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  CHECK(told(mover.two) == mover.before);
}

TEST_CASE("another guest: its figures are not compared with those of the first", "[faults]") {
  Answer<qga::Usage> answer;
  Mover mover;
  CAPTURE(mover.asynchronous);
  mover.ga.async(mover.handler(answer)).usage(1s);
  mover.run_into_pause_behind("guest-get-load");
  mover.move_on();
  run_dry(mover.context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  CHECK(told(mover.two) == mover.before);
}

TEST_CASE("another guest: a transfer leaves its files alone", "[faults]") {
  Answer<qga::TransferResult> answer;
  std::ostringstream nowhere;
  Mover mover;
  CAPTURE(mover.asynchronous);
  mover.one.put("/etc/app.conf", std::string(1 << 20, 'x'));
  mover.two.put("/etc/app.conf", "precious");
  Blocking(mover.two.path()).file_open("/etc/app.conf", "r");  // somebody else's, the same handle
  SECTION("an upload") {
    mover.one.on("guest-file-write", script::nothing());
    mover.ga.async(mover.handler(answer)).write_file("/etc/app.conf", std::string(1 << 20, 'y'));
    mover.run_until_told("guest-file-write");
  }
  SECTION("a download") {
    mover.one.on("guest-file-read", script::nothing());
    mover.ga.async(mover.handler(answer)).download("/etc/app.conf", nowhere);
    mover.run_until_told("guest-file-read");
  }
  mover.move_on();
  run_dry(mover.context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  CHECK(mover.two.get("/etc/app.conf") == "precious");
  CHECK(mover.two.handles() == 1);
  CHECK(told(mover.two) == mover.before);
}

TEST_CASE("another guest: work that connects to it leaves the first one thawed", "[faults]") {
  Answer<qga::ThawResult> answer;
  ScriptedGuest one, two;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(one.path());
  ga.async(asio::bind_executor(context, to(answer))).while_frozen([&] { ga.connect(two.path()); });
  run_dry(context);
  wait_until([&] { return !one.frozen(); });
  CHECK(one.thaws() == 1);
  CHECK(told(two) == Told());
  REQUIRE(answer.times == 1);
  const Fate fate = fate_of(answer.error);
  INFO(fate);
  // Nobody is told that nothing was frozen.
  CHECK((fate.is<qga::GuestAgentError>() || answer.value->count == 2));
}

TEST_CASE("another guest: a file that was opened before is none of its files", "[faults]") {
  Lines lines;
  Answer<qga::File> answer;
  asio::io_context handlers;  // which do not run until the client has moved on
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  Mover mover(std::move(params));
  CAPTURE(mover.asynchronous);
  mover.one.put("/there", "one");
  mover.two.put("/there", "two");
  Blocking(mover.two.path()).file_open("/there");  // somebody else's, the same handle
  mover.ga.async(asio::bind_executor(handlers, to(answer))).open("/there");
  mover.run_while_waiting([&] {
    if (mover.one.handles() == 0) handlers.poll();
    handlers.restart();
    return lines.received("\"return\": 1000,");
  });
  REQUIRE(answer.times == 0);
  mover.move_on();
  mover.run_while_waiting([&] {
    handlers.restart();
    handlers.poll();
    return answer.times > 0;
  });

  std::optional<qga::File> file;
  if (answer.error) {
    CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  } else {
    file = answer.get();
    CHECK_THROWS_AS(mover.ga.read(*file, 3), qga::RequestError);
  }
  file.reset();
  run_dry(mover.context);
  CHECK(mover.two.handles() == 1);
  CHECK(told(mover.two) == mover.before);
}
