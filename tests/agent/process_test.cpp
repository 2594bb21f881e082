// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that are followed while they run: their output, input, end, signals and terminal.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "followed.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::ProcessOutput;
using qga::ProcessStream;

namespace process_test {

std::string all_bytes() {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  return bytes;
}

/// Whether a terminal has this text in it, whatever ends its lines.
bool has_line(const std::string& text, const std::string& line) {
  return text.find(line) != std::string::npos;
}

TEMPLATE_TEST_CASE("process: output arrives before the program ends", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program =
      agent.start(ga, "/bin/sh", shell_script("echo one; read x; echo two$x; echo err >&2"));
  const ProcessOutput first = program.read();
  CHECK(first.stream == ProcessStream::out);
  CHECK(first.bytes == "one\n");
  CHECK_FALSE(program.status().ended);
  CHECK(process_runs(program.process.pid()));
  CHECK(program.process.directory().empty());
  program.write("!\n");
  const Written rest = read_all(program);
  CHECK(rest.out == "two!\n");
  CHECK(rest.err == "err\n");
  CHECK(program.wait().exit_code == 0);
  CHECK_FALSE(program.read());
  agent.check_nothing_left();
  CHECK_THROWS_AS(ga.exec_status(program.process.pid()), qga::AgentError);
}

TEMPLATE_TEST_CASE("process: a byte a second is told byte by byte", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program =
      agent.start(ga, "/bin/sh", shell_script("for i in 1 2 3; do printf $i; sleep 1; done"));
  for (const char* const byte : {"1", "2", "3"}) CHECK(program.read().bytes == byte);
  CHECK_FALSE(program.read());
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: two outputs, or one of both", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  const std::string text = "i=0; while [ $i -lt 200 ]; do echo $i; echo $i >&2; i=$((i+1)); done";
  std::string numbers;
  std::string twice;
  for (int i = 0; i < 200; ++i) {
    numbers += std::to_string(i) + '\n';
    twice += std::to_string(i) + '\n' + std::to_string(i) + '\n';
  }
  auto apart = agent.start(ga, "/bin/sh", shell_script(text));
  const Written written = read_all(apart);
  CHECK(written.out == numbers);
  CHECK(written.err == numbers);
  auto params = shell_script(text);
  params.merge = true;
  auto merged = agent.start(ga, "/bin/sh", params);
  CHECK(read_all(merged).out == twice);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: bytes of every kind, in and out", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/cat");
  std::string bytes;
  for (int i = 0; i < 40; ++i) bytes += all_bytes();
  program.write(bytes);
  program.close_input();
  program.close_input();
  CHECK_THROWS_AS(program.write("x"), qga::RequestError);
  CHECK(read_all(program).out == bytes);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a program that never reads its input", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sleep", {.args = {"1000"}});
  const auto error = error_of<qga::ProgramError>(
      [&] { program.write(std::string(1 << 20, 'x'), {.timeout = 500ms}); });
  CHECK(error.code() == qga::err_timed_out);
  CHECK(error.pid() == program.process.pid());
  CHECK_FALSE(error.ended());
  CHECK_THROWS_AS(program.write(std::string(4000, 'x'), {.timeout = 100ms}), qga::TimeoutError);
  program.kill();
  CHECK(program.wait().signal == SIGKILL);
  CHECK_FALSE(program.read());
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: writes that are given up are there once or not at all", "[agent]",
                   Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh",
                             shell_script("while d=$(head -c 6000; echo .) && [ \"$d\" != . ]; do "
                                          "printf %s \"${d%.}\"; sleep 0.01; done"));
  constexpr std::size_t size = 2000;
  const auto record = [](int number) {
    std::string text = std::to_string(1'000'000 + number);
    text.resize(size - 1, 'r');
    return text + '\n';
  };
  std::vector<int> written;
  std::size_t given_up = 0;
  for (int number = 0; number < 300; ++number) {
    try {
      program.write(record(number),
                    {.timeout = std::chrono::microseconds(100 * (number % 20) + 50)});
      written.push_back(number);
    } catch (const qga::TimeoutError&) {
      ++given_up;
    }
  }
  CHECK(given_up > 0);
  CHECK(given_up < 300);
  program.close_input();
  const std::string out = read_all(program).out;
  REQUIRE(out.size() % size == 0);
  std::vector<int> arrived;
  for (std::size_t at = 0; at < out.size(); at += size) {
    const int number = std::stoi(out.substr(at, 7)) - 1'000'000;
    REQUIRE(out.substr(at, size) == record(number));
    if (!arrived.empty()) CHECK(arrived.back() < number);
    arrived.push_back(number);
  }
  CHECK(std::includes(arrived.begin(), arrived.end(), written.begin(), written.end()));
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a program that closes its input, and then ends", "[agent]", Blocking,
                   Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", shell_script("exec <&-; echo closed; sleep 1"));
  read_until(program, "closed\n");
  const auto error = error_of<qga::ProgramError>([&] { program.write(std::string(1 << 20, 'x')); });
  CHECK(error.err() == std::errc::broken_pipe);
  CHECK(error.ended());
  CHECK_FALSE(program.read());
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a grandchild that holds the outputs holds nothing up", "[agent]",
                   Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", shell_script("sleep 1000 & echo $!"));
  const std::string out = read_all(program).out;
  CHECK(program.wait().exit_code == 0);
  const std::int64_t grandchild = std::stoll(out);
  CHECK(process_runs(grandchild));
  ::kill(static_cast<pid_t>(grandchild), SIGKILL);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: one that has ended before anybody asks", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", shell_script("echo out; exit 3"));
  while (!agent.processes().empty()) std::this_thread::sleep_for(1ms);
  CHECK(program.wait().exit_code == 3);
  CHECK(program.status().exit_code == 3);
  CHECK(error_of<qga::ProgramError>([&] { program.kill(); }).err() == std::errc::no_such_process);
  CHECK(read_all(program).out == "out\n");
  auto unknown = agent.start(ga, "/bin/true");
  while (!agent.processes().empty()) std::this_thread::sleep_for(1ms);
  const auto error = error_of<qga::ProgramError>([&] { unknown.signal(SIGTERM); });
  CHECK(error.err() == std::errc::no_such_process);
  CHECK(error.ended());
  CHECK_FALSE(unknown.read());
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: exit codes, and signals", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  for (const int code : {0, 1, 126, 255}) {
    auto program = agent.start(ga, "/bin/sh", shell_script("exit " + std::to_string(code)));
    const qga::ProcessStatus status = program.wait();
    CHECK(status.ended);
    CHECK(status.exit_code == code);
    CHECK_FALSE(status.signal);
    CHECK_FALSE(program.read());
  }
  for (const int number : {SIGTERM, SIGKILL, SIGUSR2}) {
    auto program = agent.start(ga, "/bin/sh", shell_script("sleep 1000 & echo ready; sleep 1000"));
    read_until(program, "ready\n");
    program.signal(number);
    const qga::ProcessStatus status = program.wait();
    CHECK(status.signal == number);
    CHECK_FALSE(status.exit_code);
    CHECK_FALSE(program.read());
    agent.check_nothing_left();  // the child in the background has it, too
  }
}

