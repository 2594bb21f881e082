// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Helpers whose agent stands still at one of their steps, at each of them in turn: they end at
// their deadline, and leave nothing behind once the agent goes on.
#include <cctype>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr auto deadline = 300ms;

/// Stops the agent when a certain command is sent, and lets it go on after the deadline.
class StandStill {
 public:
  StandStill(Agent& agent, std::size_t at) : agent_(agent), at_(at) {}
  StandStill(const StandStill&) = delete;
  StandStill& operator=(const StandStill&) = delete;
  ~StandStill() {
    if (resuming_.joinable()) resuming_.join();
  }

  qga::Trace trace() {
    return [this](qga::TraceDirection direction, std::string_view line) {
      const bool handshake =
          line.find("guest-sync") != line.npos || line.find("guest-ping") != line.npos;
      if (direction != qga::TraceDirection::sent || handshake) return;
      if (const auto name = line.find("/tmp/qga-");
          name != line.npos && std::isdigit(line[name + 9]) != 0) {
        temporary_ = line.substr(name, line.find('"', name) - name);
      }
      if (++sent_ != at_) return;
      agent_.stop();
      resuming_ = std::thread([this] {
        std::this_thread::sleep_for(2 * deadline);
        agent_.resume();
      });
    };
  }
  /// The file of long input, where there was one.
  const std::string& temporary() const { return temporary_; }
  /// Whether there was such a command.
  bool happened() const { return sent_ >= at_; }

 private:
  Agent& agent_;
  std::size_t at_;
  std::size_t sent_ = 0;
  std::string temporary_;
  std::thread resuming_;
};

/// Runs `use` with an agent that stands still at its first command, its second, and so on, until
/// `use` has no more of them. Returns how many it has.
template <class Way>
std::size_t stand_still_at_each_step(Agent& agent, const std::function<void(Way&)>& use) {
  for (std::size_t step = 1;; ++step) {
    CAPTURE(step);
    StandStill standing(agent, step);
    {
      qga::ClientParams params = patient();
      params.trace = standing.trace();
      Way ga(agent.path(), std::move(params));
      try {
        use(ga);
        CHECK_FALSE(standing.happened());
      } catch (const qga::TimeoutError& error) {
        CHECK(standing.happened());
        CHECK(error.err() == std::errc::timed_out);
      }
      ga.ping();
    }
    CHECK(agent.opened("there") == 0);
    CHECK_FALSE(fs::exists(standing.temporary()));
    if (!standing.happened()) return step - 1;
  }
}

}  // namespace

TEMPLATE_TEST_CASE("a deadline in every step of an upload", "[agent]", Blocking, Async) {
  Agent agent;
  const std::size_t steps = stand_still_at_each_step<TestType>(agent, [&](TestType& ga) {
    ga.write_file(agent.file("there"), "hello", {.verify = true, .timeout = deadline});
  });
  CHECK(steps >= 8);
  CHECK(agent.get("there") == "hello");
}

TEMPLATE_TEST_CASE("a deadline in every step of a download", "[agent]", Blocking, Async) {
  Agent agent;
  agent.put("there", "hello");
  const TemporaryDirectory host;
  const std::size_t steps = stand_still_at_each_step<TestType>(agent, [&](TestType& ga) {
    fs::remove(host.file("down"));
    try {
      ga.download(agent.file("there"), host.file("down"), {.verify = true, .timeout = deadline});
    } catch (...) {
      CHECK(fs::is_empty(host.file("")));
      throw;
    }
  });
  CHECK(steps >= 7);
  CHECK(fs::file_size(host.file("down")) == 5);
}

TEMPLATE_TEST_CASE("a deadline in every step of a program with long input", "[agent]", Blocking,
                   Async) {
  Agent agent;
  const std::string input((64 << 10) + 1, 'x');
  const std::size_t steps = stand_still_at_each_step<TestType>(agent, [&](TestType& ga) {
    const qga::RunParams params{.args = {"-c"}, .input = input, .timeout = deadline};
    const qga::RunResult result = ga.run("wc", params);  // a CHECK would swallow what it throws
    CHECK(result.out == std::to_string(input.size()) + "\n");
  });
  CHECK(steps >= 10);
}

TEMPLATE_TEST_CASE("a deadline while waiting for an agent", "[agent]", Blocking, Async) {
  Agent agent;
  std::size_t silent = 0;
  for (std::size_t step = 1; step <= 3; ++step) {
    StandStill standing(agent, step);
    qga::ClientParams params = patient();
    params.trace = standing.trace();
    TestType ga(agent.path(), std::move(params));
    const qga::Readiness ready = ga.wait_ready(deadline);
    silent += ready.state == qga::ReadyState::silent;
    CHECK(ready.waited < long_enough);
  }
  CHECK(silent == 1);  // at its first command; the second only tells whether anything is frozen
}
