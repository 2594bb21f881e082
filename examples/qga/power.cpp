// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's clock and its power: time, shutdown, reboot, suspend.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "answer.hpp"
#include "each_guest.hpp"
#include "failure.hpp"
#include "print.hpp"
#include "questions.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

Facts compared(std::chrono::system_clock::time_point before, std::int64_t time) {
  const qga::GuestTime guest{std::chrono::nanoseconds(time)};
  const auto host = before + (std::chrono::system_clock::now() - before) / 2;
  // The guest may give any number, and a difference of integers could overflow.
  const double seconds = std::chrono::duration<double>(guest.time_since_epoch()).count() -
                         std::chrono::duration<double>(host.time_since_epoch()).count();
  return {{"guest", time_text(guest), "CLOCK"},
          {"difference", number_text(std::abs(seconds), 3) + " s " +
                             (seconds < 0 ? "behind this machine" : "ahead of this machine")}};
}

void show_time(GuestTask& task) {
  if (task.tool().json) {
    return task.ask(AsJson<qga::GuestGetTimeRequest>(),
                    [&task](nlohmann::json reply) { task.answer({.json = std::move(reply)}); });
  }
  // The first command makes the handshake, which must not be measured. An agent that refuses it
  // has made it, too.
  task.execute(qga::GuestPingRequest(), [&task](std::exception_ptr error) {
    if (error && !has_code(error, qga::err_from_agent)) return task.fail(std::move(error));
    const auto before = std::chrono::system_clock::now();
    task.ask(qga::GuestGetTimeRequest(),
             [&task, before](std::int64_t time) { task.answer({.text = compared(before, time)}); });
  });
}

/// Sets the clock. That the hardware clock is not set is no failure: many guests have none.
void set_time(GuestTask& task) {
  const auto then = [&task](std::exception_ptr error, const qga::ClockChange&) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const qga::ClockError& refusal) {
      if (!refusal.is_set()) return task.fail(std::move(error));
      task.complain(refusal.what());
    } catch (const std::exception&) {
      return task.fail(std::move(error));
    }
    show_time(task);
  };
  task.ga(then).set_clock();
}

/// How long to wait for the answer of a guest that goes down. A guest that refuses says so within
/// 5 s. One that goes down at once does not answer, and looks the same as one that is slow.
constexpr auto answer_limit = 15s;

/// Calls `act`, which gets no answer where the guest goes down at once.
template <class Act>
int go_down(Tool& tool, const std::string& what, Act act) {
  try {
    act();
    tool.note(what + ": accepted");
  } catch (const qga::UnreachableError& error) {
    if (error.outcome() != qga::Outcome::unknown) throw;
    tool.note(what + ": sent, and not refused; the guest has stopped answering");
  }
  return done(tool);
}

int shut_down(Tool& tool, qga::GuestShutdownMode mode, const std::string& what) {
  return go_down(tool, what, [&] { tool.ga(answer_limit).shutdown(mode); });
}

int suspend(Tool& tool, const std::string& kind) {
  auto ga = tool.ga(answer_limit);
  return go_down(tool, "suspend", [&] {
    if (kind == "disk") return ga.suspend_disk();
    if (kind == "hybrid") return ga.suspend_hybrid();
    ga.suspend_ram();
  });
}

}  // namespace

void define_power(CLI::App& app, Tool& tool) {
  const auto set = std::make_shared<bool>(false);
  CLI::App* const time =
      define(app, tool, "time", "Compare the guest's clock with this machine's",
             [&tool, set] { return each_guest(tool, *set ? set_time : show_time); });
  time->add_flag("--set", *set, "Set it to the time of this machine first");

  const auto halt = std::make_shared<bool>(false);
  CLI::App* const down = define(app, tool, "shutdown", "Shut the guest down", [&tool, halt] {
    return shut_down(tool, *halt ? qga::GuestShutdownMode::halt : qga::GuestShutdownMode::powerdown,
                     "shutdown");
  });
  down->add_flag("--halt", *halt, "Halt the guest, and leave the virtual machine on");
  define(app, tool, "reboot", "Restart the guest",
         [&tool] { return shut_down(tool, qga::GuestShutdownMode::reboot, "reboot"); });

  const auto kind = std::make_shared<std::string>("ram");
  CLI::App* const sleep = define(app, tool, "suspend", "Put the guest to sleep",
                                 [&tool, kind] { return suspend(tool, *kind); });
  allow(sleep->add_option("KIND", *kind, "Where its memory goes; by default it stays in RAM"),
        {"ram", "disk", "hybrid"});
  sleep->footer("Make sure first that the host can wake the guest up.");
}

}  // namespace qga_tool
