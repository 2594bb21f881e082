// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The library's own reading of JSON against nlohmann/json: the same texts taken and refused, the
// same values in them, whatever is done to a text.
#include <algorithm>
#include <clocale>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "dom.hpp"
#include "qga/commands.hpp"
#include "qga/detail/protocol/json_index.hpp"

using nlohmann::json;
using qga::detail::JsonIndex;
using qga::detail::Malformed;
using qga::detail::Value;
using namespace qga::test;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

/// Everything that is read of a value, as JSON again.
json read(const Value& from) {
  json value;
  switch (from.kind()) {
    case '{':
      value = json::object();
      from.each_element([&](const Value& member) {
        const std::string name = qga::detail::json_unescaped(member.key);
        value[name] = read(member);
        CHECK(read(from.member(name)) == json::parse(from.member(name).text()));
      });
      return value;
    case '[':
      value = json::array();
      from.each_element([&](const Value& element) { value += read(element); });
      CHECK(value.size() == from.count());
      return value;
    case '"':
      return qga::detail::json_unescaped(from.characters());
    case 't':
    case 'f':
      return from.kind() == 't';
    case 'n':
      return nullptr;
    default:
      return qga::detail::json_number(from.text());
  }
}

/// Numbers as doubles: what they are as integers is the decoder's.
void round_numbers(json& value) {
  if (value.is_number()) value = value.get<double>();
  if (!value.is_structured()) return;
  for (auto& element : value) round_numbers(element);
}

bool taken(std::string_view text) {
  try {
    const JsonIndex index(text, no_limits);
  } catch (const Malformed&) {
    return false;
  }
  return true;
}

void compare(std::string_view text) {
  auto expected = parsed(text);
  if (taken(text) != expected.has_value()) FAIL_CHECK((expected ? "refused: " : "taken: ") << text);
  if (!expected || !taken(text)) return;
  round_numbers(*expected);
  const JsonIndex index(text, no_limits);
  const json found = read(Value(index));
  if (found != *expected) FAIL_CHECK("another value: " << text);
}

/// A text with each byte left out, put in and replaced, in turn.
template <class Visit>
void each_change(const std::string& text, std::string_view bytes, Visit visit) {
  for (std::size_t at = 0; at <= text.size(); ++at) {
    std::string changed = text;
    if (at < text.size()) visit(changed.erase(at, 1));
    visit(text.substr(0, at));
    for (const char byte : bytes) {
      visit(std::string(text).insert(at, 1, byte));
      changed = text;
      if (at < text.size()) changed[at] = byte;
      visit(changed);
    }
  }
}

constexpr std::string_view telling_bytes =
    "{}[]\",:\\/ \t\r\n\v0159-+.eEtrufalsn\0\x01\x1F\x7F\x80\xA0\xBF\xC1\xC2\xE0\xED\xEF\xF0\xF4\xF5\xFF'xdDcC8"sv;

template <class T>
void compare_as(const std::string& text) {
  each_change(text, telling_bytes, [](const std::string& changed) {
    const auto made = by_text<T>(changed);
    const auto expected = by_dom<T>(changed);
    if (made != expected) FAIL_CHECK(changed << "\n came to " << made << "\n not to " << expected);
  });
}

}  // namespace

