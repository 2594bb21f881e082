// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What is decided about an operation without any I/O: when a step has to have ended, what a stop
// request ends, which outcome the whole has, and in which order an algorithm hears of its calls.
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "catch.hpp"
#include "qga/commands.hpp"
#include "qga/detail/protocol/helper_operation.hpp"

using namespace std::chrono_literals;
using namespace qga::detail;
using qga::CallOptions;
using qga::ClientParams;
using qga::Clock;
using qga::Outcome;

namespace operation_test {

const Clock::time_point epoch = Clock::time_point() + 24h;
constexpr auto never = Clock::time_point::max();

/// An operation that does nothing, to ask for deadlines.
struct Idle final : Operation {
  Idle(const ClientParams& params, const CallOptions& options)
      : Operation(params, options, epoch) {}
  void start() override {}
  void deliver(Call&) override {}
  Clock::time_point next_deadline() const override { return never; }
};

/// An algorithm that a test writes as a function over its `Io`.
using Script = std::function<void(HelperIo<int>&)>;
template <class Io>
class Scripted {
 public:
  Scripted(Io& io, Script script) : io_(io), script_(std::move(script)) {}
  void start() { script_(io_); }

 private:
  Io& io_;
  Script script_;
};
using Helper = HelperOperation<int, Scripted>;

/// Answers the next call that is to be sent.
std::string answer(Helper& helper, std::exception_ptr error = {}) {
  Call* const call = helper.next_to_submit();
  REQUIRE(call != nullptr);
  std::string command(call->command());
  call->fail(error ? error : make_error<qga::AgentError>(command, "no", Outcome::refused));
  helper.deliver(*call);
  return command;
}

template <class Error>
std::exception_ptr failure(Outcome outcome) {
  return make_error<Error>("test", "scripted", outcome);
}

}  // namespace operation_test

using namespace operation_test;

TEST_CASE("operation: when a step has to have ended") {
  const auto at = [](Clock::duration time) { return epoch + time; };
  const Step plain;
  const Step limited{.until = at(3s)};
  const Step cleaning = cleaning_up(at(100s));
  const Step cleaning_by_default = cleaning_up(never);
  struct {
    std::optional<Clock::duration> client;
    std::optional<Clock::duration> timeout;
    Clock::time_point deadline;
    Step step;
    Clock::time_point ends;
  } const cases[]{
      // Neither has said anything: the command's own time.
      {{}, {}, never, plain, at(60s)},
      {{}, {}, never, limited, at(3s)},
      // The client's time is for each command, also where it is that of the library.
      {5s, {}, never, plain, at(5s)},
      {1h, {}, never, plain, at(1h)},
      {5s, {}, never, limited, at(3s)},
      // The call's own time is for the whole, and wins.
      {{}, 1s, never, plain, at(1s)},
      {{}, 1h, never, plain, at(1h)},
      {5s, 1h, never, plain, at(1h)},
      {5s, 1h, never, limited, at(3s)},
      {{}, Clock::duration::max(), never, plain, never},
      // So does a deadline, beside the client's time.
      {{}, {}, at(2h), plain, at(2h)},
      {5s, {}, at(2h), plain, at(5s)},
      {5s, {}, at(2s), plain, at(2s)},
      {{}, 10s, at(2s), plain, at(2s)},
      {{}, 1s, at(2s), plain, at(1s)},
      // Cleaning up has time of its own.
      {1s, 1s, at(1s), cleaning, at(100s)},
      {1s, 1s, at(1s), cleaning_by_default, at(60s)},
  };
  for (const auto& one : cases) {
    const Idle idle({.timeout = one.client}, {.timeout = one.timeout, .deadline = one.deadline});
    CHECK(idle.deadline_of(60s, one.step, epoch) == one.ends);
  }
}

TEST_CASE("operation: the outcome of the whole") {
  const auto effect = [](auto& io, auto then) {
    io.call(qga::GuestFileOpenRequest("/f", "w"),
            [then](std::exception_ptr, std::int64_t) { then(); });
  };
  const auto question = [](auto& io, auto then) {
    io.call(qga::GuestGetTimeRequest(), [then](std::exception_ptr, std::int64_t) { then(); });
  };
  struct {
    bool has_effect;
    Outcome first;  ///< of the first step
    Outcome last;   ///< of the step that ends the helper
    Outcome whole;
  } const cases[]{
      {true, Outcome::unknown, Outcome::not_sent, Outcome::unknown},
      {true, Outcome::unknown, Outcome::refused, Outcome::unknown},
      {true, Outcome::unknown, Outcome::unknown, Outcome::unknown},
      {true, Outcome::refused, Outcome::not_sent, Outcome::not_sent},
      {true, Outcome::refused, Outcome::refused, Outcome::refused},
      {true, Outcome::not_sent, Outcome::refused, Outcome::refused},
      {false, Outcome::unknown, Outcome::not_sent, Outcome::not_sent},
      {false, Outcome::unknown, Outcome::refused, Outcome::refused},
  };
  for (const auto& one : cases) {
    Helper helper(nullptr, {}, {}, Clock::now(), Script([&](HelperIo<int>& io) {
                    const auto end = [&io] {
                      io.call(qga::GuestPingRequest(),
                              [&io](std::exception_ptr error) { io.fail(error); });
                    };
                    one.has_effect ? effect(io, end) : question(io, end);
                  }));
    helper.start();
    answer(helper, failure<qga::TimeoutError>(one.first));
    answer(helper, failure<qga::ReadError>(one.last));
    REQUIRE(helper.done());
    const qga::GuestAgentError* const error = qga::error_of(helper.error());
    REQUIRE(error != nullptr);
    CHECK(error->outcome() == one.whole);
    CHECK(dynamic_cast<const qga::ReadError*>(error) != nullptr);
    const std::string told(describe(one.whole));
    CHECK(std::string(error->what()) == "test: scripted" + told);
  }
}

