// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What puts a channel out of sync (timeouts, cancellations, pauses, a lost connection), what
// becomes of the calls on it, and that nothing but a handshake is written before it is trusted
// again.
#include <string>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;

TEST_CASE("session: into silence only handshakes are written") {
  Driven agent;
  std::string written;
  for (int i = 0; i < 5; ++i) {
    Shutdown shutdown({}, agent.now + 1s);
    Call<qga::GuestExecRequest> exec(qga::GuestExecRequest("/bin/true"), agent.now + 2s);
    agent.submit(shutdown, exec);
    const auto sent = agent.sent();  // every other handshake is a plain one, once 4 s are over
    CHECK(sent.at(0).command == "guest-sync-delimited");
    CHECK(sent.size() == (i == 2 || i == 3 ? 1 : 2));
    if (sent.size() == 2) CHECK(sent[1].command == "guest-sync");
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(shutdown, Outcome::not_sent));
    CHECK(agent.write().empty());  // `exec` waits for the same handshake
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(exec, Outcome::not_sent));
    CHECK_FALSE(agent.session.busy());
    CHECK_FALSE(agent.session.wants_input());
  }
}

TEST_CASE("session: a request behind one that timed out waits for a new handshake") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Ping first({}, agent.now + 1s), second;
    agent.submit(first);
    agent.sync(ids);
    const Request late = agent.sent_one();
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(first, Outcome::unknown));
    CHECK(error_of<qga::TimeoutError>(first).err() == std::errc::timed_out);
    agent.submit(second);
    const Handshake shake = agent.handshake();
    agent.read(reply(late.id));  // dropped
    CHECK_FALSE(second.finished());
    agent.read(shake.answer(ids));
    const Request request = agent.sent_one();
    CHECK((!late.id || request.id != late.id));
    if (ids == Ids::echoed) agent.read(reply(late.id));  // a duplicate, dropped
    CHECK_FALSE(second.finished());
    agent.read(reply(request.id));
    CHECK(succeeded(second));
  }
}

TEST_CASE("session: of several in flight only the one whose time is up fails") {
  Driven agent;
  Open first(qga::GuestFileOpenRequest("/1"));
  Open second(qga::GuestFileOpenRequest("/2"), agent.now + 1s);
  Open third(qga::GuestFileOpenRequest("/3")), fourth(qga::GuestFileOpenRequest("/4"));
  agent.submit(first, second, third);
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 3);
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(second, Outcome::unknown));
  agent.submit(fourth);
  const Handshake shake = agent.handshake();  // and nothing of `fourth`

  agent.read(reply(sent[0].id, "1"));
  CHECK(first.result.value == 1);
  agent.read(reply(sent[1].id, "2"));  // late
  agent.read(stray);
  agent.read(reply(sent[2].id, "3"));
  CHECK(third.result.value == 3);
  CHECK(agent.write().empty());
  agent.read(shake.answer(Ids::echoed));
  CHECK_FALSE(fourth.finished());
  agent.read(reply(agent.sent_one().id, "4"));
  CHECK(fourth.result.value == 4);
}

TEST_CASE("session: a handshake under way serves whoever still waits") {
  Driven agent;
  Ping late({}, agent.now + 1s);
  agent.submit(late);
  agent.sync();
  agent.sent_one();
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(late, Outcome::unknown));
  Ping first({}, agent.now + 1s), second({}, agent.now + 2s), cancelled, last;
  agent.submit(first, second, cancelled, last);
  const Handshake shake = agent.handshake();
  agent.pass(1s);
  agent.pass(1s);
  agent.cancel(cancelled);
  CHECK(failed<qga::TimeoutError>(first, Outcome::not_sent));
  CHECK(failed<qga::TimeoutError>(second, Outcome::not_sent));
  CHECK(agent.write().empty());  // or a busy queue would never come to an end of handshakes
  agent.read(shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(last));
}