TEST_CASE("numbers are taken and refused as by the full parser") {
  for (const std::string& text : {"0"s,
                                  "-0"s,
                                  "-"s,
                                  "--1"s,
                                  "+1"s,
                                  "00"s,
                                  "-00"s,
                                  "01"s,
                                  "-01"s,
                                  "1."s,
                                  "1.e1"s,
                                  ".5"s,
                                  "0.5"s,
                                  "-0.0"s,
                                  "1e"s,
                                  "1e+"s,
                                  "1e-"s,
                                  "1e5"s,
                                  "1E+05"s,
                                  "1e00"s,
                                  "0e0"s,
                                  "0x1"s,
                                  "1_0"s,
                                  "1e5.0"s,
                                  "Infinity"s,
                                  "NaN"s,
                                  "-Infinity"s,
                                  "18446744073709551615"s,
                                  "18446744073709551616"s,
                                  "-9223372036854775808"s,
                                  "-9223372036854775809"s,
                                  "1.7976931348623157e308"s,
                                  "1.7976931348623159e308"s,
                                  "1e308"s,
                                  "-1e309"s,
                                  "1e999"s,
                                  "1e-999"s,
                                  "-1e-999"s,
                                  "4.9e-324"s,
                                  "0e999"s,
                                  "0.0e99999999999999999999"s,
                                  "1e99999999999999999999"s,
                                  "1e-99999999999999999999"s,
                                  "0.1234567890123456789"s,
                                  std::string(308, '9'),
                                  std::string(309, '9'),
                                  std::string(309, '1'),
                                  "1" + std::string(308, '0'),
                                  "1" + std::string(309, '0'),
                                  "-" + std::string(309, '9'),
                                  "1" + std::string(400, '0') + "e-200",
                                  "0." + std::string(400, '0') + "1e401",
                                  "0." + std::string(400, '0') + "1e800",
                                  "0." + std::string(1000, '7'),
                                  std::string(309, '0'),
                                  "1 "s,
                                  " \t\r\n1 \t\r\n"s,
                                  "1\v"s,
                                  "1\f"s,
                                  "1,"s,
                                  "1 2"s}) {
    INFO(text);
    compare(text);
    compare("[" + text + "]");
    compare("{\"a\":" + text + ",\"b\":" + text + "}");
  }
}

TEST_CASE("a decimal point is one wherever the program lives") {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  for (const char* const name : {"de_DE.UTF-8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_NUMERIC, name) == nullptr) continue;
    CHECK(qga::detail::json_number("-12.5e1") == -125.0);
  }
  std::setlocale(LC_NUMERIC, before.c_str());
  CHECK(qga::detail::json_number("-12.5e1") == -125.0);
}

TEST_CASE("strings are taken and refused as by the full parser", "[long]") {
  for (int first = 0; first < 256; ++first) {
    const std::string one(1, static_cast<char>(first));
    compare("\"" + one + "\"");
    compare("\"\\" + one + "\"");
    compare("\"12345678\\" + one + "2345678\"");
    for (int second = 0; second < 256; ++second) {
      const std::string two = one + static_cast<char>(second);
      if (first >= 0x80) compare("\"" + two + "\"");
      if (first >= 0xE0) compare("\"" + two + "\x80\"");
      if (first >= 0xE0) compare("\"" + two + "\xBF\xBF\"");
      if (first >= 0xF0) compare("\"x" + two + "\x80\x80x\"");
    }
  }
  const std::vector<std::string> pieces{"a",
                                        "",
                                        "\\n",
                                        "\\u0041",
                                        "\\u00e9",
                                        "\\u20AC",
                                        "\\u0000",
                                        "\\ud83d",
                                        "\\ude00",
                                        "\\uDBFF\\uDFFF",
                                        "\\uD800\\uDC00",
                                        "\\u",
                                        "\\u1",
                                        "\\u12",
                                        "\\u12g4",
                                        "\\uD83",
                                        "\\U0041",
                                        "\u00e9",
                                        "\u20ac",
                                        "\U0001F600",
                                        "\xE2\x82",
                                        "\xF0\x9F\x98",
                                        "\"",
                                        "\\\"",
                                        "\\\\",
                                        "\\",
                                        "1234567",
                                        "12345678",
                                        "\x7F",
                                        "\x1F"};
  for (const std::string& first : pieces) {
    for (const std::string& second : pieces) {
      for (const std::string& third : pieces) {
        const std::string characters = first + second + third;
        compare("\"" + characters + "\"");
        compare("{\"" + characters + "\":1}");
      }
    }
  }
}

TEST_CASE("a string is found whole, wherever its special bytes lie") {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const std::string special :
           {"\"", "\\\\", "\\\"", "\x1F", "\x80", "\u00e9", "\t", "\x7F", "!", "#", "["}) {
        compare("\"" + std::string(at, 'a') + special + std::string(size - at, '!') + "\"");
      }
    }
  }
}

