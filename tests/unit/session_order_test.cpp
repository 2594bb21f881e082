// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which reply answers which call: by id where the agent echoes it, by order otherwise; and the
// order in which calls end.
#include <list>
#include <string>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;

TEST_CASE("session: requests to an agent that echoes ids go out together with ids of their own") {
  Driven agent;
  Ping ping;
  Open open(qga::GuestFileOpenRequest("/x", "r"));
  agent.submit(ping, open);
  agent.sync();
  const std::string out = agent.write();
  const auto sent = requests(out);
  REQUIRE(sent.size() == 2);
  REQUIRE(sent[0].id.value_or(0) != sent[1].id.value_or(0));
  CHECK(out == "{\"execute\":\"guest-ping\",\"id\":" + std::to_string(*sent[0].id) +
                   "}\n{\"execute\":\"guest-file-open\",\"arguments\":{\"mode\":\"r\",\"path\":"
                   "\"/x\"},\"id\":" +
                   std::to_string(*sent[1].id) + "}\n");
  agent.read(reply(sent[0].id) + reply(sent[1].id, "1000"));
  CHECK(succeeded(ping));
  REQUIRE(succeeded(open));
  CHECK(open.result.value == 1000);
  CHECK(agent.finished == std::vector<qga::detail::Call*>{&ping, &open});
  CHECK_FALSE(agent.session.wants_input());
  CHECK_FALSE(agent.session.replies_due());
}

TEST_CASE("session: what is in flight has no more bytes than an agent reads at a time") {
  Driven agent;
  using Write = Call<qga::GuestFileWriteRequest>;
  const std::string wrote = R"({"count": 900, "eof": false})";
  std::list<Write> small;
  for (int i = 0; i < 5; ++i) {  // 1.3 kB each
    small.emplace_back(qga::GuestFileWriteRequest(1, std::string(900, 'x')));
    agent.submit(small.back());
  }
  Write large(qga::GuestFileWriteRequest(1, std::string(9000, 'x')));
  Ping last;
  agent.submit(large, last);
  agent.sync();
  const auto first = requests(agent.write());  // they share a write
  REQUIRE(first.size() == 3);
  agent.read(reply(first[0].id, wrote));
  const auto second = requests(agent.write());
  CHECK(second.size() == 1);
  agent.read(reply(first[1].id, wrote) + reply(first[2].id, wrote));
  const auto third = requests(agent.write());
  REQUIRE(third.size() == 1);
  agent.read(reply(second[0].id, wrote));
  CHECK(agent.write().empty());  // the large one goes alone
  agent.read(reply(third[0].id, wrote));
  const auto alone = requests(agent.write());
  REQUIRE(alone.size() == 1);
  agent.read(reply(alone[0].id, wrote));
  CHECK(succeeded(large));
  agent.read(reply(requests(agent.write())[0].id));
  CHECK(succeeded(last));
}

TEST_CASE("session: agents without ids get requests without them and one at a time") {
  for (const Ids ids : {Ids::ignored, Ids::rejected}) {
    Driven agent;
    Ping ping;
    Open open(qga::GuestFileOpenRequest("/x"));
    Open refused(qga::GuestFileOpenRequest("/y"));
    agent.submit(ping, open, refused);
    agent.sync(ids);
    CHECK(agent.write() == "{\"execute\":\"guest-ping\"}\n");
    CHECK(agent.write().empty());
    agent.read("{\"return\": {}");
    CHECK(agent.write().empty());
    agent.read("}\n");
    CHECK(succeeded(ping));
    CHECK(agent.write() == "{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"/x\"}}\n");
    agent.read(reply({}, "7"));
    REQUIRE(succeeded(open));
    CHECK(open.result.value == 7);
    CHECK(agent.sent().size() == 1);
    agent.read(refusal({}, "no such file"));
    const auto error = error_of<qga::AgentError>(refused);
    CHECK(error.desc() == "no such file");
    CHECK(error.outcome() == Outcome::refused);
    CHECK_FALSE(agent.session.busy());
  }
}

TEST_CASE("session: what the agent does with ids is learnt anew in every handshake") {
  Driven agent;
  for (const Ids ids : {Ids::echoed, Ids::rejected, Ids::ignored, Ids::echoed}) {
    Ping ping;
    agent.submit(ping);
    agent.sync(ids);
    const Request sent = agent.sent_one();
    CHECK(sent.id.has_value() == (ids == Ids::echoed));
    agent.read(reply(sent.id));
    CHECK(succeeded(ping));
    agent.now += 2s;  // a pause: ask again
  }
}

TEST_CASE("session: noise in the handshake is not taken for an agent without ids") {
  for (const bool twice : {false, true}) {
    Driven agent;
    Open open(qga::GuestFileOpenRequest("/x"));
    agent.submit(open);
    const Handshake shake = agent.handshake();
    agent.read(stray + sync_reply(shake.sync) + (twice ? sync_reply(shake.sync) : stray));
    const std::string late = reply(shake.second);
    const Handshake again = agent.handshake();
    agent.read(late + again.answer(Ids::echoed));
    const Request sent = agent.sent_one();
    REQUIRE(sent.id.has_value());
    agent.read(reply(sent.id, "7"));
    REQUIRE(succeeded(open));
    CHECK(open.result.value == 7);
  }
}

TEST_CASE("session: an agent that answers as none that is known is taken at its second word") {
  Driven agent;
  Ping ping;
  agent.submit(ping);
  for (int i = 0; i < 2; ++i) {
    const Handshake shake = agent.handshake();
    agent.read(stray + sync_reply(shake.sync) + refusal({}, "ids are not for me"));
  }
  CHECK(agent.write() == "{\"execute\":\"guest-ping\"}\n");
  agent.read(reply({}));
  CHECK(succeeded(ping));
}

