// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `while_frozen` runs work on a frozen guest and thaws on every way out, blocking and in a
// coroutine. Where both the work and the thaw fail, nobody's error is lost.
#include <version>  // Asio's configuration asks what libstdc++ has, so this goes first

#include <algorithm>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <asio/detail/config.hpp>
#include <asio/io_context.hpp>

#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#endif

#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

using Mountpoints = std::optional<std::vector<std::string>>;

struct WorkFailed : std::runtime_error {
  WorkFailed() : std::runtime_error("the snapshot failed") {}
};

/// What the work of a test does.
struct Work {
  ScriptedGuest& guest;
  bool fails = false;
  int runs = 0;

  void operator()() {
    ++runs;
    CHECK(guest.frozen());
    CHECK(guest.thaws() == 0);
    if (fails) throw WorkFailed();
  }
};

/// The ways to say the same: blocking, and in a coroutine.
class InThread {
 public:
  explicit InThread(const std::string& path) : ga_(path, patient()) {}
  qga::ThawResult while_frozen(Work& work) {
    return ga_.while_frozen([&] { work(); });
  }
  qga::ThawResult while_frozen(const Mountpoints& mountpoints, Work& work) {
    return ga_.while_frozen(mountpoints, [&] { work(); });
  }
  void ping() { ga_.ping(); }

 private:
  qga::Client<> ga_;
};

#if defined(ASIO_HAS_CO_AWAIT)
class InCoroutine {
 public:
  explicit InCoroutine(const std::string& path) : ga_(context_, patient()) { ga_.connect(path); }
  qga::ThawResult while_frozen(Work& work) {
    return run([&]() -> asio::awaitable<qga::ThawResult> {
      const auto slow_work = [&]() -> asio::awaitable<void> { return slowly(work); };
      co_return co_await ga_.async(asio::use_awaitable).while_frozen(slow_work);
    });
  }
  qga::ThawResult while_frozen(const Mountpoints& mountpoints, Work& work) {
    return run([&]() -> asio::awaitable<qga::ThawResult> {
      const auto slow_work = [&]() -> asio::awaitable<void> { return slowly(work); };
      co_return co_await ga_.async(asio::use_awaitable).while_frozen(mountpoints, slow_work);
    });
  }
  void ping() {
    run([&]() -> asio::awaitable<qga::ThawResult> {
      co_await ga_.async(asio::use_awaitable).ping();
      co_return qga::ThawResult();
    });
  }

 private:
  static asio::awaitable<void> slowly(Work& work) {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
    co_await timer.async_wait(asio::use_awaitable);
    work();
  }
  template <class Body>
  qga::ThawResult run(Body body) {
    std::exception_ptr failed;
    qga::ThawResult result;
    asio::co_spawn(context_, std::move(body), [&](std::exception_ptr error, qga::ThawResult got) {
      failed = error;
      result = got;
    });
    run_dry(context_);
    if (failed) std::rethrow_exception(failed);
    return result;
  }

  asio::io_context context_;
  qga::Client<> ga_;
};
#else
using InCoroutine = InThread;
#endif

/// Whether an error has that of the work within it.
bool holds_the_works_error(const Fate& fate) {
  bool held = false;
  fate.look<std::nested_exception>([&](const std::nested_exception& outer) {
    held = outer.nested_ptr() && fate_of(outer.nested_ptr()).template is<WorkFailed>();
  });
  return held;
}

}  // namespace

TEMPLATE_TEST_CASE("while frozen: work is done, and the guest is thawed", "[faults]", InThread,
                   InCoroutine) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  Work work{guest};
  std::string command = "guest-fsfreeze-freeze";
  qga::ThawResult result;
  SECTION("all") { result = ga.while_frozen(work); }
  SECTION("all, said so") { result = ga.while_frozen(std::nullopt, work); }
  SECTION("some") {
    result = ga.while_frozen(std::vector<std::string>{"/home", "/srv"}, work);
    command += "-list";
    const auto executed = guest.executed();
    const auto list = std::find_if(executed.begin(), executed.end(),
                                   [&](const Heard& heard) { return heard.command == command; });
    REQUIRE(list != executed.end());
    CHECK(list->arguments == nlohmann::json{{"mountpoints", {"/home", "/srv"}}});
  }
  CHECK(result.count == 2);
  CHECK(result.frozen_for > 0s);
  CHECK(work.runs == 1);
  CHECK(guest.executed(command) == 1);
  CHECK(guest.thaws() == 1);
  CHECK_FALSE(guest.frozen());
}

