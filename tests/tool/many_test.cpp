// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Commands on many guests together: that all are asked, that one that is silent, refuses, lies or
// dies delays and hides no other, and what is printed and returned.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

namespace many_guests {

using namespace qga_test;
using nlohmann::json;
using Words = std::vector<std::string>;

/// A directory with a socket for each guest.
class Fleet {
 public:
  void add(const std::string& name, const std::string& socket) const {
    std::filesystem::create_symlink(socket, directory_.file(name + ".sock"));
  }
  std::string path(const std::string& name) const { return directory_.file(name + ".sock"); }
  std::string pattern() const { return directory_.file("*.sock"); }

  Words words(Words more) const {
    more.insert(more.begin(), pattern());
    return more;
  }
  Ended run(const Words& more) const { return run_tool(words(more)); }
  /// The documents of `--json`, by the names of the guests.
  std::map<std::string, json> documents(Words more) const {
    more.insert(more.begin(), "--json");
    std::map<std::string, json> all;
    std::istringstream lines(run(more).out);
    for (std::string line; std::getline(lines, line);) {
      json document = json::parse(line);
      const std::string name = document.at("guest");
      CHECK(document.at("socket") == path(name));
      CHECK(all.emplace(name, std::move(document)).second);
    }
    return all;
  }

 private:
  TemporaryDirectory directory_;
};

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

/// The words of each line.
std::vector<Words> rows_of(const std::string& text) {
  std::vector<Words> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    rows.emplace_back();
    for (std::string word; words >> word;) rows.back().push_back(word);
  }
  return rows;
}

const std::string agent_info =
    R"({"version": "4.5.6", "supported_commands": [{"name": "guest-info", )"
    R"("enabled": true, "success-response": true}]})";
const std::string interface_list =
    R"([{"name": "eth7", "hardware-address": "52:54:00:00:00:01", "ip-addresses": [)"
    R"({"ip-address": "192.0.2.5", "ip-address-type": "ipv4", "prefix": 24}, )"
    R"({"ip-address": "fe80::1", "ip-address-type": "ipv6", "prefix": 64}]}])";

/// What a command asks, and the replies.
struct Command {
  Words words;
  std::map<std::string, std::string> replies;
};

const std::vector<Command> tables{
    {{"ls-commands"}, {{"guest-info", agent_info}}},
    {{"fs"},
     {{"guest-get-fsinfo",
       R"([{"name": "vda1", "mountpoint": "/", "type": "ext4", "used-bytes": 5, "total-bytes": 9, "disk": []}])"}}},
    {{"fs", "--total"},
     {{"guest-get-fsinfo",
       R"([{"name": "vda1", "mountpoint": "/", "type": "ext4", "used-bytes": 5, "total-bytes": 9, "disk": []}])"}}},
    {{"net"}, {{"guest-network-get-interfaces", interface_list}}},
    {{"net", "--routes"},
     {{"guest-network-get-route",
       R"([{"iface": "eth7", "destination": "10.0.0.0", "metric": 5, "version": 4, "desprefixlen": "8"}])"}}},
    {{"disks"}, {{"guest-get-disks", R"([{"name": "/dev/vda", "partition": false}])"}}},
    {{"cpu"},
     {{"guest-get-vcpus", R"([{"logical-id": 7, "online": true, "can-offline": false}])"},
      {"guest-get-cpustats",
       R"([{"type": "linux", "cpu": 7, "user": 0, "nice": 0, "system": 0, "idle": 100}])"}}},
    {{"users"}, {{"guest-get-users", R"([{"user": "ann", "login-time": 1700000000.5}])"}}},
    {{"trim"}, {{"guest-fstrim", R"({"paths": [{"path": "/", "trimmed": 4096, "minimum": 0}]})"}}},
};

const std::vector<Command> facts{
    {{"info"},
     {{"guest-info", agent_info},
      {"guest-get-host-name", R"({"host-name": "alpha"})"},
      {"guest-get-osinfo",
       R"({"pretty-name": "Linux", "kernel-release": "9.9", "machine": "riscv"})"},
      {"guest-get-timezone", R"({"offset": 0, "zone": "XYZ"})"},
      {"guest-get-time", "86400000000000"},
      {"guest-get-load", R"({"load1m": 7.25, "load5m": 0, "load15m": 0})"}}},
};