TEST_CASE("operation: an algorithm hears of its calls in their order, never within one") {
  std::vector<int> heard;
  bool within = false;
  Helper helper(nullptr, {}, {}, Clock::now(), Script([&](HelperIo<int>& io) {
                  for (int i = 0; i < 3; ++i) {
                    within = true;
                    io.call(qga::GuestPingRequest(), [&, i](std::exception_ptr) {
                      CHECK_FALSE(within);
                      heard.push_back(i);
                      if (i == 2) io.finish(7);
                    });
                    within = false;
                  }
                }));
  helper.start();
  std::vector<Call*> calls;
  while (Call* const call = helper.next_to_submit()) calls.push_back(call);
  REQUIRE(calls.size() == 3);
  for (Call* const call : calls) call->fail(failure<qga::ReadError>(Outcome::unknown));
  helper.deliver(*calls[2]);
  helper.deliver(*calls[1]);
  CHECK(heard.empty());
  helper.deliver(*calls[0]);
  CHECK(heard == std::vector<int>{0, 1, 2});
  REQUIRE(helper.done());
  CHECK(helper.move_result() == 7);
}

#ifdef __cpp_lib_jthread
TEST_CASE("operation: after a stop request nothing begins but what cleans up") {
  std::stop_source stop;
  std::vector<std::string> sent;
  std::exception_ptr refused;
  Helper helper(nullptr, {}, {.stop = stop.get_token()}, Clock::now(), Script([&](auto& io) {
                  io.call(qga::GuestPingRequest(), [&](std::exception_ptr) {
                    io.call(qga::GuestPingRequest(), [&](std::exception_ptr error) {
                      refused = error;
                      io.call(
                          qga::GuestFileCloseRequest(3),
                          [&](std::exception_ptr) { io.fail(refused); }, cleaning_up(never));
                    });
                  });
                }));
  helper.start();
  stop.request_stop();
  CHECK(answer(helper) == "guest-ping");
  CHECK(answer(helper) == "guest-file-close");
  REQUIRE(helper.done());
  CHECK(code_of(helper.error()) == qga::err_cancelled);
  CHECK(outcome_of(helper.error()) == Outcome::not_sent);
}

TEST_CASE("operation: pauses end at a stop request and at the end of the whole") {
  std::stop_source stop;
  std::exception_ptr ended;
  const auto paused = [&](const CallOptions& options, bool cleans_up) {
    auto helper = std::make_unique<Helper>(nullptr, ClientParams(), options, Clock::now(),
                                           Script([&, cleans_up](auto& io) {
                                             io.pause(
                                                 1h,
                                                 [&](std::exception_ptr error) {
                                                   ended = error;
                                                   io.finish(0);
                                                 },
                                                 cleans_up);
                                           }));
    helper->start();
    REQUIRE(helper->waiting() == Waiting::pause);
    return helper;
  };
  const auto soon = Clock::now() + 10s;
  CHECK(paused({.deadline = soon}, false)->waits_until() == soon);
  CHECK(paused({.deadline = soon}, true)->waits_until() > soon);

  auto out_of_time = paused({.deadline = Clock::now()}, false);
  out_of_time->end_wait({});
  CHECK(code_of(ended) == qga::err_timed_out);
  auto stopped = paused({.stop = stop.get_token()}, false);
  auto cleaning = paused({.stop = stop.get_token()}, true);
  stop.request_stop();
  CHECK(stopped->wait_is_stopped());
  CHECK_FALSE(cleaning->wait_is_stopped());
  stopped->end_wait({});
  CHECK(code_of(ended) == qga::err_cancelled);
  cleaning->end_wait({});
  CHECK(ended == nullptr);
}
#endif

TEST_CASE("operation: what an algorithm or a user throws ends it") {
  const auto in_start = Script([](auto&) { throw std::runtime_error("at once"); });
  Helper at_once(nullptr, {}, {}, Clock::now(), in_start);
  at_once.start();
  REQUIRE(at_once.done());
  CHECK_THROWS_WITH(std::rethrow_exception(at_once.error()), "at once");

  Helper later(nullptr, {}, {}, Clock::now(), Script([](auto& io) {
                 io.call(qga::GuestPingRequest(),
                         [](std::exception_ptr) { throw std::runtime_error("later"); });
               }));
  later.start();
  answer(later);
  REQUIRE(later.done());
  CHECK_THROWS_WITH(std::rethrow_exception(later.error()), "later");
}

TEST_CASE("operation: a request that cannot be sent fails without being sent") {
  std::exception_ptr refused;
  Helper helper(nullptr, {}, {}, Clock::now(), Script([&](auto& io) {
                  io.call(qga::GuestFileOpenRequest(std::string("/a\0b", 4)),
                          [&](std::exception_ptr error, std::int64_t) {
                            refused = error;
                            io.finish(0);
                          });
                }));
  helper.start();
  CHECK(helper.next_to_submit() == nullptr);
  REQUIRE(helper.done());
  CHECK(dynamic_cast<const qga::RequestError*>(qga::error_of(refused)) != nullptr);
}
