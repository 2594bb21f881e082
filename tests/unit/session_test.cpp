// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The session from the first byte: the handshake, what is learnt in it, and what is written.
#include <list>
#include <string>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;

TEST_CASE("session: nothing is written for nobody") {
  Driven agent;
  CHECK(agent.write().empty());
  CHECK_FALSE(agent.session.wants_input());
  CHECK_FALSE(agent.session.busy());
  CHECK_FALSE(agent.session.replies_due());
  CHECK(agent.session.next_deadline() == Clock::time_point::max());
  CHECK(agent.session.finished() == nullptr);
}

TEST_CASE("session: a handshake alone goes first until both of its answers are there") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Ping ping;
    Open open(qga::GuestFileOpenRequest("/x"));
    agent.submit(ping, open);
    const Handshake shake = agent.handshake();
    CHECK(agent.write().empty());
    CHECK(agent.session.wants_input());
    CHECK(agent.session.busy());

    const std::string sync_part = stray + sync_reply(shake.sync);
    for (const char byte : sync_part) {
      agent.read(std::string(1, byte));
      REQUIRE(agent.write().empty());
    }
    const std::string ping_part = shake.second_answer(ids);
    for (std::size_t i = 0; i + 1 < ping_part.size(); ++i) {
      agent.read(ping_part.substr(i, 1));
      REQUIRE(agent.write().empty());
    }
    agent.read("\n");
    CHECK(agent.write().starts_with("{\"execute\":\"guest-ping\""));
    CHECK_FALSE(ping.finished());
  }
}

TEST_CASE("session: sync ids are random and fit into a double") {
  std::vector<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i) {
    Driven agent;
    Ping ping;
    agent.submit(ping);
    seen.push_back(agent.handshake().sync);
    CHECK(seen.back() > 0);
    CHECK(seen.back() < std::uint64_t{1} << 53);
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
}

TEST_CASE("session: garbage before the sentinel is discarded whatever it is") {
  const auto garbage = [](const Handshake& shake) {
    const std::string own_id = std::to_string(shake.sync);
    return std::vector<std::string>{
        "",
        "\n",
        std::string(5000, '\n'),
        std::string(3000, '\0'),
        "\xEF\xBB\xBF\r\n",
        "{\"return\": {}, \"id\"",  // half a reply, and the handshake's answers glued to it
        reply({}, own_id),          // the right id, but without a sentinel
        reply(shake.second),
        reply(shake.second + 1),
        refusal(shake.second),
        refusal({}),
        std::string(200000, 'A'),
        std::string(100000, '[') + "\n",
        "{\"QMP\": {}}\n{\"event\": \"X\"}\nnull\n{}\n[]\n\"\n",
        "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":" + own_id + "}}\n",
    };
  };
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U, 4096U, 1U << 20}) {
    for (std::size_t i = 0;; ++i) {
      Driven agent;
      Ping ping;
      agent.submit(ping);
      const Handshake shake = agent.handshake();
      const auto all = garbage(shake);
      if (i == all.size()) break;
      if (piece == 1 && all[i].size() > 10000) continue;
      INFO(i << " in pieces of " << piece);
      agent.read(all[i], piece);
      REQUIRE(agent.write().empty());
      REQUIRE_FALSE(ping.finished());
      agent.read(shake.answer(Ids::echoed), piece);
      agent.read(reply(agent.sent_one().id), piece);
      REQUIRE(succeeded(ping));
    }
  }
}

