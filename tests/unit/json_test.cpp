// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Types as `nlohmann::json` and back, without text in between: those of the protocol, the results
// of helpers, and a user's own in a namespace of their own.
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "decoded.hpp"
#include "qga/client.hpp"

using nlohmann::json;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace vendor {

enum class Colour { red, green, unknown };
constexpr std::array<std::string_view, 2> wire_names(Colour) { return {"red", "green"}; }

enum class Size { small, large };
constexpr std::array<std::string_view, 2> wire_names(Size) { return {"small", "large"}; }

struct Inner {
  std::string text = {};
  std::optional<std::string> bytes = {};

  static void fields(auto& self, auto& visit) {
    visit("text", self.text);
    visit.bytes("bytes", self.bytes);
  }
  friend bool operator==(const Inner&, const Inner&) = default;
};

struct Everything {
  bool flag = false;
  std::int8_t tiny = 0;
  std::uint64_t large = 0;
  float real = 0;
  Colour colour = Colour::unknown;
  Size size = Size::small;
  std::vector<Inner> list = {};
  std::variant<bool, std::string> choice = false;
  std::optional<Inner> maybe = {};
  json any = {};

  static void fields(auto& self, auto& visit) {
    visit("flag", self.flag);
    visit("tiny", self.tiny);
    visit("large", self.large);
    visit("real", self.real);
    visit("colour", self.colour);
    visit("size", self.size);
    visit("list", self.list);
    visit("choice", self.choice);
    visit("maybe", self.maybe);
    visit("any", self.any);
  }
  friend bool operator==(const Everything&, const Everything&) = default;
};

/// It has a conversion of its own.
struct Celsius {
  double degrees = 0;
  static void fields(auto& self, auto& visit) { visit("degrees", self.degrees); }
};
void to_json(json& to, const Celsius& from) { to = std::to_string(from.degrees) + " C"; }
void from_json(const json& from, Celsius& to) { to.degrees = std::stod(from.get<std::string>()); }

struct OnlyFrom {
  int value = 0;
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
};
void from_json(const json& from, OnlyFrom& to) { to.value = std::stoi(from.get<std::string>()); }

struct Ordered {
  int value = 7;
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
};
void to_json(nlohmann::ordered_json& to, const Ordered& from) { to = {{"own", from.value}}; }

/// It has a conversion for each kind of JSON.
struct Both {
  int value = 7;
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
};
void to_json(json& to, const Both& from) { to = {{"plain", from.value}}; }
void to_json(nlohmann::ordered_json& to, const Both& from) { to = {{"ordered", from.value}}; }

/// Its conversions are templates.
struct Generic {
  int value = 7;
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
};
template <class Json>
void to_json(Json& to, const Generic& from) {
  to = Json{{"generic", from.value}};
}
template <class Json>
void from_json(const Json& from, Generic& to) {
  to.value = from.at("generic").template get<int>();
}

/// Its conversions are templates that take JSON alone, as those of NLOHMANN_DEFINE_TYPE_INTRUSIVE.
struct Intrusive {
  int value = 7;
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
  template <class Json>
  requires requires { typename Json::json_pointer; }
  friend void to_json(Json& to, const Intrusive& from) { to["intrusive"] = from.value; }
  template <class Json>
  requires requires { typename Json::json_pointer; }
  friend void from_json(const Json& from, Intrusive& to) { from.at("intrusive").get_to(to.value); }
};

template <class T>
struct Holder {
  T value = {};
  static void fields(auto& self, auto& visit) { visit("value", self.value); }
};

struct Tree {
  std::string name = {};
  std::vector<Tree> children = {};
  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("children", self.children);
  }
  friend bool operator==(const Tree&, const Tree&) = default;
};

}  // namespace vendor

