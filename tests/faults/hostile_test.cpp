// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Replies that no agent in its senses sends, over a socket: each is an error with a type, and the
// next command works.
#include <string>
#include <string_view>
#include <vector>

#include "faults.hpp"

using namespace faults;
using namespace std::string_literals;

namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

/// Lines in the place of the reply to any command.
std::vector<std::string> hostile_lines() {
  std::vector<std::string> lines{
      "{}",
      "[]",
      "null",
      "true",
      "42",
      "\"x\"",
      "{",
      "}",
      "]",
      ":",
      "\"",
      "{\"return\"",
      "{\"event\": \"SHUTDOWN\", \"timestamp\": {\"seconds\": 1}}",
      "{\"QMP\": {\"version\": {}, \"capabilities\": []}}",
      "{\"execute\": \"guest-get-osinfo\", \"id\": $id}",  // a terminal's echo
      "{\"return\": {}}",                                  // without the id
      "{\"id\": $id}",
      "{\"return\": {}, \"error\": {\"class\": \"A\", \"desc\": \"b\"}, \"id\": $id}",
      "{\"error\": {\"class\": \"A\", \"desc\": \"b\"}, \"return\": {}, \"id\": $id}",
      "{\"return\": {}, \"return\": {}, \"id\": $id}",
      "{\"return\": {}, \"id\": $id, \"id\": $id}",
      "{\"return\": {}, \"id\": $id} x",
      "{\"return\": {}, \"id\": $id}{}",
      "x{\"return\": {}}",
      "{\"return\": null, \"id\": $id}",
      "{\"return\": [], \"id\": $id}",
      "{\"return\": 5, \"id\": $id}",
      "{\"return\": \"\", \"id\": $id}",
      "{\"return\": {\"name\": 5}, \"id\": $id}",
      "{\"return\": null, \"id\": $id}",
      "{\"return\": {\"name\": [\"x\"]}, \"id\": $id}",
      "{\"return\": {\"name\": {}}, \"id\": $id}",
      "{\"return\": {\"name\": true}, \"id\": $id}",
      "{\"return\": {\"name\": nul}, \"id\": $id}",
      "{\"return\": {\"name\": \"\\ud800\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"\\udc00\\ud800\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"\\x41\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"a\x01z\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"a\tz\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"a\x1b[2Jz\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"a\0z\"}, \"id\": $id}"s,
      "{\"return\": {\"name\": \"\xC0\x80\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"\xED\xA0\x80\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"\x80\"}, \"id\": $id}",
      "{\"return\": {\"name\": \"a\xFFz\"}, \"id\": $id}",
      "{\"return\": {\"x\": 1e999}, \"id\": $id}",
      "{\"return\": {\"x\": NaN}, \"id\": $id}",
      "{\"return\": {\"x\": 01}, \"id\": $id}",
      "{\"return\": {\"x\": +1}, \"id\": $id}",
      "{\"return\": {\"x\": 0x10}, \"id\": $id}",
      "{\"return\": {\"x\": -}, \"id\": $id}",
      "{\"return\": {x: 1}, \"id\": $id}",
      "{\"return\": {'x': 1}, \"id\": $id}",
      "{\"return\": {\"x\": 1,}, \"id\": $id}",
      "{\"return\": {} /* x */, \"id\": $id}",
      "{\"return\": {}, \"return\\u0000\": {}, \"id\": $id}",
      "\xEF\xBB\xBF{\"return\": {}, \"id\": $id}",
      "\0{\"return\": {}, \"id\": $id}"s,
      "{\"error\": {}, \"id\": $id}",
      "{\"error\": null, \"id\": $id}",
      "{\"error\": \"no\", \"id\": $id}",
      "{\"error\": {\"class\": \"A\"}, \"id\": $id}",
      "{\"error\": {\"class\": 1, \"desc\": \"b\"}, \"id\": $id}",
      "{\"error\": {\"class\": \"A\", \"desc\": null}, \"id\": $id}",
      "{\"error\": {\"class\": \"A\", \"desc\": 5}, \"id\": $id}",
      "{\"error\": {\"class\": \"A\", \"desc\": \"b\xFFz\"}, \"id\": $id}",
  };
  for (const std::string& value :
       {repeated("[", 100000) + repeated("]", 100000), repeated("{\"a\":", 100000),
        "[0" + repeated(",0", 1000000) + "]", "{\"a\":0" + repeated(",\"a\":0", 1000000) + "}",
        "[\"\"" + repeated(",[]", 1000000) + "]", std::string(1000000, '9'),
        std::string(17 << 20, '9')}) {
    lines.push_back("{\"return\": " + value + ", \"id\": $id}");
    lines.push_back("{\"x\": " + value + ", \"return\": {}, \"id\": $id}");
    lines.push_back("{\"id\": " + value + ", \"return\": {}}");
  }
  return lines;
}

}  // namespace

