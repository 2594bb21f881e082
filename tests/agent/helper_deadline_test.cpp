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
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "agent.hpp"
#include "catch.hpp"
#include "proxy.hpp"
#include "qga/client.hpp"
#include "sockets.hpp"
#include "ways.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr auto deadline = 300ms;

/// Stands between a client and the agent: stops the agent before a certain command reaches it, and
/// lets it go on after the deadline.
class StandStill final : private AgentEnd {
 public:
  StandStill(Agent& agent, std::size_t at)
      : agent_(agent), at_(at), to_agent_(connected_to(agent.path())) {}
  StandStill(const StandStill&) = delete;
  StandStill& operator=(const StandStill&) = delete;
  ~StandStill() {
    proxy_.reset();
    if (resuming_.joinable()) resuming_.join();
    // The agent would end if its replies were left unread.
    ::shutdown(to_agent_.get(), SHUT_WR);
    while (!says().empty()) {
    }
  }

  /// Where the client is to connect to.
  std::string path() const { return directory_.file("door"); }
  /// Lets the client in that has connected.
  void let_in() {
    Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    proxy_.emplace(std::move(client), static_cast<AgentEnd&>(*this), FaultyLine());
  }

  /// The file of long input, where there was one.
  std::string temporary() {
    const std::lock_guard lock(mutex_);
    return temporary_;
  }
  /// Whether there was such a command.
  bool happened() {
    const std::lock_guard lock(mutex_);
    return sent_ >= at_;
  }

 private:
  std::string hear(std::string_view bytes) override {
    for (const char byte : bytes) {
      line_ += byte;
      if (byte != '\n') continue;
      look_at(line_);
      write_all(to_agent_, line_);
      line_.clear();
    }
    return {};
  }
  int fd() const override { return to_agent_.get(); }
  std::string says() override {
    std::string bytes(65536, ' ');
    const ssize_t got = ::read(to_agent_.get(), bytes.data(), bytes.size());
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

  void look_at(std::string_view line) {
    if (line.find("guest-sync") != line.npos || line.find("execute") == line.npos) return;
    const std::lock_guard lock(mutex_);
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
  }

  Agent& agent_;
  const std::size_t at_;
  TemporaryDirectory directory_;
  Descriptor listener_ = listening_on(path());
  Descriptor to_agent_;
  std::string line_;
  std::mutex mutex_;  ///< guards the next two
  std::size_t sent_ = 0;
  std::string temporary_;
  std::thread resuming_;
  std::optional<Proxy> proxy_;
};

/// Runs `use` with an agent that stands still at its first command, its second, and so on, until
/// `use` has no more of them. Returns how many it has.
template <class Way>
std::size_t stand_still_at_each_step(Agent& agent, const std::function<void(Way&)>& use) {
  for (std::size_t step = 1;; ++step) {
    CAPTURE(step);
    StandStill standing(agent, step);
    {
      Way ga(standing.path());
      standing.let_in();
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
    TestType ga(standing.path());
    standing.let_in();
    const qga::Readiness ready = ga.wait_ready(deadline);
    silent += ready.state == qga::ReadyState::silent;
    CHECK(ready.waited < long_enough);
  }
  CHECK(silent == 1);  // at its first command; the second only tells whether anything is frozen
}
