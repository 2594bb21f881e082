// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs of qga::testing::Agent that are started and followed: what a test can have them do, over
// time or by its own hand, and what goes wrong at every request. fake_agrees_test.cpp compares them
// with real ones.
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <asio/io_context.hpp>

#include "faults.hpp"
#include "followed.hpp"
#include "qga/client.hpp"
#include "qga/testing/agent.hpp"

using namespace faults;
using FakeAgent = qga::testing::Agent;
using qga::ProcessStream;
using qga::testing::Action;
using qga::testing::ProgramCall;
using qga::testing::ProgramResult;
using qga::testing::RunningProgram;

namespace {

void echo_input(RunningProgram& program) {
  program.on_input([](RunningProgram& me, std::string_view bytes) {
    bytes.empty() ? me.exit() : me.write(bytes);
  });
}

/// Uses a program in all usual ways.
template <class Way>
std::string use_cat(Way& ga, qga::Clock::duration limit = long_enough) {
  Followed cat(ga, "cat", {}, limit);
  cat.write("one\n");
  std::string seen = cat.read_bytes(4);
  cat.signal(28);
  cat.close_input();
  seen += cat.read_all().first;
  return seen + std::to_string(cat.wait().exit_code.value_or(-1));
}

/// Has one request end by a fault: the first, the second, and so on, until there are no more.
/// @param check gets what went wrong; empty: nothing
/// @param limit of each call
/// @return how many requests there are
template <class Way>
std::size_t break_each(const Action& fault,
                       const std::function<void(const std::string& error, RunningProgram*)>& check,
                       qga::Clock::duration limit = long_enough) {
  for (std::size_t broken = 0;; ++broken) {
    std::optional<RunningProgram> started;
    std::atomic<std::size_t> count = 0;  // also while the agent hears what was sent last
    std::atomic<bool> is_broken = false;
    FakeAgent agent;
    agent.guest().add_program("/bin/cat", [&](RunningProgram& program) {
      started = program;
      echo_input(program);
    });
    agent.intercept([&](const qga::testing::Request& request) -> std::optional<Action> {
      if (request.command.starts_with("guest-sync") || count++ != broken) return std::nullopt;
      is_broken = true;
      return fault;
    });
    std::string error;
    {
      Way ga(agent.path(), {.timeout = limit});
      try {
        if (use_cat(ga, limit) != "one\n0") error = "another result";
      } catch (const qga::GuestAgentError& wrong) {
        error = wrong.what();
      }
      ga.settle();
    }
    if (!is_broken) {
      CHECK(error.empty());
      return broken;
    }
    INFO("request " << broken << ", " << agent.commands().at(broken) << ": " << error);
    check(error, started ? &*started : nullptr);
    Way next(agent.path());
    CHECK(use_cat(next) == "one\n0");
  }
}

}  // namespace

TEMPLATE_TEST_CASE("fake process: programs that only have a result", "[faults]", Blocking, Async) {
  FakeAgent agent;
  std::size_t calls = 0;
  agent.guest().add_program("/bin/result", [&](const ProgramCall&) {
    ++calls;
    return ProgramResult{.exit_code = 3, .out = "out", .err = "err"};
  });
  agent.guest().add_program("/bin/for_ever", [](const ProgramCall&) {
    return ProgramResult{.out = "ready", .runs_for = qga::Clock::duration::max()};
  });
  agent.guest().add_program("/bin/slow", [](const ProgramCall& call) {
    return ProgramResult{.out = "got " + call.input, .signal = 11, .runs_for = brief};
  });
  agent.guest().add_program("/bin/throws", [](const ProgramCall& call) -> ProgramResult {
    throw std::runtime_error("no " + call.input);
  });
  TestType ga(agent.path());
  {
    Followed program(ga, "result");
    CHECK(program.read_all() == std::pair<std::string, std::string>("out", "err"));
    CHECK(program.wait().exit_code == 3);
    CHECK(calls == 1);
  }
  {
    Followed program(ga, "for_ever");
    CHECK(program.read_bytes(5) == "ready");
    CHECK_THROWS_AS(program.wait({.timeout = brief}), qga::TimeoutError);
    CHECK_FALSE(program.status().ended);
    program.signal(15);
    CHECK(program.wait().signal == 15);
  }
  {
    Followed program(ga, "slow");
    CHECK_FALSE(program.status().ended);  // it waits for its input
    program.write("some ");
    program.write("input");
    program.close_input();
    const auto start = qga::Clock::now();
    CHECK(program.read_all().first == "got some input");
    CHECK(program.wait().signal == 11);
    CHECK(qga::Clock::now() - start >= brief - 50ms);  // for the time of the request before
  }
  {
    Followed program(ga, "throws");
    program.write("way");
    program.close_input();
    CHECK(program.read_all().second == "no way");
    CHECK(program.wait().signal == 6);
  }
  CHECK(agent.guest().started_programs() == 0);
}

