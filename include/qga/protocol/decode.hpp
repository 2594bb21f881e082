// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Turns the text of a `return` into its type by the field table, checking every shape on the way.
// Base64 payloads are decoded from where they lie in the receive buffer; the rest goes through
// nlohmann/json, within the limits that a Scanner has already checked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/protocol/base64.hpp"
#include "qga/protocol/fields.hpp"
#include "qga/protocol/scan.hpp"

namespace qga::protocol {

/// A value of another shape than the protocol says, and where; caught where the command is known.
class WrongShape : public std::exception {
 public:
  explicit WrongShape(std::string expected) : expected_(std::move(expected)) { compose(); }

  void within(std::string_view outer) {
    const bool joined = path_.empty() || path_.front() == '[';
    path_.insert(0, joined ? "" : ".");
    path_.insert(0, outer);
    compose();
  }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  void compose() { text_ = path_.empty() ? expected_ : "member '" + path_ + "': " + expected_; }

  std::string expected_;
  std::string path_;
  std::string text_;
};

/// Bytes that must stay together at the front of the characters of a string.
inline std::size_t escape_size(std::string_view characters) {
  if (!characters.starts_with('\\')) return 1;
  if (!characters.starts_with("\\u")) return 2;
  const bool opens_pair = characters.size() > 6 && (characters[2] | 0x20) == 'd' &&
                          std::string_view("89abAB").find(characters[3]) != std::string_view::npos;
  return opens_pair && characters.substr(6).starts_with("\\u") ? 12 : 6;
}

inline nlohmann::json parse_json(std::string_view text) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Malformed(error.what());
  }
}

/// The characters of a string in quotes. In pieces: the parser holds a string four times while it
/// reads it, and a payload may be as long as the longest reply.
inline std::string parse_string(std::string_view quoted, std::size_t piece = 64 << 10) {
  std::string_view left = quoted.substr(1, quoted.size() - 2);
  std::string characters;
  characters.reserve(left.size());
  do {
    std::size_t end = 0;
    while (end < std::min(piece, left.size())) end += escape_size(left.substr(end));
    while (end < left.size() && (left[end] & 0xC0) == 0x80) ++end;  // UTF-8 goes on
    const std::string part = '"' + std::string(left.substr(0, end)) + '"';
    characters += parse_json(part).get_ref<const std::string&>();
    left.remove_prefix(std::min(end, left.size()));
  } while (!left.empty());
  return characters;
}

template <class T>
void decode_value(nlohmann::json& from, T& to);

/// A visitor of field tables that fills each member from a parsed object.
class Decoder {
 public:
  explicit Decoder(nlohmann::json& object) : object_(object) {
    if (!object.is_object()) throw WrongShape("expected an object");
  }

  template <class T>
  void operator()(std::string_view key, T& member) {
    const auto found = object_.find(key);
    if (found == object_.end()) return absent(key);
    decode_at(key, *found, member);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& member) {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    decode_at(key, *found, member.emplace());
  }

  void bytes(std::string_view key, std::string& member) {
    (*this)(key, member);
    if (!base64_decode(std::string(member), member)) no_base64(key);
  }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    if (object_.contains(key)) bytes(key, member.emplace());
  }

  [[noreturn]] static void absent(std::string_view key) {
    WrongShape error("is missing");
    error.within(key);
    throw error;
  }
  [[noreturn]] static void no_base64(std::string_view key) {
    WrongShape error("expected base64");
    error.within(key);
    throw error;
  }
  template <class T>
  static void decode_at(std::string_view key, nlohmann::json& from, T& to) {
    try {
      decode_value(from, to);
    } catch (WrongShape& error) {
      error.within(key);
      throw;
    }
  }

 private:
  nlohmann::json& object_;
};

template <class T>
void decode_list(nlohmann::json& from, std::vector<T>& to) {
  if (!from.is_array()) throw WrongShape("expected a list");
  to.clear();
  to.reserve(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    try {
      decode_value(from[i], to.emplace_back());
    } catch (WrongShape& error) {
      error.within("[" + std::to_string(i) + "]");
      throw;
    }
  }
}

template <class... Ts>
void decode_choice(nlohmann::json& from, std::variant<Ts...>& to) {
  const auto fits = [&]<class T>(std::in_place_type_t<T>) {
    T value{};
    try {
      decode_value(from, value);
    } catch (const WrongShape&) {
      return false;
    }
    to = std::move(value);
    return true;
  };
  if (!(fits(std::in_place_type<Ts>) || ...)) throw WrongShape("expected another type");
}

