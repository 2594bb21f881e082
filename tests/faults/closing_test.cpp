// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Closing a client ends what it does at that moment: it does not connect again behind the caller's
// back, and a transfer that was stopped just before still closes its file.
#include <filesystem>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "agent.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

TEST_CASE("closing: it ends the pauses of wait_ready", "[faults]") {
  const std::string how = GENERATE("close", "async_close", "the client is destroyed");
  CAPTURE(how);
  TemporaryDirectory directory;
  const std::string path = directory.file("late");
  ScriptedGuest guest;
  Answer<qga::Readiness> ready;
  Answer<void> closed;
  asio::io_context context;
  std::optional<qga::Client<>> ga(std::in_place, context, patient());
  CHECK_THROWS_AS(ga->connect(path), qga::ConnectError);
  ga->async(asio::bind_executor(context, to(ready))).wait_ready(20s);
  context.run_for(300ms);  // It has tried, and waits until it tries again.
  REQUIRE(ready.times == 0);

  const auto start = qga::Clock::now();
  if (how == "close") ga->close();
  if (how == "async_close") ga->async_close(asio::bind_executor(context, to(closed)));
  if (how == "the client is destroyed") ga.reset();
  std::filesystem::create_symlink(guest.path(), path);  // now the agent is there
  run_dry(context);
  CHECK(qga::Clock::now() - start < tolerance);
  CHECK_THROWS_AS(ready.get(), qga::CancelledError);
  CHECK(guest.connections() == 0);
  if (ga) CHECK_FALSE(ga->is_open());
}

TEST_CASE("closing: a transfer that was stopped just before closes its file", "[faults]") {
  ScriptedGuest guest;
  guest.put("/there", std::string(4 << 20, 'a'));
  Answer<qga::TransferResult> answer;
  Answer<void> closed;
  std::stop_source stop;
  std::ostringstream bytes;
  int pieces = 0;
  asio::io_context context;
  qga::Client<> ga(context, patient());
  ga.connect(guest.path());
  const qga::TransferParams params{.progress = [&](auto, auto) {
    if (++pieces == 2) stop.request_stop();
  }};
  ga.async(asio::bind_executor(context, to(answer)), {.stop = stop.get_token()})
      .download("/there", bytes, params);
  run_until(context, [&] { return pieces >= 2; });
  ga.async_close(asio::bind_executor(context, to(closed)));
  run_dry(context);
  CHECK_THROWS_AS(answer.get(), qga::CancelledError);
  closed.get();
  wait_until([&] { return guest.handles() == 0; });
  CHECK_FALSE(ga.is_open());
}