TEMPLATE_TEST_CASE("fake process: output over time", "[faults]", Blocking, Async) {
  FakeAgent agent;
  agent.guest().add_program("/usr/bin/make", [](RunningProgram& make) {
    make.write("compiling\n");
    make.after(60ms, [](RunningProgram& me) {
      me.write("a warning\n", ProcessStream::err);
      me.after(60ms, [](RunningProgram& later) {
        later.write("linking\n");
        later.exit(2);
        later.write("nothing more");
        later.after(1ms, [](RunningProgram&) { FAIL("it has ended"); });
      });
    });
  });
  agent.guest().add_program("/usr/bin/yes", [](RunningProgram& yes) {
    const auto again = [](const auto& self, RunningProgram& me) -> void {
      me.write("y\n");
      me.after(0ms, [self](RunningProgram& later) { self(self, later); });
    };
    again(again, yes);
  });
  TestType ga(agent.path());
  const auto start = qga::Clock::now();
  Followed make(ga, "make");
  std::vector<std::string> pieces;
  while (const qga::ProcessOutput output = make.read()) pieces.push_back(output.bytes);
  CHECK(pieces.size() >= 2);
  CHECK(pieces.front() == "compiling\n");
  CHECK(pieces.back() == "linking\n");
  CHECK(make.wait().exit_code == 2);
  CHECK(qga::Clock::now() - start >= 120ms);

  std::string seen;
  const auto result = ga.run("make", {.output = [&](ProcessStream stream, std::string_view bytes) {
                               if (stream == ProcessStream::out) seen += bytes;
                             }});
  CHECK(result.exit_code == 2);
  CHECK(seen == "compiling\nlinking\n");
  CHECK(ga.run("make").err == "a warning\n");  // without the scripts of `start`

  Followed yes(ga, "yes");
  CHECK(yes.read_bytes(20).starts_with("y\ny\ny\n"));
  yes.signal(9);
  CHECK(yes.wait().signal == 9);
}

TEMPLATE_TEST_CASE("fake process: in the hand of the test", "[faults]", Blocking, Async) {
  std::optional<RunningProgram> held;
  FakeAgent agent;
  agent.guest().add_program("/bin/tail", [&](RunningProgram& tail) { held = tail; });
  TestType ga(agent.path());
  {
    Followed program(ga, "tail", {.args = {"-f", "log"}});
    REQUIRE(held);
    CHECK(held->pid() == program.process().pid());
    CHECK(held->call().args == std::vector<std::string>{"-f", "log"});
    CHECK_FALSE(held->terminal());
    held->write("a line\n");
    CHECK(program.read().bytes == "a line\n");
    held->write("a mistake\n", ProcessStream::err);
    CHECK(program.read().stream == ProcessStream::err);
    CHECK(held->is_running());
    held->exit(5);
    CHECK_FALSE(held->is_running());
    CHECK_FALSE(program.read());
    CHECK(program.wait().exit_code == 5);
  }
  {
    const Followed program(ga, "tail");
    CHECK(held->is_running());
  }
  ga.settle();
  CHECK_FALSE(held->is_running());  // the end of the Process has ended it
  {
    Followed program(ga, "tail");
    program.process().release();
  }
  ga.settle();
  CHECK(held->is_running());
  agent.guest().restart();
  CHECK_FALSE(held->is_running());
}