template <class T>
void decode_integer(const nlohmann::json& from, T& to) {
  bool fits = false;
  if (from.is_number_unsigned()) {
    const auto value = from.get<std::uint64_t>();
    fits = std::in_range<T>(value);
    to = static_cast<T>(value);
  } else if (from.is_number_integer()) {
    const auto value = from.get<std::int64_t>();
    fits = std::in_range<T>(value);
    to = static_cast<T>(value);
  }
  if (!fits) throw WrongShape("expected an integer in range");
}

template <class T>
void decode_value(nlohmann::json& from, T& to) {
  if constexpr (std::is_same_v<T, nlohmann::json>) {
    to = std::move(from);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!from.is_boolean()) throw WrongShape("expected true or false");
    to = from.get<bool>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!from.is_string()) throw WrongShape("expected a string");
    to = std::move(from.get_ref<std::string&>());
  } else if constexpr (std::is_integral_v<T>) {
    decode_integer(from, to);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!from.is_number()) throw WrongShape("expected a number");
    to = from.get<T>();
  } else if constexpr (NamedEnum<T>) {
    if (!from.is_string()) throw WrongShape("expected a string");
    to = enum_from_wire<T>(from.get_ref<std::string&>());
  } else if constexpr (Described<T>) {
    Decoder decoder(from);
    T::fields(to, decoder);
  } else if constexpr (requires { typename T::value_type; }) {
    decode_list(from, to);
  } else {
    decode_choice(from, to);
  }
}

/// A visitor for the types with payloads (`has_payload`), over the text of the object itself.
class PayloadDecoder {
 public:
  PayloadDecoder(std::string_view text, const Limits& limits) {
    Scanner scanner(text, limits);
    scanner.object([this](std::string_view key, std::string_view value) {
      members_.push_back({key, value});
    });
    scanner.finish();
  }

  template <class T>
  void operator()(std::string_view key, T& member) {
    Member* const found = find(key);
    if (found == nullptr) Decoder::absent(key);
    decode(*found, member);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& member) {
    if (Member* const found = find(key)) decode(*found, member.emplace());
  }

  void bytes(std::string_view key, std::string& member) {
    Member* const found = find(key);
    if (found == nullptr) Decoder::absent(key);
    const std::string_view text = found->value;
    if (text.starts_with('"') && base64_decode(text.substr(1, text.size() - 2), member)) {
      found->used = true;
      return;
    }
    // Any byte outside the alphabet, an escape among them: let the full parser decide.
    std::string unescaped;
    if (text.starts_with('"')) {
      found->used = true;
      unescaped = parse_string(text);
    } else {
      decode(*found, unescaped);
    }
    if (!base64_decode(unescaped, member)) Decoder::no_base64(key);
  }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    if (find(key) != nullptr) bytes(key, member.emplace());
  }

  /// Members that no field asked for must be JSON all the same.
  void finish() const {
    for (const Member& member : members_) {
      if (!member.used && !nlohmann::json::accept(member.value)) {
        throw Malformed("a member that is not JSON");
      }
    }
  }

 private:
  struct Member {
    std::string_view key;
    std::string_view value;
    bool used = false;
  };

  /// The last of several with the same name, as the full parser has it.
  Member* find(std::string_view key) {
    for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
      if (member->key == key) return &*member;
    }
    return nullptr;
  }

  template <class T>
  static void decode(Member& from, T& to) {
    from.used = true;
    nlohmann::json value = parse_json(from.value);
    Decoder::decode_at(from.key, value, to);
  }

  std::vector<Member> members_;
};

/// Decodes the text of a `return`.
/// @throws Malformed, WrongShape
template <class Reply>
Reply decode_reply(std::string_view text, const Limits& limits) {
  if constexpr (std::is_void_v<Reply>) {
    if (text == "{}") return;
    if (!parse_json(text).is_object()) throw WrongShape("expected an empty object");
  } else if constexpr (requires { Reply::has_payload; }) {
    if (!text.starts_with('{')) {
      parse_json(text);
      throw WrongShape("expected an object");
    }
    Reply reply{};
    PayloadDecoder decoder(text, limits);
    Reply::fields(reply, decoder);
    decoder.finish();
    return reply;
  } else {
    nlohmann::json value = parse_json(text);
    Reply reply{};
    decode_value(value, reply);
    return reply;
  }
}

}  // namespace qga::protocol
