// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The types of the protocol, and a user's own with a field table, as `nlohmann::json`, by the same
// names that they have on the wire. Never throws for what a guest says: a NUL stays a character,
// and an enumerator that is newer than the library becomes null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/decode.hpp"
#include "qga/detail/protocol/encode.hpp"

namespace qga::inline v0_1 {
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
  bool is_null() const { return json->is_null(); }
  /// Null is as good as missing, but for an enumeration: `to_json` writes it for `unknown`.
  template <class T>
  bool is_given() const {
    constexpr bool has_unknown = requires { T::unknown; };
    return found() && (has_unknown || !is_null());
  }

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
    using Range = std::numeric_limits<Integer>;
    if (json->is_number_float() && to_integer(json->template get<double>(), to)) return;
    bool fits = json->is_number_integer();
    if (json->is_number_unsigned()) {
      fits = json->template get<std::uint64_t>() <= static_cast<std::uint64_t>(Range::max());
    } else if (fits) {
      const auto value = json->template get<std::int64_t>();
      fits = value <= 0
                 ? value >= static_cast<std::int64_t>(Range::min())
                 : static_cast<std::uint64_t>(value) <= static_cast<std::uint64_t>(Range::max());
    }
    require(fits, "expected an integer in range");
    to = static_cast<Integer>(json->template get<std::int64_t>());
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
  void read_json(nlohmann::json& to) const { to = *json; }
};

template <class Json, class T>
void convert_to(Json& json, const T& value) {
  using Writer = ObjectWriter<Json>;
  Writer::write(json, value, Writer::For::user);
}
template <class Json, class T>
void convert_from(const Json& json, T& value) {
  decode_value(JsonValue<Json>(&json), value);
}

}  // namespace detail

template <class T>
requires Described<T> || NamedEnum<T>
void to_json(nlohmann::json& json, const T& value) { detail::convert_to(json, value); }
/// The members keep the order of the field table.
template <class T>
requires Described<T> || NamedEnum<T>
void to_json(nlohmann::ordered_json& json, const T& value) { detail::convert_to(json, value); }

/// @throws nlohmann::json::type_error, with the member's name, where `json` has another shape
template <class T>
requires Described<T> || NamedEnum<T>
void from_json(const nlohmann::json& json, T& value) { detail::convert_from(json, value); }
/// @throws nlohmann::ordered_json::type_error
template <class T>
requires Described<T> || NamedEnum<T>
void from_json(const nlohmann::ordered_json& json, T& value) { detail::convert_from(json, value); }

}  // namespace qga::inline v0_1

namespace qga::inline v0_1::detail::own_json {

// These hide qga::to_json and qga::from_json, which would serve every type here.
void to_json() = delete;
void from_json() = delete;

/// These stand for a JSON value where functions are looked for beside a type alone: those of
/// nlohmann/json, which take any enumeration, do not take these.
struct PlainJson {
  operator nlohmann::json&() const;
};
struct OrderedJson {
  operator nlohmann::ordered_json&() const;
};

template <class T, class Json>
concept ConvertedTo = requires(Json& json, const T& value) {
  to_json(json, value);
};
template <class T, class Json>
concept ConvertedFrom = requires(const Json& json, T& value) {
  from_json(json, value);
};

/// Whether a type's own namespace has a conversion for it. A template that takes only values of
/// nlohmann/json is found with such a value.
template <class T>
concept Converted = ConvertedTo<T, PlainJson> || ConvertedTo<T, OrderedJson> ||
    ConvertedFrom<T, PlainJson> || ConvertedFrom<T, OrderedJson> ||
    (std::is_class_v<T> && (ConvertedTo<T, nlohmann::json> || ConvertedFrom<T, nlohmann::json>));

/// A type with a field table, whose own namespace has no conversions for it.
template <class T>
concept NotConverted = (Described<T> || NamedEnum<T>)&&!Converted<T>;

}  // namespace qga::inline v0_1::detail::own_json

/// Converts a user's own types, whose namespace need not say anything.
template <qga::detail::own_json::NotConverted T>
struct nlohmann::adl_serializer<T> {
  template <class Json>
  static void to_json(Json& to, const T& value) {
    qga::detail::convert_to(to, value);
  }
  template <class Json>
  static void from_json(const Json& from, T& value) {
    qga::detail::convert_from(from, value);
  }
};