TEST_CASE("session: a handshake that is not answered is repeated, ever less often") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Ping ping;
    agent.submit(ping);
    Handshake shake = agent.handshake();
    // In both forms, the usual one and the plain one, before the pause is longer.
    for (const auto pause : {4s, 8s, 16s, 32s, 32s}) {
      for (const bool is_plain : {true, false}) {
        CHECK(agent.session.repeats_at() == agent.now + pause);
        agent.pass(pause - 1ms);
        CHECK(agent.write().empty());
        agent.pass(1ms);
        if (is_plain) {
          CHECK(requests(agent.write()).size() == 1);
          continue;
        }
        const Handshake next = agent.handshake();
        CHECK(next.sync != shake.sync);
        agent.read(shake.answer(ids));  // late: the agent has yet to forget what is before the last
        CHECK(agent.write().empty());
        shake = next;
      }
    }
    agent.read(stray + sync_reply(shake.sync));
    agent.pass(32s);  // the second answer of the last one was lost
    requests(agent.write());
    agent.pass(32s);
    agent.sync(ids);
    CHECK(agent.session.repeats_at() == Clock::time_point::max());
    agent.read(reply(agent.sent_one().id));
    CHECK(succeeded(ping));
    CHECK(agent.session.repeats_at() == Clock::time_point::max());

    agent.pass(24h);
    Ping later;
    agent.submit(later);
    agent.handshake();
    CHECK(agent.session.repeats_at() == agent.now + 4s);
  }
}

TEST_CASE("session: a handshake that serves nobody any more is forgotten") {
  Driven agent;
  Ping first({}, agent.now + 1s), second;
  agent.submit(first, second);
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 2);
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(first, Outcome::unknown));
  const Handshake shake = agent.handshake();  // for `second`
  agent.read(reply(sent[1].id));
  CHECK(succeeded(second));
  CHECK_FALSE(agent.session.busy());
  CHECK_FALSE(agent.session.wants_input());
  CHECK(agent.session.repeats_at() == Clock::time_point::max());
  CHECK(agent.session.replies_due());

  agent.now += 24h;  // its answer stays unread, and tells nothing of the guest of a day later
  Shutdown shutdown;
  agent.submit(shutdown);
  const Handshake next = agent.handshake();
  agent.read(shake.answer(Ids::echoed));
  CHECK(agent.write().empty());
  agent.read(next.answer(Ids::echoed));
  CHECK(agent.sent().size() == 2);
}

TEST_CASE("session: a handshake that is still being written is not repeated") {
  Driven agent;
  Ping ping;
  agent.submit(ping);
  const std::string begin = agent.write(40);
  agent.pass(1h);
  CHECK(agent.session.repeats_at() == Clock::time_point::max());  // or drivers would not wait
  const Handshake shake = Driven::handshake_in(begin + agent.write());
  agent.read(shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(ping));
}

TEST_CASE("session: what an answered handshake overtakes will not be answered") {
  Driven agent;
  Ping first({}, agent.now + 1s), second, third;
  agent.submit(first, second);
  agent.sync();
  CHECK(agent.sent().size() == 2);
  agent.pass(1s);
  agent.submit(third);
  agent.read(agent.handshake().answer(Ids::echoed));
  CHECK(failed<qga::BadReplyError>(second, Outcome::unknown));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(third));
}

TEST_CASE("session: what was not yet written when another call fails waits for the handshake") {
  Driven agent;
  Ping first({}, agent.now + 1s);
  Open second(qga::GuestFileOpenRequest("/2")), third(qga::GuestFileOpenRequest("/3"));
  agent.submit(first, second, third);
  agent.sync();
  const std::string out(agent.session.output(agent.now));
  const std::size_t end_of_first = out.find('\n') + 1;

  SECTION("between two requests") { agent.session.wrote(end_of_first); }
  SECTION("within a request") { agent.session.wrote(end_of_first + 10); }
  CHECK_FALSE(agent.unsent(first));
  CHECK(agent.unsent(third));
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(first, Outcome::unknown));
  CHECK(agent.unsent(second));
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].arguments.at("path") == "/2");
  CHECK(sent[1].arguments.at("path") == "/3");
  agent.read(reply(sent[0].id, "2") + reply(sent[1].id, "3"));
  CHECK(second.result.value == 2);
  CHECK(third.result.value == 3);
}

TEST_CASE("session: a request withdrawn half written never runs") {
  for (const Ids ids : {Ids::echoed, Ids::rejected}) {
    bool whole = false;
    for (std::size_t written = 0; !whole; ++written) {
      for (const bool cancelled : {false, true}) {
        Driven agent;
        Open call(qga::GuestFileOpenRequest("/x"), agent.now + 1s);
        agent.submit(call);
        agent.sync(ids);
        const std::size_t size = agent.session.output(agent.now).size();
        whole = written >= size;
        INFO(written << " of " << size << " bytes written");
        agent.write(written);
        CHECK(agent.unsent(call) == (written == 0));
        if (cancelled) agent.cancel(call);
        agent.pass(1s);
        // The agent needs no newline.
        const auto outcome = written + 1 < size ? Outcome::not_sent : Outcome::unknown;
        if (cancelled) {
          CHECK(failed<qga::CancelledError>(call, outcome));
        } else {
          CHECK(failed<qga::TimeoutError>(call, outcome));
        }
        CHECK(agent.write().empty());
        agent.now += 2s;
        agent.check_works_again(ids);
      }
    }
  }
}