TEMPLATE_TEST_CASE("fake process: how it was started", "[faults]", Blocking, Async) {
  std::optional<ProgramCall> call;
  FakeAgent agent;
  agent.guest().add_any_program([&](RunningProgram& program) {
    call = program.call();
    program.exit();
  });
  TestType ga(agent.path());
  Followed(ga, "/opt/it's", {.args = {"", "two\nlines"}});
  CHECK(call->path == "/opt/it's");
  CHECK(call->args == std::vector<std::string>{"", "two\nlines"});
  CHECK(call->env.empty());
  CHECK(call->inherits_env);
  CHECK(call->cwd == "/");
  CHECK(call->user.empty());
  CHECK_FALSE(call->has_terminal);
  CHECK_FALSE(call->merges_output);

  Followed(ga, "x", {.env = {{"A=1", "B=2"}}, .add_env = {"A=3"}, .cwd = "/srv", .user = "web"});
  CHECK(call->variable("A") == "3");
  CHECK(call->variable("B") == "2");
  CHECK_FALSE(call->variable("C"));
  CHECK_FALSE(call->inherits_env);
  CHECK(call->cwd == "/srv");
  CHECK(call->user == "web");

  Followed(ga, "x", {.terminal = qga::Terminal{10, 20, "vt52"}});
  CHECK(call->has_terminal);
  CHECK(call->variable("TERM") == "vt52");

  ga.run("x", {.add_env = {"D=4"}, .cwd = "/home", .user = "me", .input = "all of it"});
  CHECK(call->variable("D") == "4");
  CHECK(call->inherits_env);
  CHECK(call->cwd == "/home");
  CHECK(call->user == "me");
  CHECK(call->input == "all of it");
  ga.run("x", {.env = {{"E=5"}}, .input = "input"});
  CHECK(call->variable("E") == "5");
  CHECK_FALSE(call->inherits_env);
  CHECK("the " + call->input == "the input");
}

TEMPLATE_TEST_CASE("fake process: what a function throws ends its program", "[faults]", Blocking,
                   Async) {
  FakeAgent agent;
  agent.guest().add_program("/bin/input", [](RunningProgram& program) {
    program.on_input([](RunningProgram&, std::string_view bytes) {
      throw std::runtime_error("bad input: " + std::string(bytes));
    });
  });
  agent.guest().add_program("/bin/whole", [](RunningProgram& program) {
    program.write(program.call().input.str());
    program.exit();
  });
  TestType ga(agent.path());
  Followed input(ga, "input");
  input.write("x");
  CHECK(input.read_all().second == "bad input: x");
  CHECK(input.wait().signal == 6);

  CHECK(ga.run("whole", {.input = "all"}).out == "all");
  Followed whole(ga, "whole");
  CHECK(whole.read_all().second ==
        "the input is not complete: read it by RunningProgram::on_input");
  CHECK(whole.wait().signal == 6);
}

TEMPLATE_TEST_CASE("fake process: a raw terminal", "[faults]", Blocking, Async) {
  FakeAgent agent;
  agent.guest().add_program("/bin/vi", [](RunningProgram& vi) {
    vi.set_raw(true);
    vi.on_input([](RunningProgram& me, std::string_view keys) {
      me.write("<" + std::string(keys) + ">\n");
      if (keys == "q") me.end_by_signal(15);
    });
    vi.on_signal([](RunningProgram& me, int number) {
      const auto [rows, columns, type] = me.terminal().value();
      me.write(std::to_string(number) + ' ' + std::to_string(rows) + ' ' + std::to_string(columns));
    });
  });
  TestType ga(agent.path());
  Followed vi(ga, "vi", {.terminal = qga::Terminal{}});
  vi.write("\x03");
  CHECK(vi.read_bytes(4) == "<\x03>\n");
  vi.resize(50, 132);
  CHECK(vi.read_bytes(9) == "28 50 132");
  vi.write("q");
  CHECK(vi.read_all().first == "<q>\n");
  CHECK(vi.wait().exit_code == 128 + 15);
}