TEST_CASE("session: calls expire in the order of their deadlines") {
  Driven agent;
  std::list<Ping> calls;
  for (const auto time : {3s, 1s, 4s, 2s}) {
    agent.submit(calls.emplace_back(qga::GuestPingRequest(), agent.now + time));
  }
  const bool in_flight = GENERATE(false, true);
  if (in_flight) {
    agent.sync();
    CHECK(agent.sent().size() == 4);
  }
  const std::vector<Ping*> by_age = [&] {
    std::vector<Ping*> all;
    for (Ping& call : calls) all.push_back(&call);
    return std::vector{all[1], all[3], all[0], all[2]};
  }();
  for (Ping* const call : by_age) {
    CHECK(agent.session.next_deadline() == call->deadline);
    agent.pass(1s - 1ns);
    CHECK_FALSE(call->finished());
    agent.pass(1ns);
    CHECK(agent.finished.back() == call);
    CHECK(failed<qga::TimeoutError>(*call, in_flight ? Outcome::unknown : Outcome::not_sent));
  }
  CHECK(agent.finished.size() == calls.size());
  CHECK(agent.session.next_deadline() == Clock::time_point::max());
}

TEST_CASE("session: a reply for a later request costs the earlier one and no other") {
  Driven agent;
  Open first(qga::GuestFileOpenRequest("/1")), second(qga::GuestFileOpenRequest("/2"));
  Open third(qga::GuestFileOpenRequest("/3")), fourth(qga::GuestFileOpenRequest("/4"));
  agent.submit(first, second, third);
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 3);
  agent.read(reply(sent[1].id, "2"));
  CHECK(failed<qga::BadReplyError>(first, Outcome::unknown));
  CHECK(second.result.value == 2);
  CHECK_FALSE(third.finished());

  agent.submit(fourth);
  const Handshake shake = agent.handshake();  // something is wrong
  agent.read(reply(sent[0].id, "1"));         // late
  agent.read(reply(sent[2].id, "3"));
  CHECK(third.result.value == 3);
  agent.read(shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id, "4"));
  CHECK(fourth.result.value == 4);
}

TEST_CASE("session: late, duplicate and unasked replies are dropped") {
  Driven agent;
  Open first(qga::GuestFileOpenRequest("/1")), second(qga::GuestFileOpenRequest("/2"));
  agent.submit(first);
  agent.sync();
  const Request sent = agent.sent_one();
  agent.read(reply(1, "10") + reply(*sent.id + 1, "11") + refusal(*sent.id + 2) +
             reply({}, "12").substr(0, 13) + ", \"id\": \"" + std::to_string(*sent.id) + "\"}\n");
  CHECK_FALSE(first.finished());
  agent.read(reply(sent.id, "1") + reply(sent.id, "20") + refusal(sent.id));
  CHECK(first.result.value == 1);

  agent.submit(second);
  const Request next = agent.sent_one();  // none of that made the channel doubtful
  agent.read(reply(sent.id, "30"));
  CHECK_FALSE(second.finished());
  agent.read(reply(next.id, "2"));
  CHECK(second.result.value == 2);
}

TEST_CASE("session: without ids too a second reply is dropped") {
  for (const Ids ids : {Ids::ignored, Ids::rejected}) {
    Driven agent;
    Open first(qga::GuestFileOpenRequest("/1")), second(qga::GuestFileOpenRequest("/2"));
    agent.submit(first);
    agent.sync(ids);
    agent.sent_one();
    agent.read(reply({}, "1") + reply({}, "10") + refusal({}));
    CHECK(first.result.value == 1);
    agent.submit(second);
    agent.sent_one();
    agent.read(reply({}, "2"));
    CHECK(second.result.value == 2);
  }
}

TEST_CASE("session: a reply that comes before its request is written answers nothing") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Open call(qga::GuestFileOpenRequest("/x"));
    agent.submit(call);
    agent.sync(ids);
    const std::string out(agent.session.output(agent.now));
    const Request sent = requests(out).at(0);
    for (std::size_t written = 0; written + 2 < out.size(); ++written) {
      agent.read(reply(sent.id, "1"));
      REQUIRE_FALSE(call.finished());
      agent.session.wrote(1);
    }
    agent.write();
    agent.read(reply(sent.id, "2"));
    CHECK(call.result.value == 2);
  }
}

TEST_CASE("session: a reply guessed before its request exists answers nothing") {
  Driven agent;
  Ping first;
  agent.submit(first);
  const Handshake shake = agent.handshake();
  std::string guesses;
  for (std::uint64_t i = 1; i < 50; ++i) guesses += reply(shake.second + i, "666");
  agent.read(shake.answer(Ids::echoed) + guesses);
  agent.read(reply(agent.sent_one().id) + guesses);
  CHECK(succeeded(first));
  Open second(qga::GuestFileOpenRequest("/x"));
  agent.submit(second);
  const Request sent = agent.sent_one();
  CHECK_FALSE(second.finished());
  agent.read(reply(sent.id, "1"));
  CHECK(second.result.value == 1);
}

TEST_CASE("session: the id may stand anywhere in the reply beside members that are not known") {
  Driven agent;
  Ping first, second, third;
  agent.submit(first, second, third);
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 3);
  const auto id = [&](std::size_t i) { return "\"id\": " + std::to_string(*sent[i].id); };
  agent.read("{" + id(0) + ", \"return\": {}}\n");
  agent.read("{\"new\": [1, {\"id\": 7, \"return\": 8}], \"return\": {}, " + id(1) + "}\n");
  agent.read("{\"return\": {\"id\": 9, \"error\": {}}, \"time\": \"x\", " + id(2) + "}\n");
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  CHECK(succeeded(third));
}
