// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The work of `while_frozen`, where it ends before it has begun: by a stop request or a
// cancellation that comes with the answer to the freeze, and by a function that throws before it
// has made its coroutine.
#include <version>  // Asio's configuration asks what libstdc++ has, so this goes first

#include <exception>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <utility>

#include <asio/detail/config.hpp>

#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

/// Why there is no coroutine.
struct NotEvenBegun : std::runtime_error {
  NotEvenBegun() : std::runtime_error("the snapshot tool is missing") {}
};

/// Calls `then` when a client hears that two file systems are frozen.
qga::Trace at_answer_to_freeze(std::function<void()> then) {
  return [then = std::move(then)](qga::TraceDirection direction, std::string_view line) {
    if (direction != qga::TraceDirection::received) return;
    if (line.find("\"return\": 2,") != std::string_view::npos) then();
  };
}

}  // namespace

TEST_CASE("while frozen: work that is stopped before it begins ends soon", "[faults]") {
  const bool cancelled = GENERATE(false, true);  // or by a stop request
  CAPTURE(cancelled);
  Answer<qga::ThawResult> answer;
  std::stop_source stop;
  asio::cancellation_signal signal;
  ScriptedGuest guest;
  asio::io_context context;
  qga::ClientParams params = patient();
  bool ended = false;  // it thaws in the end with the same answer
  params.trace = at_answer_to_freeze([&] {
    if (std::exchange(ended, true)) return;
    cancelled ? signal.emit(asio::cancellation_type::terminal)
              : static_cast<void>(stop.request_stop());
  });
  qga::Client<> ga(context, std::move(params));
  ga.connect(guest.path());
  const auto start = qga::Clock::now();
  const auto work = []() -> asio::awaitable<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor, 20s);
    co_await timer.async_wait(asio::use_awaitable);
  };
  ga.async(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer))),
           {.stop = stop.get_token()})
      .while_frozen(work);
  run_dry(context);
  CHECK(ended);
  CHECK(qga::Clock::now() - start < tolerance);
  REQUIRE(answer.times == 1);
  CHECK(answer.error != nullptr);
  CHECK_FALSE(guest.frozen());
  CHECK(guest.thaws() == 1);
}

TEST_CASE("while frozen: a function that makes no coroutine leaves a thawed guest", "[faults]") {
  ScriptedGuest guest;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(guest.path());
  Fate fate;
  int handled = 0;
  bool frozen_then = true;
  const auto handler = [&](std::exception_ptr error, qga::ThawResult) {
    ++handled;
    frozen_then = guest.frozen();
    fate = fate_of(std::move(error));
  };
  const auto try_work = [&](std::function<asio::awaitable<void>()> work) {
    ga.async(asio::bind_executor(context, handler)).while_frozen(std::move(work));
    run_dry(context);
  };
  SECTION("because it throws") {
    try_work([]() -> asio::awaitable<void> { throw NotEvenBegun(); });
    INFO(fate);
    CHECK(fate.is<NotEvenBegun>());
  }
  SECTION("because there is none") {
    try_work({});
    INFO(fate);
    CHECK(fate.is<std::bad_function_call>());
  }
  CHECK(handled == 1);
  CHECK_FALSE(frozen_then);
  CHECK_FALSE(guest.frozen());
  CHECK(guest.thaws() == 1);
}
#endif
