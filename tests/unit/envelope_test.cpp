// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The envelope of a reply, and the bounds that hold while it is read. The guest is
// hostile: nothing that it sends may crash, hang or be taken for a reply that it is not.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "decoded.hpp"
#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/errors.hpp"

using nlohmann::json;
using qga::ReplyLimits;
using qga::detail::JsonIndex;
using qga::detail::Malformed;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

constexpr ReplyLimits roomy{1 << 20, 64, 1 << 16};

/// An envelope, with the texts of its members.
struct Envelope {
  std::string result;
  std::string error;
  bool has_id;
  std::optional<std::uint64_t> id;
};

Envelope parsed(std::string_view line, ReplyLimits limits = roomy) {
  const JsonIndex json(line, limits);
  const qga::detail::Envelope envelope = qga::detail::envelope_of(json);
  const std::string text(envelope.reply.text());
  return {envelope.refused ? "" : text, envelope.refused ? text : "", envelope.has_id, envelope.id};
}

bool is_refused(std::string_view line, ReplyLimits limits = roomy) {
  try {
    parsed(line, limits);
  } catch (const Malformed&) {
    return true;
  }
  return false;
}

/// The whole way of a reply, as it is walked for a command that is not known.
bool decodes(std::string_view line) {
  try {
    const JsonIndex json(line, roomy);
    const auto envelope = qga::detail::envelope_of(json);
    if (envelope.refused) {
      static_cast<void>(qga::detail::agent_error("guest-x", envelope.reply));
    } else {
      qga::detail::decode_reply<nlohmann::json>(envelope.reply);
    }
  } catch (const Malformed&) {
    return false;
  }
  return true;
}

std::string nested(std::size_t depth) {
  return "{\"return\": " + std::string(depth, '[') + std::string(depth, ']') + "}";
}

std::string repeated(std::string_view element, std::size_t count) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list.append(i == 0 ? "" : ",").append(element);
  return list;
}

const std::vector<std::string> valid_lines{
    R"({"return": {}})",
    R"({"return": {}, "id": 5})",
    R"({"id":7,"error":{"class":"GenericError","desc":"no \"such\" {thing]"}})",
    R"({"return":[{"a":[1,-2.5e3,true,null]},"\u00e9\\"],"x":{"y":[[]]},"id":"abc"})",
    R"({"return":9223372036854775807})",
};

}  // namespace

TEST_CASE("an envelope gives the texts of its members, in any order") {
  const Envelope first = parsed(R"( {"return" : {"a": "}\"{"} , "id" : 5 } )");
  CHECK(first.result == R"({"a": "}\"{"})");
  CHECK(first.error.empty());
  CHECK(first.has_id);
  CHECK(first.id == std::uint64_t{5});

  const Envelope second = parsed(R"({"id":6,"error":{"class":"X","desc":"a\\"}})");
  CHECK(second.error == R"({"class":"X","desc":"a\\"})");
  CHECK(second.result.empty());
  CHECK(second.id == std::uint64_t{6});

  const Envelope third = parsed("{\"timestamp\":[1,{}],\"return\":\"\"}\r");
  CHECK(third.result == "\"\"");
  CHECK_FALSE(third.has_id);
  CHECK_FALSE(third.id);
}

TEST_CASE("only an id that the library can have made is one") {
  const auto id = [](const std::string& text) {
    const Envelope envelope = parsed("{\"return\": {}, \"id\": " + text + "}");
    CHECK(envelope.has_id);
    return envelope.id;
  };
  CHECK(id("0") == std::uint64_t{0});
  CHECK(id("18446744073709551615") == std::uint64_t{18446744073709551615u});
  for (const char* other : {"18446744073709551616", "-1", "-0", "5.0", "5e0", "\"5\"", "null",
                            "true", "[5]", R"({"a": 5})"}) {
    INFO(other);
    CHECK(id(other) == std::nullopt);
  }
}

