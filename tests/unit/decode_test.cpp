// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Replies from text: the values, and what is said where they have another shape. Held against
// nlohmann/json on everything that could tell them apart.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "dom.hpp"
#include "qga/commands.hpp"
#include "qga/detail/protocol/json.hpp"

using nlohmann::json;
using qga::test::by_dom;
using qga::test::by_json;
using qga::test::by_text;
using namespace std::string_literals;

namespace {

template <class T>
std::string decode_error(std::string_view text) {
  return by_text<T>(text).error;
}

qga::GuestFileRead file_read(std::string_view bytes) {
  return {.count = 3, .buf_b64 = std::string(bytes), .eof = false};
}

std::string with_payload(const std::string& value) {
  return "{\"count\": 3, \"buf-b64\": " + value + ", \"eof\": false}";
}

}  // namespace

TEST_CASE("a payload is decoded from its text") {
  const std::vector<std::pair<std::string, std::string>> payloads{
      {"\"\"", ""},
      {"\"Zm9v\"", "foo"},
      {"\"AP/+fw==\"", "\0\xFF\xFE\x7F"s},
      {"\"AP\\/+fw==\"", "\0\xFF\xFE\x7F"s},
      {"\"\\u005Am9v\"", "foo"},
      {"\"Zm9vYg\\u003d=\"", "foob"},
      {"\"\\u005A\\u006D\\u0039\\u0076\"", "foo"},
  };
  for (const auto& [payload, bytes] : payloads) {
    INFO(payload);
    CHECK(by_text<qga::GuestFileRead>(with_payload(payload)).value == file_read(bytes));
    CHECK(by_dom<qga::GuestFileRead>(with_payload(payload)).value == file_read(bytes));
    const auto status =
        by_text<qga::GuestExecStatus>("{\"exited\": true, \"out-data\": " + payload + "}");
    REQUIRE(status.value);
    CHECK(status.value->out_data == bytes);
    CHECK(status.value->err_data == std::nullopt);
  }
}

TEST_CASE("a payload that is no base64 is refused, by name") {
  for (const char* payload : {"\"Zm9\"", "\"Zm9v=\"", "\"Zm 9v\"", "\"Zm9v\\n\"", "\"Zm9vYg-_\"",
                              "\"Zm9v\\u00e9xx\"", "\"\\\"\"", "\"====\"", "\"Zm9\xC3\xA9xxx\""}) {
    INFO(payload);
    const std::string text = with_payload(payload);
    CHECK(decode_error<qga::GuestFileRead>(text) == "member 'buf-b64': expected base64");
    CHECK(by_text<qga::GuestFileRead>(text) == by_dom<qga::GuestFileRead>(text));
  }
  for (const char* payload : {"null", "5", "true", "[]", "{}", "[\"Zm9v\"]"}) {
    INFO(payload);
    const std::string text = with_payload(payload);
    CHECK(decode_error<qga::GuestFileRead>(text) == "member 'buf-b64': expected a string");
    CHECK(by_text<qga::GuestFileRead>(text) == by_dom<qga::GuestFileRead>(text));
  }
  for (const auto& payload : {"\"Zm\n9v\""s, "\"Zm9v"s, "\"Zm\0v\""s, "\"Zm\xFFv\""s, "\"\\x\""s,
                              "\"\\u00\""s, "\"\\uD800\""s, "Zm9v"s, "'Zm9v'"s, ""s}) {
    INFO(payload);
    CHECK(decode_error<qga::GuestFileRead>(with_payload(payload)) == "malformed");
  }
}

