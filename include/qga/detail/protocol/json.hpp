// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The types of the protocol, and a user's own with a field table, as `nlohmann::json`, by the same
// names that they have on the wire. Never throws for what a guest says: a NUL stays a character,
// and an enumerator that is newer than the library becomes null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/decode.hpp"
#include "qga/detail/protocol/encode.hpp"

namespace qga {
namespace detail {

/// A value in a `nlohmann::json`, with the members of `Value`. Another shape is a `type_error`.
template <class Json>
struct JsonValue : Place {
  using Wrong = typename Json::exception;

  const Json* json;  ///< null: there is no such member

  explicit JsonValue(const Json* json_, const Place& place = {}) : Place(place), json(json_) {}

  [[noreturn]] void wrong(const char* expected) const {
    throw Json::type_error::create(302, describe(expected), json);
  }
  void require(bool holds, const char* expected) const {
    if (!holds) wrong(expected);
  }

  bool is_object() const { return json->is_object(); }
  JsonValue member(std::string_view name) const {
    const auto found = json->find(std::string(name));
    return JsonValue(found == json->end() ? nullptr : &*found, {this, name});
  }
  bool found() const { return json != nullptr; }

  std::size_t count() const {
    require(json->is_array(), "expected a list");
    return json->size();
  }
  template <class Visit>
  void each_element(Visit visit) const {
    Place place{this};
    for (const Json& element : *json) {
      visit(JsonValue(&element, place));
      ++place.index;
    }
  }

  void read(bool& to) const {
    require(json->is_boolean(), "expected true or false");
    to = json->template get<bool>();
  }
  void read(std::string& to) const {
    require(json->is_string(), "expected a string");
    to = json->template get_ref<const std::string&>();
  }
  void read(double& to) const {
    require(json->is_number(), "expected a number");
    to = json->template get<double>();
  }
  template <class Integer>
  void read_integer(Integer& to) const {
    const bool fits = json->is_number_unsigned()
                          ? std::in_range<Integer>(json->template get<std::uint64_t>())
                          : json->is_number_integer() &&
                                std::in_range<Integer>(json->template get<std::int64_t>());
    require(fits, "expected an integer in range");
    to = json->template get<Integer>();
  }
  void read_base64(std::string& to) const {
    std::string text;
    read(text);
    require(base64_decode(text, to), "expected base64");
  }
  /// Null is the enumerator `unknown`, as `to_json` writes it.
  template <NamedEnum E>
  void read_enum(E& to) const {
    if constexpr (requires { E::unknown; }) {
      if (json->is_null()) return void(to = E::unknown);
    }
    std::string name;
    read(name);
    set_enum(*this, to, name);
  }
  void read_json(Json& to) const { to = *json; }
};

}  // namespace detail

template <class T>
requires Described<T> || NamedEnum<T>
void to_json(nlohmann::json& json, const T& value) {
  using Writer = detail::ObjectWriter<nlohmann::json>;
  Writer::write(json, value, Writer::For::user);
}

/// @throws nlohmann::json::type_error, with the member's name, where `json` has another shape
template <class T>
requires Described<T> || NamedEnum<T>
void from_json(const nlohmann::json& json, T& value) {
  detail::decode_value(detail::JsonValue<nlohmann::json>(&json), value);
}

}  // namespace qga

/// Converts a user's own types, too, whatever their namespace.
template <class T>
requires qga::Described<T> || qga::NamedEnum<T>
struct nlohmann::adl_serializer<T> {
  static void to_json(json& to, const T& value) { qga::to_json(to, value); }
  static void from_json(const json& from, T& value) { qga::from_json(from, value); }
};