const std::vector<Command> lines{
    {{"status"}, {{"guest-fsfreeze-status", "\"frozen\""}}},
    {{"thaw"}, {{"guest-fsfreeze-thaw", "2"}}},
    {{"wait", "--address", "v4"},
     {{"guest-info",
       R"({"version": "1", "supported_commands": [)"
       R"({"name": "guest-network-get-interfaces", "enabled": true, "success-response": true}]})"},
      {"guest-fsfreeze-status", "\"thawed\""},
      {"guest-network-get-interfaces", interface_list}}},
};

std::unique_ptr<ScriptedAgent> guest_of(const Command& command) {
  auto agent = std::make_unique<ScriptedAgent>();
  for (const auto& [question, reply] : command.replies) {
    agent->on(question, script::returns(reply));
  }
  return agent;
}

/// A fleet of two guests that answer, one that refuses, one that lies, and one that hangs up.
struct Mixed {
  explicit Mixed(const Command& command) {
    for (const char* name : {"good1", "good2", "refuses", "lies", "dies"}) {
      agents.push_back(guest_of(command));
      fleet.add(name, agents.back()->path());
    }
    for (const auto& [question, reply] : command.replies) {
      agents[2]->on(question, script::fails("not here"));
      agents[3]->on(question, script::returns("\"nonsense\""));
      agents[4]->on(question, script::hangs_up());
    }
  }
  std::vector<std::unique_ptr<ScriptedAgent>> agents;
  Fleet fleet;
};

bool has(const std::vector<Words>& rows, Words row) {
  return std::find(rows.begin(), rows.end(), row) != rows.end();
}

/// Whether stderr names the guest.
bool blames(const Ended& ended, const std::string& guest) {
  return contains(ended.err, "qga: " + guest + ": ");
}

TEST_CASE("many guests: each row of a table has the name of its guest") {
  for (const Command& command : tables) {
    INFO(command.words.front());
    const Mixed mixed(command);
    Words single = command.words;
    single.insert(single.begin(), mixed.fleet.path("good1"));
    const std::vector<Words> one = rows_of(run_tool(single).out);
    REQUIRE(one.size() >= 2);

    const Ended ended = mixed.fleet.run(command.words);
    INFO(ended.out << ended.err);
    std::vector<Words> all = rows_of(ended.out);
    Words heading = one.front();
    heading.insert(heading.begin(), "GUEST");
    CHECK(all.front() == heading);
    CHECK(all.size() == 2 * one.size() - 1);
    for (const std::string name : {"good1", "good2"}) {
      for (std::size_t i = 1; i < one.size(); ++i) {
        Words row = one[i];
        row.insert(row.begin(), name);
        CHECK(has(all, row));
      }
    }
    CHECK(ended.code == 1);  // in different ways
    for (const char* bad : {"refuses", "lies", "dies"}) CHECK(blames(ended, bad));
    for (const char* good : {"good1", "good2"}) CHECK_FALSE(blames(ended, good));
  }
}

TEST_CASE("many guests: what one guest says in rows becomes one row") {
  for (const Command& command : facts) {
    const Mixed mixed(command);
    const Ended ended = mixed.fleet.run(command.words);
    INFO(ended.out << ended.err);
    const std::vector<Words> rows = rows_of(ended.out);
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].front() == "GUEST");
    CHECK(contains(ended.out, "HOST NAME"));
    CHECK_FALSE(contains(ended.out, "ADDRESSES"));
    for (const char* shown : {"4.5.6", "alpha", "9.9 riscv", "XYZ", "1970-01-02", "7.25"}) {
      CHECK(count_of(ended.out, shown) == 2);
    }
    CHECK(ended.code == 1);
    for (const char* bad : {"refuses", "lies", "dies"}) CHECK(blames(ended, bad));
  }
}

TEST_CASE("many guests: a line has the name of its guest") {
  for (const Command& command : lines) {
    INFO(command.words.front());
    const auto first = guest_of(command);
    const auto second = guest_of(command);
    Fleet fleet;
    fleet.add("a", first->path());
    fleet.add("b", second->path());
    Words single = command.words;
    single.insert(single.begin(), first->path());
    const std::string line = run_tool(single).out;
    const Ended ended = fleet.run(command.words);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    CHECK(contains(ended.out, "a: " + line));
    CHECK(contains(ended.out, "b: " + line));
    CHECK(ended.out.size() == 2 * (line.size() + 3));
  }
}

