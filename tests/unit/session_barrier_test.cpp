// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Commands that answer only a failure, told apart by the sync behind them, and commands that must
// not run late, sent only behind a fresh handshake.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;

namespace {

/// A shutdown and the sync behind it, as they were written.
struct Barrier {
  Request command;
  Request sync;

  /// The agent's answer to the sync.
  std::string answer() const {
    return sync_reply(sync.arguments.at("id").get<std::uint64_t>(), sync.id);
  }
};

Barrier barrier(Driven& agent) {
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[1].command == "guest-sync-delimited");
  CHECK(sent[0].id == sent[1].id);
  return {sent[0], sent[1]};
}

/// A command of a user's own that answers only a failure, and may wait behind others.
struct Silent : qga::NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-silent";
  static constexpr bool success_response = false;
};

}  // namespace

TEST_CASE("barrier: a command without an answer is accepted once its sync is answered") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
      Driven agent;
      Shutdown shutdown;
      agent.submit(shutdown);
      agent.sync(ids);
      const Barrier sent = barrier(agent);
      CHECK(sent.command.command == "guest-shutdown");
      CHECK(sent.command.id.has_value() == (ids == Ids::echoed));
      CHECK_FALSE(shutdown.finished());
      CHECK(agent.session.wants_input());
      agent.read(sent.answer(), piece);
      CHECK(succeeded(shutdown));
      CHECK_FALSE(agent.session.replies_due());

      Ping next;
      agent.submit(next);
      agent.read(reply(agent.sent_one().id), piece);
      CHECK(succeeded(next));
    }
  }
}

TEST_CASE("barrier: a refusal comes before the sync is answered") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
      Driven agent;
      Call<qga::GuestSuspendRamRequest> suspend;
      Ping next;
      agent.submit(suspend, next);
      agent.sync(ids);
      std::vector<Request> sent = agent.sent();
      agent.read(refusal(sent[0].id, "not supported"), piece);
      const auto error = error_of<qga::AgentError>(suspend);
      CHECK(error.outcome() == Outcome::refused);
      CHECK(error.command() == "guest-suspend-ram");
      CHECK(error.desc() == "not supported");
      CHECK_FALSE(next.finished());
      agent.read(sync_reply(sent[1].arguments.at("id").get<std::uint64_t>(), sent[1].id), piece);
      CHECK_FALSE(next.finished());
      const Request request = ids == Ids::echoed ? sent.at(2) : agent.sent_one();
      agent.read(reply(request.id), piece);
      CHECK(succeeded(next));
    }
  }
}

TEST_CASE("barrier: a refusal that is not JSON is no success") {
  for (const std::string desc : {R"("no \x")", "\"no \x80\"", "5.", "\"no"}) {
    for (const bool in_sync : {true, false}) {
      CAPTURE(desc, in_sync);
      Driven agent;
      Ping first;
      Call<Silent> silent;
      agent.submit(first, silent);
      agent.sync();
      const std::vector<Request> sent = agent.sent();
      REQUIRE(sent.size() == 3);
      // A malformed reply brings the channel out of sync.
      const std::string id = ",\"id\":" + std::to_string(*sent[0].id) + "}\n";
      agent.read((in_sync ? "{\"return\":{}" : "{\"return\":tru") + id);
      CHECK(first.finished());
      agent.read("{\"error\":{\"class\":\"GenericError\",\"desc\":" + desc +
                 "},\"id\":" + std::to_string(*sent[1].id) + "}\n");
      agent.read(sync_reply(sent[2].arguments.at("id").get<std::uint64_t>(), sent[2].id));
      CHECK(error_of<qga::BadReplyError>(silent).outcome() == Outcome::unknown);
    }
  }
}

TEST_CASE("barrier: a guest may answer its success all the same") {
  for (const Ids ids : {Ids::echoed, Ids::rejected}) {
    Driven agent;
    Shutdown shutdown;
    Ping next;
    agent.submit(shutdown);
    agent.sync(ids);
    const Barrier sent = barrier(agent);
    agent.read(reply(sent.command.id) + sent.answer());
    CHECK(succeeded(shutdown));
    agent.submit(next);
    agent.read(reply(agent.sent_one().id));
    CHECK(succeeded(next));
  }
}

TEST_CASE("barrier: the sync behind a refused command holds nothing up") {
  // A driver reads only while input is wanted.
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Shutdown first, second;
    agent.submit(first);
    agent.sync(ids);
    const Barrier sent = barrier(agent);
    agent.read(refusal(sent.command.id));  // the sync's reply is not there yet
    CHECK(failed<qga::AgentError>(first, Outcome::refused));
    agent.submit(second);
    std::string out = agent.write();
    if (out.empty()) CHECK(agent.session.wants_input());
    agent.read(sent.answer());
    if (out.empty()) out = agent.write();
    agent.read(Driven::handshake_in(out).answer(ids));
    agent.read(barrier(agent).answer());
    CHECK(succeeded(second));
  }
}

TEST_CASE("barrier: a sync that is never answered costs one more call at most") {
  for (const Ids ids : {Ids::echoed, Ids::rejected}) {
    Driven agent;
    Shutdown first, second({}, agent.now + 5s);
    agent.submit(first);
    agent.sync(ids);
    agent.read(refusal(barrier(agent).command.id));  // and the agent restarts here
    CHECK(failed<qga::AgentError>(first, Outcome::refused));
    agent.submit(second);
    if (const std::string out = agent.write(); !out.empty()) CHECK(out.starts_with("\n\xFF\n"));
    agent.pass(5s);
    CHECK(failed<qga::TimeoutError>(second, Outcome::not_sent));
    agent.check_works_again(ids);
  }
}

