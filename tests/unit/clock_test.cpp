// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How `set_clock` reckons with the time that answers take, under a clock of the test's own.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/clock.hpp"

using namespace helper_test;
using qga::GuestTime;
using qga::detail::ahead;

namespace {

/// `set_clock` on a host whose clock says 2000 s when it begins.
struct Set : Scripted<qga::ClockChange, qga::detail::SetClock> {
  Set()
      : Scripted(qga::detail::HostClock(
            [this] { return GuestTime(2000s + (now_ - Clock::time_point() - 1h)); })) {}
};

/// What the guest's clock says.
Reply says(std::chrono::nanoseconds time, Clock::duration takes = {}) {
  return {.json = time.count(), .takes = takes};
}

std::string setting(std::chrono::nanoseconds time) {
  return "guest-set-time {\"time\":" + std::to_string(time.count()) + "}";
}

}  // namespace

TEST_CASE("clock: half of a round trip is on the way there, and half on the way back") {
  Set set;
  // A slow first answer is no part of it. The question is answered at 2000 s + 6 s + 4 s / 2.
  set.run({{.takes = 6s}, says(1000s, 4s), {.takes = 10s}, says(2023s, 2s)});
  const std::string ask = "guest-get-time {}";
  CHECK(set.log == std::vector<std::string>{"guest-ping {}", ask, setting(2012s), ask});
  CHECK(set.finished->before == 1000s - 2008s);
  CHECK(set.finished->after == 2s);
}

TEST_CASE("clock: any time that a guest may say") {
  using Limits = std::numeric_limits<std::int64_t>;
  for (const std::int64_t time :
       {Limits::min(), Limits::max(), std::int64_t{-1}, std::int64_t{0}}) {
    CAPTURE(time);
    Set set;
    set.run({{}, {.json = time}, {}, {.json = time}});
    CHECK(set.log.at(2) == setting(2000s));
    CHECK(set.finished->before == ahead(time, GuestTime(2000s)));
    CHECK(set.finished->after == set.finished->before);
  }
  const GuestTime now(1s);
  CHECK(ahead(Limits::min(), now) == std::chrono::nanoseconds::min());
  CHECK(ahead(Limits::min() + 1'000'000'000, now) == std::chrono::nanoseconds::min());
  CHECK(ahead(Limits::max(), now) == std::chrono::nanoseconds::max() - 1s);
  const GuestTime before_1970(-1s);
  CHECK(ahead(Limits::max(), before_1970) == std::chrono::nanoseconds::max());
  CHECK(ahead(Limits::min(), before_1970) == std::chrono::nanoseconds::min() + 1s);
  CHECK(ahead(5, GuestTime{}) == 5ns);
}

TEST_CASE("clock: stops at the first error") {
  const auto why = error<qga::ReadError>();
  for (std::size_t answered = 0; answered < 4; ++answered) {
    CAPTURE(answered);
    const std::vector<Reply> good{{}, says(1s), {}, says(1s)};
    std::deque<Reply> replies(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(answered));
    replies.push_back({.error = why});
    Set set;
    set.run(std::move(replies));
    CHECK(set.failed == why);
    CHECK(set.log.size() == answered + 1);
  }
}

TEST_CASE("clock: an agent that refuses may have set all but the hardware clock") {
  const auto refused = error<qga::AgentError>(Outcome::refused);
  struct {
    std::chrono::seconds before, after;
    bool set;
  } const cases[]{{1000s, 2001s, true},  {1000s, 1001s, false}, {2000s, 2000s, true},
                  {90000s, 2000s, true}, {1997s, 1998s, false}, {2600s, 2601s, false}};
  for (const auto& one : cases) {
    CAPTURE(one.before.count(), one.after.count());
    Set set;
    set.run({{}, says(one.before), {.error = refused}, says(one.after)});
    const auto failed = error_of<qga::ClockError>(set);
    CHECK(failed.is_set() == one.set);
    CHECK(failed.outcome() == Outcome::refused);
    CHECK(failed.change().after == one.after - 2000s);
    CHECK((std::string(failed.what()).find("not the hardware clock") != std::string::npos) ==
          one.set);
  }
}

TEST_CASE("clock: without a look at the clock the refusal is all that is known") {
  const auto refused = error<qga::AgentError>(Outcome::refused);
  Set blind;
  blind.run({{}, says(1s), {.error = refused}, {.error = error<qga::ReadError>()}});
  CHECK(blind.failed == refused);

  const auto forbidden = error<qga::CommandNotFoundError>(Outcome::refused);
  Set never;
  never.run({{}, says(1s), {.error = forbidden}});
  CHECK(never.failed == forbidden);
}

TEST_CASE("clock: a ping that is refused has measured nothing, and matters to nobody") {
  Set set;
  set.run({{.error = error<qga::CommandNotFoundError>(Outcome::refused)}, says(1s), {}, says(2s)});
  CHECK(set.finished);
}

TEST_CASE("clock: the host's time is the system's") {
  const auto before = std::chrono::system_clock::now();
  const GuestTime now = qga::detail::host_time();
  CHECK(now >= before);
  CHECK(now <= std::chrono::system_clock::now());
}
