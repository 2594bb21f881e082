// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The field table: each protocol type names its members once, and encoding, decoding and the tests
// read the same table. A type has
//
//   template <class Self, class Visitor>
//   static void fields(Self& self, Visitor& visit) {
//     visit("count", self.count);            // a plain member
//     visit.bytes("buf-b64", self.buf_b64);  // base64 on the wire, bytes in memory
//   }
//
// A visitor is called with the wire name and the member.
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace qga::protocol {

struct AnyVisitor {
  template <class T>
  void operator()(std::string_view, T&) {}
  template <class T>
  void bytes(std::string_view, T&) {}
  template <class T>
  void raw(std::string_view, T&) {}
};

/// A type with a field table.
template <class T>
concept Described = requires(T& value, AnyVisitor& visit) {
  T::fields(value, visit);
};

/// An enumeration with `wire_names(E)`, an array of the wire names in the order of its enumerators.
/// Its enumerator `unknown` stands for every name that is not in there.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires {
  wire_names(E{});
};

/// The wire name; empty for an `unknown` that has none.
template <NamedEnum E>
constexpr std::string_view wire_name(E value) {
  constexpr auto names = wire_names(E{});
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : std::string_view();
}

template <NamedEnum E>
constexpr E enum_from_wire(std::string_view name) {
  constexpr auto names = wire_names(E{});
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return E::unknown;
}

}  // namespace qga::protocol
