// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Open files of a real agent: what they read and write, and that they do not stay open.
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
TEMPLATE_TEST_CASE("a file is written, positioned and read", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string bytes(3 << 20, 'x');
  qga::File file = ga.open(agent.file("there"), "w+");
  ga.write(file, "head");
  ga.write(file, bytes);
  ga.flush(file);
  CHECK(agent.get("there") == "head" + bytes);
  CHECK(ga.seek(file, 2) == 2);
  CHECK(ga.read(file, 4) == "adxx");
  CHECK(ga.seek(file, -1, qga::QGASeek::end) == 3 + (3 << 20));
  CHECK(ga.read(file, 4) == "x");
  CHECK(ga.read(file, 4).empty());
  CHECK(ga.seek(file, 0) == 0);
  CHECK(ga.read(file, 5 << 20) == "head" + bytes);
  CHECK(agent.opened("there") == 1);
  ga.close(file);
  CHECK(agent.opened("there") == 0);
  CHECK_THROWS_AS(ga.close(file), qga::RequestError);
  CHECK_THROWS_AS(ga.read(file, 1), qga::RequestError);
}

TEMPLATE_TEST_CASE("a file closes itself on every way out", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  {
    const qga::File file = ga.open(agent.file("there"), "w");
    ga.write(file, "kept");
  }
  ga.settle();
  CHECK(agent.opened("there") == 0);
  CHECK(agent.get("there") == "kept");
  try {
    const qga::File file = ga.open(agent.file("there"));
    throw std::runtime_error("something else");
  } catch (const std::runtime_error&) {
  }
  ga.settle();
  CHECK(agent.opened("there") == 0);
  qga::File file = ga.open(agent.file("there"));
  file = ga.open(agent.file("there"));
  file = qga::File();
  ga.settle();
  CHECK(agent.opened("there") == 0);
  file = ga.open(agent.file("there"));
  ga.close();  // the client
  CHECK(agent.opened("there") == 0);
}

TEMPLATE_TEST_CASE("a file that was forgotten stays open", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::optional<qga::File> file = ga.open(agent.file("there"), "w");
  const auto handle = file->handle();
  file->forget();
  CHECK_FALSE(file->is_open());
  file.reset();
  CHECK(agent.opened("there") == 1);
  ga.file_close(handle);
}

TEMPLATE_TEST_CASE("a file outlives its agent without harm", "[agent]", Blocking, Async) {
  Agent agent;
  TestType ga(agent.path());
  agent.put("there", "x");
  {
    const qga::File file = ga.open(agent.file("there"));
    agent.restart();
    CHECK_THROWS_AS(ga.read(file, 1), qga::UnreachableError);
    ga.connect(agent.path());
    // Its number may be that of another file by now.
    CHECK_THROWS_AS(ga.read(file, 1), qga::RequestError);
  }
  ga.ping();
}