TEMPLATE_TEST_CASE("a hostile reply costs one call", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path(), {.timeout = 20s});
  for (const std::string& line : hostile_lines()) {
    INFO(line.substr(0, 100));
    agent.once("guest-get-osinfo", script::says(line + "\n"));
    const auto error = error_of<qga::BadReplyError>([&] { ga.get_osinfo(); });
    CHECK(error.outcome() == Outcome::unknown);
    CHECK(error.command() == "guest-get-osinfo");
    const std::string_view what = error.what();
    CHECK(what.starts_with("guest-get-osinfo: "));
    CHECK(what.size() < 2000);
    for (const char c : what) REQUIRE((c < 0 || (c >= ' ' && c != '\x7F')));
    REQUIRE_NOTHROW(ga.ping());
  }
}

TEMPLATE_TEST_CASE("odd replies that are in order are taken", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  for (const char* const line :
       {"{\"id\": $id, \"return\": {\"name\": \"x\"}}\n",
        "{\"return\":{\"name\":\"x\"},\"id\":$id}\r\n",
        "\n\n \t{ \"return\" : { \"name\" : \"\\u0078\" } , \"id\" : $id }\n",
        "{\"return\": {\"name\": \"x\", \"new\": [1, {}], \"era\": -0.0}, \"new\": {}, \"id\": "
        "$id}\n",
        "{\"return\": {\"name\": \"y\", \"name\": \"x\"}, \"id\": $id}\n",
        "\xFF{\"return\": {\"name\": \"x\"}, \"id\": $id}\n",
        "{\"return\": {\"name\": \"early\"}, \"id\": 1}\n{\"return\": {\"name\": \"x\"}, \"id\": "
        "$id}\n",
        "{\"return\": {\"name\": \"x\"}, \"id\": $id}\n{\"return\": {\"name\": \"y\"}, \"id\": "
        "$id}\n"}) {
    INFO(line);
    agent.once("guest-get-osinfo", script::says(line));
    CHECK(ga.get_osinfo().name == "x");
  }
  agent.once("guest-get-osinfo",
             script::says("{\"return\": {\"name\": \"\\u0000\"}, \"id\": $id}\n"));
  CHECK(ga.get_osinfo().name == "\0"s);
}

TEMPLATE_TEST_CASE("integers out of range are refused", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  TestType ga(agent.path());
  for (const char* const value :
       {"18446744073709551616", "9223372036854775808", "1.5", "9.3e18", "-", "\"1\"", "true", "{}",
        "[1]", "null", "-9223372036854775809"}) {
    INFO(value);
    agent.once("guest-file-open", script::returns(value));
    CHECK(error_of<qga::BadReplyError>([&] { ga.file_open("/x"); }).outcome() == Outcome::unknown);
  }
  agent.once("guest-file-open", script::returns("-9223372036854775808"));
  CHECK(ga.file_open("/x") == INT64_MIN);
  agent.once("guest-file-open", script::returns("-0"));
  CHECK(ga.file_open("/x") == 0);
}

TEMPLATE_TEST_CASE("garbage behind a reply does not reach the next one", "[faults]", Blocking,
                   Async) {
  const Ids ids = GENERATE(Ids::echoed, Ids::ignored, Ids::rejected);
  ScriptedAgent agent(ids);
  agent.on("guest-file-open", script::returns("7"));
  TestType ga(agent.path());
  for (const char* const garbage : {"x\n", "{\"return\": 8}\n", "\xFF\xFF", "\xFF{\"return\": 9}\n",
                                    "{\"error\": {\"class\": \"A\", \"desc\": \"b\"}}\n",
                                    "{\"return\": ", "{\"return\": 8, \"id\": 5}\nnull\n"}) {
    INFO(garbage);
    agent.once("guest-file-open", [garbage](const Heard& heard) {
      std::string line = "{\"return\": 1";
      if (!heard.id.empty()) line += ", \"id\": " + heard.id;
      return script::says(line + "}\n" + garbage);
    });
    CHECK(ga.file_open("/x") == 1);
    try {
      const auto handle = ga.file_open("/x");
      CHECK(handle == 7);
    } catch (const qga::BadReplyError& error) {  // half a line can only be found out by then
      CHECK(error.outcome() == Outcome::unknown);
    }
    CHECK(ga.file_open("/x") == 7);
  }
}

TEMPLATE_TEST_CASE("an agent's words cannot drive a terminal", "[faults]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-file-open", script::fails("\\u001b]0;owned\\u0007\\u001b[2J\\r\\nroot# %n\\u0085",
                                            "Generic\\u001bError"));
  TestType ga(agent.path());
  const auto error = error_of<qga::AgentError>([&] { ga.file_open("/x"); });
  CHECK(error.desc() == "\x1b]0;owned\a\x1b[2J\r\nroot# %n\u0085");
  CHECK(error.error_class() ==
        "Generic\x1b"
        "Error");
  const std::string what = error.what();
  for (const char c : what) CHECK((c >= ' ' && c <= '~'));
  CHECK(what.find("\\x1b]0;owned\\x07") != std::string::npos);
  agent.once("guest-file-open", script::fails(std::string(60000, 'a')));
  const auto longest = error_of<qga::AgentError>([&] { ga.file_open("/x"); });
  CHECK(longest.desc().size() == 60000);
  CHECK(std::string_view(longest.what()).size() < 2000);
}