TEMPLATE_TEST_CASE("fake process: a frozen guest starts nothing", "[faults]", Blocking, Async) {
  FakeAgent agent;
  agent.guest().add_program("/bin/cat", echo);
  agent.guest().set_frozen(true);
  TestType ga(agent.path());
  CHECK_THROWS_AS(ga.start("cat"), qga::CommandNotFoundError);
  agent.guest().set_frozen(false);
  CHECK(use_cat(ga) == "one\n0");
}

TEMPLATE_TEST_CASE("fake process: what fails at each request", "[faults]", Blocking, Async) {
  std::size_t errors = 0;
  const auto fails = qga::testing::fails("out of order");
  const std::size_t requests = break_each<TestType>(fails, [&](const auto& error, auto* program) {
    if (!error.empty()) ++errors;
    // Only where the agent says that a flush has failed which it never tried, input comes twice.
    CHECK((error.empty() || error.find("out of order") != error.npos || error == "another result"));
    if (program != nullptr) CHECK_FALSE(program->is_running());
  });
  // Where the file below /proc cannot be opened, the status tells the end, for example.
  CHECK(errors > requests / 2);
  CHECK(errors < requests);
}

TEMPLATE_TEST_CASE("fake process: delays at each request", "[faults]", Blocking, Async) {
  const auto slow = qga::testing::in_order(qga::testing::waits(20ms), qga::testing::carries_out());
  const std::size_t requests = break_each<TestType>(slow, [&](const auto& error, auto* program) {
    CHECK(error.empty());
    CHECK((program != nullptr && !program->is_running()));
  });
  CHECK(requests > 20);
}

TEMPLATE_TEST_CASE("fake process: the guest goes away at each request", "[faults]", Blocking,
                   Async) {
  std::size_t errors = 0;
  std::size_t left_running = 0;
  const std::size_t requests =
      break_each<TestType>(qga::testing::disconnects(), [&](const auto& error, auto* program) {
        if (!error.empty()) ++errors;
        if (program != nullptr && program->is_running()) ++left_running;
      });
  CHECK(errors + 3 >= requests);  // the last ones close the files of a program that has ended
  CHECK(left_running > 0);        // there is no way to end it then
}

TEMPLATE_TEST_CASE("fake process: a reply that is lost at each request", "[faults]", Blocking,
                   Async) {
  std::size_t errors = 0;
  const std::size_t requests = break_each<TestType>(
      qga::testing::loses_reply(),
      [&](const auto& error, auto* program) {
        if (!error.empty()) ++errors;
        if (program != nullptr) CHECK_FALSE(program->is_running());
      },
      brief);
  CHECK(errors > requests / 2);
}

TEST_CASE("fake process: an agent and a client on one thread", "[faults]") {
  Answer<qga::Process> started;
  Answer<qga::ProcessOutput> output;
  Answer<void> written, closed;
  Answer<qga::ProcessStatus> ended;
  asio::io_context context;
  FakeAgent agent(context);
  agent.guest().add_program("/bin/cat", echo);
  qga::Client ga(agent.connect(context));
  ga.async(to(started)).start("cat");
  run_until(context, [&] { return started.times > 0; });
  qga::Process cat = started.get();
  cat.async(to(output)).read();  // it waits for what is written meanwhile
  cat.async(to(written)).write("hello");
  run_until(context, [&] { return output.times > 0 && written.times > 0; });
  CHECK(output.get().bytes == "hello");
  cat.async(to(closed)).close_input();
  cat.async(to(ended)).wait();
  run_until(context, [&] { return closed.times > 0 && ended.times > 0; });
  CHECK(ended.get().exit_code == 0);
}
