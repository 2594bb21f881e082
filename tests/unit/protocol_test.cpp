// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Holds every command and type against the facts of the protocol, in both directions: what the
// field tables say, turned into the form of data/qga-protocol.json, must be what stands there.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "protocol_types.hpp"

using nlohmann::json;
using namespace qga::test;

namespace {

template <class T>
struct WireType {
  static std::string name() { return std::string(type_name<T>()); }
};
template <>
struct WireType<bool> {
  static std::string name() { return "bool"; }
};
template <>
struct WireType<std::int64_t> {
  static std::string name() { return "int"; }
};
template <>
struct WireType<std::uint64_t> {
  static std::string name() { return "uint64"; }
};
template <>
struct WireType<std::uint16_t> {
  static std::string name() { return "uint16"; }
};
template <>
struct WireType<double> {
  static std::string name() { return "number"; }
};
template <>
struct WireType<std::string> {
  static std::string name() { return "str"; }
};
template <class T>
struct WireType<std::vector<T>> {
  static std::string name() { return "[" + WireType<T>::name() + "]"; }
};

/// A visitor that writes down the members.
struct Reflector {
  json members = json::object();
  std::set<std::string> base64;

  template <class T>
  void operator()(std::string_view key, const T&) {
    add(key, WireType<T>::name(), false);
  }
  template <class T>
  void operator()(std::string_view key, const std::optional<T>&) {
    add(key, WireType<T>::name(), true);
  }
  template <class T>
  void operator()(std::string_view key, const T& member, const T&) {
    (*this)(key, member);
  }
  template <class T>
  void bytes(std::string_view key, const T& member) {
    (*this)(key, member);
    base64.emplace(key);
  }

  void add(std::string_view key, const std::string& type, bool optional) {
    INFO(key);
    REQUIRE(!members.contains(key));
    members[std::string(key)] = {{"type", type}, {"optional", optional}};
  }
};

template <class T>
Reflector reflected(T value = T()) {
  Reflector reflector;
  T::fields(value, reflector);
  return reflector;
}

json members_of(const json& list) {
  json members = json::object();
  for (const auto& member : list) {
    members[member.at("name").get<std::string>()] = {{"type", member.at("type")},
                                                     {"optional", member.at("optional")}};
  }
  return members;
}

/// One list of the facts by name, each entry as `select` shows it.
template <class Select>
json facts(const char* list, Select select) {
  json all = json::object();
  for (const auto& entry : protocol_facts().at(list)) {
    all[entry.at("name").get<std::string>()] = select(entry);
  }
  return all;
}

}  // namespace

TEST_CASE("every command has its arguments, its reply and its kind of answer") {
  json ours = json::object();
  Requests::each([&]<class R>(std::type_identity<R>) {
    json returns = nullptr;
    if constexpr (!std::is_void_v<typename R::Reply>) returns = WireType<typename R::Reply>::name();
    ours[std::string(R::command)] = {
        {"arguments", reflected<R>().members},
        {"returns", returns},
        {"success_response", qga::detail::handling_of(R()).success_response}};
  });
  const json expected = facts("commands", [](const json& command) {
    return json{{"arguments", members_of(command.at("arguments"))},
                {"returns", command.at("returns")},
                {"success_response", command.at("success_response")}};
  });
  CHECK(json::diff(expected, ours) == json::array());
  CHECK(ours.size() == Requests::size);
  CHECK(ours.size() == 46);
}

TEST_CASE("every struct has its members") {
  json ours = json::object();
  Structs::each([&]<class T>(std::type_identity<T>) {
    ours[std::string(type_name<T>())] = reflected<T>().members;
  });
  const json expected =
      facts("structs", [](const json& type) { return members_of(type.at("members")); });
  CHECK(json::diff(expected, ours) == json::array());
  CHECK(ours.size() == 36);
}

TEST_CASE("every enum has its wire names, in order") {
  json ours = json::object();
  Enums::each(
      [&]<class E>(std::type_identity<E>) { ours[std::string(type_name<E>())] = wire_names(E()); });
  const json expected = facts("enums", [](const json& type) { return type.at("values"); });
  CHECK(json::diff(expected, ours) == json::array());
  CHECK(ours.size() == 9);
}

TEST_CASE("every union has its base and, by discriminator, its branches") {
  json ours = json::object();
  Unions::each([&]<class T>(std::type_identity<T>) {
    using Discriminator = decltype(T::type);
    json branches = json::object();
    for (const auto name : wire_names(Discriminator())) {
      T value;
      value.type = qga::enum_from_wire<Discriminator>(name);
      json members = reflected(std::move(value)).members;
      members.erase("type");
      if (!members.empty()) branches[std::string(name)] = members;
    }
    ours[std::string(type_name<T>())] = {{"base", reflected<T>().members}, {"branches", branches}};
  });
  const json expected = facts("unions", [](const json& type) {
    CHECK(type.at("discriminator").get<std::string>() == "type");
    json branches = json::object();
    for (const auto& [name, branch] : type.at("branches").items()) {
      branches[name] = members_of(fact("structs", branch.get<std::string>()).at("members"));
    }
    return json{{"base", members_of(type.at("base"))}, {"branches", branches}};
  });
  CHECK(json::diff(expected, ours) == json::array());
  CHECK(ours.size() == 3);
}

TEST_CASE("every alternate has its alternatives") {
  json ours = json::object();
  Alternates::each([&]<class... Ts>(std::type_identity<std::variant<Ts...>>) {
    ours[std::string(type_name<std::variant<Ts...>>())] = std::set{WireType<Ts>::name()...};
  });
  const json expected = facts("alternates", [](const json& type) {
    std::set<std::string> types;
    for (const auto& alternative : type.at("alternatives")) {
      types.insert(alternative.get<std::string>());
    }
    return types;
  });
  CHECK(json::diff(expected, ours) == json::array());
  CHECK(ours.size() == 2);
}

// The interface definition calls these strings; only its prose tells that they are base64.
TEST_CASE("exactly these members are base64 on the wire") {
  std::set<std::string> ours;
  const auto collect = [&]<class T>(std::type_identity<T>) {
    for (const auto& key : reflected<T>().base64) {
      if constexpr (qga::Request<T>) {
        ours.insert(std::string(T::command) + "." + key);
      } else {
        ours.insert(std::string(type_name<T>()) + "." + key);
      }
    }
  };
  Requests::each(collect);
  Structs::each(collect);
  Unions::each(collect);
  CHECK(ours == std::set<std::string>{"guest-file-write.buf-b64", "guest-exec.input-data",
                                      "guest-set-user-password.password", "GuestFileRead.buf-b64",
                                      "GuestExecStatus.out-data", "GuestExecStatus.err-data"});
}
