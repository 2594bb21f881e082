// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The plain handshake: for agents that end at a byte 0xFF, or lose what comes right behind a
// request.
#include "session_harness.hpp"

using namespace session_test;

namespace {

struct PlainSync {
  std::uint64_t sync;
  std::string text;
};

/// The next output has to be the first request of a plain handshake, and nothing else.
PlainSync plain_sync(Driven& agent) {
  const std::string out = agent.write();
  INFO(out);
  const auto sent = requests(out);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].command == "guest-sync-delimited");
  CHECK_FALSE(sent[0].id);
  CHECK(out.find('\xFF') == std::string::npos);
  return {sent[0].arguments.at("id"), out};
}

/// Answers a plain handshake to its end.
void answer_plain(Driven& agent, Ids ids) {
  agent.read(sync_reply(plain_sync(agent).sync));
  const Request second = agent.sent_one();
  CHECK(second.command == "guest-sync-delimited");
  REQUIRE(second.id);
  CHECK(second.arguments.at("id") == *second.id);
  if (ids == Ids::rejected) return agent.read(id_rejected);
  agent.read("\xFF" +
             reply(ids == Ids::echoed ? second.id : std::nullopt, std::to_string(*second.id)));
}

/// A session with an agent that answers plain handshakes only.
void make_plain(Driven& agent, Ids ids) {
  Ping ping;
  agent.submit(ping);
  agent.handshake();
  agent.pass(4s);
  answer_plain(agent, ids);
  agent.read(reply(ids == Ids::echoed ? agent.sent_one().id : (agent.sent_one(), std::nullopt)));
  CHECK(succeeded(ping));
}

}  // namespace

TEST_CASE("plain: a handshake without an answer is repeated plainly, and then as usual") {
  Driven agent;
  Ping ping;
  agent.submit(ping);
  agent.handshake();
  agent.pass(3999ms);
  CHECK(agent.write().empty());
  agent.pass(1ms);
  CHECK(plain_sync(agent).text.starts_with('{'));
  agent.pass(4s);
  agent.handshake();
  agent.pass(8s);
  plain_sync(agent);
}

TEST_CASE("plain: the second request waits for the first answer, whatever agents do with ids") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    make_plain(agent, ids);
  }
}

TEST_CASE("plain: a handshake that worked keeps its form for the connection") {
  for (const bool plain : {false, true}) {
    Driven agent;
    if (plain) {
      make_plain(agent, Ids::echoed);
    } else {
      Ping ping;
      agent.submit(ping);
      agent.sync();
      agent.read(reply(agent.sent_one().id));
    }
    for (const auto pause : {2s, 10s, 3600s}) {
      agent.pass(pause);
      Ping late;
      agent.submit(late);
      if (plain) {
        plain_sync(agent);
        agent.pass(4s);  // and also where it has to be repeated
        answer_plain(agent, Ids::echoed);
      } else {
        agent.handshake();
        agent.pass(4s);
        agent.sync();
      }
      agent.read(reply(agent.sent_one().id));
      CHECK(succeeded(late));
    }
  }
}

TEST_CASE("plain: calls that give up early come to the plain form, too") {
  Driven agent;
  for (int i = 0; i < 4; ++i) {
    Ping hasty(qga::GuestPingRequest(), agent.now + 1s);
    agent.submit(hasty);
    agent.handshake();
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(hasty, Outcome::not_sent));
  }
  Ping ping;
  agent.submit(ping);
  answer_plain(agent, Ids::echoed);
}

TEST_CASE("plain: requests go one at a time") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Ping one, two;
  agent.submit(one, two);
  const auto first = agent.sent_one();
  CHECK(agent.write().empty());
  agent.read(reply(first.id));
  CHECK(succeeded(one));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(two));
}

TEST_CASE("plain: an agent that was only slow gets several requests at a time") {
  Driven agent;
  Ping one, two;
  agent.submit(one, two);
  const Handshake usual = agent.handshake();
  agent.pass(4s);
  const PlainSync plain = plain_sync(agent);
  agent.read(usual.answer(Ids::echoed) + sync_reply(plain.sync));
  const Request second = agent.sent_one();
  agent.read("\xFF" + reply(second.id, std::to_string(*second.id)));
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 2);
  agent.read(reply(sent[0].id) + reply(sent[1].id));
  agent.pass(1h);
  Ping late;
  agent.submit(late);
  agent.handshake();
}

TEST_CASE("plain: a silent command is followed by a handshake a moment later") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    for (const bool answers : {false, true}) {
      Driven agent;
      make_plain(agent, ids);
      Shutdown shutdown;
      agent.submit(shutdown);
      answer_plain(agent, ids);  // it is never late
      const Request sent = agent.sent_one();
      CHECK(sent.command == "guest-shutdown");
      CHECK(agent.write().empty());
      if (answers) {  // as some agents do
        agent.read(reply(sent.id));
        CHECK(succeeded(shutdown));
        agent.pass(500ms);
        CHECK(agent.write().empty());
        continue;
      }
      CHECK_FALSE(shutdown.finished());
      CHECK(agent.session.next_deadline() == agent.now + 250ms);
      agent.pass(250ms);
      agent.read(sync_reply(plain_sync(agent).sync));
      CHECK(succeeded(shutdown));
      Ping next;
      agent.submit(next);
      CHECK(plain_sync(agent).text.starts_with('{'));
    }
  }
}

