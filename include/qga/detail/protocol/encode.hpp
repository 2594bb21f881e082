// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Turns types into JSON by their field tables, and requests into the text that goes on the wire.
// nlohmann/json writes all of it but the envelope and the base64 payloads, which are long.
// Functions are templates over its type, so that a program without arguments compiles no writer.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <variant>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

/// An argument cannot be put on the wire. `encode_into` catches it, because it knows the command.
struct Unencodable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A visitor of field tables that fills a JSON object.
template <class Json>
class ObjectWriter {
 public:
  /// The reader of the JSON. An agent does not know the enumerator `unknown`, so it is refused for
  /// it; for a user it is null.
  enum class For { agent, user };

  explicit ObjectWriter(Json& object, For whom) : object_(object), for_(whom) {
    object = Json::object();
  }

  template <class T>
  void operator()(std::string_view key, const T& member) {
    write(object_[std::string(key)], member);
  }
  template <class T>
  void operator()(std::string_view key, const std::optional<T>& member) {
    if (member) (*this)(key, *member);
  }
  template <class T>
  void operator()(std::string_view key, const T& member, const T&) {
    (*this)(key, member);
  }

  void bytes(std::string_view key, std::string_view member) {
    std::string text;
    base64_encode(member, text);
    object_[std::string(key)] = std::move(text);
  }
  template <class Bytes>
  void bytes(std::string_view key, const std::optional<Bytes>& member) {
    if (member) bytes(key, *member);
  }

  template <class T>
  static void write(Json& to, const T& from, For whom) {
    if constexpr (std::is_same_v<T, nlohmann::json> || std::is_arithmetic_v<T>) {
      to = from;
    } else if constexpr (NamedEnum<T>) {
      const std::string_view name = wire_name(from);
      if (name.empty() && whom == For::agent) {
        throw Unencodable("the enumerator 'unknown' has no wire name: use another one");
      }
      name.empty() ? to = nullptr : to = std::string(name);
    } else if constexpr (Described<T>) {
      ObjectWriter writer(to, whom);
      T::fields(from, writer);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      to = std::string(std::string_view(from));
    } else if constexpr (std::is_same_v<T, Clock::duration>) {
      to = std::chrono::duration<double>(from).count();
    } else if constexpr (std::is_same_v<T, std::error_code>) {
      to["value"] = from.value();
      to["category"] = std::string(from.category().name());
      to["message"] = from.message();
    } else if constexpr (is_member_optional<T>) {
      from ? write(to, *from, whom) : void(to = nullptr);
    } else if constexpr (is_member_list<T>) {
      to = Json::array();
      for (const auto& element : from) write(to.emplace_back(), element, whom);
    } else {
      check_member_type<T>();
      if constexpr (is_member_choice<T>) {
        std::visit([&](const auto& chosen) { write(to, chosen, whom); }, from);
      }
    }
  }

 private:
  template <class T>
  void write(Json& to, const T& from) {
    write(to, from, for_);
  }

  Json& object_;
  const For for_;
};

/// A visitor of field tables that fills the arguments of a request, without the payloads.
template <class Json>
class ArgumentsWriter : public ObjectWriter<Json> {
 public:
  explicit ArgumentsWriter(Json& object)
      : ObjectWriter<Json>(object, ObjectWriter<Json>::For::agent) {}
  template <class Bytes>
  void bytes(std::string_view, const Bytes&) {}
};

/// A visitor of field tables that appends the payloads of a request, as base64, to the text of an
/// object whose end is missing.
class PayloadWriter {
 public:
  explicit PayloadWriter(std::string& out) : out_(out) {}

  template <class... Ts>
  void operator()(std::string_view, const Ts&...) {}
  void bytes(std::string_view key, std::string_view member) {
    if (out_.back() != '{') out_ += ',';
    ((out_ += '"') += key) += "\":\"";
    base64_encode(member, out_);
    out_ += '"';
  }
  template <class Bytes>
  void bytes(std::string_view key, const std::optional<Bytes>& member) {
    if (member) bytes(key, *member);
  }

 private:
  std::string& out_;
};

/// The agent silently cuts a string at a NUL.
inline void check_text(const std::string& text) {
  if (text.find('\0') != std::string::npos) {
    throw Unencodable("a string must not hold a NUL byte");
  }
}

/// Refuses values that nlohmann/json would write as others, or as no JSON. @throws Unencodable
template <class Json>
void check_for_agent(const Json& json) {
  if (json.is_string()) return check_text(json.template get_ref<const std::string&>());
  if (json.is_number_float() && !std::isfinite(json.template get<double>())) {
    throw Unencodable("a number must be finite");
  }
  if (json.is_discarded() || json.is_binary()) {
    throw Unencodable("a value must not be binary or discarded");
  }
  if (json.is_array()) {
    for (const auto& element : json) check_for_agent(element);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      check_text(key);
      check_for_agent(value);
    }
  }
}

/// The text of what an agent is to get. @throws Unencodable
template <class Json>
std::string text_for_agent(const Json& json) {
  check_for_agent(json);
  try {
    return json.dump();
  } catch (const typename Json::type_error&) {
    throw Unencodable("a string must be UTF-8");
  }
}

/// Whether the name of a request's command is that of its type; a request made by hand has its own.
template <class R>
inline constexpr bool has_constant_name = requires {
  std::string_view(*&R::command);
};

/// Appends the arguments of a request, if it has any. @throws Unencodable
template <class Json, Request R>
void encode_arguments(std::string& out, const R& request) {
  Json arguments;
  ArgumentsWriter<Json> writer(arguments);
  R::fields(request, writer);
  const std::size_t before = out.size();
  out += ",\"arguments\":";
  out += text_for_agent(arguments);
  out.pop_back();
  PayloadWriter payloads(out);
  R::fields(request, payloads);
  out.back() == '{' ? out.resize(before) : out.push_back('}');
}

/// The agent's lexer accepts less than 64 MiB; an id, and maybe a sync, are added to the text.
inline constexpr std::size_t max_request_size = (64 << 20) - 256;

/// Appends a request up to where its id goes: `{"execute":"...","arguments":{...}`.
/// @throws RequestError that says what the caller did wrong
template <Request R>
void encode_into(std::string& out, const R& request) {
  out += "{\"execute\":";
  try {
    if constexpr (has_constant_name<R>) {
      ((out += '"') += R::command) += '"';
    } else {
      out += text_for_agent(nlohmann::json(std::string(request.command)));
    }
    // A type that is empty may have a table all the same, of arguments that never change.
    if constexpr (!(std::is_empty_v<R> && std::is_base_of_v<NoArguments, R>)) {
      encode_arguments<nlohmann::json>(out, request);
    }
  } catch (const Unencodable& error) {
    std::rethrow_exception(wrong_argument(request.command, error.what()));
  }
  if (out.size() >= max_request_size) {
    std::rethrow_exception(wrong_argument(request.command, "a request must be shorter than 64 MiB",
                                          std::errc::message_size));
  }
}

}  // namespace qga::inline v0_1::detail
