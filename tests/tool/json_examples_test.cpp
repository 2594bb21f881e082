// SPDX-License-Identifier: LGPL-3.0-or-later
//
// docs/json_examples.md has what each command of the tool prints with --json. This runs them
// against scripted agents, and compares. Run with QGA_WRITE_EXAMPLES set, it writes the page anew.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_guest.hpp"
#include "tool.hpp"

using namespace qga_test;
using nlohmann::json;

namespace {

namespace json_examples {

namespace fs = std::filesystem;

/// A guest that says a bit of everything. Its figures of usage rise from one request to the next.
class TalkingGuest : public ScriptedGuest {
 public:
  TalkingGuest() {
    on("guest-get-fsinfo",
       script::returns(
           R"([{"name": "vda1", "mountpoint": "/", "type": "ext4", "used-bytes": 1073741824, "total-bytes": 8589934592, "disk": [{"serial": "root", "bus-type": "virtio", "bus": 0, "unit": 0, "target": 0, "dev": "/dev/vda1", "pci-controller": {"bus": 0, "slot": 4, "domain": 0, "function": 0}}]}, {"name": "vdb", "mountpoint": "/srv", "type": "xfs", "used-bytes": 4096, "total-bytes": 1048576, "disk": []}])"));
    on("guest-get-disks",
       script::returns(
           R"([{"name": "/dev/vda", "partition": false, "dependencies": [], "address": {"serial": "root", "bus-type": "virtio", "bus": 0, "unit": 0, "target": 0, "dev": "/dev/vda", "pci-controller": {"bus": 0, "slot": 4, "domain": 0, "function": 0}}}, {"name": "/dev/vda1", "partition": true, "dependencies": ["/dev/vda"]}])"));
    on("guest-network-get-interfaces",
       script::returns(
           R"([{"name": "eth0", "hardware-address": "52:54:00:12:34:56", "ip-addresses": [{"ip-address": "192.0.2.10", "ip-address-type": "ipv4", "prefix": 24}, {"ip-address": "2001:db8::10", "ip-address-type": "ipv6", "prefix": 64}], "statistics": {"rx-bytes": 330, "rx-packets": 4, "rx-errs": 0, "rx-dropped": 0, "tx-bytes": 602, "tx-packets": 6, "tx-errs": 0, "tx-dropped": 0}}])"));
    on("guest-network-get-route",
       script::returns(
           R"([{"iface": "eth0", "destination": "192.0.2.0", "metric": 100, "gateway": "0.0.0.0", "mask": "255.255.255.0", "irtt": 0, "flags": 1, "refcnt": 0, "use": 0, "window": 0, "mtu": 0, "version": 4}])"));
    on("guest-get-vcpus",
       script::returns(
           R"([{"logical-id": 0, "online": true, "can-offline": false}, {"logical-id": 1, "online": true, "can-offline": true}])"));
    const auto times = std::make_shared<int>(0);  // used by the agent's thread only
    on("guest-get-cpustats", [times](const Heard&) {
      const int user = 100 + 10 * *times;
      const int idle = 900 + 30 * (*times)++;
      return json{{{"type", "linux"},
                   {"cpu", 0},
                   {"user", user},
                   {"nice", 0},
                   {"system", 0},
                   {"idle", idle}}};
    });
    on("guest-get-diskstats",
       script::returns(
           R"([{"name": "vda", "major": 254, "minor": 0, "stats": {"read-sectors": 8, "read-ios": 1, "write-sectors": 8, "write-ios": 1, "total-ticks": 4}}])"));
    on("guest-get-time", script::returns("1700000000000000000"));
    on("guest-set-time", script::returns("{}"));
    on("guest-get-load",
       script::fails("The command guest-get-load has not been found", "CommandNotFound"));
    on("guest-get-users", script::returns(R"([{"user": "root", "login-time": 1700000000.5}])"));
    on("guest-fstrim",
       script::returns(
           R"({"paths": [{"path": "/", "trimmed": 4096, "minimum": 0}, {"path": "/srv", "error": "the discard operation is not supported"}]})"));
    on("guest-set-user-password", script::returns("{}"));
    on("guest-ssh-remove-authorized-keys", script::returns("{}"));
    on("guest-ssh-get-authorized-keys",
       script::returns(R"({"keys": ["ssh-ed25519 AAAA me@here"]})"));
    on("guest-ssh-add-authorized-keys", script::returns("{}"));
    for (const char* const command : {"guest-shutdown", "guest-suspend-ram"}) {
      on(command, script::nothing());
    }
    guest().set_mountpoints({"/", "/srv"});
    guest().add_any_program([](const qga::testing::ProgramCall& call) {
      if (call.path == "uname") return qga::testing::ProgramResult{.out = "Linux\n"};
      return qga::testing::ProgramResult{.exit_code = 7, .err = "no\n"};
    });
    put("/etc/motd", "Hello!\n");
  }
};

/// A page of what the tool prints.
class Page {
 public:
  Page() {
    for (const auto& [name, target] :
         {std::pair("vm.sock", guest_.path()), std::pair("real.sock", agent_.path()),
          std::pair("qga", tool_program)}) {
      fs::create_symlink(target, here_.file(name));
    }
    for (const auto& [name, text] :
         {std::pair("site/page", "text\n"), std::pair("motd", "Hello!\n"),
          std::pair("key.pub", "ssh-ed25519 BBBB you@here\n"), std::pair("password", "secret\n")}) {
      fs::create_directories(fs::path(here_.file(name)).parent_path());
      std::ofstream(here_.file(name)) << text;
    }
  }

