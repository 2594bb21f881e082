// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every type of the protocol and every result of a helper, filled with random values by its field
// table: it comes back from each kind of JSON as it went in, a request reaches the wire as it is,
// and a text that an agent would not get whole is refused in every member.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "decoded.hpp"
#include "protocol_types.hpp"
#include "qga/client.hpp"

namespace random_values {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int rounds = 40;

using Results =
    qga::test::Types<qga::GuestAddress, qga::Capabilities, qga::RunResult, qga::TransferResult,
                     qga::CpuUsage, qga::DiskUsage, qga::InterfaceUsage, qga::Usage, qga::Readiness,
                     qga::WaitResult, qga::ProcessStatus, qga::ProcessOutput, qga::ThawResult,
                     qga::ClockChange>;

/// Fills members with random values, extremes among them.
class Filler {
 public:
  /// @param unknown whether enumerators without a name are among the values
  Filler(std::uint64_t seed, bool unknown) : random_(seed), unknown_(unknown) {}

  template <class T, class... Default>
  void operator()(std::string_view, T& member, const Default&...) {
    fill(member);
  }
  void bytes(std::string_view, std::string& member) {
    member.resize(below(20));
    for (char& c : member) c = static_cast<char>(below(256));
  }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    member.reset();
    if (below(3) > 0) bytes(key, member.emplace());
  }

  template <class T>
  void fill(T& to) {
    if constexpr (std::is_same_v<T, bool>) {
      to = below(2) == 0;
    } else if constexpr (std::is_integral_v<T>) {
      using Range = std::numeric_limits<T>;
      const std::array<T, 6> special{0, 1, static_cast<T>(-1), Range::min(), Range::max(), 10};
      const std::size_t which = below(special.size() + 4);
      to = which < special.size() ? special[which] : static_cast<T>(random_());
    } else if constexpr (std::is_floating_point_v<T>) {
      const std::array<T, 5> special{0, -0.0, std::numeric_limits<T>::max(),
                                     std::numeric_limits<T>::denorm_min(), 0.1};
      const std::size_t which = below(special.size() + 4);
      to = which < special.size() ? special[which]
                                  : static_cast<T>(static_cast<std::int64_t>(random_())) / 3;
    } else if constexpr (std::is_same_v<T, std::string>) {
      to.clear();
      for (std::size_t left = below(5); left > 0; --left) to += texts[below(texts.size())];
    } else if constexpr (std::is_same_v<T, qga::Clock::duration>) {
      to = T(static_cast<std::int64_t>(random_() >> 14));
    } else if constexpr (std::is_same_v<T, std::error_code>) {
      to = below(2) == 0 ? std::error_code(static_cast<int>(below(140)), std::system_category())
                         : std::error_code(static_cast<int>(below(140)), std::generic_category());
    } else if constexpr (qga::NamedEnum<T>) {
      constexpr bool has_unknown = requires { T::unknown; };
      constexpr std::size_t names = wire_names(T{}).size();
      to = static_cast<T>(below(names));
      if constexpr (has_unknown) {
        if (unknown_ && below(4) == 0) to = T::unknown;
      }
    } else if constexpr (qga::Described<T>) {
      T::fields(to, *this);
    } else {
      fill_many(to);
    }
  }

 private:
  static constexpr std::array<std::string_view, 12> texts{"a",
                                                          "",
                                                          " ",
                                                          "\"",
                                                          "\\",
                                                          "\n\t\x01\x1f",
                                                          "\x7f",
                                                          "\xc3\xa9",
                                                          "\xf4\x8f\xbf\xbf",
                                                          "\xed\x9f\xbf",
                                                          "</script>",
                                                          "[{,:}]"};

  template <class T>
  void fill_many(std::optional<T>& to) {
    to.reset();
    if (below(3) > 0) fill(to.emplace());
  }
  template <class T>
  void fill_many(std::vector<T>& to) {
    to.resize(below(4));
    for (T& one : to) fill(one);
  }
  template <class... Ts>
  void fill_many(std::variant<Ts...>& to) {
    const std::size_t which = below(sizeof...(Ts));
    std::size_t index = 0;
    ((index++ == which ? fill(to.template emplace<Ts>()) : void()), ...);
  }

  std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }

  std::mt19937_64 random_;
  bool unknown_;
};

/// Puts a text into one of the strings, counted from 0.
class Poison {
 public:
  Poison(std::size_t which, std::string_view text) : left_(which), text_(text) {}

  template <class T, class... Default>
  void operator()(std::string_view, T& member, const Default&...) {
    visit(member);
  }
  template <class T>
  void bytes(std::string_view, T&) {}

  bool done() const { return done_; }

 private:
  template <class T>
  void visit(T& member) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (left_-- != 0) return;
      member += text_;
      done_ = true;
    } else if constexpr (qga::Described<T>) {
      T::fields(member, *this);
    } else if constexpr (qga::detail::is_member_optional<T>) {
      if (member) visit(*member);
    } else if constexpr (qga::detail::is_member_list<T>) {
      for (auto& one : member) visit(one);
    }
  }

  std::size_t left_;
  std::string_view text_;
  bool done_ = false;
};

/// Calls `check` with random values of each type of a list.
template <class List, class Check>
void each_value(bool unknown, Check check) {
  List::each([&]<class T>(std::type_identity<T>) {
    for (int round = 0; round < rounds; ++round) {
      Filler filler(static_cast<std::uint64_t>(round), unknown);
      T value{};
      filler.fill(value);
      check(value);
    }
  });
}

