// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How a request or a reply describes itself, for those who write their own: a command of a vendor's
// agent becomes a struct, and then works wherever the library's own requests do.
//
//   struct DiskModel {
//     std::string vendor;
//     std::optional<std::int64_t> revision;  // a member that may be missing
//
//     static void fields(auto& self, auto& visit) {  // the field table
//       visit("vendor", self.vendor);
//       visit("revision", self.revision);
//     }
//   };
//   struct DiskModelRequest {
//     using Reply = DiskModel;  // void where the agent has nothing to say
//     static constexpr std::string_view command = "guest-vendor-disk-model";
//     std::string device;
//
//     static void fields(auto& self, auto& visit) { visit("device", self.device); }
//   };
//   DiskModel model = ga.execute(DiskModelRequest{"/dev/sda"});
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace qga::inline v0_1 {
namespace detail {

/// A visitor of field tables that does nothing. Every visitor has these members: `visit(name,
/// member)`, `visit(name, member, value)` for a member that has this value where the agent leaves
/// it out, and `visit.bytes(name, member)` for a member that is base64 on the wire and bytes in
/// memory.
struct AnyVisitor {
  template <class T>
  void operator()(std::string_view, T&) {}
  template <class T>
  void operator()(std::string_view, T&, const T&) {}
  template <class T>
  void bytes(std::string_view, T&) {}
};

/// The optionals, lists and choices that a field table may hold.
template <class T>
inline constexpr bool is_member_optional = false;
template <class T>
inline constexpr bool is_member_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_member_list = false;
template <class T>
inline constexpr bool is_member_list<std::vector<T>> = true;
template <class T>
inline constexpr bool is_member_choice = false;
template <class... Ts>
inline constexpr bool is_member_choice<std::variant<Ts...>> = true;

/// Visits the members of a union's branch. A reader makes the branch where it is the one, and
/// leaves none of the others.
void visit_branch(bool is_the_one, auto& branch, auto& visit) {
  if constexpr (requires { branch.emplace(); }) {
    if (!is_the_one) branch.reset();
    if (is_the_one && !branch) branch.emplace();
  }
  if (is_the_one && branch) std::remove_cvref_t<decltype(*branch)>::fields(*branch, visit);
}

/// Says in the compiler's error what would be right, where a type is none of the others.
template <class T>
constexpr void check_member_type() {
  static_assert(is_member_choice<T>,
                "a member in a field table, or a Reply, must be bool, a number, std::string, "
                "nlohmann::json, a named enumeration, a type with a field table of its own, or a "
                "std::vector, std::optional or std::variant of these");
}

}  // namespace detail

/// A type with a field table, which names each member once; encoding, decoding and the conversions
/// to and from `nlohmann::json` read the same table. Members are `bool`, integers, floating point
/// numbers, `std::string`, `nlohmann::json`, `std::vector`, `std::optional` (may be missing),
/// `std::variant`, named enumerations and other types with a field table.
template <class T>
concept Described = requires(T& value, detail::AnyVisitor& visit) {
  T::fields(value, visit);
};

/// An enumeration with a function `wire_names(E)` in its own namespace, which returns an array of
/// the wire names in the order of its enumerators. Its enumerator `unknown`, if it has one, stands
/// for every name that is not in the array; otherwise such a name is an error. All enumerations of
/// the protocol are such.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires {
  wire_names(E{});
};

/// A request: a type with a field table, `using Reply` and the wire name `command`. It may say
/// more: `Clock::duration timeout() const` (the default time; 5 s otherwise), `ReplyLimits limits()
/// const`, `static constexpr bool success_response = false` (the agent answers only a failure),
/// `static constexpr bool never_late = true` (it is only sent right behind an answered handshake)
/// and `bool has_effect() const` (whether it changes the guest, for the outcome of helpers; false
/// for names that begin with `guest-get-` or `guest-network-get-` or end with `-status`).
template <class T>
concept Request = Described<T> && requires(const T& request) {
  typename T::Reply;
  { request.command } -> std::convertible_to<std::string_view>;
};

/// The base of a request without arguments, instead of a field table.
struct NoArguments {
  static void fields(auto&, auto&) {}
};

/// The bounds of a reply. A longer one is a `BadReplyError`.
struct ReplyLimits {
  std::size_t bytes;  ///< of the whole reply
  std::size_t depth;  ///< lists and objects within each other
  /// Values within the reply. A small one takes ten times its size in memory, and a hundred times
  /// in nlohmann/json.
  std::size_t elements;
  /// Characters of a string. nlohmann/json holds one four times while it reads it.
  std::size_t string = std::numeric_limits<std::size_t>::max();
};

/// Bounds for an empty reply or a number. Their size is for the text of an error.
inline constexpr ReplyLimits simple_reply_limits{64 << 10, 16, 1 << 10};
/// A reply may have one element for this many bytes of its limit. So it takes about as much
/// memory as three replies of that limit are long, or less, also as `nlohmann::json`.
inline constexpr std::size_t bytes_per_element = 200;
/// Bounds for everything else. A list of 20 000 CPUs or memory blocks fits.
inline constexpr ReplyLimits structured_reply_limits{16 << 20, 16, (16 << 20) / bytes_per_element,
                                                     1 << 20};

/// The wire name of an enumerator; empty for an `unknown` that has none.
/// @param value the enumerator
template <NamedEnum E>
constexpr std::string_view wire_name(E value) {
  constexpr auto names = wire_names(E{});
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : std::string_view();
}

/// The enumerator that has this wire name. Where none has: `unknown`; nothing for an enumeration
/// without an `unknown`.
/// @param name as on the wire
template <NamedEnum E>
constexpr auto enum_from_wire(std::string_view name) {
  constexpr auto names = wire_names(E{});
  constexpr bool has_unknown = requires { E::unknown; };
  std::optional<E> found;
  for (std::size_t i = 0; i < names.size() && !found; ++i) {
    if (names[i] == name) found = static_cast<E>(i);
  }
  if constexpr (has_unknown) {
    return found.value_or(E::unknown);
  } else {
    return found;
  }
}

}  // namespace qga::inline v0_1