TEMPLATE_TEST_CASE("process: environment, working directory and user", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto replaced = agent.start(ga, "/usr/bin/env", {.env = {{"A=b c"}}, .add_env = {"D=e"}});
  const std::string env = '\n' + read_all(replaced).out;
  for (const std::string& line : {std::string("A=b c"), std::string("D=e"), agent.mark()}) {
    CHECK(env.find('\n' + line + '\n') != env.npos);
  }
  CHECK(env.find("\nPATH=") == env.npos);
  auto added = agent.start(ga, "/bin/sh",
                           {.args = {"-c", "echo \"$PATH|$ADDED\""}, .add_env = {"ADDED=it's"}});
  const std::string out = read_all(added).out;
  CHECK(out.ends_with("|it's\n"));
  CHECK(out.size() > std::string("|it's\n").size());
  auto there = agent.start(ga, "/bin/pwd", {.cwd = "/usr"});
  CHECK(read_all(there).out == "/usr\n");
  CHECK_THROWS_AS(agent.start(ga, "/bin/pwd", {.cwd = "/no/such"}), qga::AgentError);
  CHECK_THROWS_AS(agent.start(ga, "/no/such"), qga::AgentError);
  CHECK_THROWS_AS(agent.start(ga, "/bin/true", {.user = "no-such-user"}), qga::AgentError);
  if (::geteuid() == 0) {
    auto nobody = agent.start(ga, "/usr/bin/id", {.args = {"-un"}, .user = "nobody"});
    CHECK(read_all(nobody).out == "nobody\n");
  }
  WARN("not tried: another user than the agent's, because the agent of tests is not root");
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a terminal", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto params = shell_script("test -t 0 && test -t 1 && echo $TERM; stty size; cat; stty size");
  params.terminal = qga::Terminal{.rows = 33, .columns = 111, .type = "vt100"};
  auto program = agent.start(ga, "/bin/sh", params);
  const std::string before = read_until(program, "33 111\r\n");
  CHECK(has_line(before, "vt100\r\n"));
  program.write("echo\n");
  read_until(program, "echo\r\necho\r\n");  // what was written, and what cat writes
  program.resize(44, 122);
  program.close_input();
  CHECK(has_line(read_all(program).out, "44 122\r\n"));
  CHECK(program.wait().exit_code == 0);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a terminal's Ctrl-C, and its sudden end", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto params = shell_script("echo ready; exec sleep 1000");
  params.terminal = qga::Terminal{};
  auto interrupted = agent.start(ga, "/bin/sh", params);
  read_until(interrupted, "ready\r\n");
  interrupted.write("\x03");
  CHECK(interrupted.wait().exit_code == 128 + SIGINT);
  read_all(interrupted);
  {
    auto dropped = agent.start(ga, "/bin/sh", params);
    read_until(dropped, "ready\r\n");
  }
  ga.settle();
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a program in a terminal that ignores its end is ended", "[agent]",
                   Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto params = shell_script("trap '' HUP TERM; echo ready; while :; do sleep 0.1; done");
  params.terminal = qga::Terminal{};
  SECTION("by its end here") {
    auto dropped = agent.start(ga, "/bin/sh", params);
    read_until(dropped, "ready\r\n");
  }
  SECTION("by kill") {
    auto killed = agent.start(ga, "/bin/sh", params);
    read_until(killed, "ready\r\n");
    killed.kill();
    CHECK(killed.wait().ended);
    read_all(killed);
  }
  ga.settle();
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: a call that is out of time loses nothing", "[agent]", Blocking,
                   Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto program =
      agent.start(ga, "/bin/sh", shell_script("for i in 1 2 3 4; do echo $i; sleep 0.3; done"));
  std::string out;
  std::size_t timeouts = 0;
  for (;;) {
    try {
      const ProcessOutput output = program.read({.timeout = 30ms});
      if (!output) break;
      out += output.bytes;
    } catch (const qga::TimeoutError&) {
      ++timeouts;
    }
  }
  CHECK(out == "1\n2\n3\n4\n");
  CHECK(timeouts > 0);
  auto asleep = agent.start(ga, "/bin/sleep", {.args = {"1000"}});
  CHECK_THROWS_AS(asleep.wait({.timeout = 50ms}), qga::TimeoutError);
  CHECK_THROWS_AS(asleep.read({.deadline = qga::Clock::now() + 50ms}), qga::TimeoutError);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  CHECK_THROWS_AS(asleep.read({.stop = stop.get_token()}), qga::CancelledError);
  CHECK_THROWS_AS(asleep.wait({.stop = stop.get_token()}), qga::CancelledError);
  CHECK_FALSE(asleep.status().ended);
  asleep.kill();
  CHECK(asleep.wait().signal == SIGKILL);
  CHECK_FALSE(asleep.read());
  agent.check_nothing_left();
}

