// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Requests as text: exactly what goes on the wire, and what may not go there. The agent takes only
// UTF-8, and silently cuts strings at a NUL.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "protocol_types.hpp"
#include "qga/commands.hpp"
#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/raw_request.hpp"

using nlohmann::json;
using qga::detail::RawRequest;
using namespace std::string_literals;

namespace {

template <class R>
std::string wire(const R& request) {
  std::string out = "before";
  qga::detail::encode_into(out, request);
  REQUIRE(out.starts_with("before"));
  return out.substr(6) + "}";  // the session puts the id before the brace
}

template <class R>
json arguments(const R& request) {
  return json::parse(wire(request)).at("arguments");
}

template <class R>
std::optional<qga::RequestError> refusal(const R& request) {
  std::string out;
  try {
    qga::detail::encode_into(out, request);
  } catch (const qga::RequestError& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("requests on the wire") {
  CHECK(wire(qga::GuestPingRequest()) == R"({"execute":"guest-ping"})");
  CHECK(wire(qga::GuestSyncDelimitedRequest(-5)) ==
        R"({"execute":"guest-sync-delimited","arguments":{"id":-5}})");
  CHECK(wire(qga::GuestSyncRequest(INT64_MIN)) ==
        R"({"execute":"guest-sync","arguments":{"id":-9223372036854775808}})");
  CHECK(wire(qga::GuestFileOpenRequest("/etc/motd")) ==
        R"({"execute":"guest-file-open","arguments":{"path":"/etc/motd"}})");
  CHECK(wire(qga::GuestFileReadRequest(1000, 4096)) ==
        R"({"execute":"guest-file-read","arguments":{"count":4096,"handle":1000}})");
  CHECK(wire(qga::GuestFileWriteRequest(1000, "\0\xFF"s)) ==
        R"({"execute":"guest-file-write","arguments":{"handle":1000,"buf-b64":"AP8="}})");
  CHECK(wire(qga::GuestFileWriteRequest(1, "AP8=", {.is_encoded = true, .count = 1})) ==
        R"({"execute":"guest-file-write","arguments":{"buf-b64":"AP8=","count":1,"handle":1}})");
  CHECK(wire(qga::GuestFileSeekRequest(1, -3, qga::QGASeek::end)) ==
        R"({"execute":"guest-file-seek","arguments":{"handle":1,"offset":-3,"whence":"end"}})");
  CHECK(wire(qga::GuestFileSeekRequest(1, 0, std::int64_t{2})) ==
        R"({"execute":"guest-file-seek","arguments":{"handle":1,"offset":0,"whence":2}})");
  CHECK(wire(qga::GuestShutdownRequest()) == R"({"execute":"guest-shutdown"})");
  CHECK(wire(qga::GuestShutdownRequest(qga::GuestShutdownMode::reboot)) ==
        R"({"execute":"guest-shutdown","arguments":{"mode":"reboot"}})");
  CHECK(wire(qga::GuestSetTimeRequest(qga::GuestTime(std::chrono::seconds(-1)))) ==
        R"({"execute":"guest-set-time","arguments":{"time":-1000000000}})");
  CHECK(wire(qga::GuestSetVcpusRequest({{.logical_id = 1, .online = false, .can_offline = {}},
                                        {.logical_id = 2, .online = true, .can_offline = true}})) ==
        R"({"execute":"guest-set-vcpus","arguments":{"vcpus":[{"logical-id":1,"online":false},)"
        R"({"can-offline":true,"logical-id":2,"online":true}]}})");
  CHECK(wire(qga::GuestSetMemoryBlocksRequest()) ==
        R"({"execute":"guest-set-memory-blocks","arguments":{"mem-blks":[]}})");
}

TEST_CASE("a program with everything, and with nothing") {
  CHECK(wire(qga::GuestExecRequest("/bin/ls")) ==
        R"({"execute":"guest-exec","arguments":{"path":"/bin/ls"}})");
  CHECK(wire(qga::GuestExecRequest("sh", {.args = {"-c", "echo \"$A\""},
                                          .env = {{"A=1", "B="}},
                                          .input_data = "x\0"s,
                                          .capture_output = true})) ==
        R"({"execute":"guest-exec","arguments":{"arg":["-c","echo \"$A\""],"capture-output":true,)"
        R"("env":["A=1","B="],"path":"sh","input-data":"eAA="}})");
  using Mode = qga::GuestExecCaptureOutputMode;
  CHECK(arguments(qga::GuestExecRequest("x", {.capture_output = Mode::merged})) ==
        json{{"path", "x"}, {"capture-output", "merged"}});
  // An empty environment is one that replaces the agent's own.
  CHECK(arguments(qga::GuestExecRequest("x", {.env = std::vector<std::string>{}})) ==
        json{{"path", "x"}, {"env", json::array()}});
}

TEST_CASE("any text survives") {
  for (const std::string text :
       {"", " ", "\"", "\\", "\\\"", "/", "a\tb\nc\rd\be\f", "\x01\x1F\x7F",
        "\u00E9\u4E2D\U0001F600", "\u0085\u2028\uFFFD", "{\"execute\":\"x\"}", "[", "{", ",", "'",
        "%s %n", "\xF4\x8F\xBF\xBF"}) {
    INFO(text);
    const std::string line = wire(qga::GuestFileOpenRequest(text, text));
    CHECK(json::parse(line).at("arguments") == json{{"path", text}, {"mode", text}});
    for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20);
    const auto keys = arguments(qga::GuestSshAddAuthorizedKeysRequest("u", {text, "k", text}));
    CHECK(keys.at("keys") == json{text, "k", text});
  }
}

