// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that are followed in coroutines, where compiler and Asio have them.
#include <version>  // Asio's configuration asks what libstdc++ has, so this goes first

#include <asio/detail/config.hpp>

#if defined(ASIO_HAS_CO_AWAIT)

#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "followed.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using asio::use_awaitable;
using qga::Process;
using qga::ProcessOutput;

namespace process_coroutine {

const qga::StartParams sleeping = shell_script("echo ready; sleep 1000 & exec sleep 1000");

/// Programs over a client that lives in a context.
struct Place {
  const FollowedAgent agent;
  asio::io_context context;
  qga::Client<> ga{context, patient()};

  Place() { ga.connect(agent.path()); }

  /// Runs a coroutine and what goes on behind it.
  template <class Coroutine>
  void run(Coroutine coroutine) {
    std::exception_ptr failed;
    asio::co_spawn(context, std::move(coroutine),
                   [&](std::exception_ptr error) { failed = error; });
    run_dry(context);
    if (failed) std::rethrow_exception(failed);
  }
  auto async() { return ga.async(use_awaitable); }
  asio::awaitable<Process> start(const std::string& path, qga::StartParams params) {
    auto on = async();
    params.add_env.push_back(agent.mark());
    co_return co_await on.start(path, std::move(params));
  }
};

TEST_CASE("process: a program of a client in use by another call", "[agent]") {
  Place place;
  place.run([&]() -> asio::awaitable<void> {
    Process process = co_await place.start("/bin/sh", sleeping);
    Answer<ProcessOutput> first, second;
    process.async(asio::bind_executor(place.context, to(first))).read();
    process.async(asio::bind_executor(place.context, to(second))).read();
    CHECK_THROWS_AS(process.status(), qga::BusyError);
    auto a = process.async(use_awaitable);
    while (!first.done() || !second.done()) co_await a.status();
    CHECK(first.get().bytes == "ready\n");
    CHECK_THROWS_AS(second.get(), qga::RequestError);
  });
  place.agent.check_nothing_left();
}

TEST_CASE("process: a coroutine reads, writes and waits at the same time", "[agent]") {
  Place place;
  Process process;
  std::string got;
  std::optional<qga::ProcessStatus> end;
  const std::string sent(200 << 10, 's');
  place.run([&]() -> asio::awaitable<void> {
    process = co_await place.start("/bin/cat", qga::StartParams());
    asio::co_spawn(
        place.context,
        [&]() -> asio::awaitable<void> {
          auto a = process.async(use_awaitable);
          end = co_await a.wait();
        },
        asio::detached);
    asio::co_spawn(
        place.context,
        [&]() -> asio::awaitable<void> {
          auto a = process.async(use_awaitable);
          co_await a.write(sent);
          co_await a.close_input();
        },
        asio::detached);
    auto a = process.async(use_awaitable);
    while (const ProcessOutput output = co_await a.read()) got += output.bytes;
  });
  CHECK(got == sent);
  REQUIRE(end);
  CHECK(end->exit_code == 0);
  place.agent.check_nothing_left();
}

TEST_CASE("process: one that ends in the handler of its call", "[agent]") {
  Place place;
  place.run([&]() -> asio::awaitable<void> {
    Process process = co_await place.start("/bin/sh", sleeping);
    auto a = process.async(use_awaitable);
    const ProcessOutput output = co_await a.read();
    CHECK(output.bytes == "ready\n");
  });
  place.agent.check_nothing_left();
}

TEST_CASE("process: one that ends before its calls", "[agent]") {
  Place place;
  Answer<ProcessOutput> output;
  Answer<void> written;
  Answer<qga::ProcessStatus> end;
  place.run([&]() -> asio::awaitable<void> {
    Process process = co_await place.start("/bin/sh", sleeping);
    process.async(asio::bind_executor(place.context, to(output))).read();
    process.async(asio::bind_executor(place.context, to(written))).write(std::string(1 << 20, 'x'));
    process.async(asio::bind_executor(place.context, to(end))).wait();
  });
  const std::string bytes = output.get().bytes;  // none where it ended before it wrote
  CHECK((bytes.empty() || bytes == "ready\n"));
  CHECK_THROWS_AS(written.get(), qga::ProgramError);
  CHECK(end.get().signal == SIGKILL);
  place.agent.check_nothing_left();
}

TEST_CASE("process: a coroutine that owns all of it, and whose context is destroyed", "[agent]") {
  const FollowedAgent agent;
  Answer<ProcessOutput> output;
  Answer<qga::ProcessStatus> end;
  {
    asio::io_context context;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          qga::Client<> ga(co_await asio::this_coro::executor, patient());
          ga.connect(agent.path());
          auto a = ga.async(use_awaitable);
          Process process = co_await agent.start_marked(a, "/bin/sh", sleeping);
          auto p = process.async(use_awaitable);
          output.value = co_await p.read();
          ++output.times;
          end.value = co_await p.wait();
          ++end.times;
        },
        asio::detached);
    run_until(context, [&] { return output.done(); });
    context.run_for(50ms);
  }
  CHECK(output.get().bytes == "ready\n");
  CHECK(end.times == 0);
  agent.check_nothing_left();
}

}  // namespace process_coroutine

#endif