TEST_CASE("any text of few bytes is taken or refused as by the full parser", "[long]") {
  constexpr std::string_view bytes = "{}[]\",:1-e. \\tn";
  std::vector<std::string> texts{""};
  for (std::size_t at = 0; at < texts.size(); ++at) {
    compare(texts[at]);
    if (texts[at].size() < 4) {
      for (const char byte : bytes) texts.push_back(texts[at] + byte);
    }
  }
  CHECK(texts.size() > 50000);
  for (const char* const text :
       {"[[],{},[{}],{\"a\":[]}]", "{\"a\":{\"b\":{\"c\":[1,[2,[3]]]}},\"d\":{}}",
        "[true,false,null,\"\"]", "{\"a\":1,\"a\":[2],\"\\u0061\":{\"a\":3}}"}) {
    each_change(text, telling_bytes, [](const std::string& changed) { compare(changed); });
  }
}

TEST_CASE("no depth is too deep") {
  constexpr std::size_t deep = 1'000'000;
  CHECK(taken(std::string(deep, '[') + std::string(deep, ']')));
  CHECK_FALSE(taken(std::string(deep, '[')));
  CHECK_FALSE(taken(std::string(deep, '[') + std::string(deep, '}')));
  std::string objects;
  for (std::size_t i = 0; i < deep; ++i) objects += "{\"a\":";
  CHECK(taken(objects + "0" + std::string(deep, '}')));
}

TEST_CASE("a name with escapes is the name") {
  CHECK(by_text<qga::GuestHostName>(R"({"host\u002dname": "a"})").value->host_name == "a");
  CHECK(by_text<qga::GuestHostName>(R"({"host-name": "a", "\u0068ost-name": "b"})")
            .value->host_name == "b");
  CHECK(by_text<qga::GuestHostName>(R"({"\u0068ost-name": "b", "host-name": "a"})")
            .value->host_name == "a");
}

TEST_CASE("what is not JSON is that, whatever shape it has before") {
  CHECK(by_text<qga::GuestHostName>(R"({"host-name": 5})").error ==
        "member 'host-name': expected a string");
  CHECK(by_text<qga::GuestHostName>(R"({"host-name": 5, "x": 05})").error == "malformed");
  CHECK(by_text<qga::GuestHostName>(R"([} )").error == "malformed");
  CHECK(by_text<qga::GuestHostName>("\xEF\xBB\xBF{\"host-name\": \"a\"}").error == "malformed");
  CHECK(by_text<qga::GuestHostName>("{\"host-name\": \"a\"}\0"s).error == "malformed");
}

TEST_CASE("changed replies come to what they do for the full parser", "[long]") {
  compare_as<std::vector<qga::GuestMemoryBlock>>(
      R"([{"phys-index": 0, "online": true, "can-offline":false}])");
  compare_as<qga::GuestExecStatus>(
      R"({"exitcode":-1,"out-data":"AP/+fw==","exited":true,"signal":null})");
  compare_as<qga::GuestFileRead>(R"({"count": 3, "buf-b64": "Zm\u0039v", "eof": false})");
  compare_as<std::vector<qga::GuestUser>>(
      R"([{"user":"\u00e9\ud83d\ude00","login-time":1.5e9,"domain":"d"}])");
  compare_as<std::vector<qga::GuestCpuStats>>(
      R"([{"cpu":0,"user":1,"nice":2,"system":3,"idle":4,"type":"linux"}])");
  compare_as<std::vector<qga::GuestIpAddress>>(
      R"([{"prefix":64,"ip-address-type":"ipv6","ip-address":"::1"}])");
}
