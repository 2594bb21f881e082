// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Many guests, watched by the library from one thread: a client each, one io_context for all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <qga/client.hpp>

#include "fleet_raw.hpp"

namespace fleet {

/// How a sweep went for one guest.
struct Outcome {
  std::exception_ptr error;
  qga::Clock::duration after;  ///< since the sweep began
};

class WatchedFleet {
 public:
  WatchedFleet(const std::vector<std::string>& paths, const qga::ClientParams& params) {
    for (const std::string& path : paths) guests_.emplace_back(*this, params).ga.connect(path);
  }

  /// Four commands each; a guest that fails one is done.
  void sweep() {
    begun_ = qga::Clock::now();
    for (Guest& guest : guests_) {
      guest.step = 0;
      guest.go_on(nullptr);
    }
    context_.run();
    context_.restart();
  }

  /// Runs something in the middle of the next sweep.
  void interrupt(qga::Clock::duration after, std::function<void()> work) {
    interruption_.expires_after(after);
    interruption_.async_wait([work = std::move(work)](std::error_code) { work(); });
  }

  const Outcome& outcome(std::size_t guest) const { return guests_[guest].outcome; }

 private:
  struct Guest {
    Guest(WatchedFleet& of, const qga::ClientParams& params) : fleet(of), ga(of.context_, params) {}

    auto face() {
      return ga.async([this](std::exception_ptr error, const auto&) { go_on(std::move(error)); });
    }

    void go_on(std::exception_ptr error) {
      if (error) return end(std::move(error));
      switch (step++) {
        case 0:
          return face().info();
        case 1:
          return face().get_osinfo();
        case 2:
          return face().get_fsinfo();
        case 3:
          return face().network_get_interfaces();
        default:
          return end(nullptr);
      }
    }
    void end(std::exception_ptr error) {
      outcome = {std::move(error), qga::Clock::now() - fleet.begun_};
    }

    WatchedFleet& fleet;
    qga::Client<> ga;
    int step = 0;
    Outcome outcome = {};
  };

  asio::io_context context_{1};
  asio::steady_timer interruption_{context_};
  qga::Clock::time_point begun_;
  std::deque<Guest> guests_;
};

/// What a client sends in a sweep, as it sends it: a bare loop is to send the same.
inline std::vector<Exchange> exchanges_of_a_client(const std::string& path) {
  std::vector<Exchange> exchanges;
  qga::ClientParams params;
  params.trace = [&](qga::TraceDirection direction, std::string_view line) {
    if (direction == qga::TraceDirection::received) return;
    exchanges.push_back({std::string(line.substr(line.find('{'))) + '\n', 1});
  };
  WatchedFleet({path}, params).sweep();
  // The handshake, which goes out at once. Three lines come back: the agent rejects the byte 0xFF,
  // answers the sync, and the ping.
  exchanges[0] = {'\xFF' + exchanges[0].request + exchanges[1].request, 3};
  exchanges.erase(exchanges.begin() + 1);
  return exchanges;
}

}  // namespace fleet
