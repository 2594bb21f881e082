// SPDX-License-Identifier: LGPL-3.0-or-later
//
// qga::testing::Agent, which users test their programs with: its two forms, and that each fault has
// the error that it stands for.
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "faults.hpp"
#include "qga/client.hpp"
#include "qga/testing/agent.hpp"

using namespace faults;
namespace testing = qga::testing;
using testing::Action;
using FakeAgent = testing::Agent;
using testing::Request;

namespace {

using Commands = std::vector<std::string>;

struct Case {
  std::string name;
  Action action;
  std::string error;  ///< "none": the reply is the host name "x"
  std::optional<Outcome> outcome;
};

std::vector<Case> cases() {
  using namespace testing;
  const Action good = returns({{"host-name", "x"}});
  return {
      {"a reply", good, "none", {}},
      {"a reply by a function",
       [](const Request&) {
         return nlohmann::json{{"host-name", "x"}};
       },
       "none",
       {}},
      {"an action by a function", [good](const Request&) { return good; }, "none", {}},
      {"several steps", in_order(waits(1ms), sends("\n\n"), good), "none", {}},
      {"a slow channel", in_order(sends_slowly("\n \n", 1ms), good), "none", {}},
      {"an error", fails("no"), "AgentError", Outcome::refused},
      {"an error of a class", fails("no", "CommandNotFound"), "CommandNotFoundError",
       Outcome::refused},
      {"a function that throws", [](const Request&) -> Action { throw std::runtime_error("no"); },
       "AgentError", Outcome::refused},
      {"a function that throws anything", [](const Request&) -> nlohmann::json { throw 5; },
       "AgentError", Outcome::refused},
      {"silence", ignores(), "TimeoutError", Outcome::unknown},
      {"a late reply", in_order(waits(2 * brief), good), "TimeoutError", Outcome::unknown},
      {"a lost reply", loses_reply(), "TimeoutError", Outcome::unknown},
      {"a pause", in_order(pauses(), ignores()), "TimeoutError", Outcome::unknown},
      {"a disconnect", disconnects(), "ReadError", Outcome::unknown},
      {"half a reply and a disconnect", in_order(sends("{\"ret"), disconnects()), "ReadError",
       Outcome::unknown},
      {"a broken reply", sends("{\"return\": \n"), "BadReplyError", Outcome::unknown},
      {"a reply of another shape", returns({{"host-name", 5}}), "BadReplyError", Outcome::unknown},
      {"a reply without an end", sends(std::string(64 << 10, 'x'), 1000), "BadReplyError",
       Outcome::unknown},
  };
}

std::string kind_of(const qga::GuestAgentError& error) {
  if (dynamic_cast<const qga::CommandNotFoundError*>(&error)) return "CommandNotFoundError";
  if (dynamic_cast<const qga::AgentError*>(&error)) return "AgentError";
  if (dynamic_cast<const qga::TimeoutError*>(&error)) return "TimeoutError";
  if (dynamic_cast<const qga::ReadError*>(&error)) return "ReadError";
  if (dynamic_cast<const qga::ConnectError*>(&error)) return "ConnectError";
  if (dynamic_cast<const qga::BadReplyError*>(&error)) return "BadReplyError";
  return error.what();
}

template <class Way>
void check_case(const Case& one, Way& ga) {
  try {
    const std::string name =
        ga.with({.timeout = one.error == "TimeoutError" ? brief : long_enough}).get_host_name();
    CHECK(name == "x");
    CHECK(one.error == "none");
  } catch (const qga::GuestAgentError& error) {
    CHECK(kind_of(error) == one.error);
    CHECK(std::optional(error.outcome()) == one.outcome);
  }
}

std::string name_of(int argument) { return "n" + std::to_string(argument); }

}  // namespace

TEMPLATE_TEST_CASE("fake agent: each fault has its error, and the next call works", "[faults]",
                   Blocking, Async) {
  for (const Case& one : cases()) {
    INFO(one.name);
    FakeAgent agent;
    TestType ga(agent.path());
    agent.once("guest-get-host-name", one.action);
    check_case(one, ga);
    agent.resume();
    if (!ga.is_open()) ga.connect(agent.path());
    CHECK(ga.get_host_name() == "fake-guest");
    CHECK(agent.count("guest-get-host-name") == 2);
  }
}

TEST_CASE("fake agent: without a thread, on the context of the client", "[faults]") {
  for (const Case& one : cases()) {
    INFO(one.name);
    asio::io_context context;
    Answer<std::string> name, again;
    FakeAgent agent(context);
    qga::Client ga(agent.connect(context));
    agent.once("guest-get-host-name", one.action);
    const qga::CallOptions options{.timeout = one.error == "TimeoutError" ? brief : long_enough};
    ga.async(asio::bind_executor(context, to(name)), options).get_host_name();
    run_until(context, [&] { return name.done(); });
    if (one.error == "none") {
      CHECK(name.get() == "x");
    } else {
      const auto error = error_of<qga::GuestAgentError>([&] { name.get(); });
      CHECK(std::optional(error.outcome()) == one.outcome);
      try {
        name.get();
      } catch (const qga::GuestAgentError& thrown) {
        CHECK(kind_of(thrown) == one.error);
      }
    }
    agent.resume();
    if (ga.is_open()) {
      ga.async(asio::bind_executor(context, to(again))).get_host_name();
      run_until(context, [&] { return again.done(); });
      CHECK(again.get() == "fake-guest");
    }
    agent.stop();
    run_dry(context);  // nothing of the agent keeps the context at work
  }
}

