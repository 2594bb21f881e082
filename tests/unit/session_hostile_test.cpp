// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Replies that no agent in its senses sends: each costs one call, with an error that says why, and
// neither time nor memory nor the channel.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "session_harness.hpp"

using namespace session_test;
using namespace std::string_view_literals;

namespace {

/// A call in flight alone, on an agent that echoes ids.
template <class R>
struct InFlight {
  explicit InFlight(const R& request = R(), const qga::ClientParams& params = {})
      : agent(params), call(request) {
    agent.submit(call);
    agent.sync();
    id = agent.sent_one().id;
  }
  std::string what() const { return error_of<qga::BadReplyError>(call).what(); }

  Driven agent;
  Call<R> call;
  std::optional<std::uint64_t> id;
};

double seconds_of(auto function) {
  const auto start = Clock::now();
  function();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// How many times longer it takes when the input is eight times as long: where time is linear
/// about 8, where it is quadratic 64.
/// @param seconds of an input of so many bytes
double growth(auto seconds, std::size_t longest) {
  const auto least = [&](std::size_t size) {
    double best = seconds(size);
    for (int i = 0; i < 4; ++i) best = std::min(best, seconds(size));
    return best;
  };
  return least(longest) / least(longest / 8);
}
constexpr double linear = 20;

}  // namespace

TEST_CASE("hostile: a reply of the wrong shape names the command and the member") {
  struct Wrong {
    const char* result;
    const char* expected;
  };
  for (const Wrong& wrong : {
           Wrong{"{\"supported_commands\": []}", "'version'"},
           Wrong{"{\"version\": 1, \"supported_commands\": []}", "'version'"},
           Wrong{"{\"version\": null, \"supported_commands\": []}", "'version'"},
           Wrong{"{\"version\": \"1\", \"supported_commands\": {}}", "'supported_commands'"},
           Wrong{
               "{\"version\": \"1\", \"supported_commands\": [{\"name\": \"a\", \"enabled\": true, "
               "\"success-response\": true}, {\"name\": \"b\", \"enabled\": 1, "
               "\"success-response\": true}]}",
               "'supported_commands[1].enabled'"},
           Wrong{"[]", "object"},
           Wrong{"null", "object"},
           Wrong{"\"x\"", "object"},
       }) {
    INFO(wrong.result);
    InFlight<qga::GuestInfoRequest> at;
    at.agent.read(reply(at.id, wrong.result));
    CHECK(error_of<qga::BadReplyError>(at.call).outcome() == Outcome::unknown);
    CHECK(error_of<qga::BadReplyError>(at.call).command() == "guest-info");
    CHECK(contains(at.what(), "guest-info"));
    CHECK(contains(at.what(), wrong.expected));

    Ping next;  // the line was in order, so no handshake is needed
    at.agent.submit(next);
    at.agent.read(reply(at.agent.sent_one().id));
    CHECK(succeeded(next));
  }
}

TEST_CASE("hostile: a broken line costs one call and a handshake") {
  for (const char* const line :
       {"{",
        "}",
        "{}",
        "[]",
        "null",
        "42",
        "\"",
        "\"x\"",
        "{\"return\": {}}",
        "{\"return\"}",
        "{\"return\": {}, \"error\": {\"class\": \"A\", \"desc\": \"b\"}, \"id\": $}",
        "{\"return\": {}, \"return\": {}, \"id\": $}",
        "{\"return\": {}, \"id\": $, \"id\": $}",
        "{\"return\": {}, \"id\": $} {\"return\": {}, \"id\": $}",
        "{\"return\": {}, \"id\": $},",
        "{\"return\": {} \"id\": $}",
        "{\"return\": , \"id\": $}",
        "{\"id\": $}",
        "{\"return\": {]}, \"id\": $}",
        "{\"return\": {x}, \"id\": $}",
        "{\"return\": {\"a\": 1e999}, \"id\": $}",
        "{\"return\": NaN, \"id\": $}",
        "{\"return\": {\"\x01\": 1}, \"id\": $}",
        "{\"return\": {\"a\": \"\x1b[m\"}, \"id\": $}",
        "{\"return\": {\"a\": \"\\ud800\"}, \"id\": $}",
        "{\"return\": {\"a\": \"\xC0\x80\"}, \"id\": $}",
        "{\"return\": {}, \"x\": y, \"id\": $}",
        "{\"return\": {}, \"id\": nul}",
        "\xEF\xBB\xBF{\"return\": {}, \"id\": $}",
        "{\"event\": \"X\"}",
        "{\"QMP\": {\"version\": {}}}",
        "{\"execute\": \"guest-ping\", \"id\": $}",
        "{\"error\": {}, \"id\": $}",
        "{\"error\": null, \"id\": $}",
        "{\"error\": \"no\", \"id\": $}",
        "{\"error\": {\"class\": \"A\"}, \"id\": $}",
        "{\"error\": {\"class\": 1, \"desc\": \"b\"}, \"id\": $}",
        "{\"error\": {\"class\": \"A\", \"desc\": [\"b\"]}, \"id\": $}",
        "{\"error\": {\"class\": \"A\", \"desc\": \"b}, \"id\": $}"}) {
    INFO(line);
    InFlight<qga::GuestPingRequest> at;
    std::string text = line;
    for (std::size_t i = text.find('$'); i != std::string::npos; i = text.find('$')) {
      text.replace(i, 1, std::to_string(*at.id));
    }
    at.agent.read(text + "\n");
    CHECK(error_of<qga::BadReplyError>(at.call).outcome() == Outcome::unknown);
    CHECK(contains(at.what(), "guest-ping"));
    for (const char c : at.what()) REQUIRE((c < 0 || (c >= ' ' && c != '\x7F')));
    at.agent.check_works_again();
  }
}

TEST_CASE("hostile: an agent's words are kept verbatim and shown escaped") {
  InFlight<qga::GuestPingRequest> at;
  at.agent.read(
      refusal(at.id, "\\u001b[31mred\\u001b[0m\\nfake\\u0000\\u009b %s \\u00e9", "Gen\\u0007eric"));
  const auto error = error_of<qga::AgentError>(at.call);
  CHECK(error.desc() == "\x1b[31mred\x1b[0m\nfake\0\u009b %s \u00e9"sv);
  CHECK(error.error_class() == "Gen\aeric");
  const std::string what = error.what();
  for (const char c : what) CHECK((c < 0 || c >= ' '));
  CHECK_FALSE(contains(what, "\u009b"));
  CHECK(contains(what, "\\x1b[31mred"));
  CHECK(contains(what, "%s \u00e9"));
}

TEST_CASE("hostile: a reply over its limit is not kept") {
  const bool with_newline = GENERATE(true, false);
  qga::ClientParams params;
  SECTION("of the command") {
    InFlight<qga::GuestPingRequest> at;
    at.agent.read("{\"return\": {\"a\": \"" + std::string(65 << 10, 'x') +
                  (with_newline ? "\"}}\n" : ""));
    CHECK(error_of<qga::BadReplyError>(at.call).outcome() == Outcome::unknown);
    CHECK(contains(at.what(), "limit"));
    Ping next;
    at.agent.submit(next);
    const Handshake shake = at.agent.handshake();
    at.agent.read(std::string(1 << 20, 'x') + "\"}}\n" + shake.answer(Ids::echoed));
    at.agent.read(reply(at.agent.sent_one().id));
    CHECK(succeeded(next));
  }
  SECTION("of the client") {
    params.max_reply_size = 1000;
    InFlight<qga::GuestInfoRequest> at({}, params);
    at.agent.read("{\"return\": {\"version\": \"" + std::string(1000, 'x') +
                  (with_newline ? "\"}}\n" : ""));
    CHECK(contains(at.what(), "1000"));
    at.agent.check_works_again();
  }
}

TEST_CASE("hostile: depth and element count are bounded before anything is built", "[long]") {
  const auto refused = [](const std::string& result) {
    InFlight<qga::GuestInfoRequest> at;
    at.agent.read(reply(at.id, result));
    CHECK(contains(at.what(), "limit"));
    at.agent.check_works_again();
  };
  refused(std::string(100000, '[') + std::string(100000, ']'));
  refused(std::string(8 << 20, '['));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  refused(deep + "1" + std::string(100000, '}'));
  std::string wide = "[0";
  for (int i = 0; i < 1000000; ++i) wide += ",0";
  refused(wide + "]");
  std::string keys = "{\"a\":0";
  for (int i = 0; i < 1000000; ++i) keys += ",\"\":0";
  refused(keys + "}");
}

TEST_CASE("hostile: a sentinel within a reply breaks it and one between replies does not") {
  InFlight<qga::GuestPingRequest> at;
  at.agent.read("\xFF\xFF\n\xFF");
  CHECK_FALSE(at.call.finished());
  at.agent.read("{\"return\": \xFF{}, \"id\": 1}\n");
  CHECK(error_of<qga::BadReplyError>(at.call).outcome() == Outcome::unknown);
  at.agent.check_works_again();
}

TEST_CASE("hostile: a reply cut short with the next one glued to it costs no third call") {
  Driven agent;
  Ping first, second, third, last;
  agent.submit(first, second, third);
  agent.sync();
  const auto sent = agent.sent();
  REQUIRE(sent.size() == 3);
  agent.read("{\"return\": {" + reply(sent[1].id));
  CHECK(failed<qga::BadReplyError>(first, Outcome::unknown));
  const Handshake shake = agent.handshake();  // at once: `second` has no deadline
  agent.submit(last);
  agent.read(reply(sent[2].id));
  CHECK(succeeded(third));
  CHECK(failed<qga::BadReplyError>(second, Outcome::unknown));
  CHECK(agent.write().empty());
  agent.read(shake.answer(Ids::echoed));
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(last));
}