TEST_CASE("session: a handshake cut short is followed by a whole one") {
  for (const std::size_t written : {0U, 1U, 2U, 30U, 100U}) {
    Driven agent;
    Ping first({}, agent.now + 1s);
    agent.submit(first);
    agent.write(written);
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(first, Outcome::not_sent));
    CHECK(agent.write().empty());
    agent.check_works_again();
  }
}

TEST_CASE("session: of a call that was cancelled unsent nothing is written") {
  Driven agent;
  Ping first, second;
  agent.submit(first);
  Shutdown shutdown;
  agent.submit(shutdown, second);

  SECTION("before the handshake") {
    agent.cancel(shutdown);
    agent.sync();
  }
  SECTION("during the handshake") {
    const Handshake shake = agent.handshake();
    agent.cancel(shutdown);
    agent.read(shake.answer(Ids::echoed));
  }
  SECTION("in sync") {
    agent.sync();
    agent.session.output(agent.now);
    agent.cancel(shutdown);
  }
  CHECK(failed<qga::CancelledError>(shutdown, Outcome::not_sent));
  CHECK(error_of<qga::CancelledError>(shutdown).err() == std::errc::operation_canceled);
  std::vector<Request> sent;
  for (auto more = agent.sent(); !more.empty(); more = agent.sent()) {
    sent.insert(sent.end(), more.begin(), more.end());
  }
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].command == "guest-ping");
  CHECK(sent[1].command == "guest-ping");
  agent.read(reply(sent[0].id) + reply(sent[1].id));
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  agent.cancel(first);  // too late: nothing happens
  CHECK(succeeded(first));
}

TEST_CASE("session: a cancelled call puts the channel out of sync once it was written") {
  Driven agent;
  Ping first, second;
  agent.submit(first);
  agent.sync();
  const Request sent = agent.sent_one();
  agent.cancel(first);
  CHECK(failed<qga::CancelledError>(first, Outcome::unknown));
  CHECK(agent.session.replies_due());
  agent.submit(second);
  const Handshake shake = agent.handshake();
  agent.read(reply(sent.id) + shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(second));
}

TEST_CASE("session: after a pause the agent is asked before it is told") {
  for (const Ids ids : {Ids::echoed, Ids::rejected}) {
    Driven agent;
    Ping first, second, third;
    agent.submit(first);
    agent.sync(ids);
    agent.read(reply(agent.sent_one().id));
    agent.now += qga::detail::Session::trusted_pause;
    agent.submit(second);
    agent.read(reply(agent.sent_one().id));
    agent.now += qga::detail::Session::trusted_pause + 1ms;
    agent.submit(third);
    agent.sync(ids);
    agent.read(reply(agent.sent_one().id));
    CHECK(succeeded(third));
  }
}

TEST_CASE("session: a lost connection fails every call with what is known of it") {
  Driven agent;
  Ping answered, written;
  Open half(qga::GuestFileOpenRequest("/half")), unwritten(qga::GuestFileOpenRequest("/unwritten"));
  agent.submit(answered, written, half);
  agent.sync();
  const std::string out(agent.session.output(agent.now));
  agent.session.wrote(out.size() - 10);
  agent.submit(unwritten);
  agent.read(reply(requests(out)[0].id) + "{\"return\": ");
  agent.lose<qga::ReadError>(std::make_error_code(std::errc::io_error));
  CHECK(succeeded(answered));
  CHECK(failed<qga::ReadError>(written, Outcome::unknown));
  CHECK(error_of<qga::ReadError>(written).err() == std::errc::io_error);
  CHECK(error_of<qga::ReadError>(written).command() == "guest-ping");
  CHECK(failed<qga::ReadError>(half, Outcome::not_sent));
  CHECK(failed<qga::ReadError>(unwritten, Outcome::not_sent));
  CHECK_FALSE(agent.session.busy());
  CHECK_FALSE(agent.session.replies_due());
  CHECK(agent.write().empty());
}

TEST_CASE("session: a connection lost in the handshake has seen no command") {
  Driven agent;
  Ping ping;
  agent.submit(ping);
  const Handshake shake = agent.handshake();
  SECTION("at once") {}
  SECTION("after a sentinel") { agent.read("\xFF"); }
  SECTION("after the sync") { agent.read(sync_reply(shake.sync)); }
  agent.lose<qga::ReadError>();
  CHECK(failed<qga::ReadError>(ping, Outcome::not_sent));
}
