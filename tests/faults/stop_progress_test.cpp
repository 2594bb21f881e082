// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Transfers that are ended from within their own `progress`, which runs in the middle of a step:
// by a stop request, and by emitting the signal of the operation's cancellation slot right there.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>

#include "agent.hpp"
#include "ended.hpp"
#include "good_agent.hpp"

using namespace faults;

namespace {

/// Ends the call at once, on the thread of `progress`.
void end_here(StopBlocking& way) { way.end(); }
void end_here(StopAsync& way) { way.end(); }
void end_here(CancelAsync& way) { way.signal.emit(asio::cancellation_type::terminal); }

}  // namespace

TEMPLATE_TEST_CASE("progress may end its own transfer", "[faults]", StopBlocking, StopAsync,
                   CancelAsync) {
  const bool up = GENERATE(false, true);
  const std::size_t in_flight = GENERATE(as<std::size_t>{}, 1, 8);
  ScriptedAgent agent;
  behave(agent);
  agent.on("guest-file-seek", seeks(1 << 20));
  TestType way;
  Client client(agent.path(), patient());
  std::istringstream in(std::string(1 << 20, 'x'));
  std::ostringstream out;
  int reported = 0;
  const qga::TransferParams params{
      .chunk = 1000, .in_flight = in_flight, .progress = [&](std::uint64_t, auto) {
        ++reported;
        end_here(way);
      }};
  const Ending ending = ending_of(
      [&] {
        if (up) {
          way.call(client, {}, [&](auto&& ga) { return ga.upload(in, "/x", params); });
        } else {
          way.call(client, {}, [&](auto&& ga) { return ga.download("/x", out, params); });
        }
      },
      [] { return true; }, [] {}, [] {});
  CAPTURE(up, in_flight, ending.text());
  CHECK(ending.template is<qga::CancelledError>());
  CHECK(reported >= 1);
  CHECK(reported <= 16);  // those that were in flight
  CHECK(way.plain(client, [](auto&& ga) { return ga.get_host_name(); }) == "good");
  CHECK(agent.executed("guest-file-close") >= 1);
}

TEMPLATE_TEST_CASE("progress may end its own transfer with a real agent", "[faults]", StopBlocking,
                   StopAsync, CancelAsync) {
  const Agent agent;
  agent.put("there", std::string(4 << 20, 'x'));
  const TemporaryDirectory host;
  TestType way;
  Client client(agent.path(), patient());
  const qga::TransferParams params{.progress = [&](std::uint64_t, auto) { end_here(way); }};
  const Ending ending = ending_of(
      [&] {
        way.call(client, {}, [&](auto&& ga) {
          return ga.download(agent.file("there"), std::filesystem::path(host.file("down")), params);
        });
      },
      [] { return true; }, [] {}, [] {});
  CAPTURE(ending.text());
  CHECK(ending.template is<qga::CancelledError>());
  CHECK(std::filesystem::is_empty(host.file("")));
  CHECK(agent.opened("there") == 0);
  way.plain(client, [](auto&& ga) { return ga.ping(); });
}
