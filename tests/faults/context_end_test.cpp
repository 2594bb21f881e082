// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A context may end while its clients, their calls and their guards live on: what it would have run
// is dropped, and nothing hangs or is used after its end.
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/serial_port.hpp>

#include "faults.hpp"
#include "relay.hpp"
#include "scripted_guest.hpp"

namespace context_ends {

using namespace faults;

TEST_CASE("context: handlers that it drops may own guards", "[faults]") {
  const std::string waits_for = GENERATE("async_close", "close of a file", "open", "thaw");
  const bool freezes = GENERATE(false, true);
  CAPTURE(waits_for, freezes);
  ScriptedGuest guest;
  guest.put("/there", "text");
  auto context = std::make_unique<asio::io_context>();
  // What a coroutine has in its frame.
  struct Frame {
    qga::File file;
    qga::Frozen frozen;
  };
  auto frame = std::make_shared<Frame>();
  qga::Client<> ga(*context, patient());
  ga.connect(guest.path());
  frame->file = get<qga::File>(*context, [&](auto token) { ga.async(token).open("/there"); });
  if (freezes) {
    frame->frozen = get<qga::Frozen>(*context, [&](auto token) { ga.async(token).freeze(); });
  }
  guest.deafen();
  int heard = 0;
  auto handler =
      asio::bind_executor(*context, [frame, &heard](std::exception_ptr, auto&&...) { ++heard; });
  if (waits_for == "async_close") ga.async_close(std::move(handler));
  if (waits_for == "close of a file") ga.async(std::move(handler)).close(frame->file);
  if (waits_for == "open") ga.async(std::move(handler)).open("/there");
  if (waits_for == "thaw") ga.async(std::move(handler)).thaw(frame->frozen);
  const std::weak_ptr<Frame> watched = frame;
  frame.reset();
  context->run_for(50ms);
  guest.deafen(false);
  std::thread end([&] { context.reset(); });
  end.join();
  CHECK(heard <= 1);
  if (heard == 0) CHECK(watched.expired());
  wait_until([&] { return !guest.frozen(); });
}

TEST_CASE("context: it may end during a blocking call", "[faults]") {
  ScriptedAgent agent;
  agent.once("guest-get-host-name",
             script::all(script::waits(400ms), script::returns(R"({"host-name": "late"})")));
  auto context = std::make_unique<asio::io_context>();
  qga::Client<> ga(*context, patient());
  ga.connect(agent.path());
  get(*context, [&](auto token) { ga.async(token).ping(); });
  std::string name;
  std::exception_ptr error;
  std::thread caller([&] {
    try {
      name = ga.get_host_name();
    } catch (...) {
      error = std::current_exception();
    }
  });
  wait_until([&] { return agent.executed("guest-get-host-name") == 1; });
  context.reset();
  caller.join();
  if (error) std::rethrow_exception(error);
  CHECK(name == "late");
  ga.ping();
}

TEST_CASE("context: a client over a serial port outlives it", "[faults]") {
  const std::string used = GENERATE("never", "for a call", "for a call under way");
  CAPTURE(used);
  ScriptedAgent agent;
  agent.on("guest-get-host-name", script::nothing());
  agent.on("guest-exec", script::nothing());
  Terminal terminal;
  const Relay relay = terminal.relay_to(agent.path());
  auto context = std::make_unique<asio::io_context>();
  qga::Client ga(asio::serial_port(*context, terminal.name()), patient());
  std::vector<std::string> heard;
  const auto hear = [&](std::exception_ptr error, auto&&...) {
    heard.emplace_back(error ? qga::error_of(error)->what() : "success");
  };
  if (used == "for a call") get(*context, [&](auto token) { ga.async(token).ping(); });
  if (used == "for a call under way") {
    ga.async(asio::bind_executor(*context, hear)).get_host_name();
    ga.async(asio::bind_executor(*context, hear)).run("/bin/program");
    while (agent.executed("guest-get-host-name") == 0) context->run_one_for(1ms);
  }
  context.reset();
  CHECK(heard == std::vector<std::string>());
  ga.ping();
  ga.close();
}

}  // namespace context_ends
