// SPDX-License-Identifier: LGPL-3.0-or-later
//
// One client on four threads: connecting, calls, helpers and closing at the same time, asynchronous
// and blocking. What each call comes to does not matter here, only that each ends, once, and that
// the thread sanitizer has nothing to say.
#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/thread_pool.hpp>

#include "faults.hpp"
#include "sanitized.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

constexpr int rounds = sanitized ? 40 : 100;

/// Starts a call again and again, one after the other, each from the handler of the one before.
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  /// @param start is given the number of the round and the handler
  using Start = std::function<void(int, std::function<void(std::exception_ptr)>)>;

  Lane(Start start, std::atomic<int>& errors) : start_(std::move(start)), errors_(errors) {}

  void go() {
    if (round_ == rounds) return;
    start_(round_++, [self = shared_from_this()](std::exception_ptr error) {
      self->heard(error);
      self->go();
    });
  }

 private:
  void heard(const std::exception_ptr& error) const {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const qga::GuestAgentError&) {  // closed, not connected, or given up for another
    } catch (...) {
      ++errors_;
    }
  }

  Start start_;
  std::atomic<int>& errors_;
  int round_ = 0;
};

/// Ends the test where the calls do not end by themselves.
class Watch {
 public:
  explicit Watch(asio::thread_pool& pool)
      : thread_([&pool](const std::stop_token& stop) {
          const auto deadline = qga::Clock::now() + 3 * long_enough;
          while (!stop.stop_requested() && qga::Clock::now() < deadline) {
            std::this_thread::sleep_for(10ms);
          }
          if (!stop.stop_requested()) pool.stop();
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace

TEST_CASE("threads: connecting, calls, helpers and closing of one client", "[faults][threads]") {
  const bool blocking_too = GENERATE(false, true);
  CAPTURE(blocking_too);
  ScriptedGuest guest;
  guest.put("/there", "text");
  std::atomic<int> errors = 0;
  std::atomic<int> ended = 0;
  std::atomic<std::size_t> unread = 0;
  asio::thread_pool pool(4);
  qga::Client<> ga(pool, {.timeout = 5s});
  const auto counted = [&](auto done) {
    return [&ended, done](std::exception_ptr error, auto&&...) {
      ++ended;
      done(std::move(error));
    };
  };
  const std::array<Lane::Start, 4> kinds{
      [&](int, auto done) {
        ga.async_connect(asio::local::stream_protocol::endpoint(guest.path()), counted(done));
      },
      [&](int, auto done) { ga.async(counted(done)).ping(); },
      [&](int, auto done) { ga.async(counted(done)).usage(std::chrono::seconds(0)); },
      [&](int round, auto done) {
        try {
          if (round % 8 == 7) ga.close();
        } catch (const qga::BusyError&) {  // a blocking call is using the client
        }
        ga.async(counted([&unread, done](std::exception_ptr error) {
            unread += error != nullptr;
            done(std::move(error));
          }))
            .read_file("/there");
      }};
  {
    std::vector<std::jthread> blocking;
    for (int i = 0; blocking_too && i < 2; ++i) {
      blocking.emplace_back([&, i] {
        for (int round = 0; round < rounds; ++round) {
          try {
            i == 0 ? ga.ping() : static_cast<void>(ga.usage(std::chrono::seconds(0)));
          } catch (const qga::GuestAgentError&) {  // BusyError among them
          } catch (...) {
            ++errors;
          }
        }
      });
    }
    for (const auto& kind : kinds) std::make_shared<Lane>(kind, errors)->go();
  }
  {
    const Watch watch(pool);
    pool.join();
  }
  CHECK(ended == static_cast<int>(kinds.size()) * rounds);
  CHECK(errors == 0);
  ga.close();
  CHECK_FALSE(ga.is_open());
  // Only a file whose connection ended before the answer to its opening stays open.
  wait_until([&] { return guest.handles() <= unread; });
}

TEST_CASE("threads: the first calls of a client that has no executor yet", "[faults][threads]") {
  ScriptedGuest guest;
  for (int round = 0; round < rounds / 4; ++round) {
    asio::thread_pool pool(2);
    qga::Client<> ga(guest.path(), patient());
    std::atomic<int> succeeded = 0;
    const auto count = [&](std::exception_ptr error, auto&&...) { succeeded += error == nullptr; };
    {
      std::jthread one([&] { ga.async(asio::bind_executor(pool, count)).ping(); });
      std::jthread two(
          [&] { ga.async(asio::bind_executor(pool, count)).usage(std::chrono::seconds(0)); });
    }
    const Watch watch(pool);
    pool.join();
    REQUIRE(succeeded == 2);
  }
}

TEST_CASE("threads: a client is closed while it connects, again and again", "[faults][threads]") {
  ScriptedGuest guest;
  asio::thread_pool pool(4);
  std::atomic<int> ended = 0;
  qga::Client<> ga(pool, patient());
  for (int round = 0; round < rounds; ++round) {
    ga.async_connect(asio::local::stream_protocol::endpoint(guest.path()),
                     [&](std::exception_ptr) { ++ended; });
    if (round % 2 == 0) ga.async([&](std::exception_ptr) { ++ended; }).ping();
    ga.close();
  }
  const Watch watch(pool);
  pool.join();
  CHECK(ended == rounds + rounds / 2);
  CHECK_FALSE(ga.is_open());
}