  TalkingGuest& guest() { return guest_; }
  const std::string& text() const { return text_; }
  /// The commands that have an example, or need none.
  const std::set<std::string>& shown() const { return shown_; }

  void section(const std::string& command, const std::string& about = "") {
    shown_.insert(command);
    text_ += "\n## " + command + "\n";
    if (!about.empty()) text_ += "\n" + about + "\n";
  }
  /// Runs a line in a directory in which `vm.sock` is the guest's.
  void example(const std::string& line, int code = 0) {
    const Ended ended = run("./" + line);
    INFO(line << '\n' << ended.err);
    CHECK(ended.code == code);
    add(line, ended, code);
  }
  /// The same, with an agent that runs programs.
  void example_of_agent(const std::string& line) {
    std::string really = "./" + line;
    really.replace(really.find("vm.sock"), 7, "real.sock");
    for (std::size_t at = really.find(":/srv"); at != really.npos; at = really.find(":/srv")) {
      really.replace(at, 5, ":" + agent_.file(""));
    }
    const Ended ended = run(really);
    INFO(really << '\n' << ended.err);
    CHECK(ended.code == 0);
    add(line, ended, 0);
  }

 private:
  Ended run(const std::string& line) const {
    return Running({"-c", "cd " + here_.file("") + " && " + line}, "/dev/null", "/bin/sh").wait();
  }
  void add(const std::string& line, const Ended& ended, int code) {
    CHECK_FALSE(ended.out.empty());
    std::istringstream documents(ended.out);
    const bool lines = line.find(" top ") != std::string::npos;
    // Each is one document, or a document on each line.
    if (lines) {
      for (std::string one; std::getline(documents, one);) CHECK(json::accept(one));
    } else {
      CHECK(json::accept(ended.out));
    }
    // Times are never the same.
    const std::regex time("\"(seconds|milliseconds)\": ?[-+.e0-9]+");
    std::istringstream shown(std::regex_replace(ended.out, time, "\"$1\": 0.25"));
    text_ += "\n    $ " + line + (code == 0 ? "" : "; echo $?") + '\n';
    for (std::string one; std::getline(shown, one);) text_ += "    " + one + '\n';
    if (code != 0) text_ += "    " + std::to_string(code) + '\n';
  }

  TalkingGuest guest_;
  const Agent agent_;
  const TemporaryDirectory here_;
  std::set<std::string> shown_;
  std::string text_;
};

/// The commands that the tool has, from the completion, which knows all.
std::set<std::string> commands_of_tool() {
  const std::string completion = run_tool({"--completion", "zsh"}).out;
  const std::regex command("\n    ' ([-a-z ]+)'\\)\n      commands=\\(\\)");
  std::set<std::string> commands;
  for (std::sregex_iterator i(completion.begin(), completion.end(), command), end; i != end; ++i) {
    commands.insert((*i)[1]);
  }
  return commands;
}

constexpr const char* few_commands =
    R"({"version": "8.2.0", "supported_commands": [{"name": "guest-exec", "enabled": false, "success-response": true}, {"name": "guest-shutdown", "enabled": true, "success-response": false}]})";

constexpr const char* head = R"(# Examples of the tool's JSON {#json_examples}

What each command prints with `--json`, from a guest that is only played: the test
`tests/tool/json_examples_test.cpp` runs these lines, and compares them with this page. Times are replaced by 0.25.
[JSON of the tool](json.md) says what the members mean.
)";

}  // namespace json_examples

}  // namespace