TEST_CASE("session: only the sentinel with its own sync id ends the search") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{5}, std::string::npos}) {
    Driven agent;
    Ping ping;
    agent.submit(ping);
    const Handshake shake = agent.handshake();
    const std::string own_id = std::to_string(shake.sync);
    const std::string ping_answer = reply(shake.second);
    for (const std::string& line :
         {sync_reply(shake.sync - 1), sync_reply(shake.sync + 1), sync_reply(0),
          "\xFF" + reply({}, "\"" + own_id + "\""), "\xFF" + reply({}, own_id + ".5"),
          "\xFF" + reply({}, "[" + own_id + "]"), "\xFF" + reply({}, "0" + own_id),
          "\xFF" + refusal({}, own_id), "\xFF" + reply({}, own_id).substr(1),
          "\xFF{\"return\": " + own_id + ", \"error\": {}}\n",
          "\xFF{\"return\": 1, \"return\": " + own_id + "}\n", std::string("\xFF\xFF\xFF\xFF\xFF"),
          "\xFF" + own_id + "\n", "\xFF" + std::string(200000, ' ') + reply({}, own_id),
          "\xFF" + ping_answer}) {
      INFO(line.substr(0, 100));
      if (piece == 1 && line.size() > 10000) continue;
      agent.read(line + ping_answer, piece);
      REQUIRE(agent.write().empty());
      REQUIRE_FALSE(ping.finished());
    }
    agent.read("noise\xFF" + shake.answer(Ids::echoed), piece);
    agent.read(reply(agent.sent_one().id), piece);
    CHECK(succeeded(ping));
  }
}

TEST_CASE("session: an old handshake's late answers are not those of the new one") {
  Driven agent;
  Ping first({}, agent.now + 1s);
  agent.submit(first);
  const Handshake old = agent.handshake();
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(first, Outcome::not_sent));

  Ping second;
  agent.submit(second);
  const Handshake shake = agent.handshake();
  CHECK(shake.sync != old.sync);
  agent.read(old.answer(Ids::echoed));
  CHECK(agent.write().empty());
  agent.read(shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(second));
}

TEST_CASE("session: white space around replies is tolerated") {
  Driven agent;
  Ping ping;
  agent.submit(ping);
  const Handshake shake = agent.handshake();
  agent.read("\r\n" + stray + "\xFF \t{ \"return\" :\t" + std::to_string(shake.sync) + " }\r\n");
  agent.read("\r\n  {\"id\":" + std::to_string(shake.second) + ",\"return\":{}}  \r\n");
  agent.read(" \r\n\n\t{\"id\":" + std::to_string(agent.sent_one().id.value()) +
             ",\"return\":{ } }\r\n");
  CHECK(succeeded(ping));
}

TEST_CASE("session: a ping in the handshake that is answered wrongly costs one call") {
  for (const std::string& answer : {reply(1), std::string("{\"return\": {}, \"id\": \"x\"}\n"),
                                    std::string("{\"return\": {}\n"), std::string("null\n"),
                                    "{" + std::string(100000, ' ') + "\n", std::string("ab\xFF")}) {
    Driven agent;
    Ping first, second;
    agent.submit(first, second);
    const Handshake shake = agent.handshake();
    agent.read(stray + sync_reply(shake.sync) + answer);
    INFO(answer.substr(0, 100));
    CHECK(failed<qga::BadReplyError>(first, Outcome::not_sent));
    CHECK_FALSE(second.finished());
    agent.sync();
    agent.read(reply(agent.sent_one().id));
    CHECK(succeeded(second));
  }
}

TEST_CASE("session: no more requests are in flight than the window allows") {
  constexpr std::size_t window = qga::detail::RequestQueue::window;
  Driven agent;
  std::vector<Ping> calls(window + 10);
  for (Ping& call : calls) agent.submit(call);
  agent.sync();
  auto sent = agent.sent();
  REQUIRE(sent.size() == window);
  CHECK(agent.write().empty());
  CHECK(agent.session.wants_input());
  for (std::size_t answered = 0; answered < calls.size(); ++answered) {
    agent.read(reply(sent[answered].id));
    CHECK(succeeded(calls[answered]));
    for (auto& request : agent.sent()) sent.push_back(std::move(request));
    REQUIRE(sent.size() == std::min(calls.size(), window + answered + 1));
  }
}

TEST_CASE("session: requests written in pieces of any size arrive whole") {
  for (const std::size_t piece : {1U, 2U, 3U, 10U, 50U}) {
    Driven agent;
    Ping ping;
    Open open(qga::GuestFileOpenRequest("/x"));
    agent.submit(ping, open);
    agent.sync();
    std::string out;
    for (std::string part = agent.write(piece); !part.empty(); part = agent.write(piece)) {
      out += part;
    }
    const auto sent = requests(out);
    REQUIRE(sent.size() == 2);
    agent.read(reply(sent[0].id) + reply(sent[1].id, "5"));
    CHECK(succeeded(ping));
    CHECK(succeeded(open));
  }
}