// ---- run ---------------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("run tells output as it comes", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  const std::string seen = agent.put("seen", "");
  Written written;
  qga::RunParams params{.args = {"-c", "cat; echo err >&2; while ! [ -s " + seen +
                                           " ]; do sleep 0.01; done; echo last; exit 4"}};
  params.add_env = {agent.mark()};
  params.input = std::string(100 << 10, 'i');
  params.output = [&](ProcessStream stream, std::string_view bytes) {
    written.add({stream, std::string(bytes)});
    if (written.err == "err\n") agent.put("seen", "yes");  // the program waits for it
  };
  const qga::RunResult result = ga.run("/bin/sh", std::move(params));
  CHECK(result.exit_code == 4);
  CHECK(result.out.empty());
  CHECK(written.out == std::string(100 << 10, 'i') + "last\n");
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("run with a directory keeps output as it does without", "[agent]", Blocking,
                   Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  qga::RunParams params{
      .args = {"-c", "pwd; echo err >&2"}, .add_env = {agent.mark()}, .cwd = "/usr"};
  const qga::RunResult both = ga.run("/bin/sh", params);
  CHECK(both.out == "/usr\n");
  CHECK(both.err == "err\n");
  params.capture = false;
  CHECK(ga.run("/bin/sh", params).out.empty());
  params.args[1] = "head -c 16777300 /dev/zero";
  params.capture = true;
  const qga::RunResult cut = ga.run("/bin/sh", params);
  CHECK(cut.out.size() == (16 << 20));
  CHECK(cut.out_truncated == qga::Truncated::yes);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("run with output ends the program where it is to be killed", "[agent]", Blocking,
                   Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  qga::RunParams params{.args = {"-c", "echo ready; sleep 1000"},
                        .add_env = {agent.mark()},
                        .output = [](ProcessStream, std::string_view) {},
                        .kill = true};
  SECTION("it runs for too long") {
    params.timeout = 500ms;
    const auto error = error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", params); });
    CHECK(error.ended());
  }
  SECTION("the caller's time is over") {
    CHECK(error_of<qga::ProgramError>([&] {
            ga.with({.timeout = 500ms}).run("/bin/sh", params);
          }).ended());
  }
  SECTION("the function throws") {
    struct Mine {};
    params.output = [](ProcessStream, std::string_view) { throw Mine(); };
    CHECK_THROWS_AS(ga.run("/bin/sh", params), Mine);
  }
  ga.settle();
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("run with output leaves the program where it is not to be killed", "[agent]",
                   Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  const qga::RunParams params{.args = {"-c", "exec sleep 1000"},
                              .add_env = {agent.mark()},
                              .output = [](ProcessStream, std::string_view) {},
                              .timeout = 300ms};
  const auto error = error_of<qga::ProgramTimeoutError>([&] { ga.run("/bin/sh", params); });
  ga.end();
  CHECK_FALSE(error.ended());
  REQUIRE(process_runs(error.pid()));
  ::kill(static_cast<pid_t>(error.pid()), SIGKILL);
  agent.check_nothing_left();
}

}  // namespace process_test
