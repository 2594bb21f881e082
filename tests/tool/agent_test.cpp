// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool against a real agent on this machine.
#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::chrono_literals;
using nlohmann::json;

TEST_CASE("every question has an answer for people and one for programs") {
  const Agent agent;
  const std::string command = GENERATE("info", "ping", "ls-commands", "fs", "net", "disks", "cpu",
                                       "users", "time", "status", "wait");
  INFO(command);
  const Ended people = run_tool({agent.path(), command});
  CHECK(people.code == 0);
  CHECK_FALSE(people.out.empty());
  CHECK(people.err.empty());
  const Ended programs = run_tool({"--json", agent.path(), command});
  CHECK(programs.code == 0);
  CHECK(json::accept(programs.out));
  CHECK(programs.err.empty());
}

TEST_CASE("JSON is what the agent has sent") {
  const Agent agent;
  const auto of = [&](const std::string& command) {
    return json::parse(run_tool({agent.path(), command, "--json"}).out);
  };
  CHECK(of("status") == "thawed");
  CHECK(of("ls-commands").at("supported_commands").size() > 20);
  CHECK(of("info").at("guest-get-osinfo").contains("kernel-release"));
  CHECK(of("time").is_number_integer());
}

TEST_CASE("a program's output and exit code are those of the tool") {
  const Agent agent;
  const Ended ended = run_tool(
      {agent.path(), "run", "--", "sh", "-c", "printf 'a\\033\\377'; echo err >&2; exit 7"});
  CHECK(ended.code == 7);
  CHECK(ended.out == "a\x1b\xff");
  CHECK(ended.err == "err\n");

  CHECK(run_tool({agent.path(), "run", "--", "sh", "-c", "kill -9 $$"}).code == 128 + SIGKILL);
  const Ended missing = run_tool({agent.path(), "run", "--", "/no/such/program"});
  CHECK(missing.code == 127);
  CHECK(missing.err.starts_with("qga: guest-exec: "));
}

TEST_CASE("a program's arguments arrive as they are") {
  const Agent agent;
  const std::vector<std::string> odd{"[a,b]", "{}", "", "--json", "-i", "--", "a=b", "two words"};
  std::vector<std::string> arguments{agent.path(), "run", "--", "/usr/bin/printf", "%s\\n"};
  arguments.insert(arguments.end(), odd.begin(), odd.end());
  std::string expected;
  for (const std::string& word : odd) expected += word + '\n';
  CHECK(run_tool(arguments).out == expected);
}

