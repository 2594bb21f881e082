// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Turns the text of a `return` into its type by the field table, checking every shape on the way.
// Values are read from where they lie in the text; base64 is decoded from there.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/request.hpp"

namespace qga::detail {

/// A value has another shape than the protocol says. The session catches it, because it knows the
/// command.
class WrongShape : public std::exception {
 public:
  WrongShape(const std::string& path, const char* expected)
      : text_(path.empty() ? expected : "member '" + path + "': " + expected) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// A value in a text, and the path to it.
struct Value {
  const JsonIndex& json;
  JsonIndex::NodeId node = JsonIndex::root;
  const Value* parent = nullptr;
  std::string_view key = {};  ///< in an object
  std::size_t index = 0;      ///< in a list

  Value member(std::string_view name) const { return {json, json.find(node, name), this, name}; }

  [[noreturn]] void wrong(const char* expected) const {
    std::string path;
    for (const Value* at = this; at->parent != nullptr; at = at->parent) {
      if (!path.empty() && path.front() != '[') path.insert(0, ".");
      path.insert(0,
                  at->key.empty() ? "[" + std::to_string(at->index) + "]" : std::string(at->key));
    }
    throw WrongShape(path, expected);
  }
};

inline void decode_bool(const Value& from, bool& to) {
  const char kind = from.json.kind(from.node);
  if (kind != 't' && kind != 'f') from.wrong("expected true or false");
  to = kind == 't';
}

inline std::string_view string_characters(const Value& from) {
  if (from.json.kind(from.node) != '"') from.wrong("expected a string");
  return from.json.characters(from.node);
}

inline void decode_string(const Value& from, std::string& to) {
  to = json_unescaped(string_characters(from));
}

inline void decode_base64(const Value& from, std::string& to) {
  const std::string_view characters = string_characters(from);
  // A backslash is outside the alphabet, so this refuses text with escapes.
  if (base64_decode(characters, to)) return;
  if (!base64_decode(json_unescaped(characters), to)) from.wrong("expected base64");
}

/// The bits of an integer from `low` to `high`.
inline std::uint64_t decode_integer(const Value& from, std::int64_t low, std::uint64_t high) {
  const std::string_view text = from.json.text(from.node);
  const char* const end = text.data() + text.size();
  std::int64_t negative = 0;
  std::uint64_t value = 0;
  const auto [parsed, ec] = text.front() == '-' ? std::from_chars(text.data(), end, negative)
                                                : std::from_chars(text.data(), end, value);
  if (ec != std::errc() || parsed != end || negative < low || value > high) {
    from.wrong("expected an integer in range");
  }
  return text.front() == '-' ? static_cast<std::uint64_t>(negative) : value;
}

inline double decode_double(const Value& from) {
  const char kind = from.json.kind(from.node);
  if (kind != '-' && (kind < '0' || kind > '9')) from.wrong("expected a number");
  return json_number(from.json.text(from.node));
}

/// Parses JSON that is given to the user as it is. This is a template, so that only its users
/// compile a parser.
template <class Json>
Json parse_json(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const typename Json::exception& error) {
    throw Malformed(error.what());
  }
}

template <class T>
void decode_value(const Value& from, T& to);

/// A visitor of field tables that fills each member from an object.
class Decoder {
 public:
  explicit Decoder(const Value& object) : object_(object) {
    if (object.json.kind(object.node) != '{') object.wrong("expected an object");
  }

  template <class T>
  void operator()(std::string_view key, T& member) {
    decode_value(required(key), member);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& member) {
    const Value found = object_.member(key);
    if (found.node != JsonIndex::root) decode_value(found, member.emplace());
  }

  void bytes(std::string_view key, std::string& member) { decode_base64(required(key), member); }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    const Value found = object_.member(key);
    if (found.node != JsonIndex::root) decode_base64(found, member.emplace());
  }

 private:
  Value required(std::string_view key) const {
    const Value found = object_.member(key);
    if (found.node == JsonIndex::root) found.wrong("is missing");
    return found;
  }

  const Value& object_;
};

template <class T>
void decode_list(const Value& from, std::vector<T>& to) {
  const JsonIndex& json = from.json;
  if (json.kind(from.node) != '[') from.wrong("expected a list");
  to.clear();
  to.reserve(json.count(from.node));
  Value element{json, from.node + 1, &from};
  for (; element.node != json.next_sibling(from.node);
       element.node = json.next_sibling(element.node)) {
    decode_value(element, to.emplace_back());
    ++element.index;
  }
}

template <class T, class... Ts>
bool decode_alternative(const Value& from, std::variant<Ts...>& to) {
  try {
    decode_value(from, to.template emplace<T>());
    return true;
  } catch (const WrongShape&) {
    return false;
  }
}

template <class... Ts>
void decode_choice(const Value& from, std::variant<Ts...>& to) {
  if (!(decode_alternative<Ts>(from, to) || ...)) from.wrong("expected another type");
}

template <class T>
void decode_value(const Value& from, T& to) {
  if constexpr (std::is_same_v<T, nlohmann::json>) {
    to = parse_json<T>(from.json.text(from.node));
  } else if constexpr (std::is_same_v<T, bool>) {
    decode_bool(from, to);
  } else if constexpr (std::is_same_v<T, std::string>) {
    decode_string(from, to);
  } else if constexpr (std::is_integral_v<T>) {
    using Range = std::numeric_limits<T>;
    to = static_cast<T>(decode_integer(from, static_cast<std::int64_t>(Range::min()),
                                       static_cast<std::uint64_t>(Range::max())));
  } else if constexpr (std::is_floating_point_v<T>) {
    to = static_cast<T>(decode_double(from));
  } else if constexpr (NamedEnum<T>) {
    std::string name;
    decode_string(from, name);
    to = enum_from_wire<T>(name);
  } else if constexpr (Described<T>) {
    Decoder decoder(from);
    T::fields(to, decoder);
  } else if constexpr (requires { typename T::value_type; }) {
    decode_list(from, to);
  } else {
    decode_choice(from, to);
  }
}

/// Fills `to` from JSON text. @throws Malformed, WrongShape
template <class T>
void decode_text(std::string_view text, T& to) {
  const JsonIndex json(text);
  decode_value(Value{json}, to);
}

/// Checks the text of a `return` without a value. @throws Malformed, WrongShape
inline void decode_empty(std::string_view text) {
  if (text == "{}") return;
  const JsonIndex json(text);
  if (json.kind(JsonIndex::root) != '{') Value{json}.wrong("expected an empty object");
}

/// Decodes the text of a `return`. @throws Malformed, WrongShape
template <class Reply>
Reply decode_reply(std::string_view text) {
  if constexpr (std::is_void_v<Reply>) {
    decode_empty(text);
  } else if constexpr (std::is_same_v<Reply, nlohmann::json>) {
    return parse_json<Reply>(text);
  } else {
    Reply reply{};
    decode_text(text, reply);
    return reply;
  }
}

}  // namespace qga::detail
