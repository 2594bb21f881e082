// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The inputs of the hostile corpus that are no reply but a way to behave: floods without an end,
// bytes at the wrong time, a handshake that is answered wrongly.
#include <string>
#include <vector>

#include "hostile.hpp"

using namespace hostile;

namespace {

constexpr std::size_t forever = static_cast<std::size_t>(-1);
const char* const osinfo = "guest-get-osinfo";
const char* const sync = "guest-sync-delimited";

/// What an agent answers to a sync, with `front` in the place of 0xFF.
script::Action syncs(std::string front) {
  return [=](const Heard& heard) {
    return script::says(front + "{\"return\": " + heard.arguments.at("id").dump() + "}\n");
  };
}

std::vector<Input> inputs() {
  using namespace script;
  const nlohmann::json any, named = {{"name", "x"}};
  const Action reply = returns(R"({"name": "x"})");
  const std::string other = "{\"return\": {}, \"id\": 1}\n";
  return {
      {"no-newline-ever", osinfo, any, "bad reply", any, floods("x", forever), "", true},
      {"no-newline-in-a-string", osinfo, any, "bad reply", any,
       all(says("{\"return\": {\"name\": \""), floods("x", forever)), "", true},
      {"newlines-forever", osinfo, any, "timeout", any, floods("\n", forever)},
      {"sentinels-forever", osinfo, any, "timeout", any, floods("\xFF", forever)},
      {"replies-to-others-forever", osinfo, any, "timeout", any, floods(other, forever), "", true},
      {"replies-without-an-id-forever", osinfo, any, "bad reply", any,
       floods("{\"return\": {}}\n", forever), "", true},
      {"nul-bytes-forever", osinfo, any, "bad reply", any, floods(std::string(1, '\0'), forever),
       "", true},
      {"a-byte-now-and-then", osinfo, any, "timeout", any, trickles(std::string(1000, ' '), 20ms),
       "", true},
      {"nothing-at-all", osinfo, any, "timeout", any, nothing()},
      {"thousands-of-sentinels-then-the-reply", osinfo, any, "value", named,
       all(floods("\xFF", 1 << 20), reply)},
      {"megabytes-of-newlines-then-the-reply", osinfo, any, "value", named,
       all(floods("\n", 1 << 20), reply)},
      {"the-reply-and-data-forever", osinfo, any, "value", named, all(reply, floods("x", forever)),
       "", true},
      {"the-reply-and-half-a-line", osinfo, any, "value", named, all(reply, says("{\"return\": {")),
       "", true},
      {"the-reply-twice", osinfo, any, "value", named, all(reply, reply)},
      {"the-reply-and-an-error", osinfo, any, "value", named, all(reply, fails("late"))},
      {"data-forever-before-the-sentinel", osinfo, any, "timeout", any, floods("x", forever), sync},
      {"lines-forever-before-the-sentinel", osinfo, any, "timeout", any,
       floods("{\"return\": 1}\n", forever), sync},
      {"sync-replies-of-others-forever", osinfo, any, "timeout", any,
       floods("\xFF{\"return\": 1}\n", forever), sync},
      {"the-sync-id-without-a-sentinel", osinfo, any, "timeout", any, syncs(""), sync},
      {"the-sync-id-behind-a-byte-order-mark", osinfo, any, "timeout", any,
       syncs("\xFF\xEF\xBB\xBF"), sync},
      {"the-sync-id-behind-sentinels", osinfo, any, "value", any, syncs("\xFF\xFF\xFF"), sync},
      {"the-sync-answered-behind-garbage", osinfo, any, "value", any, syncs("{\"retu\n[\xFF"),
       sync},
      {"the-sync-refused", osinfo, any, "timeout", any, fails("no"), sync},
  };
}

}  // namespace

TEMPLATE_TEST_CASE("hostile: streams", "[hostile]", Blocking, Async) {
  Tally tally("streams");
  try_inputs<TestType>(inputs(), tally);
}

// A reply that is there before its request, in words that anybody can guess, and what was left over
// for a client before this one.
TEMPLATE_TEST_CASE("hostile: replies that were there first", "[hostile]", Blocking, Async) {
  for (const char* const early :
       {"{\"return\": {\"name\": \"early\"}}\n", "{\"return\": {\"name\": \"early\"}, \"id\": 1}\n",
        "\xFF{\"return\": 1}\n{\"return\": {}}\n{\"return\": {\"name\": \"early\"}}\n",
        "{\"return\": {\"name\": \"ea", "rly\"}, \"id\": 1}\n", "\xFF", "\n\n\n"}) {
    INFO(early);
    ScriptedAgent agent;
    agent.on("guest-get-osinfo", script::returns(R"({"name": "x"})"));
    agent.on_connect(script::says(early));
    TestType ga(agent.path(), {.timeout = patience});
    CHECK(ga.get_osinfo().name == "x");
    CHECK(ga.get_osinfo().name == "x");
  }
}