TEST_CASE("many guests: JSON is an object a guest, with the document of one guest or its error") {
  std::vector<Command> all = tables;
  all.insert(all.end(), facts.begin(), facts.end());
  all.insert(all.end(), lines.begin(), lines.end() - 1);
  all.push_back({{"time"}, {{"guest-get-time", "5"}}});
  for (const Command& command : all) {
    INFO(command.words.front());
    const Mixed mixed(command);
    Words single = command.words;
    single.insert(single.begin(), {mixed.fleet.path("good1"), "--json"});
    const json one = json::parse(run_tool(single).out);
    auto documents = mixed.fleet.documents(command.words);
    REQUIRE(documents.size() == 5);
    CHECK(documents["good1"].at("result") == one);
    CHECK(documents["good2"].at("result") == one);
    CHECK(documents["refuses"].at("kind") == "refused");
    CHECK(contains(documents["refuses"].at("error").get<std::string>(), "not here"));
    CHECK(documents["dies"].at("kind") == "unreachable");
  }
}

TEST_CASE("many guests: what several refuse or lack is told once") {
  std::vector<std::unique_ptr<ScriptedAgent>> agents;
  Fleet fleet;
  for (int i = 0; i < 12; ++i) {
    agents.push_back(guest_of(facts.front()));
    agents.back()->on("guest-get-load", script::fails("no load"));
    if (i < 2) agents.back()->on("guest-get-timezone", script::fails("no zone"));
    fleet.add("vm" + std::to_string(10 + i), agents.back()->path());
  }
  const Ended info = fleet.run({"info"});
  CHECK(info.code == 0);
  CHECK(info.err.empty());
  CHECK(contains(info.out, "missing: all 12 guests: guest-get-load: no load (GenericError)\n"));
  CHECK(contains(info.out,
                 "missing: 2 guests: guest-get-timezone: no zone (GenericError) (vm10, vm11)\n"));

  const Ended users = fleet.run({"users"});
  CHECK(users.code == 1);
  CHECK(users.out.empty());
  CHECK(contains(users.err, "qga: all 12 guests: guest-get-users: "));
  CHECK(count_of(users.err, "\n") == 1);

  for (int i = 0; i < 10; ++i) {
    agents[static_cast<std::size_t>(i)]->on("guest-get-users", script::returns("[]"));
  }
  const Ended empty = fleet.run({"users"});
  CHECK(contains(empty.out,
                 "10 guests: no users logged in "
                 "(vm10, vm11, vm12, vm13, vm14, vm15, vm16, vm17 and 2 more)\n"));
  CHECK(contains(empty.err, "qga: 2 guests: guest-get-users: "));
}

TEST_CASE("many guests: silent ones delay nobody, and are named") {
  std::vector<std::unique_ptr<ScriptedAgent>> silent;
  Fleet fleet;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(std::make_unique<ScriptedAgent>());
    silent.back()->mute();
    fleet.add("silent" + std::to_string(i), silent.back()->path());
  }
  const Agent agent;
  fleet.add("good", agent.path());
  for (const Words& command : {Words{"info"}, Words{"ping"}, Words{"run", "--", "true"}}) {
    INFO(command.front());
    const auto begun = std::chrono::steady_clock::now();
    Words words{"--timeout", "1"};
    words.insert(words.end(), command.begin(), command.end());
    const Ended ended = fleet.run(words);
    // One after the other would take 10 s.
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(8));
    CHECK(ended.code == (command.front() == "run" ? 125 : 3));
    for (int i = 0; i < 10; ++i) CHECK(blames(ended, "silent" + std::to_string(i)));
    CHECK_FALSE(contains(ended.err, "good"));
    CHECK(contains(ended.out, "good") == (command.front() != "run"));
  }
}

TEST_CASE("many guests: sockets that are none, and names that collide") {
  const Agent agent;
  const TemporaryDirectory one;
  const TemporaryDirectory other;
  for (const TemporaryDirectory* place : {&one, &other}) {
    std::filesystem::create_symlink(agent.path(), place->file("vm.sock"));
  }
  std::ofstream(one.file("file.sock")) << "no socket";

  // A pattern finds sockets only; who names a file gets an error.
  const Ended found = run_tool({one.file("*.sock"), "status"});
  CHECK(found.out == "vm: thawed\n");
  CHECK(found.code == 0);
  const Ended named =
      run_tool({"-s", one.file("file.sock"), "-s", one.file("vm.sock"), "-s", "a:b:c", "status"});
  CHECK(named.out == "vm: thawed\n");
  CHECK(blames(named, "file"));
  CHECK(blames(named, "a:b:c"));
  CHECK(named.code == 1);
  CHECK(run_tool({"-s", one.file("file.sock"), "-s", one.file("none.sock"), "status"}).code == 3);

  const Ended none = run_tool({one.file("*.no"), "status"});
  CHECK(none.code == 2);
  CHECK(contains(none.err, "no socket matches"));
  CHECK(none.out.empty());

  const Ended same = run_tool({"-s", one.file("vm.sock"), "-s", other.file("vm.sock"), "status"});
  CHECK(contains(same.out, one.file("vm.sock") + ": thawed\n"));
  CHECK(contains(same.out, other.file("vm.sock") + ": thawed\n"));
}

