// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What must come of a text, found on another way than the library's: nlohmann/json parses it, and
// its values are walked by the field tables.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "decoded.hpp"
#include "qga/detail/protocol/json.hpp"

namespace qga::test {

/// What a decoder makes of a text: a value, or what it says instead.
template <class T>
struct Made {
  std::optional<T> value = {};
  std::string error = {};
  bool operator==(const Made&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Made& shown) {
    return out << (shown.value ? nlohmann::json(*shown.value).dump() : shown.error);
  }
};

/// nlohmann/json passes over a byte order mark at the start of a text, and takes a NUL for its end.
inline std::optional<nlohmann::json> parsed(std::string_view text) {
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xEF\xBB\xBF")) return {};
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return {};
  return json;
}

/// A visitor of field tables, over a parsed object.
class DomDecoder {
 public:
  struct Refused {
    std::string path;
    std::string expected;
    std::string text() const {
      return path.empty() ? expected : "member '" + path + "': " + expected;
    }
  };

  explicit DomDecoder(const nlohmann::json& object) : object_(object) {
    require(object.is_object(), "expected an object");
  }

  template <class T>
  void operator()(std::string_view key, T& member) {
    within(std::string(key), [&] {
      require(object_.contains(key), "is missing");
      value(object_.at(std::string(key)), member);
    });
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& member) {
    if (is_given(key)) (*this)(key, member.emplace());
  }
  template <class T>
  void operator()(std::string_view key, T& member, const T& where_missing) {
    is_given(key) ? (*this)(key, member) : void(member = where_missing);
  }
  void bytes(std::string_view key, std::string& member) {
    (*this)(key, member);
    within(std::string(key), [&] {
      require(qga::detail::base64_decode(std::string(member), member), "expected base64");
    });
  }
  void bytes(std::string_view key, std::optional<std::string>& member) {
    if (is_given(key)) bytes(key, member.emplace());
  }

  template <class T>
  static void value(const nlohmann::json& from, T& to) {
    if constexpr (std::is_same_v<T, bool>) {
      require(from.is_boolean(), "expected true or false");
      to = from.get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      require(from.is_string(), "expected a string");
      to = from.get<std::string>();
    } else if constexpr (std::is_integral_v<T>) {
      if (from.is_number_float()) return whole(from.get<double>(), to);
      const bool fits = from.is_number_unsigned() ? std::in_range<T>(from.get<std::uint64_t>())
                                                  : from.is_number_integer() &&
                                                        std::in_range<T>(from.get<std::int64_t>());
      require(fits, "expected an integer in range");
      to = from.get<T>();
    } else if constexpr (std::is_floating_point_v<T>) {
      require(from.is_number(), "expected a number");
      to = from.get<T>();
    } else if constexpr (qga::NamedEnum<T>) {
      require(from.is_string(), "expected a string");
      to = qga::enum_from_wire<T>(from.get<std::string>());
    } else if constexpr (qga::Described<T>) {
      DomDecoder decoder(from);
      T::fields(to, decoder);
    } else {
      several(from, to);
    }
  }

 private:
  bool is_given(std::string_view key) const {
    return object_.contains(key) && !object_.at(std::string(key)).is_null();
  }

  /// A whole number in floating notation. Both ends of the range are powers of two.
  template <class T>
  static void whole(double number, T& to) {
    const auto exact = static_cast<long double>(number);
    const auto highest = static_cast<long double>(std::numeric_limits<T>::max());
    const auto lowest = std::is_signed_v<T> ? -highest : 0.0L;
    const bool fits = exact <= highest && exact >= lowest && std::floor(exact) == exact;
    require(fits, "expected an integer in range");
    to = static_cast<T>(exact);
  }

  static void require(bool holds, const char* expected) {
    if (!holds) throw Refused{"", expected};
  }

  template <class Read>
  static void within(const std::string& outer, Read read) {
    try {
      read();
    } catch (Refused& refused) {
      const bool joined = refused.path.empty() || refused.path.front() == '[';
      refused.path.insert(0, outer + (joined ? "" : "."));
      throw;
    }
  }

  template <class T>
  static void several(const nlohmann::json& from, std::vector<T>& to) {
    if (from.is_null()) return;
    require(from.is_array(), "expected a list");
    for (std::size_t i = 0; i < from.size(); ++i) {
      within("[" + std::to_string(i) + "]", [&] { value(from[i], to.emplace_back()); });
    }
  }
  template <class... Ts>
  static void several(const nlohmann::json& from, std::variant<Ts...>& to) {
    const auto fits = [&](auto made) {
      try {
        value(from, made);
      } catch (const Refused&) {
        return false;
      }
      to = std::move(made);
      return true;
    };
    require((fits(Ts()) || ...), "expected another type");
  }

  const nlohmann::json& object_;
};

template <class T>
Made<T> by_dom(std::string_view text) {
  const auto json = parsed(text);
  if (!json) return {.error = "malformed"};
  try {
    T value{};
    DomDecoder::value(*json, value);
    return {.value = std::move(value)};
  } catch (const DomDecoder::Refused& refused) {
    return {.error = refused.text()};
  }
}

template <class T>
Made<T> by_text(std::string_view text) {
  try {
    return {.value = decoded<T>(text)};
  } catch (const qga::detail::Malformed&) {
    return {.error = "malformed"};
  } catch (const qga::detail::WrongShape& error) {
    return {.error = error.what()};
  }
}

/// By the library's conversion from a parsed text.
template <class T>
Made<T> by_json(std::string_view text) {
  const auto json = parsed(text);
  if (!json) return {.error = "malformed"};
  try {
    T value{};
    qga::detail::decode_value(qga::detail::JsonValue<nlohmann::json>(&*json), value);
    return {.value = std::move(value)};
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what = error.what();
    return {.error = std::string(what.substr(what.find("] ") + 2))};
  }
}

}  // namespace qga::test
