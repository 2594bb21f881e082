// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Decodes every type of the protocol from values made up from the facts: as it should be, with each
// required member left out in turn, and with each member of every wrong type.
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "decoded.hpp"
#include "protocol_types.hpp"
#include "qga/detail/protocol/json.hpp"

using nlohmann::json;
using namespace qga::test;

namespace {

template <class T>
T decoded(const json& value) {
  return qga::test::decoded<T>(value.dump());
}

template <class T>
std::string shape_error(const json& value) {
  try {
    decoded<T>(value);
  } catch (const qga::detail::WrongShape& error) {
    return error.what();
  }
  return "none";
}

json object_of(const json& members, bool with_optional);

/// A value of a type of the facts. The text is also base64.
json value_of(const std::string& type, bool with_optional) {
  if (type == "bool") return true;
  if (type == "str") return "dGV4";
  if (type == "number") return 1.5;
  if (type == "int") return -7;
  if (type == "uint64" || type == "uint16") return 65535;
  if (type.starts_with('[')) {
    return json::array({value_of(type.substr(1, type.size() - 2), with_optional)});
  }
  if (const json& found = fact("structs", type); !found.is_null()) {
    return object_of(found.at("members"), with_optional);
  }
  if (const json& found = fact("enums", type); !found.is_null()) return found.at("values").back();
  if (const json& found = fact("unions", type); !found.is_null()) {
    const auto branch = found.at("branches").items().begin();
    json value = value_of(branch.value().get<std::string>(), with_optional);
    value["type"] = branch.key();
    return value;
  }
  return value_of(fact("alternates", type).at("alternatives").front().get<std::string>(), false);
}

json object_of(const json& members, bool with_optional) {
  json object = json::object();
  for (const auto& member : members) {
    if (with_optional || !member.at("optional").get<bool>()) {
      object[member.at("name").get<std::string>()] =
          value_of(member.at("type").get<std::string>(), with_optional);
    }
  }
  return object;
}

/// Values that a member of this type must refuse. Null is as good as a missing member, and in a
/// list as good as an empty one.
std::vector<json> wrong_values(const std::string& type, bool may_be_missing = false) {
  const json low = -1;
  const json fraction = 1.5;
  const json beyond_int = json::parse("9223372036854775808");
  const json beyond_uint64 = json::parse("18446744073709551616");
  std::vector<json> wrong;
  if (!may_be_missing && !type.starts_with('[')) wrong.push_back(nullptr);
  const bool is_enum = !fact("enums", type).is_null();
  const bool is_alternate = !fact("alternates", type).is_null();
  if (type != "bool" && !is_alternate) wrong.push_back(true);
  if (type != "str" && !is_enum && !is_alternate) wrong.push_back("dGV4");
  if (type == "str" || type == "bool" || is_enum || type.starts_with('[')) wrong.push_back(5);
  if (!type.starts_with('[')) wrong.push_back(json::array());
  if (type == "str" || type == "number" || type.starts_with('[')) wrong.push_back(json::object());
  if (type == "int") wrong.insert(wrong.end(), {fraction, beyond_int, beyond_uint64});
  if (type == "uint64") wrong.insert(wrong.end(), {fraction, low, beyond_uint64});
  if (type == "uint16") wrong.insert(wrong.end(), {fraction, low, 65536});
  if (type.starts_with('[')) wrong.push_back(json::array({nullptr}));
  return wrong;
}

template <class T>
void check_type(const json& members, const json& smallest, const json& full) {
  INFO(type_name<T>());
  // What comes back as it went in was neither lost nor made up; absent members stay absent.
  CHECK(json(decoded<T>(smallest)) == smallest);
  CHECK(json(decoded<T>(full)) == full);
  CHECK(decoded<T>(full) == full.get<T>());

  json strange = full;
  strange["never-heard-of"] = json{{"x", {1, 2}}};
  CHECK(decoded<T>(strange) == decoded<T>(full));

  for (const auto& member : members) {
    const auto name = member.at("name").get<std::string>();
    json without = full;
    without.erase(name);
    // Agents before 1.7 do not say it.
    const bool said_since_1_7 = name == "success-response";
    const bool may_be_missing = member.at("optional").get<bool>() || said_since_1_7;
    if (said_since_1_7) {
      CHECK(decoded<T>(without) == decoded<T>(full));
    } else if (may_be_missing) {
      CHECK(json(decoded<T>(without)) == without);
    } else {
      CHECK(shape_error<T>(without) == "member '" + name + "': is missing");
    }
    for (const json& wrong : wrong_values(member.at("type").get<std::string>(), may_be_missing)) {
      INFO(name << " = " << wrong);
      json changed = full;
      changed[name] = wrong;
      const std::string text = shape_error<T>(changed);
      CHECK(text.starts_with("member '" + name));
      CHECK(text.find("': expected ") != std::string::npos);
    }
  }
  CHECK_THROWS_AS(json::array().get<T>(), json::type_error);
}

}  // namespace

TEST_CASE("structs decode from what the protocol says, and from nothing else") {
  Structs::each([]<class T>(std::type_identity<T>) {
    const json& members = fact("structs", type_name<T>()).at("members");
    check_type<T>(members, object_of(members, false), object_of(members, true));
  });
}

TEST_CASE("unions decode with their branch, and a new discriminator without one") {
  Unions::each([]<class T>(std::type_identity<T>) {
    const json& type = fact("unions", type_name<T>());
    json members = type.at("base");
    const auto branch = type.at("branches").items().begin().value().get<std::string>();
    for (const auto& member : fact("structs", branch).at("members")) members.push_back(member);
    const std::string name(type_name<T>());
    const json full = value_of(name, true);
    // Without its discriminator nobody knows what else is required: that is tested apart.
    members.erase(0);
    check_type<T>(members, value_of(name, false), full);

    json undecided = full;
    undecided.erase("type");
    CHECK(shape_error<T>(undecided) == "member 'type': is missing");
    undecided["type"] = 5;
    CHECK(shape_error<T>(undecided) == "member 'type': expected a string");
    undecided["type"] = "never-heard-of";
    const T value = decoded<T>(undecided);
    CHECK(value.type == decltype(T::type)::unknown);
    CHECK(value == T());
  });
}

TEST_CASE("every reply decodes from what the protocol says") {
  Requests::each([]<class R>(std::type_identity<R>) {
    INFO(R::command);
    const json& returns = fact("commands", R::command).at("returns");
    if constexpr (std::is_void_v<typename R::Reply>) {
      CHECK(returns.is_null());
      CHECK_NOTHROW(decoded<void>(json::object()));
      CHECK_THROWS_AS(decoded<void>(json(5)), qga::detail::WrongShape);
    } else {
      const json full = value_of(returns.get<std::string>(), true);
      CHECK(json(decoded<typename R::Reply>(full)) == full);
    }
  });
}

TEST_CASE("both alternatives of an alternate decode, and nothing else") {
  const auto whence = [](const json& value) { return decoded<qga::GuestFileWhence>(value); };
  CHECK(whence(2) == qga::GuestFileWhence(std::int64_t{2}));
  CHECK(whence("cur") == qga::GuestFileWhence(qga::QGASeek::cur));
  CHECK(whence("never-heard-of") == qga::GuestFileWhence(qga::QGASeek::unknown));
  for (const json& wrong : {json(nullptr), json(true), json(1.5), json::array(), json::object()}) {
    CHECK_THROWS_AS(whence(wrong), qga::detail::WrongShape);
  }
}