TEST_CASE("a program gets stdin and variables where it is to") {
  const Agent agent;
  CHECK(run_tool({agent.path(), "run", "--", "cat"}, "unseen").out.empty());
  CHECK(run_tool({agent.path(), "run", "-i", "--", "cat"}, "seen").out == "seen");
  const std::string much(300'000, 'x');
  CHECK(run_tool({agent.path(), "run", "-i", "--", "wc", "-c"}, much).out == "300000\n");
  CHECK(run_tool({agent.path(), "run", "-e", "A=[1,2]", "--env", "B=", "--", "/usr/bin/env"}).out ==
        "A=[1,2]\nB=\n");
}

TEST_CASE("what a program did is one JSON document") {
  const Agent agent;
  const Ended ended =
      run_tool({agent.path(), "--json", "run", "--", "sh", "-c", "echo hi; exit 3"});
  CHECK(ended.code == 3);
  const json document = json::parse(ended.out);
  CHECK(document.at("out-data") == "aGkK");
  CHECK(document.at("exitcode") == 3);
}

TEST_CASE("a program that takes too long can be killed") {
  const Agent agent;
  const Ended ended =
      run_tool({agent.path(), "run", "--for", "0.3", "--kill", "--", "sleep", "1000"});
  CHECK(ended.code == 124);
  CHECK(contains(ended.err, "was killed"));
}

TEST_CASE("Ctrl-C ends a run at once, and the program where that was asked for") {
  const Agent agent;
  const std::string mark = agent.file("mark");
  Running running(
      {agent.path(), "run", "--kill", "--", "sh", "-c", "echo $$ >" + mark + "; exec sleep 1000"});
  while (contents(mark).empty()) std::this_thread::sleep_for(10ms);
  const std::string pid = std::to_string(std::stoi(contents(mark)));
  const auto start = std::chrono::steady_clock::now();
  running.signal(GENERATE(SIGINT, SIGTERM));
  const Ended ended = running.wait();
  CHECK(std::chrono::steady_clock::now() - start < 10s);
  CHECK(ended.code > 128);
  CHECK(ended.err.starts_with("qga: "));
  CHECK(contents("/proc/" + pid + "/cmdline").find("sleep") == std::string::npos);
}

TEST_CASE("files are copied both ways, and checked") {
  const Agent agent;
  const TemporaryDirectory host;
  std::string bytes;
  for (unsigned i = 0; i < 1'000'000; ++i) bytes += static_cast<char>(i * i >> 7);
  std::ofstream(host.file("source"), std::ios::binary) << bytes;
  const std::string guest = agent.put("guest", "");

  const Ended in = run_tool({agent.path(), "cp", "--verify", host.file("source"), ":" + guest});
  CHECK(in.code == 0);
  CHECK(in.err.empty());
  CHECK(contents(guest) == bytes);
  CHECK(run_tool({agent.path(), "cp", ":" + guest, host.file("")}).code == 0);
  CHECK(contents(host.file("guest")) == bytes);
  CHECK(run_tool({agent.path(), "cat", guest}).out == bytes);
  CHECK(run_tool({agent.path(), "cp", ":" + guest, "-"}).out == bytes);
  CHECK(run_tool({agent.path(), "cp", "-", ":" + guest}, "from stdin").code == 0);
  CHECK(contents(guest) == "from stdin");

  const json told = json::parse(
      run_tool({agent.path(), "--json", "cp", "--verify", ":" + guest, host.file("x")}).out);
  CHECK(told.at("bytes") == 10);
  CHECK(told.at("sha256").get<std::string>().size() == 64);
}

TEST_CASE("cp goes on behind what is there already") {
  const Agent agent;
  const TemporaryDirectory host;
  std::ofstream(host.file("part")) << "0123";
  const std::string guest = agent.put("guest", "0123456789");
  CHECK(run_tool({agent.path(), "cp", "--offset", "4", ":" + guest, host.file("part")}).code == 0);
  CHECK(contents(host.file("part")) == "0123456789");
}

TEST_CASE("a bar on a terminal, and only there") {
  const Agent agent;
  const std::string guest = agent.put("guest", std::string(100'000, 'x'));
  const TemporaryDirectory host;
  const Ended loud = OnTerminal({agent.path(), "cp", ":" + guest, host.file("x")}).wait();
  CHECK(contains(loud.out, "100%"));
  CHECK(contains(loud.out, std::string(51, '*')));
  const Ended quiet = OnTerminal({agent.path(), "-q", "cp", ":" + guest, host.file("x")}).wait();
  CHECK(quiet.out.empty());
}

TEST_CASE("wrong use is exit code 2, before anything is sent") {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"/no/socket"},
      {"ping"},
      {"/no/socket", "dance"},
      {"/no/socket", "ping", "--loudly"},
      {"/no/socket", "ping", "--", "ls"},
      {"/no/socket", "--timeout", "0", "ping"},
      {"/no/socket", "--timeout", "-1", "ping"},
      {"/no/socket", "--timeout", "nan", "ping"},
      {"/no/socket", "--timeout", "1x", "ping"},
      {"/no/socket", "cp", "a", "b"},
      {"/no/socket", "cp", ":a", ":b"},
      {"/no/socket", "cp", ":/tmp/..", "/tmp"},
      {"/no/socket", "cp", ":/", "/tmp"},
      {"/no/socket", "cp", ":", "x"},
      {"/no/socket", "raw", "[]"},
      {"/no/socket", "raw", "{\"execute\": \"guest-ping\", \"id\": 1}"},
      {"/no/socket", "suspend", "deeply"},
      {"/no/socket", "ssh-keys"},
      {"tcp:nowhere", "ping"},
      {"--completion", "tcsh"},
  };
  for (const auto& arguments : wrong) {
    std::string line;
    for (const std::string& word : arguments) line += word + " ";
    INFO(line);
    const Ended ended = run_tool(arguments);
    CHECK(ended.code == 2);
    CHECK(ended.out.empty());
    CHECK(ended.err.starts_with("qga: "));
  }
}

TEST_CASE("a path that is too long is exit code 2, and the error says what to do") {
  const std::string path = "/tmp/" + std::string(103, 'x');  // 108 bytes
  for (const std::string command : {"ping", "wait"}) {
    for (const std::string scheme : {"", "unix:"}) {
      const Ended ended = run_tool({scheme + path, command});
      CHECK(ended.code == 2);
      CHECK(contains(ended.err, "107 bytes"));
      CHECK(contains(ended.err, "symbolic link"));
    }
  }
  CHECK_FALSE(contains(run_tool({path.substr(0, 107), "ping"}).err, "symbolic link"));
}

TEST_CASE("exit codes tell an agent that refuses from one that is not there") {
  const Agent agent;
  CHECK(run_tool({agent.path(), "freeze"}).code == 1);
  CHECK(run_tool({agent.path(), "shutdown"}).code == 1);
  CHECK(run_tool({agent.path(), "cat", "/no/such/file"}).code == 1);
  CHECK(run_tool({agent.path(), "wait", "--command", "guest-shutdown"}).code == 1);
  CHECK(run_tool({"/no/socket", "ping"}).code == 3);
  CHECK(run_tool({"/no/socket", "wait", "--for", "0.2"}).code == 3);
}

TEST_CASE("a request by hand") {
  const Agent agent;
  CHECK(run_tool({agent.path(), "raw", "{\"execute\": \"guest-ping\"}"}).out == "{}\n");
  const std::string sync = R"({"execute": "guest-sync", "arguments": {"id": 12}})";
  CHECK(run_tool({agent.path(), "raw", sync}).out == "12\n");
}

TEST_CASE("settings stand before and behind the command") {
  const Agent agent;
  const Ended before = run_tool({"--trace", "--timeout", "9", agent.path(), "ping"});
  const Ended behind = run_tool({agent.path(), "ping", "--trace", "--timeout", "9"});
  for (const Ended& ended : {before, behind}) {
    CHECK(ended.code == 0);
    CHECK(contains(ended.err, "> {\"execute\":\"guest-ping\""));
    CHECK(contains(ended.err, "< {\"return\": {}"));
  }
}