TEST_CASE("text that the agent would not get whole is refused") {
  for (const std::string& text : {"\0"s, "a\0b"s, "/tmp/f\0"s, "\x80"s, "\xFF"s, "a\xC3(b"s,
                                  "\xC0\x80"s, "\xED\xA0\x80"s, "\xF5\x80\x80\x80"s, "\xE2\x82"s}) {
    CHECK_THROWS_AS(wire(qga::GuestFileOpenRequest(text)), qga::RequestError);
    CHECK_THROWS_AS(wire(qga::GuestFileOpenRequest("x", text)), qga::RequestError);
    CHECK_THROWS_AS(wire(qga::GuestExecRequest("x", {.args = {"a", text}})), qga::RequestError);
    // Members that hold bytes take any.
    CHECK_NOTHROW(wire(qga::GuestExecRequest("x", {.input_data = text})));
    CHECK_NOTHROW(wire(qga::GuestSetUserPasswordRequest("u", text)));
  }
}

TEST_CASE("an enumerator without a wire name is refused") {
  CHECK_THROWS_AS(wire(qga::GuestFileSeekRequest(1, 0, qga::QGASeek::unknown)), qga::RequestError);
  using Mode = qga::GuestExecCaptureOutputMode;
  CHECK_THROWS_AS(wire(qga::GuestExecRequest("x", {.capture_output = Mode::unknown})),
                  qga::RequestError);
}

TEST_CASE("requests made by hand") {
  CHECK(wire(RawRequest("guest-ping", nullptr)) == R"({"execute":"guest-ping"})");
  CHECK(wire(RawRequest("guest-ping", json::object())) == R"({"execute":"guest-ping"})");
  CHECK(wire(RawRequest("guest-new", {{"x", 1}, {"y", {true, nullptr, "\"\u00E9\n"}}})) ==
        R"({"execute":"guest-new","arguments":{"x":1,"y":[true,null,"\"é\n"]}})");
  CHECK(json::parse(wire(RawRequest("x", {{"a\"b\n", 1}, {"c", 2}}))).at("arguments") ==
        json{{"a\"b\n", 1}, {"c", 2}});
  for (const json& wrong : {json::array(), json(5), json("x"), json(true)}) {
    CHECK_THROWS_AS(wire(RawRequest("x", wrong)), qga::RequestError);
  }
  CHECK_THROWS_AS(wire(RawRequest("x", {{"a", "\xFF"}})), qga::RequestError);
  CHECK_THROWS_AS(wire(RawRequest("x", {{"\xFF", 1}})), qga::RequestError);
}