TEST_CASE("an id that is not JSON is refused") {
  for (const char* id :
       {"5x", "x", "+5", "0x5", "5.", "--5", "nul", "\"a", "[5", "[5}", "'5'", "007", "00", "05"}) {
    INFO(id);
    CHECK(is_refused(std::string("{\"return\": {}, \"id\": ") + id + "}"));
  }
}

TEST_CASE("an envelope has one of return and error, and everything once") {
  for (const char* line : {
           R"({})",
           R"({"id": 5})",
           R"({"event": "X"})",
           R"({"QMP": {}})",
           R"({"return": {}, "return": {}})",
           R"({"error": {}, "error": {}})",
           R"({"return": {}, "error": {"class": "X", "desc": "y"}})",
           R"({"error": {"class": "X", "desc": "y"}, "return": {}})",
           R"({"return": {}, "id": 1, "id": 1})",
           R"({"return": {}, "id": "a", "id": 1})",
           R"({"Return": {}})",
           R"({"\u0072eturn": {}})",
           R"({"return": {}, "a\n": 1})",
           "{\"return\": {}, \"\u00e9\": 1}",
           "{\"return\": {}, \"a\x80\": 1}",
       }) {
    INFO(line);
    CHECK(is_refused(line));
  }
}

TEST_CASE("anything around or instead of one object is refused") {
  for (const std::string& line : {""s,
                                  " "s,
                                  "[]"s,
                                  "5"s,
                                  "\"x\""s,
                                  "null"s,
                                  "x"s,
                                  "{"s,
                                  "}"s,
                                  "{]"s,
                                  "{\"return\"}"s,
                                  "{\"return\":}"s,
                                  "{\"return\": ,}"s,
                                  "{\"return\": {},}"s,
                                  "{,\"return\": {}}"s,
                                  "{\"return\" {}}"s,
                                  "{return: {}}"s,
                                  "{'return': {}}"s,
                                  "{\"return\": {}} x"s,
                                  "{\"return\": {}}{\"return\": {}}"s,
                                  "{\"return\": {}}}"s,
                                  "x{\"return\": {}}"s,
                                  "AAAA{\"return\": {}, \"id\": 5}"s,
                                  "\xEF\xBB\xBF{\"return\": {}}"s,
                                  "\xFF{\"return\": {}}"s,
                                  "\0{\"return\": {}}"s,
                                  "{\"return\": {}}\0"s,
                                  "{\"return\":\0 {}}"s,
                                  "{\"return\": 1\0}"s,
                                  "{\"return\": {} \"id\": 5}"s,
                                  "{\"return\": {}, \"x\": nope}"s,
                                  "{\"return\": {}, \"x\": [}}"s,
                                  "{\"return\": \"\\\"}"s,
                                  "{\"return\": \"\\"s}) {
    INFO(line);
    CHECK(is_refused(line));
  }
}

