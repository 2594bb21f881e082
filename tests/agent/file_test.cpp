// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Open files of a real agent: what they read and write, and that they do not stay open.
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace qga_test;
namespace fs = std::filesystem;

namespace {

bool is_open(const Agent& agent, const std::string& name) {
  for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(agent.pid()) + "/fd")) {
    std::error_code ignored;
    if (fs::read_symlink(fd.path(), ignored) == agent.file(name)) return true;
  }
  return false;
}

}  // namespace

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
  CHECK(is_open(agent, "there"));
  ga.close(file);
  CHECK_FALSE(is_open(agent, "there"));
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
  CHECK_FALSE(is_open(agent, "there"));
  CHECK(agent.get("there") == "kept");
  try {
    const qga::File file = ga.open(agent.file("there"));
    throw std::runtime_error("something else");
  } catch (const std::runtime_error&) {
  }
  CHECK_FALSE(is_open(agent, "there"));
  qga::File file = ga.open(agent.file("there"));
  file = ga.open(agent.file("there"));
  file = qga::File();
  CHECK_FALSE(is_open(agent, "there"));
  file = ga.open(agent.file("there"));
  ga.close();  // the client
  CHECK_FALSE(is_open(agent, "there"));
}

TEMPLATE_TEST_CASE("a file that was forgotten stays open", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::optional<qga::File> file = ga.open(agent.file("there"), "w");
  const auto handle = file->handle();
  file->forget();
  CHECK_FALSE(file->is_open());
  file.reset();
  CHECK(is_open(agent, "there"));
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
    CHECK_THROWS_AS(ga.read(file, 1), qga::AgentError);  // no such handle
  }
  ga.ping();
}
