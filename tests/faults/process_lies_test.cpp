// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that is started and followed in a guest that lies: a wrong reply of every kind at each
// step, once, and replies that never come to an end. Every call ends in time, with a typed error
// or a result, and the client works afterwards.
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fate.hpp"
#include "faults.hpp"
#include "started_guest.hpp"

using namespace faults;
using qga::Process;

namespace process_lies {

/// Of each call.
constexpr auto limit = 200ms;

const std::vector<std::string> lies{
    "null",
    "5",
    "-1",
    "true",
    "\"x\"",
    "{}",
    "[]",
    "1e400",
    "9223372036854775808",
    "-9223372036854775808",
    R"({"pid": -1})",
    R"({"pid": 0})",
    R"({"pid": 9223372036854775807})",
    R"({"pid": "7"})",
    R"({"exited": true})",
    R"({"exited": false})",
    R"({"exited": 1})",
    R"({"exited": false, "exited": true, "exitcode": 0})",
    R"({"exited": true, "exitcode": -9223372036854775808})",
    R"({"exited": true, "exitcode": 0, "signal": -9})",
    R"({"exited": true, "exitcode": 0, "out-data": "QQ", "err-data": "!"})",
    R"({"exited": true, "exitcode": 1, "err-data": "G1sySg=="})",
    R"({"count": 0, "buf-b64": "", "eof": false})",
    R"({"count": 3, "buf-b64": "QUJD", "eof": true})",
    R"({"count": 4, "buf-b64": "QUJD", "eof": false})",
    R"({"count": -3, "buf-b64": "QUJD", "eof": false})",
    R"({"count": 3, "buf-b64": "QUJ", "eof": false})",
    R"({"count": 3, "buf-b64": "QU=D", "eof": false})",
    R"({"count": 3, "buf-b64": "QU\u0000D", "eof": false})",
    R"({"count": 9223372036854775807, "eof": false})",
    R"({"position": -1, "eof": true})",
    R"({"position": "0", "eof": false})",
};

template <class Way>
struct LiedTo {
  std::string name;
  std::function<void(typename Way::Program&)> use;
};

template <class Way>
std::vector<LiedTo<Way>> lied_to() {
  using Program = typename Way::Program;
  const auto called = [](auto method) {
    return [method](Program& program) { program.call(method, {.timeout = limit}); };
  };
  return {{"read",
           [](Program& program) {
             while (program.read({.timeout = limit})) {
             }
           }},
          {"write", called([](auto on) { return on.write("input"); })},
          {"close_input", called([](auto on) { return on.close_input(); })},
          {"wait", called([](auto on) { return on.wait(); })},
          {"status", called([](auto on) { return on.status(); })},
          {"kill", called([](auto on) { return on.kill(); })},
          {"resize", called([](auto on) { return on.resize(10, 20); })}};
}

/// The parameters for a call: only a terminal has a size.
qga::StartParams start_params(const std::string& call, StartedGuest& guest) {
  qga::StartParams params;
  if (call == "resize") {
    params.terminal = qga::Terminal();
    guest.err = "/dev/pts/9\n";
  }
  return params;
}

/// An error, if there is one, is of the library, and came in time.
void check_typed(const Fate& fate, qga::Clock::time_point start) {
  CHECK((!fate.error || fate.code));
  // A program that was sent is awaited for 5 s more, and cleaning up has 10 s.
  CHECK(qga::Clock::now() - start < limit + 15s + tolerance);
}

TEMPLATE_TEST_CASE("process: a lie at each step of its start", "[faults]", Blocking, Async) {
  const bool terminal = GENERATE(false, true);
  for (const std::string& lie : lies) {
    std::size_t step = 1;
    for (bool reached = true; reached; ++step) {
      StartedGuest guest;
      TestType ga(guest.path());
      ga.ping();
      guest.lie_at(step, lie);
      qga::StartParams params;
      if (terminal) params.terminal = qga::Terminal();
      Process started;
      const auto start = qga::Clock::now();
      const Fate fate =
          fate_of([&] { started = ga.with({.timeout = limit}).start("/bin/x", params); });
      const std::string command = guest.mend();
      reached = !command.empty();
      INFO("step " << step << ", " << command << " says " << lie << ": " << fate);
      check_typed(fate, start);
      started = Process();
      ga.settle();
      CHECK_NOTHROW(ga.ping());
    }
    CHECK(step > 8);
  }
}

TEMPLATE_TEST_CASE("process: a lie at each step of its use", "[faults]", Blocking, Async) {
  const bool has_ended = GENERATE(false, true);
  for (const auto& one : lied_to<TestType>()) {
    for (const std::string& lie : lies) {
      std::size_t step = 1;
      for (bool reached = true; reached; ++step) {
        if (!has_ended && (one.name == "read" || one.name == "wait") && step > 6) break;
        StartedGuest guest;
        guest.has_ended = has_ended;
        TestType ga(guest.path());
        std::optional<typename TestType::Program> program(
            std::in_place, ga, ga.start("/bin/x", start_params(one.name, guest)));
        guest.lie_at(step, lie);
        const auto start = qga::Clock::now();
        const Fate fate = fate_of([&] { one.use(*program); });
        const std::string command = guest.mend();
        reached = !command.empty();
        INFO(one.name << " at step " << step << ", " << command << " says " << lie << ": " << fate);
        check_typed(fate, start);
        program.reset();
        ga.settle();
        CHECK_NOTHROW(ga.ping());
      }
    }
  }
}

// ---- lies without an end -----------------------------------------------------------------------

/// What a guest says again and again about a command, and a call that has to end all the same.
struct Endless {
  std::string command;
  std::vector<std::string> replies;  ///< in turn
};

TEMPLATE_TEST_CASE("process: a guest that lies without an end", "[faults]", Blocking, Async) {
  const Endless endless =
      GENERATE(Endless{"guest-file-read", {R"({"count": 3, "buf-b64": "QUJD", "eof": false})"}},
               Endless{"guest-file-read", {R"({"count": 0, "buf-b64": "", "eof": false})"}},
               Endless{"guest-file-read",
                       {R"({"count": 3, "buf-b64": "QUJD", "eof": true})",
                        R"({"count": 0, "buf-b64": "", "eof": true})"}},
               Endless{"guest-file-read", {R"({"count": 9, "buf-b64": "QUJD", "eof": false})"}},
               Endless{"guest-exec-status", {R"({"exited": false})"}},
               Endless{"guest-exec-status", {R"({"exited": true})", R"({"exited": false})"}},
               Endless{"guest-file-seek", {R"({"position": 1, "eof": false})"}},
               Endless{"guest-file-open", {"31"}},
               Endless{"guest-file-write", {R"({"count": 1, "eof": false})"}});
  const bool has_ended = GENERATE(false, true);
  for (const auto& one : lied_to<TestType>()) {
    StartedGuest guest;
    guest.has_ended = has_ended;
    TestType ga(guest.path());
    std::optional<typename TestType::Program> program(
        std::in_place, ga, ga.start("/bin/x", start_params(one.name, guest)));
    guest.lie_always(endless.command, endless.replies);
    // A read without an end gives bytes without an end, each time in time.
    std::size_t reads = 0;
    const auto use = [&] {
      if (one.name != "read") return one.use(*program);
      while (++reads < 100 && program->read({.timeout = limit})) {
      }
    };
    const auto start = qga::Clock::now();
    const Fate fate = fate_of(use);
    INFO(one.name << ", " << endless.command << " says " << endless.replies.front() << ": "
                  << fate);
    check_typed(fate, start);
    program.reset();
    ga.settle();
    CHECK_NOTHROW(ga.ping());
  }
}

TEMPLATE_TEST_CASE("process: run with output ends by its time in a guest that lies", "[faults]",
                   Blocking, Async) {
  const std::string reply = GENERATE(std::string(R"({"count": 3, "buf-b64": "QUJD", "eof": true})"),
                                     std::string(R"({"count": 0, "buf-b64": "", "eof": true})"));
  const bool kill = GENERATE(false, true);
  StartedGuest guest;
  guest.lie_always("guest-file-read", {reply});
  TestType ga(guest.path());
  std::size_t bytes = 0;
  qga::RunParams params;
  params.output = [&](qga::ProcessStream, std::string_view some) { bytes += some.size(); };
  params.timeout = limit;
  params.kill = kill;
  const auto start = qga::Clock::now();
  const Fate fate = fate_of([&] { ga.run("/bin/x", params); });
  INFO(fate);
  CHECK(fate.is<qga::TimeoutError>());
  CHECK(fate.pid == StartedGuest::program);
  CHECK(qga::Clock::now() - start < limit + 10s + tolerance);
  CHECK_NOTHROW(ga.ping());
}

}  // namespace process_lies