TEST_CASE("barrier: a pause counts although the sync behind a refused command was not read") {
  Driven agent;
  Shutdown shutdown;
  Call<qga::GuestExecRequest> exec(qga::GuestExecRequest("/bin/true"));
  agent.submit(shutdown);
  agent.sync();
  agent.read(refusal(barrier(agent).command.id));
  CHECK(failed<qga::AgentError>(shutdown, Outcome::refused));
  agent.pass(1h);
  agent.submit(exec);
  agent.sync();  // nobody may have been there for an hour
  agent.read(reply(agent.sent_one().id, "{\"pid\": 1}"));
  CHECK(succeeded(exec));
}

TEST_CASE("barrier: a command may have run although the sync behind it was not written") {
  const Ids ids = GENERATE(Ids::echoed, Ids::rejected);
  const std::size_t of_the_sync = GENERATE(0U, 10U);
  Driven agent;
  Shutdown shutdown({}, agent.now + 1s);
  agent.submit(shutdown);
  agent.sync(ids);
  const std::string out(agent.session.output(agent.now));
  agent.session.wrote(out.find('\n') + 1 + of_the_sync);

  SECTION("its time is up") {
    agent.pass(1s);
    CHECK(failed<qga::TimeoutError>(shutdown, Outcome::unknown));
  }
  SECTION("it is cancelled") {
    agent.cancel(shutdown);
    CHECK(failed<qga::CancelledError>(shutdown, Outcome::unknown));
  }
  SECTION("the connection is lost") {
    agent.lose<qga::WriteError>();
    CHECK(failed<qga::WriteError>(shutdown, Outcome::unknown));
  }
}

TEST_CASE("barrier: a command that may have run is not sent again when another call fails") {
  Driven agent;
  Call<qga::GuestSuspendRamRequest> suspend;
  Ping ping;
  agent.submit(suspend, ping);
  agent.sync();
  const std::string out(agent.session.output(agent.now));
  REQUIRE(requests(out).size() == 3);
  agent.session.wrote(out.find('\n') + 1);  // all of the suspend, nothing of its sync
  agent.cancel(ping);
  CHECK(failed<qga::CancelledError>(ping, Outcome::not_sent));
  Ping next;
  agent.submit(next);
  for (std::string more = agent.write(); !more.empty(); more = agent.write()) {
    CHECK_FALSE(contains(more, "guest-suspend-ram"));
    if (!more.starts_with("\n\xFF\n")) continue;
    const auto sent = requests(std::string_view(more).substr(3));
    agent.read(stray + sync_reply(sent.at(0).arguments.at("id").get<std::uint64_t>()) +
               reply(sent.at(1).id));
  }
}

TEST_CASE("barrier: another call's end takes nothing from a command under way") {
  Driven agent;
  Call<qga::GuestSuspendRamRequest> suspend;
  Ping ping;
  agent.submit(suspend, ping);
  agent.sync();
  const std::string out(agent.session.output(agent.now));
  const auto sent = requests(out);
  REQUIRE(sent.size() == 3);
  const std::size_t cut = out.find('\n') + GENERATE(0U, 1U, 20U);  // in the sync at most
  agent.session.wrote(cut);
  agent.cancel(ping);
  CHECK(agent.write() == out.substr(cut, out.rfind("{\"execute\"") - cut));
  agent.read(sync_reply(sent[1].arguments.at("id").get<std::uint64_t>(), sent[1].id));
  CHECK(succeeded(suspend));
}

TEST_CASE("never late: a fresh handshake goes before even where all is in sync") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    Driven agent;
    Ping first, behind;
    Shutdown shutdown;
    agent.submit(first, shutdown, behind);
    agent.sync(ids);
    const Request ping = agent.sent_one();
    CHECK(agent.write().empty());  // the ping is not answered
    agent.read(reply(ping.id));
    CHECK(succeeded(first));
    agent.sync(ids);
    const auto sent = agent.sent();
    REQUIRE(sent.size() == (ids == Ids::echoed ? 3 : 2));
    CHECK(sent[0].command == "guest-shutdown");
    agent.read(sync_reply(sent[1].arguments.at("id").get<std::uint64_t>(), sent[1].id));
    CHECK(succeeded(shutdown));
    agent.read(reply(ids == Ids::echoed ? sent[2].id : agent.sent_one().id));
    CHECK(succeeded(behind));
  }
}

TEST_CASE("never late: a freeze is sent behind a fresh handshake and answered as usual") {
  Driven agent;
  Call<qga::GuestFsfreezeFreezeRequest> first, second;
  Call<qga::GuestFsfreezeFreezeListRequest> third;
  Call<qga::GuestFsfreezeThawRequest> thaw;
  agent.submit(first, second, third, thaw);
  agent.sync();
  agent.read(reply(agent.sent_one().id, "2"));
  CHECK(first.result.value == 2);
  agent.sync();
  agent.read(refusal(agent.sent_one().id, "frozen", "CommandNotFound"));
  CHECK(failed<qga::CommandNotFoundError>(second, Outcome::refused));
  agent.sync();
  const auto sent = agent.sent();  // a thaw may follow at once
  REQUIRE(sent.size() == 2);
  agent.read(reply(sent[0].id, "3") + reply(sent[1].id, "4"));
  CHECK(third.result.value == 3);
  CHECK(thaw.result.value == 4);
}

TEST_CASE("never late: one handshake serves no more than one such command") {
  Driven agent;
  Shutdown first({}, agent.now + 1s), second({}, agent.now + 2s);
  agent.submit(first, second);
  agent.sync();
  CHECK(agent.sent().size() == 2);
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(first, Outcome::unknown));
  agent.handshake();
  CHECK(agent.write().empty());
  agent.pass(1s);
  CHECK(failed<qga::TimeoutError>(second, Outcome::not_sent));
}
