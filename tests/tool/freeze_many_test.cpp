// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Many guests are frozen together, all or none, and whatever happens to one of them at whichever
// step, all are thawed. Against agents that only pretend.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "qga/testing/agent.hpp"
#include "tool.hpp"

namespace freeze_many_test {

using namespace qga_test;
using namespace std::chrono_literals;
using qga::testing::Action;
using qga::testing::Agent;
using qga::testing::carries_out;
using qga::testing::disconnects;
using qga::testing::fails;
using qga::testing::ignores;
using qga::testing::in_order;
using qga::testing::loses_reply;
using qga::testing::returns;
using qga::testing::sends;
using qga::testing::waits;

const char* const freezing = "guest-fsfreeze-freeze";
const char* const thawing = "guest-fsfreeze-thaw";

/// Three guests with two file systems each.
class Three {
 public:
  static constexpr std::array<const char*, 3> names{"a", "b", "c"};  // as a pattern finds them

  Three() {
    for (std::size_t i = 0; i < names.size(); ++i) {
      agents_[i] = std::make_unique<Agent>(
          qga::testing::AgentParams{.path = files_.file(std::string(names[i]) + ".sock")});
    }
  }
  Agent& operator[](std::size_t i) { return *agents_.at(i); }
  std::string pattern() const { return files_.file("*.sock"); }
  std::vector<std::string> with(std::vector<std::string> more) const {
    more.insert(more.begin(), pattern());
    return more;
  }
  std::vector<std::string> freeze(std::vector<std::string> more) const {
    more.insert(more.begin(), "freeze");
    return with(std::move(more));
  }

  std::size_t frozen() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(agents_, [](const auto& one) { return one->guest().is_frozen(); }));
  }
  std::size_t count(const char* command) const {
    std::size_t sum = 0;
    for (const auto& one : agents_) sum += one->count(command);
    return sum;
  }
  void await_frozen(std::size_t expected) const {
    for (int i = 0; i < 3000 && frozen() != expected; ++i) std::this_thread::sleep_for(10ms);
    REQUIRE(frozen() == expected);
  }

 private:
  TemporaryDirectory files_;
  std::array<std::unique_ptr<Agent>, 3> agents_;
};

void await_request(const Agent& agent, const char* command) {
  for (int i = 0; i < 3000 && agent.count(command) == 0; ++i) std::this_thread::sleep_for(10ms);
  REQUIRE(agent.count(command) > 0);
}

/// Holds an agent up until it is opened, as a guest that is paused meanwhile.
std::atomic<bool> gate = false;

Action behind_gate() {
  return [](const qga::testing::Request&) -> Action {
    for (int i = 0; i < 6000 && !gate; ++i) std::this_thread::sleep_for(5ms);
    return carries_out();
  };
}

/// What happens to one of the guests.
struct Trouble {
  const char* name;
  int code;  ///< of the tool
  std::function<void(Agent&)> before;
  std::function<void(const Running&, Agent&)> meanwhile = {};
  std::vector<std::string> options = {"--timeout", "0.4"};
  std::string said = {};  ///< on stderr, of that guest
  bool is_named = true;   ///< the error names it
};

std::function<void(const Running&, Agent&)> signalled(int number, const char* command) {
  return [=](const Running& running, Agent& agent) {
    await_request(agent, command);
    running.signal(number);
  };
}

/// Does something to each of the three in turn. @param check is called with the guests
void try_each(const std::vector<Trouble>& troubles,
              const std::function<void(Three&, std::size_t, const Ended&)>& check) {
  for (const Trouble& trouble : troubles) {
    for (std::size_t i = 0; i < Three::names.size(); ++i) {
      CAPTURE(trouble.name, i);
      gate = false;
      Three guests;
      if (trouble.before) trouble.before(guests[i]);
      std::vector<std::string> arguments = guests.freeze(trouble.options);
      arguments.insert(arguments.end(), {"--", "sh", "-c", "echo snapshot"});
      Running running(arguments);
      if (trouble.meanwhile) trouble.meanwhile(running, guests[i]);
      const Ended ended = running.wait();
      CAPTURE(ended.err);
      CHECK(ended.code == trouble.code);
      CHECK(contains(ended.err, trouble.said));
      if (trouble.is_named) CHECK(contains(ended.err, Three::names[i] + std::string(": ")));
      check(guests, i, ended);
    }
  }
}

