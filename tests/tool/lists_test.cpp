// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lists of the guest: what is said of an empty one, and of values that say nothing.
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

TEST_CASE("a list that is empty says so") {
  struct List {
    std::vector<std::string> words;  ///< of the command line
    std::string question;            ///< of the agent
    std::string sentence;
  };
  const List list = GENERATE(List{{"fs"}, "guest-get-fsinfo", "no file systems"},
                             List{{"net"}, "guest-network-get-interfaces", "no interfaces"},
                             List{{"net", "--routes"}, "guest-network-get-route", "no routes"},
                             List{{"disks"}, "guest-get-disks", "no disks"},
                             List{{"users"}, "guest-get-users", "no users logged in"});
  INFO(list.sentence);
  ScriptedAgent agent;
  agent.on(list.question, script::returns("[]"));
  std::vector<std::string> arguments{agent.path()};
  arguments.insert(arguments.end(), list.words.begin(), list.words.end());
  const Ended people = run_tool(arguments);
  CHECK(people.code == 0);
  CHECK(people.out == list.sentence + "\n");
  CHECK(people.err.empty());

  arguments.emplace_back("--json");
  CHECK(json::parse(run_tool(arguments).out) == json::array());
  // Some agents send null for an empty list.
  agent.on(list.question, script::returns("null"));
  CHECK(json::parse(run_tool(arguments).out) == json::array());
}

TEST_CASE("lists of commands, processors and keys that are empty say so, too") {
  ScriptedAgent agent;
  agent.on("guest-info", script::returns(R"({"version": "1", "supported_commands": []})"));
  CHECK(run_tool({agent.path(), "ls-commands"}).out == "no commands\n");

  agent.on("guest-get-vcpus", script::returns("[]"));
  agent.on("guest-get-cpustats", script::returns("[]"));
  CHECK(run_tool({agent.path(), "cpu"}).out == "no processors\n");
  agent.on("guest-get-cpustats", script::returns("null"));
  const json processors = json::parse(run_tool({agent.path(), "--json", "cpu"}).out);
  CHECK(processors.at("guest-get-vcpus") == json::array());
  CHECK(processors.at("guest-get-cpustats") == json::array());
  // It is not known whether there are any.
  agent.on("guest-get-cpustats", script::returns("[]"));
  agent.on("guest-get-vcpus", script::fails("no"));
  CHECK(run_tool({agent.path(), "cpu"}).out == "missing: guest-get-vcpus: no (GenericError)\n");

  // A list of keys is made to be read by programs: stdout stays empty.
  agent.on("guest-ssh-get-authorized-keys", script::returns(R"({"keys": []})"));
  const Ended keys = run_tool({agent.path(), "ssh-keys", "list", "root"});
  CHECK(keys.code == 0);
  CHECK(keys.out.empty());
  CHECK(keys.err == "qga: no keys\n");
  CHECK(run_tool({agent.path(), "-q", "ssh-keys", "list", "root"}).err.empty());
  CHECK(run_tool({agent.path(), "--json", "ssh-keys", "list", "root"}).err.empty());
}

TEST_CASE("net shows no prefix that cannot be") {
  struct Address {
    std::string type;
    std::string address;
    std::string prefix;
    std::string shown;
  };
  const Address one = GENERATE(Address{"ipv4", "192.0.2.45", "24", "192.0.2.45/24"},
                               Address{"ipv4", "192.0.2.45", "0", "192.0.2.45/0"},
                               Address{"ipv4", "192.0.2.45", "32", "192.0.2.45/32"},
                               Address{"ipv4", "192.0.2.45", "33", "192.0.2.45"},
                               Address{"ipv4", "192.0.2.45", "-1", "192.0.2.45"},
                               Address{"ipv4", "192.0.2.45", "-9223372036854775808", "192.0.2.45"},
                               Address{"ipv6", "fe80::1%3", "-1", "fe80::1%3"},
                               Address{"ipv6", "fe80::1%3", "64", "fe80::1%3/64"},
                               Address{"ipv6", "2001:db8::1", "128", "2001:db8::1/128"},
                               Address{"ipv6", "2001:db8::1", "129", "2001:db8::1"});
  ScriptedAgent agent;
  agent.on("guest-network-get-interfaces",
           script::returns("[{\"name\": \"Ethernet\", \"ip-addresses\": [{\"ip-address\": \"" +
                           one.address + "\", \"ip-address-type\": \"" + one.type +
                           "\", \"prefix\": " + one.prefix + "}]}]"));
  CHECK(contains(run_tool({agent.path(), "net"}).out, " " + one.shown + "\n"));
}