namespace {

const vendor::Everything everything{.flag = true,
                                    .tiny = -128,
                                    .large = 18446744073709551615u,
                                    .real = 0.5F,
                                    .colour = vendor::Colour::green,
                                    .size = vendor::Size::large,
                                    .list = {{"a\0b"s, "\0\xFF"s}, {}},
                                    .choice = "x"s,
                                    .maybe = vendor::Inner{"\u00e9", {}},
                                    .any = {{"a", {1, nullptr}}}};

json full_json() {
  return {{"flag", true},
          {"tiny", -128},
          {"large", 18446744073709551615u},
          {"real", 0.5},
          {"colour", "green"},
          {"size", "large"},
          {"list", {{{"text", "a\0b"s}, {"bytes", "AP8="}}, {{"text", ""}}}},
          {"choice", "x"},
          {"maybe", {{"text", "\u00e9"}}},
          {"any", {{"a", {1, nullptr}}}}};
}

/// What comes back as it went in, and what its JSON is.
template <class T>
json there_and_back(const T& value) {
  const json made = value;
  CHECK(json(made.get<T>()) == made);
  return made;
}

template <class T>
std::string refusal(const json& from) {
  try {
    from.get<T>();
  } catch (const json::type_error& error) {
    CHECK(error.id == 302);
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("a user's own types are JSON, whatever their namespace") {
  CHECK(json(everything) == full_json());
  CHECK(full_json().get<vendor::Everything>() == everything);
  CHECK(json(std::vector{everything}) == json::array({full_json()}));
  CHECK(json{{"a", everything}}.at("a").get<vendor::Everything>() == everything);
  CHECK(json(vendor::Colour::red) == "red");
  json kept = "before";
  qga::to_json(kept, vendor::Inner{});
  CHECK(kept == json{{"text", ""}});
  CHECK(nlohmann::json(vendor::Inner{"x", {}}).dump() == R"({"text":"x"})");
}

TEST_CASE("a type's own conversions stay") {
  CHECK(json(vendor::Celsius{1.5}) == "1.500000 C");
  CHECK(json("2 C").get<vendor::Celsius>().degrees == 2);
  CHECK(json("3").get<vendor::OnlyFrom>().value == 3);
  const nlohmann::ordered_json ordered = vendor::Ordered{};
  CHECK(ordered.dump() == R"({"own":7})");
  CHECK(json(vendor::Both()).dump() == R"({"plain":7})");
  CHECK(nlohmann::ordered_json(vendor::Both()).dump() == R"({"ordered":7})");
  CHECK(json(vendor::Generic()).dump() == R"({"generic":7})");
  CHECK(json{{"generic", 3}}.get<vendor::Generic>().value == 3);
  CHECK(json(vendor::Intrusive()).dump() == R"({"intrusive":7})");
  CHECK(json{{"intrusive", 3}}.get<vendor::Intrusive>().value == 3);
}

TEST_CASE("the members of an ordered object keep the order of the field table") {
  const nlohmann::ordered_json ordered = everything;
  CHECK(ordered.dump().starts_with(R"({"flag":true,"tiny":-128,"large":18446744073709551615,)"));
  CHECK(ordered.get<vendor::Everything>() == everything);
}

TEST_CASE("types of the protocol become ordered JSON, too") {
  using nlohmann::ordered_json;
  const qga::GuestAgentInfo info{"7.2", {{"guest-ping", true, true}}};
  const ordered_json ordered = info;
  CHECK(ordered.dump() == R"({"version":"7.2","supported_commands":)"
                          R"([{"name":"guest-ping","enabled":true,"success-response":true}]})");
  CHECK(ordered.get<qga::GuestAgentInfo>() == info);
  CHECK(ordered_json(std::vector{info}).at(0) == ordered);
  CHECK(ordered_json(qga::GuestIpAddressType::ipv6) == "ipv6");
  CHECK(ordered_json("ipv6").get<qga::GuestIpAddressType>() == qga::GuestIpAddressType::ipv6);
  CHECK_THROWS_AS(ordered_json(5).get<qga::GuestAgentInfo>(), ordered_json::type_error);
}

/// A value that goes to JSON and back, and to a reply's text and back.
template <class T>
void check_member(const T& value, const char* text) {
  const vendor::Holder<T> holder{value};
  CHECK(json(holder).dump() == text);
  CHECK(json(holder).template get<vendor::Holder<T>>().value == value);
  CHECK(qga::test::decoded<vendor::Holder<T>>(text).value == value);
}

TEST_CASE("members are lists, optionals and choices of each other") {
  check_member(std::vector<bool>{true, false}, R"({"value":[true,false]})");
  check_member(std::vector<std::vector<int>>{{1}, {}}, R"({"value":[[1],[]]})");
  check_member(std::vector<std::optional<int>>{1, {}}, R"({"value":[1,null]})");
  check_member(std::optional<std::vector<bool>>{{true}}, R"({"value":[true]})");
  check_member(std::optional<std::vector<bool>>{}, R"({})");
  check_member(std::variant<std::vector<int>, std::string>{"a"}, R"({"value":"a"})");
  check_member(std::variant<int, vendor::Tree>{vendor::Tree{"a", {{"b", {}}}}},
               R"({"value":{"children":[{"children":[],"name":"b"}],"name":"a"}})");
  check_member(std::vector<vendor::Colour>{vendor::Colour::green}, R"({"value":["green"]})");
  CHECK_THROWS_AS(
      json::parse(R"({"value":[1,"x"]})").get<vendor::Holder<std::vector<std::optional<int>>>>(),
      json::type_error);
  CHECK_THROWS_AS(json::parse(R"({"value":[1]})").get<vendor::Holder<std::vector<bool>>>(),
                  json::type_error);
}

TEST_CASE("what is read from JSON has nothing of the value before") {
  vendor::Everything value = everything;
  json less = full_json();
  less.erase("maybe");
  less["list"] = json::array();
  less.get_to(value);
  CHECK(value == less.get<vendor::Everything>());
  vendor::Inner inner{"a", "bytes"};
  json{{"text", "b"}}.get_to(inner);
  CHECK(inner == vendor::Inner{"b", {}});
  qga::GuestDiskSmart smart{qga::GuestDiskBusType::nvme, qga::GuestNVMeSmart()};
  json{{"type", "sata"}}.get_to(smart);
  CHECK(smart == qga::GuestDiskSmart{qga::GuestDiskBusType::sata, {}});
}

TEMPLATE_TEST_CASE("an integer of any type is read within its range", "", char, signed char,
                   unsigned char, short, unsigned short, int, unsigned, long long,
                   unsigned long long) {
  using Holder = vendor::Holder<TestType>;
  using Range = std::numeric_limits<TestType>;
  for (const TestType value : {Range::min(), TestType{1}, Range::max()}) {
    CHECK(json(Holder{value}).get<Holder>().value == value);
    CHECK(qga::test::decoded<Holder>(json(Holder{value}).dump()).value == value);
  }
  const std::string below = Range::min() == 0 ? "-1" : "-9223372036854775809";
  const std::string beyond =
      sizeof(TestType) < 8 ? std::to_string(1LL << 33) : "18446744073709551616";
  for (const std::string& wrong : {below, beyond}) {
    const std::string text = "{\"value\":" + wrong + "}";
    CHECK_THROWS_AS(json::parse(text).get<Holder>(), json::type_error);
    CHECK_THROWS_AS(qga::test::decoded<Holder>(text), qga::detail::WrongShape);
  }
}

TEST_CASE("an enumerator that has no name is null, and null is that enumerator") {
  CHECK(json(vendor::Colour::unknown) == nullptr);
  CHECK(json(nullptr).get<vendor::Colour>() == vendor::Colour::unknown);
  CHECK(json("blue").get<vendor::Colour>() == vendor::Colour::unknown);
  json kept = "before";
  kept = vendor::Colour::unknown;
  CHECK(kept == nullptr);
  // An enumeration without such an enumerator has its names only.
  CHECK(refusal<vendor::Size>("medium").ends_with("] expected the name of an enumerator"));
  CHECK(refusal<vendor::Size>(nullptr).ends_with("] expected a string"));
}

TEST_CASE("another shape is a type_error of nlohmann/json that names the member") {
  const auto without = [](const char* name) {
    json value = full_json();
    value.erase(name);
    return value;
  };
  for (const char* const name :
       {"flag", "tiny", "large", "real", "colour", "size", "list", "choice", "any"}) {
    CHECK(refusal<vendor::Everything>(without(name)) ==
          "[json.exception.type_error.302] member '"s + name + "': is missing");
  }
  CHECK(without("maybe").get<vendor::Everything>().maybe == std::nullopt);

  struct Wrong {
    const char* member;
    json value;
    const char* text;
  };
  for (const Wrong& wrong :
       {Wrong{"flag", 1, "member 'flag': expected true or false"},
        Wrong{"tiny", 128, "member 'tiny': expected an integer in range"},
        Wrong{"tiny", -129, "member 'tiny': expected an integer in range"},
        Wrong{"tiny", 1.5, "member 'tiny': expected an integer in range"},
        Wrong{"tiny", "1", "member 'tiny': expected an integer in range"},
        Wrong{"large", -1, "member 'large': expected an integer in range"},
        Wrong{"real", "x", "member 'real': expected a number"},
        Wrong{"colour", 5, "member 'colour': expected a string"},
        Wrong{"size", "huge", "member 'size': expected the name of an enumerator"},
        Wrong{"list", json::object(), "member 'list': expected a list"},
        Wrong{"list", {1}, "member 'list[0]': expected an object"},
        Wrong{"list", {{{"text", "a"}}, {{"text", 5}}}, "member 'list[1].text': expected a string"},
        Wrong{"list", {{{"text", "a"}, {"bytes", "A"}}}, "member 'list[0].bytes': expected base64"},
        Wrong{"choice", 5, "member 'choice': expected another type"},
        Wrong{"maybe", 5, "member 'maybe': expected an object"},
        Wrong{"maybe", json::object(), "member 'maybe.text': is missing"}}) {
    json value = full_json();
    value[wrong.member] = wrong.value;
    CHECK(refusal<vendor::Everything>(value) == "[json.exception.type_error.302] "s + wrong.text);
  }
  for (const json& wrong : {json(), json(5), json("x"), json::array()}) {
    CHECK(refusal<vendor::Everything>(wrong).ends_with("] expected an object"));
  }
}

TEST_CASE("the results of helpers are JSON, and come back") {
  CHECK(there_and_back(qga::GuestAddress{"eth0", "::1", qga::GuestIpAddressType::ipv6, 64}) ==
        json{{"interface", "eth0"}, {"address", "::1"}, {"type", "ipv6"}, {"prefix", 64}});
  CHECK(there_and_back(qga::GuestAddress{}) ==
        json{{"interface", ""}, {"address", ""}, {"type", nullptr}});
  CHECK(there_and_back(qga::Capabilities{"7.2", true, {{"guest-ping", true, true}}}) ==
        json{{"version", "7.2"},
             {"frozen", true},
             {"commands",
              {{{"name", "guest-ping"}, {"enabled", true}, {"success-response", true}}}}});
  CHECK(there_and_back(qga::RunResult{.exit_code = 3,
                                      .signal = {},
                                      .out = "\0\xFF"s,
                                      .err = "",
                                      .err_truncated = qga::Truncated::possibly}) ==
        json{{"exitcode", 3},
             {"out-data", "AP8="},
             {"err-data", ""},
             {"out-truncated", "no"},
             {"err-truncated", "possibly"}});
  CHECK(there_and_back(qga::TransferResult{5, "ab", true}) ==
        json{{"bytes", 5}, {"sha256", "ab"}, {"mode-set", true}});
  qga::Usage usage;
  usage.interval = 1500ms;
  usage.cpus = {{.cpu = 1, .busy = 0.5}};
  usage.disks = {{.name = "sda", .reads = 2}};
  usage.interfaces = {{.name = "eth0", .errors = 1}};
  const json shown = there_and_back(usage);
  CHECK(shown.at("seconds") == 1.5);
  CHECK(shown.at("cpus").at(0).at("busy") == 0.5);
  CHECK(shown.at("disks").at(0).at("name") == "sda");
  CHECK(shown.at("interfaces").at(0).at("errors") == 1.0);
  CHECK_FALSE(shown.contains("load"));
  CHECK(shown.get<qga::Usage>().interval == 1500ms);
  // All nanoseconds of a time that a double can tell apart.
  for (std::int64_t count = 1; count < std::int64_t{1} << 50; count = count * 3 + 1) {
    usage.interval = std::chrono::nanoseconds(count);
    CHECK(json(usage).get<qga::Usage>().interval == usage.interval);
  }
}

TEST_CASE("a Readiness is JSON, with the error by its number and category") {
  qga::Readiness readiness;
  readiness.state = qga::ReadyState::silent;
  readiness.attempts = 3;
  readiness.waited = 250ms;
  for (const std::error_code err :
       {std::make_error_code(std::errc::timed_out), std::error_code(2, std::system_category()),
        std::error_code()}) {
    readiness.err = err;
    const json made = there_and_back(readiness);
    CHECK(made.at("state") == "silent");
    CHECK(made.at("seconds") == 0.25);
    CHECK(made.at("error").at("message") == err.message());
    CHECK(made.get<qga::Readiness>().err == err);
  }
  readiness.err = asio::error::eof;
  CHECK(json(readiness).get<qga::Readiness>().err == std::errc::io_error);
  json endless = readiness;
  endless["seconds"] = 1e300;
  CHECK(refusal<qga::Readiness>(endless).ends_with("member 'seconds': expected seconds"));
}