TEST_CASE("three guests are frozen while a program runs, and thawed") {
  Three guests;
  Running running(guests.freeze({"--", "sleep", "100"}));
  running.await("froze 6 file systems of 3 guests");
  CHECK(guests.frozen() == 3);
  const int number = GENERATE(SIGINT, SIGTERM, SIGHUP, SIGQUIT);
  running.signal(number);
  const Ended ended = running.wait();
  CHECK(ended.code == 128 + number);
  CHECK(guests.frozen() == 0);
  CHECK(guests.count(thawing) == 3);
  for (const char* const name : Three::names) {
    CHECK(contains(ended.err, "qga: " + std::string(name) + ": frozen for "));
  }
}

TEST_CASE("nothing is frozen where one of three guests cannot be") {
  const std::vector<Trouble> troubles{
      {"nobody is there", 125, [](Agent& agent) { agent.stop(); }},
      {"it is silent", 125, [](Agent& agent) { agent.pause(); }},
      {"it hangs up", 125, [](Agent& agent) { agent.on("guest-info", disconnects()); }},
      {"it hangs up at once", 125, [](Agent& agent) { agent.on_connect(disconnects()); }},
      {"it talks nonsense", 125, [](Agent& agent) { agent.on("guest-info", returns(5)); }},
      {"it refuses to say", 125, [](Agent& agent) { agent.on("guest-info", fails("no")); }},
      {"it is forbidden",
       125,
       [](Agent& agent) { agent.disable(freezing); },
       {},
       {},
       "lacks guest-fsfreeze-freeze"},
      {"Ctrl-C while it is silent",
       130,
       [](Agent& agent) { agent.pause(); },
       [](const Running& running, Agent& agent) {
         for (int i = 0; i < 3000 && agent.connections() == 0; ++i) {
           std::this_thread::sleep_for(10ms);
         }
         running.signal(SIGINT);
       },
       {},
       {},
       false},
  };
  try_each(troubles, [](Three& guests, std::size_t, const Ended& ended) {
    CHECK(guests.count(freezing) == 0);
    CHECK(guests.frozen() == 0);
    CHECK(ended.out.empty());
    CHECK(contains(ended.err, "the program was not started"));
  });
}

TEST_CASE("a guest that is frozen already is left alone, and no other is frozen") {
  for (std::size_t i = 0; i < 3; ++i) {
    Three guests;
    guests[i].guest().set_frozen(true);
    for (const bool without : {false, true}) {
      std::vector<std::string> arguments = guests.freeze({"--", "echo", "snapshot"});
      if (without) arguments.insert(arguments.begin() + 2, "--or-without");
      const Ended ended = run_tool(arguments);
      CHECK(ended.code == 125);
      CHECK(ended.out.empty());
      CHECK(contains(ended.err, Three::names[i] + std::string(": the guest is frozen already")));
    }
    CHECK(guests.count(freezing) == 0);
    CHECK(guests.count(thawing) == 0);
  }
}