TEST_CASE("many guests: a pattern in vain is an error, whatever else there is") {
  Fleet fleet;
  const ScriptedAgent agent;
  fleet.add("there", agent.path());
  const std::string vain = fleet.path("none*");
  for (const Words& words :
       {Words{"-s", fleet.path("there"), "-s", vain, "ping"},
        Words{vain, "-s", fleet.path("there"), "info"},
        Words{fleet.path("there"), "-s", vain, "run", "--", "true"},
        Words{"-s", vain, "-s", fleet.path("there"), "freeze", "--", "true"}}) {
    CAPTURE(words);
    const Ended ended = run_tool(words);
    CHECK((ended.code == 2 || ended.code == 125));
    CHECK(contains(ended.err, "no socket matches '" + vain + "'"));
    CHECK(ended.out.empty());
  }
  CHECK(agent.connections() == 0);
}

TEST_CASE("many guests: a path is not taken for an address") {
  const ScriptedAgent agent;
  const TemporaryDirectory directory;
  const std::vector<std::string> names{"vm:1.sock", "tcp:127.0.0.1:1", "unix:x.sock", "fd:0"};
  for (const std::string& name : names) {
    std::filesystem::create_symlink(agent.path(), directory.file(name));
  }
  const std::string line =
      "cd '" + directory.file("") + "' && exec '" + tool_program + "' '*' ping";
  const Ended ended = Running({"-c", line}, "/dev/null", "/bin/sh").wait();
  CHECK(ended.code == 0);
  CHECK(count_of(ended.out, "answered in") == names.size());
}

TEST_CASE("many guests: a hard limit of descriptors serves as many as it can at a time") {
  const ScriptedAgent agent;
  const Fleet fleet;
  for (int i = 0; i < 100; ++i) fleet.add("vm" + std::to_string(i), agent.path());
  const std::string line =
      "ulimit -n 64 && exec '" + tool_program + "' '" + fleet.pattern() + "' ping";
  const Ended ended = Running({"-c", line}, "/dev/null", "/bin/sh").wait();
  CHECK(ended.code == 0);
  CHECK(ended.err.empty());
}

