// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that is started and followed, whose calls are cancelled through a cancellation slot at
// each of their steps: each handler is called once, and nothing is left in the guest.
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "fate.hpp"
#include "faults.hpp"
#include "started_guest.hpp"

using namespace faults;
using qga::Process;

namespace process_cancel {

/// A client in a context, and a call of it that is cancelled.
struct Place {
  StartedGuest guest;
  asio::cancellation_signal signal;
  std::size_t times = 0;
  std::exception_ptr error;
  asio::io_context context;
  qga::Client<> ga{context, patient()};
  Process process;

  Place() {
    guest.has_ended = true;
    ga.connect(guest.path());
    ga.ping();
  }

  /// A token for a call that ends without a result, or whose result is not looked at.
  auto token() {
    return asio::bind_cancellation_slot(
        signal.slot(), asio::bind_executor(context, [this](std::exception_ptr failed, auto&&...) {
          ++times;
          error = failed;
        }));
  }
  /// For `start`.
  auto start_token() {
    return asio::bind_cancellation_slot(
        signal.slot(),
        asio::bind_executor(context, [this](std::exception_ptr failed, Process started) {
          ++times;
          error = failed;
          process = std::move(started);
        }));
  }
};

struct Call {
  std::string name;
  std::function<void(Place&)> make;
};

TEST_CASE("process: a cancellation at each step, through a slot", "[faults]") {
  const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial,
                             asio::cancellation_type::total);
  const std::vector<Call> calls{
      {"start", [](Place& place) { place.ga.async(place.start_token()).start("/bin/x"); }},
      {"read", [](Place& place) { place.process.async(place.token()).read(); }},
      {"write", [](Place& place) { place.process.async(place.token()).write("input"); }},
      {"close_input", [](Place& place) { place.process.async(place.token()).close_input(); }},
      {"wait", [](Place& place) { place.process.async(place.token()).wait(); }},
      {"status", [](Place& place) { place.process.async(place.token()).status(); }},
      {"kill", [](Place& place) { place.process.async(place.token()).kill(); }},
  };
  for (const Call& call : calls) {
    std::size_t step = 1;
    for (bool reached = true; reached; ++step) {
      Place place;
      if (call.name != "start") place.process = place.ga.start("/bin/x");
      place.guest.break_at(step, {},
                           [&] { asio::post(place.context, [&] { place.signal.emit(type); }); });
      call.make(place);
      run_dry(place.context);
      const std::string command = place.guest.mend();
      reached = !command.empty();
      const Fate fate = fate_of(place.error);
      INFO(call.name << " at step " << step << ", " << command << ": " << fate);
      CHECK(place.times == 1);
      // A program that has ended cannot be written to or killed.
      if (fate.error) CHECK((fate.is<qga::CancelledError>() || fate.is<qga::AgentError>()));
      place.process = Process();
      run_dry(place.context);
      CHECK(place.guest.handles() == 0);
      CHECK_FALSE(place.guest.has_directory());
      CHECK_FALSE(place.guest.runs());
      CHECK_NOTHROW(place.ga.ping());
    }
    CHECK(step > 2);
  }
}

}  // namespace process_cancel