TEST_CASE("hostile: after a broken line a handshake tells which calls will not be answered") {
  Driven agent;
  Ping first, second, third;
  agent.submit(first, second, third);
  agent.sync();
  REQUIRE(agent.sent().size() == 3);
  agent.read("{\"retu\n");
  CHECK(failed<qga::BadReplyError>(first, Outcome::unknown));
  agent.sync();
  CHECK(failed<qga::BadReplyError>(second, Outcome::unknown));
  CHECK(failed<qga::BadReplyError>(third, Outcome::unknown));
  CHECK_FALSE(agent.session.busy());
  Ping next;
  agent.submit(next);
  agent.read(reply(agent.sent_one().id));
  CHECK(succeeded(next));
}

// What a guest sends must not cost the host more time than it takes to send it.
TEST_CASE("hostile: a string full of escapes takes linear time", "[long]") {
  for (const char* const escape : {"\\\\", "\\n", "\\\"", "\\u0041"}) {
    INFO(escape);
    const auto seconds = [&](std::size_t size) {
      InFlight<qga::GuestInfoRequest> at;
      std::string value;
      while (value.size() < size - 8) value += escape;
      const std::string text =
          reply(at.id, "{\"version\": \"" + value + "\", \"supported_commands\": []}");
      const double time = seconds_of([&] { at.agent.read(text); });
      CHECK(succeeded(at.call));
      return time;
    };
    CHECK(growth(seconds, 1 << 20) < linear);  // as long as it may be
  }
}

TEST_CASE("hostile: a flood of sentinels takes linear time", "[long]") {
  const auto seconds = [](std::size_t size) {
    qga::ClientParams params;
    params.read_buffer_size = size;
    InFlight<qga::GuestInfoRequest> at({}, params);
    const std::string flood(size, '\xFF');
    const double time = seconds_of([&] { at.agent.read(flood); });
    CHECK_FALSE(at.call.finished());
    return time;
  };
  CHECK(growth(seconds, 1 << 20) < linear);
}

TEST_CASE("hostile: a flood of newlines or of tiny lines takes linear time", "[long]") {
  for (const std::string& line : {std::string("\n"), "\n \r\n" + reply(1)}) {
    const auto seconds = [&](std::size_t size) {
      InFlight<qga::GuestInfoRequest> at;
      std::string lines;
      while (lines.size() < size) lines += line;
      const double time = seconds_of([&] { at.agent.read(lines); });
      CHECK_FALSE(at.call.finished());
      return time;
    };
    CHECK(growth(seconds, 2 << 20) < linear);
  }
}
