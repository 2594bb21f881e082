// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guards know what they guard: another client is refused, a later connection is left alone, and
// closing or destroying the client does first what they are for.
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

using Uses = std::vector<std::pair<std::string, std::function<void()>>>;

/// Everything that can be done with an open file.
template <class Way>
Uses uses_of(qga::File& file, Way& ga) {
  return {{"read", [&] { ga.read(file, 4); }},
          {"write", [&] { ga.write(file, "x"); }},
          {"seek", [&] { ga.seek(file, 1); }},
          {"flush", [&] { ga.flush(file); }},
          {"close", [&] { ga.close(file); }},
          {"read nothing", [&] { ga.read(file, 0); }},
          {"write nothing", [&] { ga.write(file, ""); }}};
}

template <class Guard>
void destroy(Guard& guard) {
  const Guard gone = std::move(guard);
}

/// Ends the connection. The guest's agent is another one then, whose handles begin anew.
template <class Way>
void end_connection(Way& ga, ScriptedGuest& guest, bool closed) {
  if (closed) {
    ga.close();
    wait_until([&] { return guest.handles() == 0; });
  } else {
    guest.once("guest-ping", script::hangs_up());
    CHECK_THROWS_AS(ga.ping(), qga::UnreachableError);
  }
  guest.restart_agent();
}

}  // namespace

TEMPLATE_TEST_CASE("guard: a file is refused by another client", "[faults]", Blocking, Async) {
  ScriptedGuest guest, other;
  guest.put("/there", "text");
  other.put("/there", "nobody's business");
  TestType ga(guest.path()), gb(other.path());
  qga::File file = ga.open("/there", "r+");
  qga::File same_number = gb.open("/there", "r+");
  REQUIRE(file.handle() == same_number.handle());
  const std::size_t before = other.executed().size();
  for (const auto& [name, use] : uses_of(file, gb)) {
    CAPTURE(name);
    CHECK_THROWS_AS(use(), qga::RequestError);
    CHECK(other.executed().size() == before);
    REQUIRE(file.is_open());
  }
  CHECK(ga.read(file, 4) == "text");
  CHECK(gb.read(same_number, 6) == "nobody");
  CHECK(other.get("/there") == "nobody's business");
  destroy(file);
  ga.settle();
  wait_until([&] { return guest.handles() == 0; });
  CHECK(other.handles() == 1);
}

TEMPLATE_TEST_CASE("guard: a frozen guest is not thawed through another client", "[faults]",
                   Blocking, Async) {
  ScriptedGuest guest, other;
  TestType ga(guest.path()), gb(other.path());
  gb.ping();
  qga::Frozen frozen = ga.freeze();
  const std::size_t before = other.executed().size();
  CHECK_THROWS_AS(gb.thaw(frozen), qga::RequestError);
  CHECK(other.executed().size() == before);
  CHECK(guest.frozen());
  SECTION("its own client thaws it") {
    CHECK(ga.thaw(frozen).count == 2);
    CHECK_FALSE(guest.frozen());
  }
  SECTION("the guard thaws it") {
    destroy(frozen);
    ga.settle();
    wait_until([&] { return !guest.frozen(); });
    CHECK(guest.thaws() == 1);
  }
}

TEMPLATE_TEST_CASE("guard: a file is of no use on a later connection", "[faults]", Blocking,
                   Async) {
  const bool closed = GENERATE(false, true);
  CAPTURE(closed);
  ScriptedGuest guest;
  guest.put("/old", "old");
  guest.put("/new", "new");
  TestType ga(guest.path());
  qga::File old = ga.open("/old", "r+");
  end_connection(ga, guest, closed);
  ga.connect(guest.path());
  qga::File later = ga.open("/new", "r+");
  REQUIRE(later.handle() == old.handle());
  const std::size_t before = guest.executed().size();
  for (const auto& [name, use] : uses_of(old, ga)) {
    CAPTURE(name);
    CHECK_THROWS_AS(use(), qga::RequestError);
    CHECK(guest.executed().size() == before);
  }
  CHECK(guest.get("/new") == "new");
  CHECK(guest.handles() == 1);
}

TEMPLATE_TEST_CASE("guard: a file closes no file of a later connection", "[faults]", Blocking,
                   Async) {
  const bool closed = GENERATE(false, true);
  const bool assigned = GENERATE(false, true);
  CAPTURE(closed, assigned);
  ScriptedGuest guest;
  guest.put("/old", "old");
  guest.put("/new", "new");
  TestType ga(guest.path());
  qga::File file = ga.open("/old");
  end_connection(ga, guest, closed);
  ga.connect(guest.path());
  const std::size_t closes = guest.executed("guest-file-close");
  qga::File later;
  if (assigned) {  // as by someone who opens a file again after the guest's reboot
    file = ga.open("/new");
    later = std::move(file);
  } else {
    later = ga.open("/new");
    destroy(file);
  }
  ga.settle();
  ga.ping();
  CHECK(guest.executed("guest-file-close") == closes);
  CHECK(guest.handles() == 1);
  CHECK(ga.read(later, 3) == "new");
  destroy(later);
  ga.settle();
  wait_until([&] { return guest.handles() == 0; });
}

TEMPLATE_TEST_CASE("guard: a file whose connection broke does nothing", "[faults]", Blocking,
                   Async) {
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  qga::File file = ga.open("/there");
  end_connection(ga, guest, false);
  const std::size_t before = guest.executed().size();
  destroy(file);
  ga.settle();
  CHECK_FALSE(ga.is_open());
  CHECK(guest.connections() == 1);
  CHECK(guest.executed().size() == before);
}

TEMPLATE_TEST_CASE("guard: the end of its client does what it is for", "[faults]", Blocking,
                   Async) {
  const bool destroyed = GENERATE(false, true);
  CAPTURE(destroyed);
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  qga::File file = ga.open("/there");
  qga::File another = ga.open("/there");
  qga::Frozen frozen = ga.freeze();
  // A frozen guest closes no files: the thaw has to be the first.
  destroyed ? ga.end() : ga.close();
  wait_until([&] { return !guest.frozen() && guest.handles() == 0; });
  CHECK(guest.thaws() == 1);
  CHECK_FALSE(ga.is_open());
  const std::size_t executed = guest.executed().size();
  CHECK_THROWS_AS(ga.read(file, 1), qga::GuestAgentError);
  CHECK_THROWS_AS(ga.close(another), qga::GuestAgentError);
  destroy(file);
  destroy(another);
  destroy(frozen);
  CHECK(guest.executed().size() == executed);
  CHECK(guest.connections() == 1);
}

TEMPLATE_TEST_CASE("guard: forgotten and released ones do nothing", "[faults]", Blocking, Async) {
  ScriptedGuest guest;
  guest.put("/there", "text");
  TestType ga(guest.path());
  qga::File file = ga.open("/there");
  qga::Frozen frozen = ga.freeze();
  file.forget();
  frozen.release();
  destroy(file);
  destroy(frozen);
  ga.close();
  CHECK(guest.executed("guest-file-close") == 0);
  CHECK(guest.thaws() == 0);
  CHECK(guest.frozen());
}
