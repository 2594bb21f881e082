// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Passwords and keys: from stdin, from files, typed; and never shown.
#include <fstream>
#include <string>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

const std::string set_password = "guest-set-user-password";
const std::string encoded = "aHVudGVyMg==";  // hunter2

std::string password_of(const ScriptedAgent& agent) {
  for (const Heard& heard : agent.executed()) {
    if (heard.command == set_password) return heard.arguments.at("password");
  }
  return "(none)";
}

}  // namespace

TEST_CASE("a password comes from stdin or a file, without the end of its line") {
  ScriptedAgent agent;
  agent.on(set_password, script::returns("{}"));
  const TemporaryDirectory host;
  std::ofstream(host.file("secret")) << "hunter2\r\n";
  Ended ended;
  SECTION("stdin") { ended = run_tool({agent.path(), "--trace", "passwd", "root"}, "hunter2\n"); }
  SECTION("stdin without a line end") {
    ended = run_tool({agent.path(), "--trace", "passwd", "root"}, "hunter2");
  }
  SECTION("a file") {
    ended = run_tool({agent.path(), "--trace", "passwd", "root", "--file", host.file("secret")});
  }
  CHECK(ended.code == 0);
  CHECK(password_of(agent) == encoded);
  CHECK(contains(ended.err, set_password));
  CHECK_FALSE(contains(ended.out + ended.err, "hunter2"));
  CHECK_FALSE(contains(ended.out + ended.err, encoded));
}

TEST_CASE("what is no password is not sent") {
  ScriptedAgent agent;
  agent.on(set_password, script::returns("{}"));
  const std::string input =
      GENERATE(as<std::string>(), "", "\n", "two\nlines\n", std::string(5000, 'x'));
  CHECK(run_tool({agent.path(), "passwd", "root"}, input).code == 1);
  CHECK(run_tool({agent.path(), "passwd", "root", "--file", "/no/such/file"}).code == 1);
  CHECK(run_tool({agent.path(), "passwd", "root", "hunter2"}).code == 2);
  CHECK(agent.executed(set_password) == 0);
}

TEST_CASE("a password is typed twice, and not shown") {
  ScriptedAgent agent;
  agent.on(set_password, script::returns("{}"));
  OnTerminal terminal({agent.path(), "passwd", "root"});
  terminal.await("New password: ");
  terminal.type("hunter2\n");
  terminal.await("Once more: ");
  const std::string second = GENERATE("hunter2\n", "hunter3\n");
  terminal.type(second);
  const Ended ended = terminal.wait();
  CHECK_FALSE(contains(ended.out, "hunter"));
  const bool same = second == "hunter2\n";
  CHECK(ended.code == (same ? 0 : 1));
  CHECK(password_of(agent) == (same ? encoded : "(none)"));
}

TEST_CASE("Ctrl-C at the prompt ends the tool") {
  ScriptedAgent agent;
  OnTerminal terminal({agent.path(), "passwd", "root"});
  terminal.await("New password: ");
  terminal.type("hun\x03");
  CHECK(terminal.wait().code == 130);
  CHECK(agent.executed(set_password) == 0);
}

TEST_CASE("keys come from stdin or a file, without comments") {
  ScriptedAgent agent;
  agent.on("guest-ssh-get-authorized-keys",
           script::returns("{\"keys\": [\"ssh-ed25519 BBBB old\"]}"));
  agent.on("guest-ssh-add-authorized-keys", script::returns("{}"));
  agent.on("guest-ssh-remove-authorized-keys", script::returns("{}"));
  const std::string input = "# mine\n\nssh-ed25519 AAAA me\nssh-rsa CCCC also me\n";
  const TemporaryDirectory host;
  std::ofstream(host.file("keys")) << input;

  CHECK(run_tool({agent.path(), "ssh-keys", "list", "root"}).out == "ssh-ed25519 BBBB old\n");
  const std::string action = GENERATE("add", "remove");
  CHECK(run_tool({agent.path(), "ssh-keys", action, "root"}, input).code == 0);
  CHECK(run_tool({agent.path(), "ssh-keys", action, "root", "-"}, input).code == 0);
  CHECK(run_tool({agent.path(), "ssh-keys", action, "root", host.file("keys")}).code == 0);
  const nlohmann::json expected{"ssh-ed25519 AAAA me", "ssh-rsa CCCC also me"};
  std::size_t sent = 0;
  for (const Heard& heard : agent.executed()) {
    if (heard.command != "guest-ssh-" + action + "-authorized-keys") continue;
    CHECK(heard.arguments.at("keys") == expected);
    ++sent;
  }
  CHECK(sent == 3);
  CHECK(run_tool({agent.path(), "ssh-keys", action, "root"}, "# none\n").code == 1);
}

TEST_CASE("a private key is no key to add") {
  ScriptedAgent guest;
  const std::string file = guest.path() + ".key";
  std::ofstream(file) << "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n"
                         "-----END OPENSSH PRIVATE KEY-----\n";
  const Ended ended = run_tool({guest.path(), "ssh-keys", "add", "tester", file});
  CHECK(ended.code == 1);
  CHECK(contains(ended.err, "must hold public keys"));
  CHECK(guest.executed("guest-ssh-add-authorized-keys") == 0);
}