TEST_CASE("depth is bounded exactly, the envelope being the first level") {
  for (const std::size_t depth : {1u, 2u, 15u, 40u}) {
    CHECK_FALSE(is_refused(nested(depth), {1 << 20, depth + 1, 1 << 16}));
    CHECK(is_refused(nested(depth), {1 << 20, depth, 1 << 16}));
  }
  CHECK(is_refused(nested(1000000), qga::structured_reply_limits));
  CHECK(is_refused("{\"return\": " + std::string(1000000, '['), qga::structured_reply_limits));
  // Siblings are no depth, and brackets in strings none either.
  CHECK_FALSE(is_refused("{\"return\": [" + repeated("[[]]", 100) + "]}", {1 << 20, 4, 1 << 16}));
  CHECK_FALSE(is_refused(R"({"return": ["[[[[[", "{\"{{{{"]})", {1 << 20, 2, 1 << 16}));
}

TEST_CASE("elements are bounded, of every kind and before the parser sees them") {
  constexpr std::size_t count = 1000;
  for (const char* element : {"1", "\"\"", "[]", "{}", "null"}) {
    INFO(element);
    const std::string line = "{\"return\": [" + repeated(element, count) + "]}";
    CHECK(is_refused(line, {1 << 20, 16, count}));
    CHECK_FALSE(is_refused(line, {1 << 20, 16, 2 * count + 2}));
  }
  const std::string members = "{\"return\": {" + repeated("\"a\":1", count) + "}}";
  CHECK(is_refused(members, {1 << 20, 16, count}));
  CHECK_FALSE(is_refused(members, {1 << 20, 16, 2 * count + 2}));
  const std::string beside = "{\"return\": {}, " + repeated("\"a\":1", count) + "}";
  CHECK(is_refused(beside, {1 << 20, 16, count}));
  CHECK_FALSE(is_refused(beside, {1 << 20, 16, 2 * count + 2}));
  CHECK_FALSE(is_refused(R"({"return": ",,,,,,,,,,[[[[[{{{{{"})", {1 << 20, 16, 2}));
}

TEST_CASE("a string of escapes is read in linear time") {
  std::string line = "{\"return\": \"";
  for (int i = 0; i < (1 << 19); ++i) line += "\\n";
  line += "\"}";
  const auto before = std::chrono::steady_clock::now();
  CHECK(parsed(line).result.size() == (1 << 20) + 2);
  CHECK(std::chrono::steady_clock::now() - before <
        std::chrono::seconds(30));  // hours where it is not
}

TEST_CASE("every part of a line is refused, and the whole is not") {
  for (const std::string& line : valid_lines) {
    INFO(line);
    CHECK(decodes(line));
    CHECK(json::accept(line));
    for (std::size_t size = 0; size < line.size(); ++size) {
      INFO("cut at " << size);
      REQUIRE(is_refused(std::string_view(line).substr(0, size)));
    }
  }
}

TEST_CASE("what decodes is JSON, whatever is done to a line", "[long]") {
  std::mt19937 random(3);
  constexpr std::string_view pieces =
      "{}[]\",:\\ \t\r\n0123456789-+.eEtfnu\0\x1F\x7F\x80\xC3\xFF'x"sv;
  std::size_t accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string line = valid_lines[random() % valid_lines.size()];
    for (std::size_t changes = random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % line.size();
      switch (random() % 3) {
        case 0:
          line[at] = pieces[random() % pieces.size()];
          break;
        case 1:
          line.insert(at, 1, pieces[random() % pieces.size()]);
          break;
        default:
          line.erase(at, 1 + random() % 3);
      }
    }
    if (!decodes(line)) continue;
    ++accepted;
    INFO(line);
    REQUIRE(json::accept(line));
  }
  CHECK(accepted > 10000);
  CHECK(accepted < 40000);
}

TEST_CASE("strings and numbers are bounded wherever they stand") {
  const qga::ReplyLimits limits{1 << 20, 16, 100, 10};
  const auto taken = [&](const std::string& value) {
    return !is_refused("{\"return\":" + value + "}", limits);
  };
  const std::string longest(10, 'x');
  const std::string digits = "0." + std::string(qga::detail::longest_number - 2, '1');
  for (const char* const around : {"", "[", "[ 0 , ", "{\"a\": ", "{\"a\":", "[[0],"}) {
    INFO(around);
    const std::string_view front = around;
    const std::string back = front.starts_with('[') ? "]" : front.starts_with('{') ? "}" : "";
    CHECK(taken(around + ("\"" + longest + "\"") + back));
    CHECK_FALSE(taken(around + ("\"" + longest + "x\"") + back));
    CHECK(taken(around + digits + back));
    CHECK_FALSE(taken(around + digits + "1" + back));
  }
  CHECK(taken("{\"" + longest + "\": 1}"));
  CHECK_FALSE(taken("{\"" + longest + "x\": 1}"));
}
