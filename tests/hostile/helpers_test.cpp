// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The inputs of the hostile corpus that take more than one reply to do harm: guests that never come
// to an end, or whose numbers contradict each other. The helpers that meet them end, with an error
// or with what is true of the bytes that came.
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "hostile.hpp"

using namespace hostile;

namespace {

/// Answers in turn, over and over.
script::Action in_turn(std::vector<std::string> results) {
  return [results, turn = std::make_shared<std::size_t>(0)](const Heard&) {
    return script::returns(results[(*turn)++ % results.size()]);
  };
}

template <class Way>
struct Opened {
  explicit Opened(const char* read) {
    agent.on("guest-file-open", script::returns("-1"));  // negative, and one like any other
    agent.on("guest-file-seek", script::returns(R"({"position": 0, "eof": false})"));
    agent.on("guest-file-read", script::returns(read));
    for (const char* const command : {"guest-file-close", "guest-file-flush"}) {
      agent.on(command, script::returns("{}"));
    }
  }
  ScriptedAgent agent;
  Way ga{agent.path(), {.timeout = patience}};
};

}  // namespace

TEMPLATE_TEST_CASE("hostile: a file that never ends", "[hostile]", Blocking, Async) {
  Opened<TestType> with(R"({"count": 3, "buf-b64": "QUJD", "eof": false})");
  CHECK_THROWS_AS(with.ga.read_file("/x", 1000), qga::BadReplyError);
  CHECK(with.agent.executed("guest-file-close") == 1);
  CHECK_NOTHROW(with.ga.ping());
}

TEMPLATE_TEST_CASE("hostile: a file of nothing without an end", "[hostile]", Blocking, Async) {
  Opened<TestType> with(R"({"count": 0, "buf-b64": "", "eof": false})");
  try {
    CHECK(with.ga.read_file("/x", 1000).empty());
  } catch (const qga::BadReplyError&) {
  }
  CHECK(with.agent.executed("guest-file-read") < 100);
  CHECK_NOTHROW(with.ga.ping());
}

TEMPLATE_TEST_CASE("hostile: counts that lie", "[hostile]", Blocking, Async) {
  for (const char* const lie : {R"({"count": 1000000, "buf-b64": "QUJD", "eof": true})",
                                R"({"count": 2, "buf-b64": "QUJD", "eof": true})",
                                R"({"count": -3, "buf-b64": "QUJD", "eof": true})"}) {
    INFO(lie);
    Opened<TestType> with(lie);
    CHECK_THROWS_AS(with.ga.read_file("/x", 1000), qga::BadReplyError);
    CHECK(with.agent.executed("guest-file-close") == 1);
    CHECK_NOTHROW(with.ga.ping());
  }
}

TEMPLATE_TEST_CASE("hostile: programs that flip between states", "[hostile]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-exec", script::returns(R"({"pid": -9223372036854775808})"));
  agent.on("guest-exec-status", in_turn({R"({"exited": false, "exitcode": 1, "out-data": "QUJD"})",
                                         R"({"exited": true, "exitcode": 0, "signal": -9})"}));
  TestType ga(agent.path(), {.timeout = patience});
  for (int i = 0; i < 2; ++i) {
    const auto result = ga.run("/bin/x");
    CHECK(result.out.empty());
  }
  CHECK(agent.executed("guest-exec-status") == 4);
  CHECK_NOTHROW(ga.ping());
}

TEMPLATE_TEST_CASE("hostile: frozen less than nothing", "[hostile]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-fsfreeze-freeze", script::returns("-5"));
  agent.on("guest-fsfreeze-thaw", script::returns("-5"));
  agent.on("guest-fsfreeze-status", in_turn({R"("melting")", R"("thawed")"}));
  TestType ga(agent.path(), {.timeout = patience});
  CHECK(ga.freeze().count() == 0);
  CHECK_NOTHROW(ga.ping());
}

TEMPLATE_TEST_CASE("hostile: addresses that are none reach nobody", "[hostile]", Blocking, Async) {
  ScriptedAgent agent;
  agent.on("guest-network-get-interfaces",
           script::returns(
               R"([{"name": "eth0", "ip-addresses": [)"
               R"({"ip-address": "10.0.0.1; reboot", "ip-address-type": "ipv4", "prefix": 8}, )"
               R"({"ip-address": "10.0.0.1", "ip-address-type": "ipv6", "prefix": 8}, )"
               R"({"ip-address": "\u001b[2J", "ip-address-type": "ipv9", "prefix": -1}, )"
               R"({"ip-address": "", "ip-address-type": "ipv4", "prefix": 8}, )"
               R"({"ip-address": "10.0.0.2\u0000", "ip-address-type": "ipv4", "prefix": 8}]}])"));
  TestType ga(agent.path(), {.timeout = patience});
  for (const auto& address : ga.addresses()) {
    CHECK((address.address == "10.0.0.1" || address.address == "10.0.0.2"));
  }
  CHECK_NOTHROW(ga.ping());
}