TEST_CASE("what is duplicate, unknown or wrong comes to what it does for the full parser") {
  for (const std::string& text : {
           R"({"eof": true, "buf-b64": "Zm9v", "count": 3})"s,
           "{ \"count\" : 3 ,\t\"buf-b64\" : \"Zm9v\" , \"eof\" : true }"s,
           R"({"count": 1, "count": 2, "buf-b64": "QQ==", "buf-b64": "Qg==", "eof": false})"s,
           R"({"count": "x", "count": 2, "buf-b64": 5, "buf-b64": "Qg==", "eof": false})"s,
           R"({"count": 2, "count": "x", "buf-b64": "Qg==", "eof": false})"s,
           R"({"count": 2, "buf-b64": "Qg==", "buf-b64": 5, "eof": false})"s,
           R"({"count": nope, "count": 2, "buf-b64": "Qg==", "eof": false})"s,
           R"({"count": 2, "buf-b64": "Q\xg==", "buf-b64": "Qg==", "eof": false})"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true, "new": {"x": ["\u0041", 1e5]}})"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true, "new": nope})"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true, "new": [1})"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true} x)"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true)"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": true,})"s,
           R"({"count": 1.5, "buf-b64": "Zm9v", "eof": true})"s,
           R"({"count": 1e999, "buf-b64": "Zm9v", "eof": true})"s,
           R"({"count": 05, "buf-b64": "Zm9v", "eof": true})"s,
           "{\"count\": 5\0, \"buf-b64\": \"Zm9v\", \"eof\": true}"s,
           "{\"count\": 5, \"new\": 5\0, \"buf-b64\": \"Zm9v\", \"eof\": true}"s,
           R"({"count": 9223372036854775808, "buf-b64": "Zm9v", "eof": true})"s,
           R"({"count": -9223372036854775808, "buf-b64": "Zm9v", "eof": true})"s,
           R"({"count": 3, "buf-b64": "Zm9v", "eof": 1})"s,
           R"({"buf-b64": "Zm9v", "eof": true})"s,
           R"({"count": 3, "eof": true})"s,
           R"({"count": 3, "buf-b64": "Zm9v"})"s,
           "{}"s,
           "{"s,
           ""s,
           "5"s,
           "[]"s,
           "null"s,
           "\"x\""s,
       }) {
    INFO(text);
    CHECK(by_text<qga::GuestFileRead>(text) == by_dom<qga::GuestFileRead>(text));
  }
}

TEST_CASE("the state of a program decodes with all its optional members or none") {
  const auto running = by_text<qga::GuestExecStatus>(R"({"exited": false})");
  CHECK(running.value == qga::GuestExecStatus());
  const std::string text =
      R"({"exitcode": -1, "signal": 9, "out-data": "Zm9v", "err-data": "", "out-truncated": true,
          "err-truncated": false, "exited": true})";
  const auto ended = by_text<qga::GuestExecStatus>(text);
  CHECK(ended.value == qga::GuestExecStatus{.exited = true,
                                            .exitcode = -1,
                                            .signal = 9,
                                            .out_data = "foo",
                                            .err_data = "",
                                            .out_truncated = true,
                                            .err_truncated = false});
  CHECK(ended == by_dom<qga::GuestExecStatus>(text));
  CHECK(by_text<qga::GuestExecStatus>(R"({"exited": false, "err-data": null, "signal": null})")
            .value == qga::GuestExecStatus());
  CHECK(decode_error<qga::GuestExecStatus>(R"({"exitcode": 0})") == "member 'exited': is missing");
}

TEST_CASE("integers are in range or refused") {
  using Int = std::int64_t;
  using Uint64 = std::uint64_t;
  CHECK(by_text<Int>("9223372036854775807").value == INT64_MAX);
  CHECK(by_text<Int>("-9223372036854775808").value == INT64_MIN);
  CHECK(by_text<Int>("-0").value == 0);
  CHECK(by_text<Uint64>("18446744071564165121").value == 18446744071564165121u);
  CHECK(by_text<Uint64>("18446744073709551615").value == UINT64_MAX);
  CHECK(by_text<std::uint16_t>("65535").value == 65535);
  const std::string refused = "expected an integer in range";
  CHECK(decode_error<Int>("18446744071564165121") == refused);
  CHECK(decode_error<Int>("9223372036854775808") == refused);
  CHECK(decode_error<Int>("-9223372036854775809") == refused);
  for (const auto& [text, number] :
       std::initializer_list<std::pair<const char*, Int>>{{"1.0", 1},
                                                          {"1e3", 1000},
                                                          {"-0", 0},
                                                          {"-2.50e1", -25},
                                                          {"0e99", 0},
                                                          {"0.0", 0},
                                                          {"1.764324e+18", 1764324000000000000},
                                                          {"-9.0e18", -9000000000000000000}}) {
    CHECK(by_text<Int>(text).value == number);
    CHECK(by_dom<Int>(text).value == number);
    CHECK(by_json<Int>(text).value == number);
  }
  for (const char* const text :
       {"1000.5", "1e-3", "9.3e+18", "-9.3e18", "1e300", "9223372036854775808.0"}) {
    INFO(text);
    CHECK(decode_error<Int>(text) == refused);
    CHECK(by_json<Int>(text).error == refused);
  }
  CHECK(decode_error<Int>("true") == refused);
  CHECK(decode_error<Int>("\"5\"") == refused);
  CHECK(decode_error<Int>(std::string(1000, '9')) == "malformed");
  CHECK(decode_error<Uint64>("-1") == refused);
  CHECK(decode_error<Uint64>("18446744073709551616") == refused);
  CHECK(decode_error<std::uint16_t>("65536") == refused);
  CHECK(decode_error<std::uint16_t>("-1") == refused);
  for (const char* text : {"1e999", "-1e999", "NaN", "Infinity", "05", "+5", "0x5", "5 5"}) {
    INFO(text);
    CHECK(decode_error<Int>(text) == "malformed");
    CHECK(decode_error<double>(text) == "malformed");
  }
  CHECK(by_text<double>("1700000000.25").value == 1700000000.25);
  CHECK(by_text<double>("-3").value == -3.0);
}