TEST_CASE("all are thawed where one of three guests does not freeze") {
  const std::vector<Trouble> troubles{
      {"its hook fails",
       125,
       [](Agent& agent) { agent.on(freezing, fails("hook failed")); },
       {},
       {},
       "hook failed"},
      {"it has nothing to freeze",
       125,
       [](Agent& agent) { agent.guest().set_mountpoints({}); },
       {},
       {},
       "froze no file system"},
      {"it hangs up before", 125, [](Agent& agent) { agent.once(freezing, disconnects()); }},
      {"it hangs up behind", 125,
       [](Agent& agent) { agent.once(freezing, in_order(loses_reply(), disconnects())); }},
      {"its answer is lost", 125, [](Agent& agent) { agent.once(freezing, loses_reply()); }},
      {"it takes no notice", 125, [](Agent& agent) { agent.once(freezing, ignores()); }},
      {"it talks nonsense",
       125,
       [](Agent& agent) {
         agent.once(freezing, in_order(loses_reply(), sends("{\"return\": \"x\"}\n")));
       },
       {},
       {"--timeout", "5"}},
      {"it is slow", 125,
       [](Agent& agent) { agent.once(freezing, in_order(waits(900ms), carries_out())); }},
      {"it is later than the limit",
       125,
       [](Agent& agent) { agent.once(freezing, in_order(waits(900ms), carries_out())); },
       {},
       {"--for", "0.2"},
       "not frozen within 0.20 s of the first guest"},
      {"Ctrl-C while it freezes",
       130,
       [](Agent& agent) { agent.once(freezing, in_order(waits(500ms), carries_out())); },
       signalled(SIGINT, freezing),
       {},
       {},
       false},
      {"SIGTERM while it freezes",
       143,
       [](Agent& agent) { agent.once(freezing, in_order(waits(500ms), carries_out())); },
       signalled(SIGTERM, freezing),
       {},
       {},
       false},
      {"two signals while it freezes",
       129,
       [](Agent& agent) { agent.once(freezing, in_order(waits(500ms), carries_out())); },
       [](const Running& running, Agent& agent) {
         await_request(agent, freezing);
         running.signal(SIGTERM);
         std::this_thread::sleep_for(50ms);
         running.signal(SIGHUP);
       },
       {},
       {},
       false},
      {"it is paused while it freezes, and goes on", 125,
       [](Agent& agent) { agent.once(freezing, behind_gate()); },
       [](const Running&, Agent& agent) {
         await_request(agent, freezing);
         std::this_thread::sleep_for(600ms);
         gate = true;
       }},
  };
  try_each(troubles, [](Three& guests, std::size_t i, const Ended& ended) {
    CHECK(guests.frozen() == 0);
    CHECK(guests[i].count(freezing) == 1);
    CHECK(ended.out.empty());
    CHECK(contains(ended.err, "the program was not started"));
  });
}

TEST_CASE("the others are thawed at once where the agent of one dies, and it is said how to help") {
  const bool while_it_freezes = GENERATE(true, false);
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    Three guests;
    if (while_it_freezes) guests[i].on(freezing, in_order(loses_reply(), waits(100s)));
    Running running(guests.freeze({"--", "sleep", "2"}));
    guests.await_frozen(3);
    guests[i].stop();
    const Ended ended = running.wait();
    CAPTURE(ended.err);
    CHECK(ended.code == 125);
    CHECK(guests.frozen() == 1);  // which nobody can reach
    CHECK(contains(ended.err, "THE GUEST MAY STILL BE FROZEN: thaw it with: qga " +
                                  guests[i].path() + " thaw"));
  }
}

TEST_CASE("three guests are thawed where the program fails in any way") {
  Three guests;
  SECTION("it fails") { CHECK(run_tool(guests.freeze({"--", "sh", "-c", "exit 9"})).code == 9); }
  SECTION("it cannot be run") { CHECK(run_tool(guests.freeze({"--", "/etc"})).code == 126); }
  SECTION("a signal") {
    CHECK(run_tool(guests.freeze({"--", "sh", "-c", "kill -9 $$"})).code == 137);
  }
  SECTION("time is up") {
    CHECK(run_tool(guests.freeze({"--for", "0.2", "--", "sleep", "100"})).code == 124);
  }
  CHECK(guests.count(freezing) == 3);
  CHECK(guests.count(thawing) == 3);
  CHECK(guests.frozen() == 0);
}