TEMPLATE_TEST_CASE("while frozen: work that throws leaves a thawed guest", "[faults]", InThread,
                   InCoroutine) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  Work work{.guest = guest, .fails = true};
  const Fate fate = fate_of([&] { ga.while_frozen(work); });
  INFO(fate);
  CHECK(fate.is<WorkFailed>());
  CHECK(work.runs == 1);
  CHECK_FALSE(guest.frozen());
  CHECK(guest.thaws() == 1);
  ga.ping();
}

TEMPLATE_TEST_CASE("while frozen: a thaw that fails is told", "[faults]", InThread, InCoroutine) {
  const bool work_fails = GENERATE(false, true);
  CAPTURE(work_fails);
  ScriptedGuest guest;
  Work work{.guest = guest, .fails = work_fails};
  {
    TestType ga(guest.path());
    SECTION("although the guest is thawed") {
      guest.once("guest-fsfreeze-thaw",
                 script::all(guest.loses_its_answer(), script::fails("the thaw hook failed")));
      const Fate fate = fate_of([&] { ga.while_frozen(work); });
      INFO(fate);
      CHECK(fate.is<qga::ThawError>());
      CHECK(fate.says("the thaw hook failed"));
      fate.look<qga::ThawError>([](const auto& error) { CHECK(error.thawed()); });
      CHECK(holds_the_works_error(fate) == work_fails);
    }
    SECTION("and the guest is still frozen") {
      guest.once("guest-fsfreeze-thaw", script::fails("the thaw hook failed"));
      const Fate fate = fate_of([&] { ga.while_frozen(work); });
      INFO(fate);
      CHECK(fate.is<qga::ThawError>());
      fate.look<qga::ThawError>([](const auto& error) { CHECK_FALSE(error.thawed()); });
      CHECK(holds_the_works_error(fate) == work_fails);
    }
    SECTION("and the connection is gone") {
      guest.once("guest-fsfreeze-thaw", script::hangs_up());
      const Fate fate = fate_of([&] { ga.while_frozen(work); });
      INFO(fate);
      CHECK(fate.is<qga::ReadError>());
      CHECK(holds_the_works_error(fate) == work_fails);
    }
  }
  CHECK(work.runs == 1);
  // The guard stays armed, and tries once more.
  wait_until([&] { return !guest.frozen(); });
}

TEMPLATE_TEST_CASE("while frozen: nothing is run where the freeze fails", "[faults]", InThread,
                   InCoroutine) {
  ScriptedGuest guest;
  TestType ga(guest.path());
  Work work{guest};
  SECTION("refused") {
    guest.on("guest-fsfreeze-freeze", script::fails("the freeze hook failed"));
    const Fate fate = fate_of([&] { ga.while_frozen(work); });
    INFO(fate);
    CHECK(fate.is<qga::AgentError>());
    CHECK(fate.is<qga::FreezeError>());
    CHECK(guest.thaws() == 1);  // for the hook
  }
  SECTION("a bad reply, and frozen") {
    guest.on("guest-fsfreeze-freeze",
             script::all(guest.loses_its_answer(), script::returns("[[]]")));
    const Fate fate = fate_of([&] { ga.while_frozen(work); });
    INFO(fate);
    CHECK(fate.is<qga::BadReplyError>());
    CHECK(fate.is<qga::FreezeError>());
    CHECK(guest.thaws() >= 1);
  }
  SECTION("an empty list") {
    const std::vector<std::string> none;
    CHECK_THROWS_AS(ga.while_frozen(none, work), qga::RequestError);
    CHECK(guest.executed("guest-fsfreeze-freeze") == 0);
    CHECK(guest.executed("guest-fsfreeze-freeze-list") == 0);
  }
  CHECK(work.runs == 0);
  CHECK_FALSE(guest.frozen());
}

TEST_CASE("while frozen: work may use the client", "[faults]") {
  ScriptedGuest guest;
  qga::Client<> ga(guest.path(), patient());
  const auto status = [&] { return ga.fsfreeze_status(); };
  qga::GuestFsfreezeStatus seen = qga::GuestFsfreezeStatus::unknown;
  SECTION("blocking work is refused, and thawed all the same, or may ask") {
    try {
      ga.while_frozen([&] { seen = status(); });
      CHECK(seen == qga::GuestFsfreezeStatus::frozen);
    } catch (const qga::BusyError&) {
      CHECK(seen == qga::GuestFsfreezeStatus::unknown);
    }
  }
  CHECK_FALSE(guest.frozen());
  CHECK(status() == qga::GuestFsfreezeStatus::thawed);
}
