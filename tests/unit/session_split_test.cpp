// SPDX-License-Identifier: LGPL-3.0-or-later
//
// An exchange with all kinds of replies gives the same results however its bytes are cut.
#include <string>
#include <tuple>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;

namespace {

/// The calls of the exchange, and what became of them.
struct Exchange {
  Driven agent;
  Call<qga::GuestInfoRequest> info;
  Call<qga::GuestFileReadRequest> file_read{qga::GuestFileReadRequest(1000, 4096)};
  Ping ping;
  Call<qga::GuestExecRequest> exec{qga::GuestExecRequest("/no/such")};
  Open file_open{qga::GuestFileOpenRequest("/x")};
  Call<qga::GuestSuspendRamRequest> suspend;

  void submit() { agent.submit(info, file_read, ping, exec, file_open, suspend); }

  std::string replies(const std::vector<Request>& sent) const {
    return reply(sent.at(0).id,
                 "{\"version\": \"10.2.0\", \"supported_commands\": [{\"enabled\": true, \"name\": "
                 "\"guest-ping\", \"success-response\": true}, {\"enabled\": false, \"name\": "
                 "\"guest-sh\\u00fct\\\\\\\"down\", \"success-response\": false}]}") +
           reply(sent.at(1).id, "{\"count\": 6, \"buf-b64\": \"AP8KZm9v\", \"eof\": true}") +
           reply(sent.at(2).id) +
           refusal(sent.at(3).id, "Failed to execute child process \\u201c/no/such\\u201d") +
           reply(sent.at(4).id, "1001");
  }
  std::string barrier(const std::vector<Request>& sent) const {
    return refusal(sent.at(0).id, "unsupported") +
           sync_reply(sent.at(1).arguments.at("id").get<std::uint64_t>(), sent.at(1).id);
  }

  void check() const {
    REQUIRE(succeeded(info));
    REQUIRE(info.result.value->version == "10.2.0");
    REQUIRE(info.result.value->supported_commands.size() == 2);
    REQUIRE(info.result.value->supported_commands[1].name == "guest-sh\u00fct\\\"down");
    REQUIRE(succeeded(file_read));
    REQUIRE(file_read.result.value->buf_b64 == std::string("\0\xFF\nfoo", 6));
    REQUIRE(file_read.result.value->eof);
    REQUIRE(succeeded(ping));
    REQUIRE(error_of<qga::AgentError>(exec).desc() ==
            "Failed to execute child process \u201c/no/such\u201d");
    REQUIRE(succeeded(file_open));
    REQUIRE(file_open.result.value == 1001);
    REQUIRE(error_of<qga::AgentError>(suspend).desc() == "unsupported");
    REQUIRE_FALSE(agent.session.replies_due());
  }
};

/// Runs the exchange with `feed` in the place of the channel.
template <class Feed>
void run(Ids ids, Feed feed) {
  Exchange exchange;
  Driven& agent = exchange.agent;
  exchange.submit();
  feed(agent, agent.handshake().answer(ids));
  auto sent = agent.sent();
  if (ids == Ids::echoed) {
    REQUIRE(sent.size() == 5);
    feed(agent, exchange.replies(sent));
  } else {
    const std::vector<Request> none(5);
    std::string all = exchange.replies(none);
    for (int i = 0; i < 5; ++i) {
      REQUIRE(sent.size() == 1);
      const std::size_t end = all.find('\n') + 1;
      feed(agent, all.substr(0, end));
      all.erase(0, end);
      if (i < 4) sent = agent.sent();
    }
  }
  feed(agent, agent.handshake().answer(ids));  // for the suspend
  feed(agent, exchange.barrier(agent.sent()));
  exchange.check();
}

}  // namespace

TEST_CASE("session: an exchange cut in two at every byte gives the same results", "[long]") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    bool reached = true;
    for (std::size_t cut = 0; reached; ++cut) {
      INFO("cut at byte " << cut);
      std::size_t at = 0;
      reached = false;
      run(ids, [&](Driven& agent, const std::string& bytes) {
        if (cut >= at && cut - at < bytes.size()) {
          reached = true;
          agent.read(bytes.substr(0, cut - at));
          agent.read(bytes.substr(cut - at));
        } else {
          agent.read(bytes);
        }
        at += bytes.size();
      });
    }
  }
}

TEST_CASE("session: an exchange in pieces of any size gives the same results", "[long]") {
  for (const Ids ids : {Ids::echoed, Ids::ignored, Ids::rejected}) {
    for (std::size_t piece = 1; piece < 300; ++piece) {
      INFO("in pieces of " << piece);
      run(ids, [&](Driven& agent, const std::string& bytes) { agent.read(bytes, piece); });
    }
  }
}

TEST_CASE("session: a receive buffer of any size gives the same results") {
  for (const std::size_t size : {0U, 1U, 2U, 3U, 17U, 4096U, 1U << 20}) {
    qga::ClientParams params;
    params.read_buffer_size = size;
    Driven agent(params);
    Call<qga::GuestFileReadRequest> read(qga::GuestFileReadRequest(1, 30000));
    agent.submit(read);
    agent.sync();
    const std::string text =
        reply(agent.sent_one().id, "{\"count\": 30000, \"buf-b64\": \"" + std::string(40000, 'A') +
                                       "\", \"eof\": false}");
    agent.read(text);
    REQUIRE(succeeded(read));
    CHECK(read.result.value->buf_b64 == std::string(30000, '\0'));
    agent.now += 2s;
    agent.check_works_again();
  }
}
