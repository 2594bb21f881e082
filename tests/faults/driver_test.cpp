// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What drives a client gives everybody theirs: a thread that reads the answer of another one's call
// hands it over, a handler that throws harms nobody else's operation, and whoever waits does not
// keep a processor busy.
#include <atomic>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <fcntl.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include "ended.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

struct HandlerFailed : std::runtime_error {
  HandlerFailed() : std::runtime_error("from a handler") {}
};

/// Answers two requests in one go, once the second is there.
class AnswersBoth {
 public:
  /// @param does what the first request has to do in the guest, without an answer
  script::Action first(script::Action does = script::nothing()) {
    return [this, does](const Heard& heard) {
      id_ = heard.id;
      return does;
    };
  }
  script::Action second(const std::string& of_first, const std::string& of_second) {
    return [this, of_first, of_second](const Heard& heard) {
      return script::says("{\"return\": " + of_first + ", \"id\": " + id_ + "}\n" +
                          "{\"return\": " + of_second + ", \"id\": " + heard.id + "}\n");
    };
  }

 private:
  std::string id_;  ///< used by the thread of the agent only
};

}  // namespace

TEST_CASE("driver: a file ends on one thread while another one makes a call", "[faults]") {
  AnswersBoth both;
  ScriptedGuest guest;
  guest.put("/there", "text");
  Blocking ga(guest.path());
  std::optional<qga::File> file = ga.open("/there");
  guest.on("guest-file-close", both.first(guest.loses_its_answer()));
  guest.on("guest-get-host-name",
           script::all(script::waits(50ms), both.second("{}", R"({"host-name": "both"})")));
  const auto start = qga::Clock::now();
  {
    std::jthread other([&] { file.reset(); });
    wait_until([&] { return guest.executed("guest-file-close") > 0; });
    CHECK(ga.get_host_name() == "both");
  }
  // The call may have to wait for the file, which waits for 5 s at most.
  CHECK(qga::Clock::now() - start < 5s + tolerance);
  guest.on("guest-get-host-name", guest.behaves());
  CHECK(ga.get_host_name() == "fake-guest");
}

TEST_CASE("driver: a handler that throws on a strand ends nothing but its own call", "[faults]") {
  AnswersBoth both;
  ScriptedGuest guest;
  guest.put("/there", std::string(1000, 'a'));
  guest.once("guest-file-open", both.first(guest.loses_its_answer()));
  guest.once("guest-get-host-name", both.second("1000", R"({"host-name": "both"})"));
  Answer<std::string> read;
  asio::io_context context;
  const auto strand = asio::make_strand(context);
  qga::Client<> ga(context, patient());
  ga.connect(guest.path());
  ga.async(asio::bind_executor(strand, to(read))).read_file("/there");
  bool succeeded = false;
  ga.async(asio::bind_executor(strand,
                               [&](std::exception_ptr error, std::string) {
                                 succeeded = error == nullptr;
                                 throw HandlerFailed();
                               }))
      .get_host_name();
  int thrown = 0;
  const auto deadline = qga::Clock::now() + long_enough;
  while (qga::Clock::now() < deadline && !(thrown > 0 && read.times > 0)) {
    try {
      context.restart();
      context.run_for(10ms);
    } catch (const HandlerFailed&) {
      ++thrown;
    }
  }
  CHECK(succeeded);
  CHECK(thrown == 1);
  CHECK(read.get() == std::string(1000, 'a'));
  run_dry(context);
  CHECK(guest.handles() == 0);
}

TEST_CASE("driver: a stopped run idles until its program is dead", "[faults]") {
  std::atomic<bool> dead = false;
  ScriptedGuest guest;
  guest.on("guest-exec-status", [&](const Heard&) {
    return script::returns(dead ? R"({"exited": true, "signal": 9})" : R"({"exited": false})");
  });
  qga::Client<> client(guest.path(), patient());
  StopBlocking way;
  std::jthread dying;
  const Ending ending = ending_of(
      [&] { way.call(client, {}, [](auto&& ga) { return ga.run("/forever", {.kill = true}); }); },
      [&] { return guest.executed("guest-exec-status") > 1; },
      [&] {
        way.end();
        dying = std::jthread([&] {
          std::this_thread::sleep_for(3s);
          dead = true;
        });
      },
      [&] { guest.on("guest-exec-status", script::hangs_up()); });
  INFO(ending.text());
  CHECK_FALSE(ending.hung);
  CHECK(ending.is<qga::CancelledError>());
  CHECK(idles(ending));
}

TEST_CASE("driver: a descriptor that cannot be waited for ends an asynchronous call", "[faults]") {
  Answer<void> answer;
  asio::io_context context;
  auto ga = qga::Client<>::from_handle(::open("/dev/null", O_RDWR | O_CLOEXEC), patient());
  const auto start = qga::Clock::now();
  const auto processor = processor_time();
  ga.async(asio::bind_executor(context, to(answer)), {.timeout = 10s}).ping();
  run_dry(context);
  CHECK(qga::Clock::now() - start < tolerance);
  CHECK(processor_time() - processor < tolerance / 2);
  CHECK_THROWS_AS(answer.get(), qga::UnreachableError);
}