TEST_CASE("a route as agent 10.2 gives it") {
  const auto route = by_text<std::vector<qga::GuestNetworkRoute>>(
      R"([{"iface": "eth0", "destination": "::", "metric": -1, "flags": 18446744071564165121,
           "desprefixlen": "64", "version": 6}])");
  REQUIRE(route.value);
  CHECK(route.value->at(0).metric == -1);
  CHECK(route.value->at(0).flags == 18446744071564165121u);
  CHECK(route.value->at(0).desprefixlen == "64");
}

TEST_CASE("an unknown name of an enum is a value, not an error") {
  using Status = qga::GuestFsfreezeStatus;
  CHECK(by_text<Status>("\"frozen\"").value == Status::frozen);
  CHECK(by_text<Status>("\"melting\"").value == Status::unknown);
  CHECK(by_text<Status>("\"\"").value == Status::unknown);
  CHECK(decode_error<Status>("1") == "expected a string");
}

TEST_CASE("an error names the member and the way to it") {
  CHECK(decode_error<qga::GuestAgentInfo>(
            R"({"version": "1", "supported_commands": [{"name": "x", "enabled": 1}]})") ==
        "member 'supported_commands[0].enabled': expected true or false");
  CHECK(decode_error<std::vector<qga::GuestUser>>(R"([{"user": "a", "login-time": 1}, {}])") ==
        "member '[1].user': is missing");
  CHECK(decode_error<std::vector<qga::GuestFilesystemInfo>>(
            R"([{"name": "a", "mountpoint": "/", "type": "x", "disk": [{"pci-controller":
                {"domain": 0, "bus": 0, "slot": "1", "function": 0}}]}])") ==
        "member '[0].disk[0].pci-controller.slot': expected an integer in range");
  CHECK(decode_error<std::vector<qga::GuestCpuStats>>(R"([{"type": "linux", "cpu": 0}])") ==
        "member '[0].user': is missing");
  CHECK(decode_error<qga::GuestAuthorizedKeys>(R"({"keys": ["a", null]})") ==
        "member 'keys[1]': expected a string");
  CHECK(decode_error<qga::GuestAuthorizedKeys>(R"({"keys": {}})") ==
        "member 'keys': expected a list");
  CHECK(decode_error<qga::GuestHostName>("[]") == "expected an object");
}

TEST_CASE("users read and write protocol types as JSON") {
  const json value = qga::GuestFileRead{.count = 3, .buf_b64 = "foo", .eof = true};
  CHECK(value == json{{"count", 3}, {"buf-b64", "Zm9v"}, {"eof", true}});
  CHECK(value.get<qga::GuestFileRead>().buf_b64 == "foo");
  CHECK(json(qga::GuestDiskBusType::virtual_) == json("virtual"));
  CHECK(json("nvme").get<qga::GuestDiskBusType>() == qga::GuestDiskBusType::nvme);
  std::string text;
  try {
    json{{"host-name", 5}}.get<qga::GuestHostName>();
  } catch (const std::exception& error) {
    text = error.what();
  }
  CHECK(text == "[json.exception.type_error.302] member 'host-name': expected a string");
}