TEST_CASE("what happens to one of three guests while they are frozen, and while they thaw") {
  const std::vector<Trouble> troubles{
      {"it is thawed by others",
       125,
       [](Agent& agent) { agent.once(thawing, returns(0)); },
       {},
       {},
       "thawed before its time"},
      {"its hook fails",
       125,
       [](Agent& agent) {
         agent.on(thawing, [&agent](const qga::testing::Request&) {
           agent.guest().set_frozen(false);
           return fails("thaw hook failed");
         });
       },
       {},
       {},
       "thaw hook failed"},
      {"it hangs up before", 125, [](Agent& agent) { agent.once(thawing, disconnects()); }},
      {"it hangs up behind", 125,
       [](Agent& agent) { agent.once(thawing, in_order(loses_reply(), disconnects())); }},
      {"its answer is lost", 125, [](Agent& agent) { agent.once(thawing, loses_reply()); }},
      {"it takes no notice", 125, [](Agent& agent) { agent.once(thawing, ignores()); }},
      {"it refuses once", 125, [](Agent& agent) { agent.once(thawing, fails("not now")); }},
      {"it is paused, and goes on", 125, [](Agent& agent) { agent.once(thawing, behind_gate()); },
       [](const Running&, Agent& agent) {
         await_request(agent, thawing);
         std::this_thread::sleep_for(600ms);
         gate = true;
       }},
      {"signals while it thaws",
       143,
       [](Agent& agent) { agent.once(thawing, in_order(waits(500ms), carries_out())); },
       [](const Running& running, Agent& agent) {
         await_request(agent, thawing);
         running.signal(SIGINT);
         std::this_thread::sleep_for(50ms);
         running.signal(SIGTERM);
       },
       {},
       {},
       false},
  };
  try_each(troubles, [](Three& guests, std::size_t, const Ended& ended) {
    if (!contains(ended.err, "thawed before its time")) {
      CHECK(guests.frozen() == 0);
    }
    CHECK(guests.count(freezing) == 3);
    CHECK(ended.out == "snapshot\n");
    CHECK(!contains(ended.err, "MAY STILL BE FROZEN"));
  });
}

TEST_CASE("a channel that is cut while three guests are frozen is no hindrance") {
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    Three guests;
    Running running(guests.freeze({"--", "sleep", "1"}));
    running.await("froze 6");
    guests[i].disconnect();
    CHECK(running.wait().code == 125);
    CHECK(guests.frozen() == 0);
  }
}

TEST_CASE("a silent guest does not hold up the thaw of the others") {
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    gate = false;
    Three guests;
    guests[i].once(thawing, behind_gate());
    Running running(guests.freeze({"--", "true"}));
    await_request(guests[i], thawing);
    guests.await_frozen(1);  // while the tool still waits for this one
    CHECK(guests[i].guest().is_frozen());
    gate = true;
    CHECK(running.wait().code == 0);
    CHECK(guests.frozen() == 0);
  }
}

TEST_CASE("a guest that hangs while it freezes does not hold up the thaw of the others") {
  for (std::size_t i = 0; i < 3; ++i) {
    for (const auto& [options, number, code] :
         {std::tuple(std::vector<std::string>{}, SIGINT, 130),
          std::tuple(std::vector<std::string>{"--timeout", "0.8"}, 0, 125),
          std::tuple(std::vector<std::string>{"--for", "0.8"}, 0, 125)}) {
      CAPTURE(i, options);
      gate = false;
      Three guests;
      guests[i].once(freezing, behind_gate());
      std::vector<std::string> arguments = guests.freeze(options);
      arguments.insert(arguments.end(), {"--", "echo", "snapshot"});
      Running running(arguments);
      await_request(guests[i], freezing);
      if (number != 0) guests.await_frozen(2);
      if (number != 0) running.signal(number);
      for (std::size_t k = 0; k < 3; ++k) {
        if (k != i) await_request(guests[k], thawing);  // while the tool still waits for this one
      }
      CHECK(guests[i].count(thawing) == 0);
      gate = true;
      const Ended ended = running.wait();
      CAPTURE(ended.err);
      CHECK(ended.code == code);
      CHECK(ended.out.empty());
      CHECK(guests.frozen() == 0);
      CHECK(guests[i].count(freezing) == 1);
      CHECK(guests[i].count(thawing) == 1);
    }
  }
}

TEST_CASE("without a program three guests are held until somebody or the time ends it") {
  const Three guests;
  SECTION("time") { CHECK(run_tool(guests.freeze({"--for", "0.3"})).code == 0); }
  SECTION("Enter") {
    OnTerminal terminal(guests.freeze({}));
    terminal.await("Enter or Ctrl-C thaws");
    CHECK(guests.frozen() == 3);
    terminal.type("\n");
    CHECK(terminal.wait().code == 0);
  }
  SECTION("Ctrl-C") {
    OnTerminal terminal(guests.freeze({}));
    terminal.await("Enter or Ctrl-C thaws");
    terminal.type("\x03");
    CHECK(terminal.wait().code == 130);
  }
  CHECK(guests.count(thawing) == 3);
  CHECK(guests.frozen() == 0);
}