TEST_CASE("a NUL in a request made by hand is refused too") {
  CHECK_THROWS_AS(wire(RawRequest("x", {{"path", "/tmp/a\0b"s}})), qga::RequestError);
  CHECK_THROWS_AS(wire(RawRequest("x", {{"a", {{"b", {"c\0"s}}}}})), qga::RequestError);
  CHECK_THROWS_AS(wire(RawRequest("x", {{"a\0"s, 1}})), qga::RequestError);
  CHECK(arguments(RawRequest("x", {{"a", "\\u0000"}})) == json{{"a", "\\u0000"}});
}

TEST_CASE("a command's name cannot break out of its string") {
  for (const std::string& name : {"a\"b"s, "x\",\"id\":\"7"s, "a\\"s, "a\nb"s, "a\xFF"s, "a\0b"s}) {
    INFO(name);
    std::string line;
    try {
      line = wire(RawRequest(name, nullptr));
    } catch (const qga::RequestError&) {
      continue;
    }
    REQUIRE(json::accept(line));
    CHECK(json::parse(line) == json{{"execute", name}});
  }
}

TEST_CASE("a refused request says so, and that it was not sent") {
  const auto error = refusal(qga::GuestFileOpenRequest("a\0b"s));
  REQUIRE(error);
  CHECK(error->code() == qga::err_cannot_write);
  CHECK(error->code() == 1002);
  CHECK(error->outcome() == qga::Outcome::not_sent);
  CHECK(error->err() == std::errc::invalid_argument);
  CHECK(error->command() == "guest-file-open");
  CHECK_FALSE(error->is_unreachable());
  CHECK(std::string_view(error->what())
            .starts_with("guest-file-open: a string must not hold a NUL byte"));
  CHECK_FALSE(refusal(qga::GuestFileOpenRequest("ab")));
}

TEST_CASE("a request that the agent's lexer would give up on is refused", "[long]") {
  const std::string bytes(48 << 20, 'x');
  using Write = qga::BasicGuestFileWriteRequest<std::string_view>;
  const auto error = refusal(Write(1, bytes));
  REQUIRE(error);
  CHECK(error->err() == std::errc::message_size);
  CHECK(error->code() == qga::err_cannot_write);
  CHECK(error->outcome() == qga::Outcome::not_sent);
  CHECK_FALSE(refusal(Write(1, std::string_view(bytes).substr(1024))));
  CHECK(refusal(RawRequest("x", {{"a", std::string(64 << 20, 'x')}}))->err() ==
        std::errc::message_size);
}

TEST_CASE("a command sent by hand has the time and the care of the typed one") {
  std::size_t special = 0;
  qga::test::Requests::each([&]<class R>(std::type_identity<R>) {
    INFO(R::command);
    const R typed{};
    const RawRequest raw(R::command, nullptr);
    const auto care = qga::detail::handling_of(typed);
    const auto raw_care = qga::detail::handling_of(raw);
    CHECK(qga::detail::timeout_of(raw) == qga::detail::timeout_of(typed));
    CHECK(raw_care.never_late == care.never_late);
    CHECK(raw_care.success_response == care.success_response);
    CHECK(raw_care.limits.bytes >= care.limits.bytes);
    CHECK(raw_care.limits.elements >= care.limits.elements);
    CHECK(raw_care.limits.string >= std::min(care.limits.string, std::size_t{24} << 20));
    special += qga::detail::timeout_of(typed) != qga::default_timeout;
  });
  CHECK(special > 10);

  const auto time_of = [](const char* command, const json& given) {
    return qga::detail::timeout_of(RawRequest(command, given));
  };
  CHECK(time_of("guest-file-read", {{"handle", 1}, {"count", 1 << 20}}) ==
        qga::detail::timeout_of(qga::GuestFileReadRequest(1, 1 << 20)));
  CHECK(time_of("guest-file-read", {{"handle", 1}, {"count", INT64_MAX}}) ==
        qga::detail::timeout_of(qga::GuestFileReadRequest(1, INT64_MAX)));
  CHECK(time_of("guest-file-write", {{"handle", 1}, {"buf-b64", std::string(4096, 'A')}}) ==
        qga::detail::timeout_of(qga::GuestFileWriteRequest(1, std::string(3072, 'x'))));
  CHECK(time_of("guest-file-seek", {{"count", 1 << 20}}) == qga::default_timeout);
  CHECK(time_of("guest-new-thing", nullptr) == qga::default_timeout);
}