using namespace json_examples;

TEST_CASE("docs/json_examples.md has what every command prints as JSON") {
  Page page;
  page.section("info", "The guest refused one command.");
  page.guest().once("guest-info", script::returns(few_commands));
  page.example("qga vm.sock --json info");
  page.section("ping");
  page.example("qga vm.sock --json ping");
  page.section("wait",
               "`state` is `ready`, `frozen`, `disabled`, `silent` or `no-socket`; `text` says it "
               "to people.");
  page.example("qga vm.sock --json wait");
  page.example("qga vm.sock --json wait --for 0.1 --command guest-no-such-thing", 1);
  page.example("qga no.sock --json wait --for 0.1", 3);
  page.example("qga vm.sock --json wait --address v4");
  page.example("qga vm.sock --json wait --for 0.1 --address v4 --mac 52:54:00:00:00:00", 1);
  page.example("qga vm.sock --json wait --run -- uname");
  page.example("qga vm.sock --json wait --thawed");
  page.example("qga vm.sock --json wait --for 0.1 --frozen", 1);
  page.example("qga no.sock --json wait --gone");
  page.section("run");
  page.example("qga vm.sock --json run -- uname");
  page.example("qga vm.sock --json run -- false", 7);
  page.section("shell", "It must be used without `--json`.");
  page.section("cat", "`--json` changes nothing: it prints the bytes of the file.");
  page.section("cp");
  page.example("qga vm.sock --json cp motd :/etc/motd");
  page.example("qga vm.sock --json cp --verify :/etc/motd copy");
  page.example_of_agent("qga vm.sock --json cp -r --verify site :/srv/www");
  page.section("freeze", "`frozen` is null where the agent did not say how many.");
  page.example("qga vm.sock --json -q freeze -- true");
  page.example("qga vm.sock --json freeze --except /srv --dry-run");
  page.guest().once("guest-fsfreeze-freeze", script::fails("the hook failed"));
  page.example("qga vm.sock --json freeze --or-without -- true", 123);
  page.section("status");
  page.guest().guest().set_frozen(true);
  page.example("qga vm.sock --json status");
  page.section("thaw");
  page.example("qga vm.sock --json thaw");
  page.section("ls-commands");
  page.guest().once("guest-info", script::returns(few_commands));
  page.example("qga vm.sock --json ls-commands");
  page.section("fs");
  page.example("qga vm.sock --json fs");
  page.example("qga vm.sock --json fs --total");
  page.section("net");
  page.example("qga vm.sock --json net");
  page.example("qga vm.sock --json net --routes");
  page.section("disks");
  page.example("qga vm.sock --json disks");
  page.section("cpu");
  page.example("qga vm.sock --json cpu");
  page.section("users");
  page.example("qga vm.sock --json users");
  page.section("trim");
  page.example("qga vm.sock --json trim", 1);
  page.section("top");
  page.example("qga vm.sock --json top --interval 0.1 --count 1");
  page.section("metrics", "`--json` changes nothing: it prints the text of Prometheus.");
  page.section("passwd");
  page.example("qga vm.sock --json passwd tester <password");
  page.section("ssh-keys list");
  page.example("qga vm.sock --json ssh-keys list tester");
  page.section("ssh-keys add");
  page.example("qga vm.sock --json ssh-keys add tester key.pub");
  page.section("ssh-keys remove");
  page.example("qga vm.sock --json ssh-keys remove tester key.pub");
  page.section("time");
  page.example("qga vm.sock --json time");
  page.section("shutdown");
  page.example("qga vm.sock --json -q shutdown");
  page.section("reboot");
  page.example("qga vm.sock --json -q reboot");
  page.section("suspend");
  page.example("qga vm.sock --json -q suspend");
  page.section("raw");
  page.example("qga vm.sock --json raw '{\"execute\": \"guest-get-host-name\"}'");

  CHECK(page.shown() == commands_of_tool());  // each has its section above
  const std::string now = head + page.text();
  if (std::getenv("QGA_WRITE_EXAMPLES") != nullptr) std::ofstream(QGA_TEST_EXAMPLES) << now;
  INFO("to write the page anew: QGA_WRITE_EXAMPLES=1 tests/tool/tool_tests 'docs/json*'");
  CHECK(contents(QGA_TEST_EXAMPLES) == now);
}