TEST_CASE("net shows the interfaces of a Windows guest") {
  ScriptedAgent agent;
  agent.on(
      "guest-network-get-interfaces",
      script::returns(
          R"([{"hardware-address": "76:05:ee:00:00:01", "ip-addresses": [)"
          R"({"ip-address": "fe80::b51b:d3df:15df:19eb%3", "ip-address-type": "ipv6", )"
          R"("prefix": -1}, {"ip-address": "192.0.2.45", "ip-address-type": "ipv4", )"
          R"("prefix": 24}], "name": "Ethernet"}, {"ip-addresses": [{"ip-address": "127.0.0.1", )"
          R"("ip-address-type": "ipv4", "prefix": -1}], "name": "Loopback Pseudo-Interface 1"}])"));
  CHECK(run_tool({agent.path(), "net"}).out ==
        "INTERFACE                    HARDWARE           ADDRESS                      RECEIVED  "
        "SENT\n"
        "Ethernet                     76:05:ee:00:00:01  fe80::b51b:d3df:15df:19eb%3\n"
        "                                                192.0.2.45/24\n"
        "Loopback Pseudo-Interface 1                     127.0.0.1\n");
}

TEST_CASE("net --routes shows no metric and no prefix that cannot be") {
  ScriptedAgent agent;
  agent.on("guest-network-get-route",
           script::returns(R"([{"iface": "a", "destination": "::", "metric": -1, "version": 6, )"
                           R"("desprefixlen": "-1"}, {"iface": "b", "destination": "10.0.0.0", )"
                           R"("metric": 5, "version": 4, "mask": "255.0.0.0"}])"));
  CHECK(run_tool({agent.path(), "net", "--routes"}).out ==
        "DESTINATION         GATEWAY  INTERFACE  METRIC\n"
        "::                           a\n"
        "10.0.0.0/255.0.0.0           b               5\n");
}

TEST_CASE("fs --total: each device once, and only what the guest has written") {
  ScriptedAgent agent;
  agent.on(
      "guest-get-fsinfo",
      script::returns(
          R"([ {"name": "sda1", "mountpoint": "/", "type": "ext4", "disk": [], "total-bytes": 4096, "used-bytes": 1024}, {"name": "sda1", "mountpoint": "/again", "type": "ext4", "disk": [], "total-bytes": 4096, "used-bytes": 1024}, {"name": "loop0", "mountpoint": "/snap", "type": "squashfs", "disk": [], "total-bytes": 9, "used-bytes": 9}, {"name": "overlay", "mountpoint": "/o", "type": "overlay", "disk": [], "total-bytes": 9, "used-bytes": 9}, {"name": "sr0", "mountpoint": "/cd", "type": "iso9660", "disk": [], "total-bytes": 9, "used-bytes": 9}, {"name": "sdb", "mountpoint": "/b", "type": "xfs", "disk": [], "total-bytes": 4096, "used-bytes": 3072}, {"name": "sdc", "mountpoint": "/c", "type": "xfs", "disk": []}])"));
  CHECK(json::parse(run_tool({agent.path(), "--json", "fs", "--total"}).out) ==
        json{{"devices", 2}, {"total-bytes", 8192}, {"used-bytes", 4096}});
  const Ended people = run_tool({agent.path(), "fs", "--total"});
  CHECK(contains(people.out, "8.0 KiB"));
  CHECK(contains(people.out, "50.0 %"));
}

TEST_CASE("trim: a row for each file system, and a failure where one failed") {
  ScriptedAgent agent;
  agent.on("guest-fstrim",
           script::returns(
               R"({"paths": [{"path": "/", "trimmed": 1048576}, {"path": "/b", "trimmed": 0}]})"));
  const Ended all = run_tool({agent.path(), "trim"});
  CHECK(all.code == 0);
  CHECK(contains(all.out, "1.0 MiB"));
  agent.on("guest-fstrim",
           script::returns(R"({"paths": [{"path": "/", "error": "not supported \u001b[2J"}]})"));
  const Ended failed = run_tool({agent.path(), "trim", "--minimum", "4096"});
  CHECK(failed.code == 1);
  CHECK(contains(failed.out, "not supported \\x1b[2J"));
  CHECK(run_tool({agent.path(), "trim", "--minimum", "-1"}).code == 2);
}