/// -0.0 and 0.0 are equal to JSON and not the same: the text tells.
template <class Json>
std::string text_of(const Json& value) {
  return value.dump();
}

template <class T>
void check_comes_back(const T& value) {
  const json made = value;
  const std::string text = text_of(made);
  INFO(text);
  CHECK(text_of(json(made.get<T>())) == text);
  CHECK(text_of(json(json::parse(text).get<T>())) == text);
  const ordered_json ordered = value;
  CHECK(text_of(json(ordered.get<T>())) == text);
  CHECK(text_of(json::parse(ordered.dump())) == text);
  if constexpr (requires { value == value; }) {
    if (text.find("null") == std::string::npos) CHECK(made.get<T>() == value);
  }
  // What was there before leaves nothing behind.
  T used{};
  Filler(rounds, false).fill(used);
  made.get_to(used);
  CHECK(text_of(json(used)) == text);
}

std::string wire(const auto& request) {
  std::string out;
  qga::detail::encode_into(out, request);
  return out + "}";
}

TEST_CASE("random: every type comes back from JSON as it went in") {
  const auto check = [](const auto& value) { check_comes_back(value); };
  each_value<qga::test::Structs>(true, check);
  each_value<qga::test::Unions>(true, check);
  each_value<qga::test::Enums>(true, check);
  // An optional choice reads null as missing, also where it was an enumerator without a name.
  each_value<qga::test::Requests>(false, check);
  each_value<Results>(true, check);
}

TEST_CASE("random: every type comes back from the text of a reply") {
  const auto check = [](const auto& value) {
    using T = std::remove_cvref_t<decltype(value)>;
    const std::string text = json(value).dump();
    INFO(text);
    CHECK(json(qga::test::decoded<T>(text)).dump() == text);
    // The same text, as an agent may write it as well.
    CHECK(json(qga::test::decoded<T>(json(value).dump(3, ' ', true))).dump() == text);
  };
  each_value<qga::test::Structs>(false, check);
  each_value<qga::test::Unions>(false, check);
}

TEST_CASE("random: a request reaches the wire as its JSON says") {
  each_value<qga::test::Requests>(false, [](const auto& request) {
    const json made = request;
    const json sent = json::parse(wire(request));
    CHECK(sent.at("execute") == std::string(request.command));
    CHECK(sent.value("arguments", json::object()).dump() == made.dump());
    CHECK(sent.size() == (made.empty() ? 1 : 2));
  });
}

TEST_CASE("random: a text that an agent would not get whole is refused in every member") {
  using namespace std::string_view_literals;
  std::size_t poisoned = 0;
  each_value<qga::test::Requests>(false, [&](const auto& request) {
    for (const std::string_view wrong : {"\0"sv, "x\0y"sv, "\xff"sv, "\xc3"sv, "\xed\xa0\x80"sv}) {
      for (std::size_t which = 0;; ++which) {
        auto changed = request;
        Poison poison(which, wrong);
        std::remove_cvref_t<decltype(request)>::fields(changed, poison);
        if (!poison.done()) break;
        ++poisoned;
        CHECK_THROWS_AS(wire(changed), qga::RequestError);
      }
    }
  });
  CHECK(poisoned > 1000);
}

TEST_CASE("what nlohmann/json would write as something else is refused") {
  using qga::detail::RawRequest;
  using Limits = std::numeric_limits<double>;
  const std::array<json, 5> wrong{Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(),
                                  json::binary({1, 2}), json::parse("x", nullptr, false)};
  for (const json& one : wrong) {
    CHECK_THROWS_AS(wire(RawRequest("guest-x", {{"a", one}})), qga::RequestError);
    CHECK_THROWS_AS(wire(RawRequest("guest-x", {{"a", {{"b", json::array({one})}}}})),
                    qga::RequestError);
    CHECK_THROWS_AS(wire(RawRequest("guest-x", one)), qga::RequestError);
  }
  CHECK_NOTHROW(wire(RawRequest("guest-x", {{"a", 1e300}})));
}

/// Its only argument never changes.
struct Constant {
  using Reply = void;
  static constexpr std::string_view command = "guest-x";
  static void fields(auto&, auto& visit) {
    static const std::string mode = "fast";
    visit("mode", mode);
  }
};
struct Nothing {
  using Reply = void;
  static constexpr std::string_view command = "guest-x";
  static void fields(auto&, auto&) {}
};
/// Its command is known at run time only.
struct Named {
  using Reply = void;
  std::string command;
  static void fields(auto&, auto&) {}
};
struct Derived : qga::NoArguments {
  using Reply = void;
  static constexpr const char* command = "guest-x";
  int number = 0;
  static void fields(auto& self, auto& visit) { visit("number", self.number); }
};

TEST_CASE("a user's request is written by its field table, whatever its type is like") {
  CHECK(wire(Constant()) == R"({"execute":"guest-x","arguments":{"mode":"fast"}})");
  CHECK(wire(Nothing()) == R"({"execute":"guest-x"})");
  CHECK(wire(Named{"guest-\"y"}) == R"({"execute":"guest-\"y"})");
  CHECK_THROWS_AS(wire(Named{"guest-\xff"}), qga::RequestError);
  CHECK(wire(Derived{{}, 5}) == R"({"execute":"guest-x","arguments":{"number":5}})");
}

}  // namespace random_values
