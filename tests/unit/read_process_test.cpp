// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Only one call reads a program's output, and only for as long as it has not ended: after an error
// the output can be read again.
#include <memory>
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/read_process.hpp"

using namespace helper_test;
using qga::File;
using qga::detail::ProcessState;
using Read = Scripted<qga::ProcessOutput, qga::detail::ReadProcess>;

namespace {

const Reply alive{.json = {{"count", 0}, {"buf-b64", ""}, {"eof", true}}};
const Reply written{.json = {{"count", 2}, {"buf-b64", "aGk="}, {"eof", false}}};

struct Program : ProcessState {
  Program() {
    outputs.resize(1);
    outputs[0].file = File(3, std::make_unique<Read::Logged>(guards, "closed by its guard"));
    life = File(4, std::make_unique<Read::Logged>(guards, "closed by its guard"));
  }
  std::vector<std::string> guards;
};

}  // namespace

TEST_CASE("read: a call that has ended does not keep another from reading, while it lives") {
  Program program;
  Read late(&program);
  Read next(&program);
  SECTION("without an answer") {
    const Reply silence{.error = error<qga::TimeoutError>()};
    late.run({silence, silence});
    error_of<qga::ProgramError>(late);
  }
  SECTION("with output") {
    late.run({alive, written});
    REQUIRE(late.finished);
    CHECK(late.finished->bytes == "hi");
  }
  const bool misplaced = late.failed != nullptr;
  CHECK_FALSE(program.reading);
  if (misplaced) {
    next.run({alive, {.json = {{"position", 0}, {"eof", false}}}, written});
  } else {
    next.run({alive, written});
  }
  REQUIRE(next.finished);
  CHECK(next.finished->bytes == "hi");
}

TEST_CASE("read: a second call at the same time is refused, and does not disturb the first") {
  Program program;
  Read first(&program);
  Read second(&program);
  first.before_reply = [&] {
    if (second.failed) return;
    second.run({});
    error_of<qga::RequestError>(second);
    CHECK(program.reading);
  };
  first.run({alive, written});
  CHECK(first.finished);
}