TEST_CASE("three guests are left frozen where that was asked for, and thawed together") {
  Three guests;
  const Ended ended = run_tool(guests.freeze({"--leave"}));
  CHECK(ended.code == 0);
  CHECK(guests.frozen() == 3);
  CHECK(guests.count(thawing) == 0);
  CHECK(contains(ended.err, "b: thaw with: qga " + guests[1].path() + " thaw"));

  const Ended thawed = run_tool(guests.with({"thaw"}));
  CHECK(thawed.code == 0);
  for (const char* const name : Three::names) {
    CHECK(contains(thawed.out, name + std::string(": thawed 2 file systems\n")));
  }
  CHECK(guests.frozen() == 0);
}

TEST_CASE("a mount point is left out where it is, but has to be somewhere") {
  Three guests;
  guests[1].guest().set_mountpoints({"/"});
  CHECK(run_tool(guests.freeze({"--dry-run", "--except", "/home"})).out ==
        "GUEST  MOUNTPOINT\na      /\nb      /\nc      /\n");
  const Ended ended = run_tool(guests.freeze({"--except", "/home", "--", "true"}));
  CHECK(ended.code == 0);
  CHECK(contains(ended.err, "froze 3 file systems of 3 guests"));
  CHECK(guests.count("guest-fsfreeze-freeze-list") == 3);
  CHECK(run_tool(guests.freeze({"--except", "/nowhere", "--", "true"})).code == 125);
  const Ended none = run_tool(guests.freeze({"--except", "/", "--", "true"}));  // b has no other
  CHECK(none.code == 125);
  CHECK(contains(none.err, "b: --except leaves no file system to freeze"));
  CHECK(guests.count("guest-fsfreeze-freeze-list") == 3);
  CHECK(guests.frozen() == 0);
}

TEST_CASE("the program runs without a freeze of three guests where that was asked for") {
  Three guests;
  guests[2].on(freezing, fails("the hook failed"));
  for (const auto& [program, code] : {std::pair("exit 0", 123), std::pair("exit 5", 5)}) {
    const Ended ended =
        run_tool(guests.freeze({"--json", "--or-without", "--", "sh", "-c", program}));
    CHECK(ended.code == code);
    CHECK(contains(ended.err, "c: guest-fsfreeze-freeze: the hook failed"));
    CHECK(contains(ended.err, "the program runs without a freeze"));
    const auto told = nlohmann::json::parse(ended.out);
    CHECK(told.at("frozen") == false);
    CHECK(told.at("guests").at(2).at("frozen") == 0);
    CHECK(told.at("guests").at(2).at("state") == "thawed");
  }
  CHECK(guests.frozen() == 0);
}

TEST_CASE("one guest that a pattern finds is told as many are") {
  const Three guests;
  const std::string pattern = guests.pattern();
  const std::string only_b = pattern.substr(0, pattern.rfind('*')) + "b*.sock";
  const Ended ended = run_tool({only_b, "freeze", "--", "true"});
  CHECK(ended.code == 0);
  CHECK(contains(ended.err, "froze 2 file systems of 1 guest within"));
  CHECK(contains(ended.err, "b: frozen for"));
  CHECK(guests.count(freezing) == 1);
  CHECK(guests.frozen() == 0);
}

TEST_CASE("the document about three guests has each of them") {
  Three guests;
  const Ended ended = run_tool(guests.with({"--json", "-q", "freeze", "--", "echo", "snapshot"}));
  CHECK(ended.code == 0);
  CHECK(ended.err == "snapshot\n");
  const auto told = nlohmann::json::parse(ended.out);
  CHECK(told.at("frozen") == true);
  REQUIRE(told.at("guests").size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& one = told.at("guests").at(i);
    CHECK(one.at("guest") == Three::names[i]);
    CHECK(one.at("socket") == guests[i].path());
    CHECK(one.at("frozen") == 2);
    CHECK(one.at("thawed") == 2);
    CHECK(one.at("seconds").is_number());
    CHECK(one.at("state") == "thawed");
    CHECK(one.at("error").is_null());
  }
}

}  // namespace freeze_many_test