TEST_CASE("plain: a refused silent command is an error") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Shutdown shutdown;
  agent.submit(shutdown);
  answer_plain(agent, Ids::echoed);
  agent.read(refusal(agent.sent_one().id));
  CHECK(failed<qga::AgentError>(shutdown, Outcome::refused));
}

TEST_CASE("plain: a newline ends what was half written") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Ping cut(qga::GuestPingRequest(), agent.now + 1s);
  agent.submit(cut);
  agent.write(5);
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(cut, Outcome::not_sent));
  Ping ping;
  agent.submit(ping);
  CHECK(plain_sync(agent).text.starts_with("\n{"));
}

TEST_CASE("handshake: the sync's answer is compared as a number") {
  for (const bool floating : {false, true}) {
    Driven agent;
    Ping ping;
    agent.submit(ping);
    const Handshake shake = agent.handshake();
    CHECK(shake.sync > 0);
    CHECK(shake.sync < 1'000'000'000'000'000);
    std::string digits = std::to_string(shake.sync);
    const auto exponent = digits.size() - 1;
    if (floating)
      digits = digits.insert(1, digits.size() > 1 ? "." : "") + "e+" + std::to_string(exponent);
    agent.read("\xFF" + reply({}, digits) +
               reply(shake.second, std::to_string(shake.second) + ".0"));
    agent.read(reply(agent.sent_one().id));
    CHECK(succeeded(ping));
  }
}

TEST_CASE(
    "plain: a silent command that only a later handshake follows is not known to be accepted") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Shutdown shutdown;
  agent.submit(shutdown);
  answer_plain(agent, Ids::echoed);
  agent.sent_one();
  agent.pass(250ms);
  plain_sync(agent);  // lost, and so is what became of the shutdown
  agent.pass(4s);
  agent.read(sync_reply(plain_sync(agent).sync));
  CHECK(failed<qga::BadReplyError>(shutdown, Outcome::unknown));
}

TEST_CASE("plain: nothing is written between the two requests of a handshake") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Call<qga::GuestFsfreezeFreezeRequest> freeze({}, agent.now + 1s);
  agent.submit(freeze);
  answer_plain(agent, Ids::echoed);
  agent.sent_one();
  Ping behind;
  agent.submit(behind);
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(freeze, Outcome::unknown));
  const PlainSync sync = plain_sync(agent);
  Call<qga::GuestFsfreezeThawRequest> thaw;
  thaw.at_once = true;
  agent.submit(thaw);
  CHECK(agent.write().empty());
  agent.read(sync_reply(sync.sync));
  const Request second = agent.sent_one();
  CHECK(second.command == "guest-sync-delimited");
  agent.read("\xFF" + reply(second.id, std::to_string(*second.id)));
  CHECK(agent.sent_one().command == "guest-fsfreeze-thaw");
}

TEST_CASE("plain: a reply that comes late, between the two requests, is dropped") {
  Driven agent;
  make_plain(agent, Ids::echoed);
  Ping late({}, agent.now + 1s), ping;
  agent.submit(late);
  const auto id = agent.sent_one().id;
  agent.pass(1s);
  agent.submit(ping);
  agent.read(sync_reply(plain_sync(agent).sync));
  const Request second = agent.sent_one();
  agent.read(reply(id));
  agent.read("\xFF" + reply(second.id, std::to_string(*second.id)));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(ping));
}

TEST_CASE("plain: where it is not answered any more, both forms are tried again") {
  Driven agent;
  make_plain(agent, Ids::rejected);
  agent.pass(1h);
  Ping ping;
  agent.submit(ping);
  for (int i = 0; i < 4; ++i) {
    plain_sync(agent);
    agent.pass(32s);
  }
  agent.sync(Ids::echoed);
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(ping));
}

TEST_CASE("handshake: an agent that says all twice is told from one without ids") {
  Driven agent;
  for (int i = 0; i < 3; ++i) {
    Ping ping;
    agent.submit(ping);
    Handshake shake = agent.handshake();
    if (i == 0) {  // it might be what a former client has left
      agent.read(stray + sync_reply(shake.sync) + sync_reply(shake.sync));
      shake = agent.handshake();
    }
    const std::string second = shake.second_answer(Ids::echoed);
    agent.read(stray + sync_reply(shake.sync) + sync_reply(shake.sync) + second + second);
    const auto id = agent.sent_one().id;
    REQUIRE(id);
    agent.read(sync_reply(shake.sync) + reply(id) + reply(id));
    CHECK(succeeded(ping));
    agent.pass(2s);
  }
}
