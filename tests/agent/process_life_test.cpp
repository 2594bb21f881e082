// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Who owns a program that was started: its `Process`, its calls, its client and its connection end
// in any order, and nothing is left but what was to be left.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>
#include <asio/basic_stream_socket.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include "followed.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using qga::Process;
using qga::ProcessOutput;

namespace process_life {

const qga::StartParams sleeper = shell_script("echo ready; sleep 1000 & exec sleep 1000");

template <class Token>
auto on(asio::io_context& context, Token&& token) {
  return asio::bind_executor(context, std::forward<Token>(token));
}

TEMPLATE_TEST_CASE("process: destroying it ends the whole session", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  std::optional program(agent.start(ga, "/bin/sh", sleeper));
  read_until(*program, "ready\n");
  while (agent.processes().size() < 2) std::this_thread::sleep_for(1ms);
  SECTION("destroyed") { program.reset(); }
  SECTION("replaced by another") {
    program->process = Process();
    CHECK(program->process.pid() == 0);
  }
  SECTION("its client is closed") { ga.close(); }
  SECTION("its client is destroyed") { ga.end(); }
  ga.settle();
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: released, it goes on", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  std::int64_t pid = 0;
  {
    auto program = agent.start(ga, "/bin/sleep", {.args = {"1000"}});
    pid = program.process.pid();
    program.process.release();
  }
  ga.end();
  REQUIRE(process_runs(pid));
  while (!agent.directories().empty()) std::this_thread::sleep_for(1ms);  // its script has begun
  ::kill(static_cast<pid_t>(pid), SIGKILL);
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: left behind, it goes on, and its output stays", "[agent]", Blocking,
                   Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  auto params = shell_script("echo one; while ! [ -e " + agent.file("go") +
                             " ]; do sleep 0.01; done; echo two");
  params.leave_behind = true;
  std::string directory;
  SECTION("without its process") {
    {
      auto program = agent.start(ga, "/bin/sh", params);
      read_until(program, "one\n");
      directory = program.process.directory();
    }
    ga.settle();
    CHECK(agent.processes().size() >= 1);
    CHECK(std::filesystem::exists(directory + "/out"));
    agent.put("go", "");
    while (!agent.processes().empty()) std::this_thread::sleep_for(1ms);
    CHECK(ga.read_file(directory + "/out") == "one\ntwo\n");
    std::filesystem::remove_all(directory);
  }
  SECTION("read to its end, it leaves nothing") {
    auto program = agent.start(ga, "/bin/sh", params);
    CHECK_FALSE(program.process.directory().empty());
    agent.put("go", "");
    CHECK(read_all(program).out == "one\ntwo\n");
    CHECK(program.process.directory().empty());
  }
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: without a program every call is refused", "[agent]", Blocking, Async) {
  const FollowedAgent agent;
  TestType ga(agent.path());
  const auto check_refused = [&](typename TestType::Program& none) {
    CHECK(none.process.pid() == 0);
    CHECK(none.process.directory().empty());
    none.process.release();
    CHECK_THROWS_AS(none.read(), qga::ConnectError);
    CHECK_THROWS_AS(none.write("x"), qga::ConnectError);
    CHECK_THROWS_AS(none.close_input(), qga::ConnectError);
    CHECK_THROWS_AS(none.status(), qga::ConnectError);
    CHECK_THROWS_AS(none.wait(), qga::ConnectError);
    CHECK_THROWS_AS(none.kill(), qga::ConnectError);
    CHECK_THROWS_AS(none.resize(1, 1), qga::ConnectError);
  };
  typename TestType::Program none(ga, Process());
  check_refused(none);
  auto program = agent.start(ga, "/bin/sleep", {.args = {"1000"}});
  const Process taken = std::move(program.process);
  CHECK(taken.pid() > 0);
  check_refused(program);
}

TEMPLATE_TEST_CASE("process: over a later connection it is refused", "[agent]", Blocking, Async) {
  FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", sleeper);
  read_until(program, "ready\n");
  while (agent.processes().size() < 2) std::this_thread::sleep_for(1ms);
  SECTION("of the same agent") {}
  SECTION("of another one") { agent.restart(); }
  ga.close();
  ga.settle();
  ga.connect(agent.path());
  CHECK_THROWS_AS(program.read(), qga::RequestError);
  CHECK_THROWS_AS(program.write("x"), qga::RequestError);
  CHECK_THROWS_AS(program.close_input(), qga::RequestError);
  CHECK_THROWS_AS(program.status(), qga::RequestError);
  CHECK_THROWS_AS(program.wait(), qga::RequestError);
  CHECK_THROWS_AS(program.kill(), qga::RequestError);
  ga.ping();
  for (const std::int64_t pid : agent.processes()) ::kill(static_cast<pid_t>(pid), SIGKILL);
  program.process = Process();
  ga.settle();
  agent.check_nothing_left();
}

TEMPLATE_TEST_CASE("process: the agent ends in the middle", "[agent]", Blocking, Async) {
  FollowedAgent agent;
  TestType ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", shell_script("echo ready; exec sleep 1000"));
  read_until(program, "ready\n");
  std::jthread end([&] {
    std::this_thread::sleep_for(100ms);
    agent.kill();
  });
  const auto error = error_of<qga::ProgramError>([&] { program.read(); });
  end.join();
  CHECK((error.code() == qga::err_cannot_read || error.code() == qga::err_cannot_write));
  CHECK(error.pid() == program.process.pid());
  CHECK_FALSE(error.ended());
  CHECK_THROWS_AS(program.wait(), qga::UnreachableError);
  for (const std::int64_t pid : agent.processes()) ::kill(static_cast<pid_t>(pid), SIGKILL);
}

TEST_CASE("process: in a forked child it does nothing", "[agent]") {
  const FollowedAgent agent;
  Blocking ga(agent.path());
  auto program = agent.start(ga, "/bin/sh", sleeper);
  read_until(program, "ready\n");
  while (agent.processes().size() < 2) std::this_thread::sleep_for(1ms);
  const pid_t child = ::fork();
  if (child == 0) {
    program.process = Process();
    ga.close();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(agent.processes().size() == 2);
  CHECK_FALSE(program.status().ended);
  program.process = Process();
  agent.check_nothing_left();
}

TEST_CASE("process: a handler reads on, or ends the process", "[agent]") {
  const FollowedAgent agent;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  std::optional process(agent.start_marked(ga, "/bin/sh", sleeper));
  std::exception_ptr failed;
  std::string got;
  Answer<qga::ProcessStatus> end;
  process
      ->async(
          on(context,
             [&](std::exception_ptr error, const ProcessOutput& output) {
               failed = error;
               got += output.bytes;
               process->async(on(context, [&](std::exception_ptr, const ProcessOutput&) {})).read();
               process->async(on(context, to(end))).wait();
               process.reset();
             }))
      .read();
  run_dry(context);
  CHECK_FALSE(failed);
  CHECK(got == "ready\n");
  CHECK(end.get().signal == SIGKILL);
  agent.check_nothing_left();
}

TEST_CASE("process: calls whose context is destroyed are dropped unheard", "[agent]") {
  Answer<ProcessOutput> output;
  Answer<qga::ProcessStatus> end;
  const FollowedAgent agent;
  SECTION("after the process, and after the client") {
    asio::io_context context;
    qga::Client<> ga(context, patient());
    ga.connect(agent.path());
    Process process = agent.start_marked(ga, "/bin/sh", sleeper);
    process.async(on(context, to(end))).wait();
    process.async(on(context, to(output))).read();
    run_until(context, [&] { return output.done(); });
    process.async(on(context, to(output))).read();
    context.run_for(50ms);
  }
  SECTION("before them") {
    std::optional<asio::io_context> context(std::in_place);
    qga::Client<> ga(*context, patient());
    ga.connect(agent.path());
    Process process = agent.start_marked(ga, "/bin/sh", sleeper);
    process.async(on(*context, to(end))).wait();
    process.async(on(*context, to(output))).read();
    run_until(*context, [&] { return output.done(); });
    process.async(on(*context, to(output))).read();
    context->run_for(50ms);
    context.reset();
  }
  CHECK(output.get().bytes == "ready\n");
  CHECK(end.times == 0);
  agent.check_nothing_left();
}

TEST_CASE("process: a cancelled read loses nothing", "[agent]") {
  const FollowedAgent agent;
  Answer<ProcessOutput> output;
  asio::cancellation_signal signal;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  Process process =
      agent.start_marked(ga, "/bin/sh", shell_script("seq 1 20000; sleep 0.3; seq 20001 40000"));
  std::string expected, got;
  for (int i = 1; i <= 40000; ++i) expected += std::to_string(i) + '\n';
  std::size_t cancelled = 0;
  for (int after = 0;; after = (after + 1) % 7) {
    output = {};
    process.async(asio::bind_cancellation_slot(signal.slot(), on(context, to(output)))).read();
    context.restart();
    for (int i = 0; i < after && !output.done(); ++i) context.run_one();
    signal.emit(asio::cancellation_type::terminal);
    run_until(context, [&] { return output.done(); });
    try {
      const ProcessOutput read = output.get();
      if (!read) break;
      got += read.bytes;
    } catch (const qga::CancelledError&) {
      ++cancelled;
    }
  }
  CHECK(got == expected);
  CHECK(cancelled > 0);
  process = Process();
  run_dry(context);
  agent.check_nothing_left();
}

TEST_CASE("process: a client whose executor has a type of its own", "[agent]") {
  using Socket =
      asio::basic_stream_socket<asio::local::stream_protocol, asio::io_context::executor_type>;
  const FollowedAgent agent;
  Answer<ProcessOutput> output;
  Answer<std::string> pinged;
  asio::io_context context;
  Socket socket(context);
  socket.connect(asio::local::stream_protocol::endpoint(agent.path()));
  SECTION("which it was given") {
    qga::Client<Socket> ga(std::move(socket), patient());
    Process process = agent.start_marked(ga, "/bin/sh", sleeper);
    process.async(to(output)).read();
    run_until(context, [&] { return output.done(); });
    ga.async(to(pinged)).get_host_name();
    run_until(context, [&] { return pinged.done(); });
  }
  SECTION("which it has of the first call, one of the program") {
    auto ga = qga::Client<Socket>::from_handle(socket.release(), patient());
    Process process = agent.start_marked(ga, "/bin/sh", sleeper);
    process.async(on(context, to(output))).read();
    run_until(context, [&] { return output.done(); });
    ga.async(on(context, to(pinged))).get_host_name();
    run_until(context, [&] { return pinged.done(); });
  }
  SECTION("which it has of the first call, one of the client") {
    auto ga = qga::Client<Socket>::from_handle(socket.release(), patient());
    Process process = agent.start_marked(ga, "/bin/sh", sleeper);
    ga.async(on(context, to(pinged))).get_host_name();
    run_until(context, [&] { return pinged.done(); });
    process.async(on(context, to(output))).read();
    run_until(context, [&] { return output.done(); });
  }
  run_dry(context);
  CHECK(output.get().bytes == "ready\n");
  CHECK_FALSE(pinged.get().empty());
  agent.check_nothing_left();
}

TEST_CASE("process: a handler that can only be moved, and several threads", "[agent]") {
  const FollowedAgent agent;
  asio::io_context context;
  auto strand = asio::make_strand(context);
  qga::Client<> ga(context, patient());
  ga.connect(agent.path());
  Process process = agent.start_marked(ga, "/bin/cat", {});
  std::string got;
  const std::string sent(100 << 10, 't');
  bool failed = false;
  // A move-only handler each time. All of it runs on the strand.
  struct Reader {
    Process& process;
    asio::strand<asio::io_context::executor_type> strand;
    std::string& got;
    bool& failed;

    void read() {
      auto handler = [this, moved = std::make_unique<int>(1)](std::exception_ptr error,
                                                              const ProcessOutput& output) {
        failed = failed || error || !moved;
        got += output.bytes;
        if (!error && output) read();
      };
      process.async(asio::bind_executor(strand, std::move(handler))).read();
    }
  } reader{process, strand, got, failed};
  asio::post(strand, [&] {
    reader.read();
    process
        .async(asio::bind_executor(
            strand,
            [&](std::exception_ptr error) {
              failed = failed || error;
              process
                  .async(asio::bind_executor(
                      strand, [&](std::exception_ptr unclosed) { failed = failed || unclosed; }))
                  .close_input();
            }))
        .write(sent);
  });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { context.run_for(long_enough); });
  }
  CHECK_FALSE(failed);
  CHECK(got == sent);
  agent.check_nothing_left();
}

}  // namespace process_life
