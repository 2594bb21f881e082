// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes requests as JSON text straight into the send buffer, from their field tables.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/request.hpp"

namespace qga::detail {

/// An argument cannot be put on the wire. `encode_into` catches it, because it knows the command.
struct Unencodable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A visitor of field tables that appends `"name": value` for each member.
class Encoder {
 public:
  /// The reader of the JSON. An agent silently cuts a string at a NUL and does not know the
  /// enumerator `unknown`, so both are refused for it, and allowed for a user.
  enum class For { agent, user };

  explicit Encoder(std::string& out, For whom = For::agent) : out_(out), for_(whom) {}

  template <class T>
  void operator()(std::string_view key, const T& member) {
    name(key);
    value(member);
  }
  template <class T>
  void operator()(std::string_view key, const std::optional<T>& member) {
    if (member) (*this)(key, *member);
  }

  void bytes(std::string_view key, std::string_view member) {
    name(key);
    out_ += '"';
    base64_encode(member, out_);
    out_ += '"';
  }
  template <class Bytes>
  void bytes(std::string_view key, const std::optional<Bytes>& member) {
    if (member) bytes(key, *member);
  }

  /// Appends a member of a request made by hand. This is a template, so that only users of such
  /// requests compile a writer.
  template <class Json>
  void raw(std::string_view key, const Json& member) {
    if (out_.back() != '{') out_ += ',';
    text(key);
    out_ += ':';
    if (has_nul(member)) throw Unencodable("a string must not hold a NUL byte");
    out_ += dumped(member);
  }

  template <class T>
  void value(const T& member) {
    if constexpr (std::is_same_v<T, bool>) {
      out_ += member ? "true" : "false";
    } else if constexpr (std::is_integral_v<T>) {
      char digits[24];
      out_.append(digits, std::to_chars(digits, digits + sizeof digits, member).ptr);
    } else if constexpr (std::is_floating_point_v<T>) {
      out_ += nlohmann::json(member).dump();
    } else if constexpr (NamedEnum<T>) {
      const std::string_view wire = wire_name(member);
      if (wire.empty() && for_ == For::agent) {
        throw Unencodable("the enumerator 'unknown' has no wire name: use another one");
      }
      wire.empty() ? void(out_ += "null") : text(wire);
    } else if constexpr (Described<T>) {
      object(member);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      text(member);
    } else {
      list_or_choice(member);
    }
  }

  template <Described T>
  void object(const T& described) {
    out_ += '{';
    T::fields(described, *this);
    out_ += '}';
  }

 private:
  template <class T>
  void list_or_choice(const std::vector<T>& list) {
    out_ += '[';
    for (const T& element : list) {
      if (out_.back() != '[') out_ += ',';
      value(element);
    }
    out_ += ']';
  }
  template <class... Ts>
  void list_or_choice(const std::variant<Ts...>& choice) {
    std::visit([this](const auto& chosen) { this->value(chosen); }, choice);
  }

  void name(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }

  /// Appends a string, which must be UTF-8.
  void text(std::string_view characters) {
    const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
    if (std::all_of(characters.begin(), characters.end(), plain)) {
      out_ += '"';
      out_ += characters;
      out_ += '"';
      return;
    }
    const std::size_t start = out_.size();
    out_ += '"';
    for (const char c : characters) escaped(c);
    out_ += '"';
    try {
      check_json(std::string_view(out_).substr(start));
    } catch (const Malformed&) {
      throw Unencodable("a string must be UTF-8");
    }
  }

  void escaped(char c) {
    if (c == '\0' && for_ == For::agent) throw Unencodable("a string must not hold a NUL byte");
    const std::size_t control = json_control_characters.find(c);
    if (control != std::string_view::npos) {
      (out_ += '\\') += json_control_letters[control];
    } else if (static_cast<unsigned char>(c) < ' ') {
      constexpr std::string_view hex = "0123456789abcdef";
      ((out_ += "\\u00") += hex[static_cast<std::size_t>(c >> 4)]) += hex[c & 15];
    } else {
      if (c == '"' || c == '\\') out_ += '\\';
      out_ += c;
    }
  }

  template <class Json>
  static bool has_nul(const Json& json) {
    if (json.is_string()) {
      return json.template get_ref<const std::string&>().find('\0') != std::string::npos;
    }
    if (!json.is_structured()) return false;
    for (const auto& [key, value] : json.items()) {
      if (key.find('\0') != std::string::npos || has_nul(value)) return true;
    }
    return false;
  }

  template <class Json>
  static std::string dumped(const Json& json) {
    try {
      return json.dump();
    } catch (const typename Json::type_error&) {
      throw Unencodable("a string must be UTF-8");
    }
  }

  std::string& out_;
  const For for_;
};

/// Whether the name of a request's command is that of its type; a request made by hand has its own.
template <class R>
inline constexpr bool has_constant_name = requires {
  std::string_view(*&R::command);
};

/// The agent's lexer accepts less than 64 MiB; an id, and maybe a sync, are added to the text.
inline constexpr std::size_t max_request_size = (64 << 20) - 256;

/// Appends a request up to where its id goes: `{"execute":"...","arguments":{...}`.
/// @throws RequestError that says what the caller did wrong
template <Request R>
void encode_into(std::string& out, const R& request) {
  out += "{\"execute\":";
  Encoder encoder(out);
  try {
    if constexpr (has_constant_name<R>) {
      ((out += '"') += R::command) += '"';
    } else {
      encoder.value(std::string_view(request.command));
    }
    if constexpr (std::is_empty_v<R>) return;
    constexpr std::string_view arguments = ",\"arguments\":{";
    const std::size_t before = out.size();
    out += arguments;
    R::fields(request, encoder);
    if (out.size() == before + arguments.size()) {
      out.resize(before);
    } else {
      out += '}';
    }
  } catch (const Unencodable& error) {
    std::rethrow_exception(wrong_argument(request.command, error.what()));
  }
  if (out.size() >= max_request_size) {
    std::rethrow_exception(wrong_argument(request.command, "a request must be shorter than 64 MiB",
                                          std::errc::message_size));
  }
}

}  // namespace qga::detail
