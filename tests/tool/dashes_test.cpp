// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `--` means: behind it there are no options of the tool.
#include <string>
#include <vector>

#include <unistd.h>

#include "catch.hpp"
#include "tool.hpp"

using namespace qga_test;

TEST_CASE("behind two dashes there are arguments, and no options") {
  const Agent agent;
  const std::string file = agent.put("[a,b]", "one\n");
  CHECK(run_tool({agent.path(), "cat", "--", file}).out == "one\n");
  CHECK(run_tool({agent.path(), "cat", "--", file, file}).out == "one\none\n");
  CHECK(run_tool({agent.path(), "cp", "--", ":" + file, "-"}).out == "one\n");
  CHECK(run_tool({agent.path(), "ping", "--"}).code == 0);
  // Another `--` is an argument.
  CHECK(contains(run_tool({agent.path(), "cat", "--", "--"}).err, "'--'"));
  const Ended option = run_tool({agent.path(), "cat", "--", "--raw-output"});
  CHECK(option.code == 1);
  CHECK(contains(option.err, "'--raw-output'"));
  const Ended too_many = run_tool({agent.path(), "ping", "--", "-x"});
  CHECK(too_many.code == 2);
  CHECK(contains(too_many.err, "-x"));
}

TEST_CASE("behind two dashes a file of this machine may have any name") {
  const Agent agent;
  const TemporaryDirectory here;
  const std::string words = agent.path() + " cp -- -file :" + agent.file("copy");
  const Ended ended =
      Running({"-c", "cd " + here.file("") + " && echo x >-file && " + tool_program + " " + words},
              "/dev/null", "/bin/sh")
          .wait();
  CHECK(ended.code == 0);
  CHECK(agent.get("copy") == "x\n");
}

TEST_CASE("two dashes before the command end the options before SOCKET") {
  const Agent agent;
  const TemporaryDirectory here;
  REQUIRE(::symlink(agent.path().c_str(), here.file("-s").c_str()) == 0);
  const auto in_there = [&](const std::string& words) {
    return Running({"-c", "cd " + here.file("") + " && " + tool_program + " " + words}, "/dev/null",
                   "/bin/sh")
        .wait();
  };
  CHECK(in_there("-- -s status").out == "thawed\n");
  CHECK(in_there("--json -- -s status").out == "\"thawed\"\n");
  CHECK(in_there("-- -s run -- echo -- -x").out == "-- -x\n");
  CHECK(in_there("-- -s status --json").out == "\"thawed\"\n");
  CHECK(run_tool({agent.path(), "--", "status"}).out == "thawed\n");
  CHECK(run_tool({"--"}).code == 2);
}

TEST_CASE("a program has all that is behind the first two dashes") {
  const Agent agent;
  CHECK(run_tool({agent.path(), "run", "--", "echo", "--", "--json", "[a,b]"}).out ==
        "-- --json [a,b]\n");
  // The value of an option is no command.
  CHECK(run_tool({agent.path(), "--sockets-from", "cat", "run", "--", "echo", "x"}).code == 125);
  CHECK(run_tool({agent.path(), "wait", "--run", "--", "true"}).code == 0);
  CHECK(run_tool({agent.path(), "wait", "--", "true"}).code == 2);
}
