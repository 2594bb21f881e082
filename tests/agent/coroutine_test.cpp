// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The commands in coroutines, where compiler and Asio have them.
#include <version>  // Asio's configuration asks what libstdc++ has, so this goes first

#include <asio/detail/config.hpp>

#if defined(ASIO_HAS_CO_AWAIT)

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <variant>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#if __has_include(<asio/experimental/awaitable_operators.hpp>)
#include <asio/experimental/awaitable_operators.hpp>
#endif

#include "agent.hpp"
#include "as_tuple.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using asio::awaitable;
using asio::use_awaitable;
using qga_test::Agent;
using qga_test::patient;
using qga_test::run_dry;

namespace {

/// Runs coroutines to their end, and throws what the first of them threw.
template <class... Coroutines>
void run(asio::io_context& context, Coroutines... coroutines) {
  std::exception_ptr first;
  (asio::co_spawn(context, std::move(coroutines),
                  [&](std::exception_ptr error) {
                    if (error && !first) first = error;
                  }),
   ...);
  run_dry(context);
  if (first) std::rethrow_exception(first);
}

}  // namespace

TEST_CASE("commands in a coroutine", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  const auto body = [&]() -> awaitable<void> {
    auto agent_of = ga.async(use_awaitable);
    co_await agent_of.ping();
    CHECK(co_await agent_of.sync(5) == 5);
    CHECK(co_await ga.async(use_awaitable).sync_delimited(-6) == -6);
    const qga::GuestAgentInfo info = co_await agent_of.info();
    CHECK(info.supported_commands.size() > 10);
    CHECK(co_await agent_of.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
    CHECK_FALSE((co_await agent_of.get_host_name()).empty());
    CHECK((co_await agent_of.get_osinfo()).machine.has_value());
    CHECK_FALSE((co_await agent_of.get_vcpus()).empty());
    CHECK_FALSE((co_await agent_of.network_get_interfaces()).empty());
    CHECK((co_await agent_of.get_time()).time_since_epoch().count() > 0);

    const std::int64_t handle = co_await agent_of.file_open(agent.file("file"), "w+");
    const qga::GuestFileWriteParams write_params{.count = 3};
    const qga::GuestFileWrite written = co_await agent_of.file_write(handle, "hello", write_params);
    CHECK(written.count == 3);
    co_await agent_of.file_flush(handle);
    const qga::GuestFileSeek sought = co_await agent_of.file_seek(handle, 1, qga::QGASeek::set);
    CHECK(sought.position == 1);
    const qga::GuestFileRead read = co_await agent_of.file_read(handle);
    CHECK(read.buf_b64 == "el");
    co_await agent_of.file_close(handle);
    CHECK(agent.get("file") == "hel");

    const qga::GuestExecParams exec_params{.args = {"-c", "cat; echo error >&2; exit 4"},
                                           .input_data = "in\0put"s,
                                           .capture_output = true};
    const std::int64_t pid = co_await agent_of.exec("/bin/sh", exec_params);
    qga::GuestExecStatus status;
    while (!status.exited) status = co_await agent_of.exec_status(pid);
    CHECK(status.exitcode == 4);
    CHECK(status.out_data == "in\0put"s);
    CHECK(status.err_data == "error\n");

    const nlohmann::json arguments = {{"id", 7}};
    const nlohmann::json raw = co_await agent_of.execute("guest-sync", arguments);
    CHECK(raw == 7);
  };
  run(context, body);
}

TEST_CASE("errors in a coroutine", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  const auto body = [&]() -> awaitable<void> {
    bool caught = false;
    try {
      co_await ga.async(use_awaitable).file_open("/no/such/file");
    } catch (const qga::AgentError& error) {
      caught = true;
      CHECK(error.command() == "guest-file-open");
      CHECK(error.outcome() == qga::Outcome::refused);
    }
    CHECK(caught);

    const auto token = qga_test::as_tuple(use_awaitable);
    const auto [not_found, json] = co_await ga.async(token).execute("guest-nothing");
    CHECK_THROWS_AS(std::rethrow_exception(not_found), qga::CommandNotFoundError);
    CHECK(json.is_null());
    const auto [refused, handle] = co_await ga.async(token).file_open("\xFF");
    CHECK_THROWS_AS(std::rethrow_exception(refused), qga::RequestError);
    CHECK(handle == 0);
    const auto [none, id] = co_await ga.async(token).sync(8);
    CHECK_FALSE(none);
    CHECK(id == 8);
    const auto [nothing] = co_await ga.async(token).ping();
    CHECK_FALSE(nothing);
    ga.close();
    const auto [closed] = co_await ga.async(token).ping();
    CHECK_THROWS_AS(std::rethrow_exception(closed), qga::ConnectError);
  };
  run(context, body);
}

// g++ 12 destroys an aggregate temporary inside a `co_await` expression twice; request structs have
// constructors for that reason. (A braced list of JSON it does not compile there: name it before.)
// The strings are too long to be stored in place.
TEST_CASE("temporary requests in a co_await expression", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  const auto body = [&]() -> awaitable<void> {
    const std::string path = agent.put("a-file-with-a-name-that-is-stored-on-the-heap", "contents");
    for (int i = 0; i < 3; ++i) {
      const std::int64_t handle =
          co_await ga.async_execute(qga::GuestFileOpenRequest(path, "r+"), use_awaitable);
      const qga::GuestFileWrite written = co_await ga.async_execute(
          qga::GuestFileWriteRequest(handle, std::string("CONTENTS that are longer than before")),
          use_awaitable);
      CHECK(written.count == 36);
      const qga::GuestFileSeek start = co_await ga.async_execute(
          qga::GuestFileSeekRequest(handle, 0, qga::QGASeek::set), use_awaitable);
      CHECK(start.position == 0);
      const qga::GuestFileRead read =
          co_await ga.async_execute(qga::GuestFileReadRequest(handle, 100), use_awaitable);
      CHECK(read.buf_b64 == "CONTENTS that are longer than before");
      co_await ga.async_execute(qga::GuestFileCloseRequest(handle), use_awaitable);
      co_await ga.async_execute(qga::GuestPingRequest{}, use_awaitable);

      const nlohmann::json arguments = {{"path", path}, {"mode", "r"}};
      const nlohmann::json raw =
          co_await ga.async_execute("guest-file-open", arguments, use_awaitable);
      const std::int64_t raw_handle = raw.get<std::int64_t>();
      co_await ga.async_execute(qga::GuestFileCloseRequest(raw_handle), use_awaitable);
      const qga::GuestExecParams params{.args = {"an argument that is stored on the heap"}};
      const qga::GuestExec exec =
          co_await ga.async_execute(qga::GuestExecRequest("/bin/true", params), use_awaitable);
      qga::GuestExecStatus status;
      while (!status.exited) {
        status = co_await ga.async_execute(qga::GuestExecStatusRequest(exec.pid), use_awaitable);
      }
      CHECK(status.exitcode == 0);
    }
  };
  run(context, body);
}

TEST_CASE("two clients on one context", "[agent]") {
  const Agent one, other;
  asio::io_context context;
  qga::Client<> first(context, patient()), second(context, patient());
  int turns = 0, both = 0;
  const auto loop = [&](qga::Client<>& ga, const std::string& path) -> awaitable<void> {
    co_await ga.async_connect(asio::local::stream_protocol::endpoint(path), use_awaitable);
    const int before = turns;
    for (std::int64_t i = 0; i < 100; ++i) {
      const std::int64_t id = co_await ga.async(use_awaitable).sync(i);
      CHECK(id == i);
      ++turns;
    }
    if (turns - before > 100) ++both;
  };
  run(
      context, [&] { return loop(first, one.path()); }, [&] { return loop(second, other.path()); });
  CHECK(turns == 200);
  CHECK(both > 0);  // they took turns
}

TEST_CASE("coroutines share a client", "[agent]") {
  const Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  int done = 0;
  const auto loop = [&](std::int64_t number) -> awaitable<void> {
    for (std::int64_t i = 0; i < 50; ++i) {
      const std::int64_t id = co_await ga.async(use_awaitable).sync(1000 * number + i);
      CHECK(id == 1000 * number + i);
      ++done;
    }
  };
  run(
      context, [&] { return loop(1); }, [&] { return loop(2); }, [&] { return loop(3); });
  CHECK(done == 150);
}

#if __has_include(<asio/experimental/awaitable_operators.hpp>)
TEST_CASE("a timer cancels a command", "[agent]") {
  using namespace asio::experimental::awaitable_operators;
  Agent agent;
  asio::io_context context;
  qga::Client<> ga(agent.path(), patient());
  const auto body = [&]() -> awaitable<void> {
    const std::int64_t first = co_await ga.async(use_awaitable).sync(1);
    CHECK(first == 1);
    for (std::int64_t round = 0; round < 3; ++round) {
      agent.stop();
      asio::steady_timer timer(co_await asio::this_coro::executor, 30ms);
      const auto winner =
          co_await (ga.async(use_awaitable).sync(100 + round) || timer.async_wait(use_awaitable));
      CHECK(winner.index() == 1);
      agent.resume();
      const std::int64_t id = co_await ga.async(use_awaitable).sync(round);
      CHECK(id == round);
      const auto quick =
          co_await (ga.async(use_awaitable).sync(200 + round) ||
                    asio::steady_timer(timer.get_executor(), 60s).async_wait(use_awaitable));
      REQUIRE(quick.index() == 0);
      CHECK(std::get<0>(quick) == 200 + round);
      const auto [one, two] = co_await (ga.async(use_awaitable).sync(300 + round) &&
                                        ga.async(use_awaitable).sync(400 + round));
      CHECK(one == 300 + round);
      CHECK(two == 400 + round);
    }
  };
  run(context, body);
}
#endif

#endif
