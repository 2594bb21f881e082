// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A host whose disk is full: the tool says so and ends as a tool should, whether what there is of a
// file is to be kept or not.
#include <string>
#include <vector>

#include "catch.hpp"
#include "scripted_guest.hpp"
#include "tool.hpp"

using namespace qga_test;

TEST_CASE("cp to a full disk is a failure, and no crash") {
  const bool keep = GENERATE(false, true);
  CAPTURE(keep);
  ScriptedGuest guest;
  guest.put("/there", "shorter than a buffer");
  std::vector<std::string> arguments{guest.path(), "cp"};
  if (keep) arguments.push_back("--keep-partial");
  arguments.insert(arguments.end(), {":/there", "/dev/full"});
  const Ended ended = run_tool(arguments);
  CHECK(ended.code == 1);
  CHECK(contains(ended.err, "No space left on device"));
  CHECK(guest.handles() == 0);
}