TEST_CASE("many guests: Ctrl-C ends all, and shows those that were done") {
  ScriptedAgent silent;
  silent.mute();
  ScriptedAgent good;
  good.on("guest-get-users", script::returns(R"([{"user": "ann", "login-time": 1}])"));
  Fleet fleet;
  fleet.add("good", good.path());
  fleet.add("silent1", silent.path());
  fleet.add("silent2", silent.path());
  for (const Words& command : {Words{"users"}, Words{"wait", "--gone"}, Words{"ping"}}) {
    INFO(command.front());
    Words words{"--timeout", "100"};
    words.insert(words.end(), command.begin(), command.end());
    Running running(fleet.words(words));
    for (int i = 0; i < 500 && good.requests().empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    running.signal(SIGINT);
    const Ended ended = running.wait();
    CHECK(ended.code == 130);
    CHECK(contains(ended.err, "qga: interrupted: "));
    if (command.front() == "users") CHECK(contains(ended.out, "good   ann"));
  }
}

TEST_CASE("many guests: more than there are descriptors") {
  ScriptedAgent agent;
  agent.on("guest-fsfreeze-status", script::returns("\"thawed\""));
  Fleet fleet;
  constexpr int count = 150;
  for (int i = 0; i < count; ++i) fleet.add("vm" + std::to_string(1000 + i), agent.path());
  const std::string script = "ulimit -n 80; exec \"$0\" \"$@\"";
  Words words{"-c", script, tool_program, fleet.pattern(), "--timeout", "60", "status"};
  const Ended ended = Running(words, "/dev/null", "/bin/sh").wait();
  CHECK(ended.err.empty());
  CHECK(ended.code == 0);
  CHECK(count_of(ended.out, ": thawed\n") == count);
}

TEST_CASE("many guests: a guest cannot drive the terminal, nor fill the memory") {
  Fleet fleet;
  ScriptedAgent hostile;
  hostile.on("guest-get-users", script::returns(R"([{"user": "\u001b[2Jx", "login-time": 1}])"));
  ScriptedAgent flood;
  flood.on("guest-get-users", script::all(script::says("{\"return\": ["),
                                          script::floods("{\"user\": \"a\"},", 200 << 20)));
  fleet.add("\x1b[31m", hostile.path());
  fleet.add("flood", flood.path());
  const Ended ended = fleet.run({"users"});
  CHECK_FALSE(contains(ended.out + ended.err, "\x1b"));
  CHECK(contains(ended.out, "\\x1b[31m  \\x1b[2Jx"));
  CHECK(blames(ended, "flood"));
  CHECK(ended.code == 1);
  const Ended as_json = fleet.run({"--json", "users"});
  CHECK_FALSE(contains(as_json.out + as_json.err, "\x1b"));
}

TEST_CASE("many guests: --trace names them") {
  ScriptedAgent agent;
  agent.on("guest-get-users", script::returns("[]"));
  Fleet fleet;
  fleet.add("web", agent.path());
  const Ended ended = fleet.run({"--trace", "users"});
  CHECK(contains(ended.err, "web > {\"execute\":\"guest-get-users\""));
  CHECK(contains(ended.err, "web < {"));
}

TEST_CASE("many guests: commands for one guest say so") {
  const Agent agent;
  for (const Words& command :
       {Words{"shell"}, Words{"cat", "/a"}, Words{"cp", ":/a", "b"},
        Words{"raw", R"({"execute": "guest-ping"})"}, Words{"ssh-keys", "list", "root"},
        Words{"shutdown"}, Words{"reboot"}, Words{"suspend"}, Words{"run", "-i", "--", "cat"}}) {
    INFO(command.front());
    Words words{"-s", agent.path(), "-s", agent.path() + "2"};
    words.insert(words.end(), command.begin(), command.end());
    const Ended ended = run_tool(words);
    const bool exits_as_program = command.front() == "run" || command.front() == "shell";
    CHECK(ended.code == (exits_as_program ? 125 : 2));
    CHECK(contains(ended.err, "must be used with one SOCKET, not with many"));
    CHECK(ended.out.empty());
  }
}

TEST_CASE("trim exits with 1 where a file system failed, also as JSON and on many guests") {
  ScriptedAgent agent;
  agent.on("guest-fstrim", script::returns(R"({"paths": [{"path": "/", "error": "no"}]})"));
  Fleet fleet;
  fleet.add("vm", agent.path());
  CHECK(run_tool({agent.path(), "trim"}).code == 1);
  CHECK(run_tool({agent.path(), "--json", "trim"}).code == 1);
  CHECK(fleet.run({"trim", "--minimum", "7"}).code == 1);
  CHECK(fleet.run({"--json", "trim"}).code == 1);
  CHECK(std::ranges::count_if(agent.executed(), [](const Heard& request) {
          return request.arguments == json{{"minimum", 7}};
        }) == 1);
}

TEST_CASE("info of a guest that does not tell its system shows its addresses and processors") {
  ScriptedAgent old;
  old.on("guest-info", script::returns(agent_info));
  old.on("guest-network-get-interfaces", script::returns(interface_list));
  old.on("guest-get-vcpus", script::returns(R"([{"logical-id": 0, "online": true}])"));
  const Ended one = run_tool({old.path(), "info"});
  CHECK(one.code == 0);
  CHECK(contains(one.out, "addresses   192.0.2.5\nprocessors  1\n"));
  CHECK(contains(one.out, "missing: guest-get-osinfo"));
  const json document = json::parse(run_tool({old.path(), "--json", "info"}).out);
  CHECK(document.at("guest-get-vcpus").size() == 1);
  CHECK(document.at("guest-network-get-interfaces") == json::parse(interface_list));
  Fleet fleet;
  fleet.add("old", old.path());
  CHECK(contains(fleet.run({"info"}).out, "ADDRESSES  PROCESSORS\n"));
}

TEST_CASE("time --set sets the clocks of many guests") {
  ScriptedAgent good;
  ScriptedAgent bad;
  for (ScriptedAgent* agent : {&good, &bad}) {
    agent->on("guest-get-time", script::returns("86400000000000"));
    agent->on("guest-set-time", script::returns("{}"));
  }
  bad.on("guest-set-time", script::fails("never"));
  Fleet fleet;
  fleet.add("good", good.path());
  fleet.add("bad", bad.path());
  const Ended ended = fleet.run({"time", "--set"});
  CHECK(ended.code == 1);
  CHECK(good.executed("guest-set-time") == 1);
  CHECK(contains(ended.out, "GUEST  CLOCK"));
  CHECK(contains(ended.out, "good   1970-01-02 00:00:00 UTC"));
  CHECK(blames(ended, "bad"));
}

// ---- wait ---------------------------------------------------------------------------------------

TEST_CASE("many guests: wait says how it ended for each") {
  auto there = std::make_unique<Agent>();
  Fleet fleet;
  fleet.add("there", there->path());
  fleet.add("later", there->path() + ".later");
  CHECK(fleet.run({"wait", "--for", "0.2"}).code == 0);  // a pattern knows what is there

  const Words both{"-s", fleet.path("there"), "-s", there->path() + ".none"};
  const auto wait = [&](Words more) {
    more.insert(more.begin(), both.begin(), both.end());
    return run_tool(more);
  };
  const Ended ready = wait({"wait", "--for", "0.3"});
  CHECK(ready.code == 3);
  CHECK(contains(ready.out, "there: ready after "));
  CHECK(contains(ready.err, "qga.sock.none: no channel: No such file or directory after "));
  const Ended program = wait({"wait", "--for", "0.5", "--run", "--", "true"});
  CHECK(program.code == 3);
  CHECK(contains(program.out, "there: ended with 0 after "));
  const Ended gone = wait({"wait", "--for", "0.3", "--gone"});
  CHECK(gone.code == 1);
  CHECK(contains(gone.err, "there: not gone after "));
  CHECK(contains(gone.out, "qga.sock.none: gone after "));
  const Ended thawed = wait({"wait", "--for", "0.3", "--thawed"});
  CHECK(contains(thawed.out, "there: thawed after "));
  CHECK(contains(thawed.err, "qga.sock.none: not thawed after "));

  Running waiting({"-s", fleet.path("there"), "wait", "--gone"});
  there.reset();
  const Ended all = waiting.wait();
  CHECK(all.code == 0);
  CHECK(contains(all.out, "there: gone after "));
}

// ---- run ----------------------------------------------------------------------------------------

TEST_CASE("many guests: each line of a program has the name of its guest") {
  const Agent a;
  const Agent b;
  Fleet fleet;
  fleet.add("a", a.path());
  fleet.add("b", b.path());
  const Words script{"--", "sh", "-c",
                     "for i in 1 2 3; do printf begin; sleep 0.05; echo \" end $i\"; done; "
                     "echo err >&2; printf last"};
  for (const bool buffered : {false, true}) {
    INFO(buffered);
    Words words{"run"};
    if (buffered) words.emplace_back("--buffered");
    words.insert(words.end(), script.begin(), script.end());
    const Ended ended = fleet.run(words);
    CHECK(ended.code == 0);
    for (const std::string name : {"a", "b"}) {
      std::string own;
      std::istringstream all(ended.out);
      for (std::string line; std::getline(all, line);) {
        if (line.starts_with(name + ": ")) own += line + "\n";
      }
      CHECK(own == name + ": begin end 1\n" + name + ": begin end 2\n" + name + ": begin end 3\n" +
                       name + ": last\n");
      CHECK(count_of(ended.err, name + ": err\n") == 1);
    }
    CHECK(count_of(ended.out, "\n") == 8);
    CHECK(count_of(ended.err, "\n") == 2);
  }
}

TEST_CASE("many guests: run shows lines as they come") {
  const Agent a;
  const Agent b;
  Fleet fleet;
  fleet.add("a", a.path());
  fleet.add("b", b.path());
  Running running(fleet.words({"run", "--", "sh", "-c", "echo first; exec sleep 1000"}));
  running.await_out("a: first\n");
  running.await_out("b: first\n");
  running.signal(SIGINT);
  const Ended ended = running.wait();
  CHECK(ended.code == 130);
  CHECK(contains(ended.err, "a: interrupted; process "));
  CHECK(contains(ended.err, " may still run\n"));
  // They do, until this ends them.
  const std::regex process("process ([0-9]+) may");
  int killed = 0;
  for (std::sregex_iterator at(ended.err.begin(), ended.err.end(), process), end; at != end; ++at) {
    killed += ::kill(std::stoi((*at)[1]), SIGKILL) == 0 ? 1 : 0;
  }
  CHECK(killed == 2);
}

TEST_CASE("many guests: a closed pipe kills the programs, and nothing is said about it") {
  const Agent a;
  const Agent b;
  Fleet fleet;
  fleet.add("a", a.path());
  fleet.add("b", b.path());
  Words words{"-c", "{ \"$0\" \"$@\"; echo $? >&2; } | head -1", tool_program};
  for (const std::string& word : fleet.words({"run", "--", "yes"})) words.push_back(word);
  const Ended ended = Running(words, "/dev/null", "/bin/sh").wait();
  CHECK((ended.out == "a: y\n" || ended.out == "b: y\n"));
  CHECK(ended.err == "141\n");
}

TEST_CASE("many guests: run's exit code, time limit and JSON") {
  const Agent a;
  const Agent b;
  Fleet fleet;
  fleet.add("a", a.path());
  fleet.add("b", b.path());
  const Ended seven = fleet.run({"run", "--", "sh", "-c", "exit 7"});
  CHECK(seven.code == 7);
  CHECK(seven.err == "qga: all 2 guests: the program ended with exit code 7\n");

  ScriptedAgent nine;
  nine.on("guest-exec", script::returns("{\"pid\": 7}"));
  nine.on("guest-exec-status", script::returns(R"({"exited": true, "exitcode": 9})"));
  const Ended differ = run_tool(
      {"-s", nine.path(), "-s", fleet.path("b"), "run", "--buffered", "--", "sh", "-c", "exit 7"});
  CHECK(differ.code == 1);
  CHECK(contains(differ.err, ": the program ended with exit code 9\n"));
  CHECK(contains(differ.err, "qga: b: the program ended with exit code 7\n"));

  const Ended missing = fleet.run({"run", "--", "/no/such program"});
  CHECK(missing.code == 127);
  CHECK(count_of(missing.err, "\n") == 1);
  CHECK(contains(missing.err, "qga: all 2 guests: "));
  CHECK(contains(missing.err, "write -- /no/such program"));

  const Ended slow = fleet.run({"run", "--for", "0.3", "--kill", "--", "sleep", "1000"});
  CHECK(slow.code == 124);
  CHECK(count_of(slow.err, " ran for too long and was killed\n") == 2);

  auto documents = fleet.documents({"run", "--", "sh", "-c", "echo hi; exit 3"});
  CHECK(documents.size() == 2);
  CHECK(documents["a"].at("result").at("exitcode") == 3);
  CHECK(documents["b"].at("result").at("out-data") == "aGkK");
}

TEST_CASE("many guests: run shows output at the end where a guest cannot do better") {
  ScriptedAgent windows;
  windows.on("guest-exec", script::returns("{\"pid\": 7}"));
  windows.on("guest-exec-status",
             script::returns(R"({"exited": true, "exitcode": 0, "out-data": "YQ0KYg=="})"));
  windows.disable("guest-file-open");
  const Agent linux_guest;
  Fleet fleet;
  fleet.add("windows", windows.path());
  fleet.add("other", linux_guest.path());
  const Ended ended = fleet.run({"run", "--", "echo", "x"});
  INFO(ended.err);
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "windows: a\r\nwindows: b\n"));
  CHECK(contains(ended.out, "other: x\n"));
}

TEST_CASE("many guests: a line without an end is split") {
  const Agent agent;
  Fleet fleet;
  fleet.add("a", agent.path());
  const Ended ended = fleet.run({"run", "--", "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x"});
  CHECK(ended.code == 0);
  CHECK(count_of(ended.out, "x") == 200000);
  CHECK(count_of(ended.out, "\n") < 20);
  CHECK(rows_of(ended.out).back().front() == "a:");
}

TEST_CASE("many guests: a program of a guest cannot drive the terminal") {
  const Agent agent;
  Fleet fleet;
  fleet.add("a", agent.path());
  OnTerminal terminal(fleet.words({"run", "--", "printf", "\\033[2Jx\\n"}));
  const Ended ended = terminal.wait();
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "a: \\x1b[2Jx"));
}

}  // namespace many_guests