TEST_CASE("fake agent: gives its context work until it is stopped", "[faults]") {
  asio::io_context context;
  FakeAgent agent(context);
  qga::Client ga(agent.connect(context));
  agent.set_reading(false);
  context.run_for(50ms);
  CHECK_FALSE(context.stopped());
  agent.stop();
  run_dry(context);
}

TEST_CASE("fake agent: a context that is left alone drops the agent", "[faults]") {
  asio::io_context context;
  std::string path;
  {
    FakeAgent agent(context.get_executor());
    path = agent.path();
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

TEST_CASE("fake agent: a path of the user's, a socket pair, several clients in turn", "[faults]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("agent.sock");
  {
    FakeAgent agent({.path = path});
    CHECK(agent.path() == path);
    CHECK_THROWS_AS(FakeAgent({.path = path}), std::system_error);
    std::optional<qga::Client<>> first(std::in_place, path);
    CHECK(first->get_host_name() == "fake-guest");
    auto second = qga::Client<>::from_handle(agent.connect());
    // A channel takes one client: the second one is served when the first one has left.
    CHECK_THROWS_AS(second.with({.timeout = brief}).ping(), qga::TimeoutError);
    first.reset();
    second.ping();
    CHECK(agent.connections() == 2);
    agent.disconnect();
    CHECK_THROWS_AS(second.ping(), qga::UnreachableError);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("fake agent: rules by command, in their order", "[faults]") {
  using namespace testing;
  FakeAgent agent;
  qga::Client ga(agent.path(), patient());
  agent.on("guest-get-host-name", returns({{"host-name", "always"}}));
  for (int i = 0; i < 2; ++i) {
    agent.once("guest-get-host-name", returns({{"host-name", name_of(i)}}));
  }
  CHECK(ga.get_host_name() == "n0");
  CHECK(ga.get_host_name() == "n1");
  CHECK(ga.get_host_name() == "always");
  agent.intercept([](const Request& request) -> std::optional<Action> {
    if (request.command != "guest-get-host-name") return std::nullopt;
    return returns({{"host-name", "intercepted"}});
  });
  CHECK(ga.get_host_name() == "intercepted");
  agent.intercept({});
  agent.on("guest-get-host-name", carries_out());
  CHECK(ga.get_host_name() == "fake-guest");

  agent.disable("guest-get-host-name");
  CHECK_THROWS_AS(ga.get_host_name(), qga::CommandNotFoundError);
  CHECK_FALSE(ga.supports("guest-get-host-name"));
  agent.enable("guest-get-host-name");
  CHECK(ga.supports("guest-get-host-name"));
  CHECK_THROWS_AS(ga.get_vcpus(), qga::CommandNotFoundError);
  CHECK_FALSE(ga.supports("guest-of-tomorrow"));
  agent.on("guest-of-tomorrow", [](const Request& request) { return request.arguments; });
  CHECK(ga.supports("guest-of-tomorrow"));
  CHECK(ga.execute("guest-of-tomorrow", {{"x", 1}}) == nlohmann::json{{"x", 1}});
}

TEST_CASE("fake agent: what was asked, in order", "[faults]") {
  FakeAgent agent;
  qga::Client ga(agent.path(), patient());
  ga.ping();
  ga.execute("guest-set-time", {{"time", 5}});
  CHECK(agent.commands() == Commands{"guest-ping", "guest-set-time"});
  CHECK(agent.requests().back().arguments == nlohmann::json{{"time", 5}});
  CHECK(agent.count("guest-sync-delimited") == 1);
  CHECK(agent.received().find("\xFF\n") != std::string::npos);
  agent.clear_requests();
  CHECK(agent.requests().empty());
  CHECK(agent.received().empty());
}

TEST_CASE("fake agent: an agent of any age", "[faults]") {
  const auto ids = GENERATE(testing::Ids::echoed, testing::Ids::ignored, testing::Ids::rejected);
  FakeAgent agent({.ids = ids, .version = "2.8.1"});
  qga::Client ga(agent.path(), patient());
  CHECK(ga.info().version == "2.8.1");
  CHECK(ga.get_osinfo().id == "debian");
  CHECK(agent.requests().back().id.empty() == (ids != testing::Ids::echoed));
}

TEST_CASE("fake agent: without a guest it knows what it is told", "[faults]") {
  FakeAgent agent({.has_guest = false});
  qga::Client ga(agent.path(), patient());
  ga.ping();
  CHECK_THROWS_AS(ga.info(), qga::CommandNotFoundError);
  CHECK_THROWS_AS(ga.get_host_name(), qga::CommandNotFoundError);
}

TEST_CASE("fake agent: a guest that stands still, and a channel that does", "[faults]") {
  FakeAgent agent;
  qga::Client ga(agent.path(), patient());
  ga.ping();
  auto hasty = ga.with({.timeout = brief});
  SECTION("paused") {
    agent.pause();
    CHECK_THROWS_AS(hasty.ping(), qga::TimeoutError);
    agent.resume();
  }
  SECTION("not reading") {
    agent.set_reading(false);
    CHECK_THROWS_AS(hasty.file_write(1, std::string(3 << 20, 'x')), qga::TimeoutError);
    agent.set_reading(true);
  }
  SECTION("sending without an end") {
    agent.once("guest-ping", testing::sends("\n", static_cast<std::uint64_t>(-1)));
    CHECK_THROWS_AS(hasty.ping(), qga::TimeoutError);
    agent.cancel();
  }
  SECTION("waiting") {
    agent.once("guest-ping", testing::waits(1h));
    CHECK_THROWS_AS(hasty.ping(), qga::TimeoutError);
    agent.cancel();
  }
  ga.ping();
}

TEST_CASE("fake agent: cut replies, resets, and words ahead of the first request", "[faults]") {
  FakeAgent agent;
  qga::Client ga(agent.path(), patient());
  ga.ping();
  agent.disconnect_after(10);
  CHECK_THROWS_AS(ga.get_host_name(), qga::ReadError);
  agent.on_connect(testing::sends("left over\n"));
  ga.reconnect();
  CHECK(ga.get_host_name() == "fake-guest");
  agent.once("guest-ping", testing::in_order(testing::carries_out(), testing::resets()));
  ga.ping();
  CHECK_THROWS_AS(ga.get_host_name(), qga::UnreachableError);
}

TEST_CASE("fake agent: functions may use the agent, and are not under a lock", "[faults]") {
  FakeAgent agent;
  qga::Client ga(agent.path(), patient());
  agent.on("guest-get-host-name", [&](const Request& request) {
    agent.files()["/asked"] = request.command;
    agent.once("guest-ping", testing::fails("once"));
    return nlohmann::json{{"host-name", std::to_string(agent.count("guest-get-host-name"))}};
  });
  CHECK(ga.get_host_name() == "1");
  CHECK_THROWS_AS(ga.ping(), qga::AgentError);
  ga.ping();
  CHECK(agent.files()["/asked"] == "guest-get-host-name");
}

TEST_CASE("fake agent: its end ends what is under way", "[faults]") {
  std::optional<FakeAgent> agent(std::in_place);
  agent->on("guest-ping", testing::waits(1h));
  qga::Client ga(agent->path(), patient());
  std::thread ending([&] {
    wait_until([&] { return agent->count("guest-ping") == 1; });
    agent.reset();
  });
  CHECK_THROWS_AS(ga.ping(), qga::ReadError);
  ending.join();
}

TEST_CASE("fake agent: it hears as qemu-ga does", "[faults]") {
  const struct {
    std::string sent;
    std::string heard;
  } lines[] = {
      {"{\"execute\": \"guest-ping\"}\n", "{\"return\": {}}\n"},
      {"{\"execute\":\"guest-ping\",\"id\":{\"a\":1}}", "{\"return\": {}, \"id\": {\"a\":1}}\n"},
      {"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}", "\xFF{\"return\": 7}\n"},
      {"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":\"x\"}}",
       "{\"error\": {\"class\":\"GenericError\",\"desc\":\"Invalid parameter type for 'id', "
       "expected: integer\"}}\n"},
      {"\xFF\n",
       "{\"error\": {\"class\":\"GenericError\",\"desc\":\"JSON parse error, stray "
       "'\\ufffd'\"}}\n"},
      {"{\"x\": 1}",
       "{\"error\": {\"class\":\"GenericError\",\"desc\":\"QMP input lacks member "
       "'execute'\"}}\n"},
      {"{\"execute\": 5}",
       "{\"error\": {\"class\":\"GenericError\",\"desc\":\"QMP input lacks "
       "member 'execute'\"}}\n"},
      {"[]",
       "{\"error\": {\"class\":\"GenericError\",\"desc\":\"QMP input must be a JSON "
       "object\"}}\n"},
      {"{x}", "{\"error\": {\"class\":\"GenericError\",\"desc\":\"JSON parse error\"}}\n"},
  };
  FakeAgent agent;
  const Descriptor socket = connected_to(agent.path());
  for (const auto& line : lines) {
    INFO(line.sent);
    write_all(socket, line.sent);
    std::string heard(line.heard.size(), '\0');
    for (std::size_t at = 0; at < heard.size();) {
      const auto bytes = ::read(socket.get(), heard.data() + at, heard.size() - at);
      REQUIRE(bytes > 0);
      at += static_cast<std::size_t>(bytes);
    }
    CHECK(heard == line.heard);
  }
}
