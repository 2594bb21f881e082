// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that is started and followed, broken and stopped at each of its steps: the error, what
// is known beside it, and that nothing is left where the guest can still be reached.
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fate.hpp"
#include "faults.hpp"
#include "started_guest.hpp"

using namespace faults;
using qga::Process;

namespace process_failures {

constexpr auto silence = 300ms;

/// A use of a program, which throws where its result is not the right one.
template <class Way>
struct Use {
  std::string name;
  std::function<void(typename Way::Program&, qga::CallOptions)> use;
};

void expect(bool right) {
  if (!right) throw std::logic_error("a wrong result");
}

template <class Way>
std::vector<Use<Way>> uses() {
  using Program = typename Way::Program;
  using Options = qga::CallOptions;
  return {
      {"read",
       [](Program& program, Options options) {
         std::string got;
         while (const qga::ProcessOutput output = program.read(options)) got += output.bytes;
         expect(got == "output");
       }},
      {"write", [](Program& program, Options options) { program.write("input", options); }},
      {"close_input",
       [](Program& program, Options options) {
         program.call([](auto on) { return on.close_input(); }, options);
       }},
      {"wait",
       [](Program& program, Options options) { expect(program.wait(options).exit_code == 0); }},
      {"status",
       [](Program& program, Options options) {
         program.call([](auto on) { return on.status(); }, options);
       }},
      {"kill", [](Program& program,
                  Options options) { program.call([](auto on) { return on.kill(); }, options); }},
  };
}

/// Nothing is left in a guest that answers.
void check_nothing_left(const StartedGuest& guest) {
  const auto deadline = qga::Clock::now() + 10s;
  while ((guest.handles() > 0 || guest.has_directory() || guest.runs()) &&
         qga::Clock::now() < deadline) {
    std::this_thread::sleep_for(1ms);
  }
  CHECK(guest.handles() == 0);
  CHECK_FALSE(guest.has_directory());
  CHECK_FALSE(guest.runs());
}

/// A silent answer that is awaited for 10 s more, so that it would take too long here.
bool is_awaited(const std::string& command, Fault fault) {
  return fault == Fault::silent && command == "guest-exec";
}

TEMPLATE_TEST_CASE("process: starting it is broken at each step", "[faults]", Blocking, Async) {
  const Fault fault = GENERATE(Fault::closed, Fault::refused, Fault::silent, Fault::bad);
  std::size_t step = 1;
  for (bool reached = true; reached; ++step) {
    StartedGuest guest;
    TestType ga(guest.path());
    ga.ping();
    guest.break_at(step, fault);
    qga::CallOptions options;
    if (fault == Fault::silent) options.timeout = silence;
    Process started;  // which is to end when nothing breaks any more
    const Fate fate = fate_of([&] { started = ga.with(options).start("/bin/x"); });
    const std::string command = guest.mend();
    reached = !command.empty();
    INFO("step " << step << ", " << command << " " << fault << ": " << fate);
    if (fate.error) {
      CHECK(reached);
      CHECK((is_expected(fate, fault) || fate.says("timed out")));
      CHECK(fate.outcome);
    }
    started = Process();
    ga.settle();
    if (fault != Fault::closed && !is_awaited(command, fault)) check_nothing_left(guest);
    ga.end();
  }
  CHECK(step > 8);
}

TEMPLATE_TEST_CASE("process: following it is broken at each step", "[faults]", Blocking, Async) {
  const Fault fault = GENERATE(Fault::closed, Fault::refused, Fault::silent, Fault::bad);
  const bool has_ended = GENERATE(false, true);
  const auto all = uses<TestType>();
  for (const auto& one : all) {
    if (!has_ended && (one.name == "read" || one.name == "wait")) continue;
    std::size_t step = 1;
    for (bool reached = true; reached; ++step) {
      StartedGuest guest;
      guest.has_ended = has_ended;
      TestType ga(guest.path());
      std::optional<typename TestType::Program> program(std::in_place, ga, ga.start("/bin/x"));
      guest.break_at(step, fault);
      qga::CallOptions options;
      if (fault == Fault::silent) options.timeout = silence;
      const Fate fate = fate_of([&] { one.use(*program, options); });
      const std::string command = guest.mend();
      reached = !command.empty();
      INFO(one.name << " at step " << step << ", " << command << " " << fault << ": " << fate);
      if (fate.error && reached) {
        CHECK(is_expected(fate, fault));
        CHECK(fate.pid == StartedGuest::program);
      }
      CHECK_FALSE(fate.says("a wrong result"));
      if (!fate.error || fault == Fault::closed) {
        // It has the right result, or nobody can be asked.
      } else if (one.name == "read") {
        // The next call goes on without loss.
        std::string rest;
        while (const qga::ProcessOutput output = program->read()) rest += output.bytes;
        CHECK(std::string("output").ends_with(rest));
      }
      program.reset();
      ga.settle();
      if (fault != Fault::closed && !is_awaited(command, fault)) check_nothing_left(guest);
      ga.end();
    }
  }
}

TEMPLATE_TEST_CASE("process: a stop at each step", "[faults]", Blocking, Async) {
  const auto all = uses<TestType>();
  const std::size_t number = GENERATE(range(std::size_t{0}, std::size_t{7}));
  const bool starts = number == all.size();
  std::size_t step = 1;
  for (bool reached = true; reached; ++step) {
    StartedGuest guest;
    guest.has_ended = true;
    TestType ga(guest.path());
    ga.ping();
    std::stop_source stop;
    const auto act = [&] { stop.request_stop(); };
    std::optional<typename TestType::Program> program;
    if (!starts) program.emplace(ga, ga.start("/bin/x"));
    guest.break_at(step, {}, act);
    const qga::CallOptions options{.stop = stop.get_token()};
    Process started;
    const Fate fate = fate_of([&] {
      if (!starts) return all[number].use(*program, options);
      started = ga.with(options).start("/bin/x");
    });
    const std::string command = guest.mend();
    reached = !command.empty();
    INFO((starts ? "start" : all[number].name)
         << " at step " << step << ", " << command << ": " << fate);
    // A program that has ended cannot be written to or killed.
    if (fate.error) CHECK((fate.is<qga::CancelledError>() || fate.is<qga::AgentError>()));
    CHECK_FALSE(fate.says("a wrong result"));
    program.reset();
    started = Process();
    ga.settle();
    check_nothing_left(guest);
    ga.end();
  }
  CHECK(step > 2);
}

TEMPLATE_TEST_CASE("process: an agent that falls silent", "[faults]", Blocking, Async) {
  StartedGuest guest;
  TestType ga(guest.path());
  std::optional<typename TestType::Program> program(std::in_place, ga, ga.start("/bin/x"));
  guest.mute();
  CHECK(error_at_deadline<qga::ProgramError>([&] { program->read({.timeout = brief}); }).code() ==
        qga::err_timed_out);
  CHECK(error_at_deadline<qga::ProgramError>([&] { program->wait({.timeout = brief}); }).code() ==
        qga::err_timed_out);
  CHECK(error_at_deadline<qga::ProgramError>([&] {
          program->write("x", {.timeout = brief});
        }).code() == qga::err_timed_out);
  const auto start = qga::Clock::now();
  program.reset();
  ga.end();
  CHECK(qga::Clock::now() - start < 5s + tolerance);
}

TEMPLATE_TEST_CASE("process: a full input ends by its time, and then the program can be killed",
                   "[faults]", Blocking, Async) {
  StartedGuest guest;
  guest.full = true;
  TestType ga(guest.path());
  typename TestType::Program program(ga, ga.start("/bin/x"));
  error_at_deadline<qga::ProgramError>([&] { program.write("x", {.timeout = brief}); });
  program.kill();
  CHECK(program.wait().ended);
}

TEMPLATE_TEST_CASE("process: a guest that says nonsense when it starts", "[faults]", Blocking,
                   Async) {
  const std::string setup = GENERATE(
      std::string(), std::string("Linux"), std::string("\n\n\n\n\n"), std::string(1 << 20, '\n'),
      std::string("Linux\n") + std::string(1 << 20, 'x') + "\n$(rm -rf /)\n';\n",
      std::string("\0\xff\n", 3));
  StartedGuest guest;
  guest.setup = setup;
  {
    TestType ga(guest.path());
    typename TestType::Program program(ga, ga.start("/bin/x"));
    CHECK(program.read().bytes == "output");
    program.kill();
    CHECK(program.wait().ended);
    CHECK_FALSE(program.read());
    ga.settle();
    check_nothing_left(guest);
  }
}

}  // namespace process_failures
