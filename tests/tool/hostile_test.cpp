// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The tool against a guest that would like to drive the user's terminal, or to be believed.
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

/// As it stands in JSON: clears the screen, by C0 and C1, turns the direction of writing, ends the
/// line.
const std::string evil = "\\u001b[2J\\u009b2J\\u202eevil\\nroot";

/// No byte that a terminal would act upon, but for the ends of lines.
bool is_tame(const std::string& text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7F) return false;
  }
  return !contains(text, "\xc2\x9b") && !contains(text, "\u202e");
}

}  // namespace

TEST_CASE("what a hostile guest says is escaped for people") {
  struct Answer {
    std::string command;   ///< of the tool
    std::string question;  ///< of the agent
    std::string reply;
  };
  const std::string text = "\"" + evil + "\"";
  const Answer answer = GENERATE_COPY(
      Answer{"fs", "guest-get-fsinfo",
             "[{\"name\": " + text + ", \"mountpoint\": " + text + ", \"type\": " + text +
                 ", \"disk\": []}]"},
      Answer{"net", "guest-network-get-interfaces",
             "[{\"name\": " + text + ", \"hardware-address\": " + text + "}]"},
      Answer{"disks", "guest-get-disks",
             "[{\"name\": " + text + ", \"partition\": false, \"dependencies\": [" + text + "]}]"},
      Answer{"users", "guest-get-users",
             "[{\"user\": " + text + ", \"login-time\": 1e300, \"domain\": " + text + "}]"},
      Answer{"ls-commands", "guest-info",
             "{\"version\": \"1\", \"supported_commands\": [{\"name\": " + text +
                 ", \"enabled\": true, \"success-response\": true}]}"},
      Answer{"info", "guest-info", "{\"version\": " + text + ", \"supported_commands\": []}"},
      Answer{"time", "guest-get-time", "9223372036854775807"},
      Answer{"time", "guest-get-time", "-9223372036854775808"});
  INFO(answer.command);
  ScriptedAgent agent;
  agent.on(answer.question, script::returns(answer.reply));

  const Ended people = run_tool({agent.path(), answer.command});
  CHECK(people.code == 0);
  CHECK(is_tame(people.out));
  if (answer.command != "time") CHECK(contains(people.out, "\\u202eevil\\x0aroot"));

  const Ended programs = run_tool({agent.path(), "--json", answer.command});
  CHECK(programs.code == 0);
  CHECK(is_tame(programs.out));
  CHECK(nlohmann::json::accept(programs.out));
}

TEST_CASE("an error of a hostile guest is escaped, and one line") {
  ScriptedAgent agent;
  agent.on("guest-fsfreeze-status", script::fails(evil, evil));
  const Ended ended = run_tool({agent.path(), "status"});
  CHECK(ended.code == 1);
  CHECK(is_tame(ended.err));
  CHECK(ended.err.find('\n') == ended.err.size() - 1);
}

TEST_CASE("output of a program is escaped on a terminal, and only there") {
  ScriptedAgent agent;
  agent.on("guest-exec", script::returns("{\"pid\": 7}"));
  agent.on("guest-exec-status",  // ESC ] 0 ; x BEL \n tab \x9b
           script::returns("{\"exited\": true, \"exitcode\": 0, \"out-data\": \"G10wO3gHCgmb\"}"));
  CHECK(run_tool({agent.path(), "run", "--", "ls"}).out == "\x1b]0;x\x07\n\t\x9b");
  const Ended shown = OnTerminal({agent.path(), "run", "--", "ls"}).wait();
  CHECK(contains(shown.out, "\\x1b]0;x\\x07\r\n"));  // the terminal's own CR
  CHECK(contains(shown.out, "\\x9b"));
  CHECK_FALSE(contains(shown.out, "\x1b"));
  const Ended raw = OnTerminal({agent.path(), "run", "--raw-output", "--", "ls"}).wait();
  CHECK(contains(raw.out, "\x1b]0;x\x07"));
}

TEST_CASE("a bar is no longer than a line, whatever the guest announces") {
  int reads = 0;
  ScriptedAgent agent;
  agent.on("guest-file-open", script::returns("1000"));
  agent.on("guest-file-seek", script::returns("{\"position\": 1, \"eof\": false}"));
  agent.on("guest-file-close", script::returns("{}"));
  agent.on("guest-file-flush", script::returns("{}"));
  agent.on("guest-file-read", [&](const Heard&) {
    const std::string eof = ++reads > 100 ? "true" : "false";
    return script::returns("{\"count\": 3, \"buf-b64\": \"AAAA\", \"eof\": " + eof + "}");
  });
  const TemporaryDirectory host;
  const Ended ended = OnTerminal({agent.path(), "cp", ":/x", host.file("x")}).wait();
  CHECK(ended.out.size() < 1000);
}
