// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Fills types from values by their field tables, checking every shape on the way. The values lie in
// the text of a reply (value.hpp) or in a `nlohmann::json` (json.hpp): both have the same members.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/value.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

template <class Source, class T>
void decode_value(const Source& from, T& to);

/// A visitor of field tables that fills each member from an object.
template <class Source>
class Decoder {
 public:
  explicit Decoder(const Source& object) : object_(object) {
    object.require(object.is_object(), "expected an object");
  }

  template <class T>
  void operator()(std::string_view key, T& member) {
    decode_value(required(key), member);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& member) {
    const Source found = object_.member(key);
    found.template is_given<T>() ? decode_value(found, member.emplace()) : member.reset();
  }
  template <class T>
  void operator()(std::string_view key, T& member, const T& where_missing) {
    const Source found = object_.member(key);
    found.template is_given<T>() ? decode_value(found, member) : void(member = where_missing);
  }

  void bytes(std::string_view key, std::string& member) { required(key).read_base64(member); }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    const Source found = object_.member(key);
    member.reset();
    if (found.template is_given<std::string>()) found.read_base64(member.emplace());
  }

 private:
  Source required(std::string_view key) const {
    const Source found = object_.member(key);
    found.require(found.found(), "is missing");
    return found;
  }

  const Source& object_;
};

template <class Source, class T>
void decode_list(const Source& from, std::vector<T>& to) {
  to.clear();
  if (from.is_null()) return;  // agents in Go write an empty list so
  // The elements of a hostile list may take hundreds of times their text.
  to.reserve(std::min<std::size_t>(from.count(), 1024));
  from.each_element([&](const Source& element) {
    if constexpr (std::is_same_v<T, bool>) {  // of which a list has no references
      bool read = false;
      element.read(read);
      to.push_back(read);
    } else {
      decode_value(element, to.emplace_back());
    }
  });
}

template <class T, class Source, class... Ts>
bool decode_alternative(const Source& from, std::variant<Ts...>& to) {
  try {
    decode_value(from, to.template emplace<T>());
    return true;
  } catch (const typename Source::Wrong&) {
    return false;
  }
}

template <class Source, class... Ts>
void decode_choice(const Source& from, std::variant<Ts...>& to) {
  from.require((decode_alternative<Ts>(from, to) || ...), "expected another type");
}

/// Only the system's categories are known by their names; an error of another one is read as
/// `std::errc::io_error`.
template <class Source>
void decode_error_code(const Source& from, std::error_code& to) {
  int number = 0;
  std::string category;
  Decoder<Source> decoder(from);
  decoder("value", number);
  decoder("category", category);
  if (category == std::system_category().name()) {
    to.assign(number, std::system_category());
  } else if (category == std::generic_category().name()) {
    to.assign(number, std::generic_category());
  } else {
    to = std::make_error_code(std::errc::io_error);
  }
}

template <class Source, class T>
void decode_value(const Source& from, T& to) {
  if constexpr (std::is_same_v<T, nlohmann::json>) {
    from.read_json(to);
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
    from.read(to);
  } else if constexpr (std::is_integral_v<T>) {
    from.read_integer(to);
  } else if constexpr (std::is_floating_point_v<T>) {
    double number = 0;
    from.read(number);
    to = static_cast<T>(number);
  } else if constexpr (std::is_same_v<T, Clock::duration>) {
    double seconds = 0;
    from.read(seconds);
    from.require(std::abs(seconds) < 9e9, "expected seconds");
    to = std::chrono::round<T>(std::chrono::duration<double>(seconds));
  } else if constexpr (std::is_same_v<T, std::error_code>) {
    decode_error_code(from, to);
  } else if constexpr (NamedEnum<T>) {
    from.read_enum(to);
  } else if constexpr (Described<T>) {
    Decoder<Source> decoder(from);
    T::fields(to, decoder);
  } else if constexpr (is_member_optional<T>) {  // in a list, or as a reply
    from.is_null() ? to.reset() : decode_value(from, to.emplace());
  } else if constexpr (is_member_list<T>) {
    decode_list(from, to);
  } else {
    check_member_type<T>();
    if constexpr (is_member_choice<T>) decode_choice(from, to);
  }
}

/// Decodes the value of a `return`. @throws Malformed, WrongShape
template <class Reply>
Reply decode_reply(const Value& from) {
  if constexpr (std::is_void_v<Reply>) {
    from.require(from.is_object(), "expected an empty object");
  } else {
    Reply reply{};
    decode_value(from, reply);
    return reply;
  }
}

}  // namespace qga::inline v0_1::detail
