// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a request says of itself beside its fields, and its text on the wire.
// A request is a described type with `using Reply` and `static constexpr std::string_view command`;
// everything else has a default that it may override.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

#include "qga/params.hpp"
#include "qga/protocol/encode.hpp"
#include "qga/protocol/scan.hpp"

namespace qga::protocol {

template <class T>
concept Request = Described<T> && requires(const T& request) {
  typename T::Reply;
  { request.command } -> std::convertible_to<std::string_view>;
};

/// How a request is treated on its way.
struct Handling {
  Limits limits;
  /// False: the agent answers only a failure (`success-response: false` in its interface), so a
  /// sync goes right behind the request and tells acceptance from refusal.
  bool success_response = true;
  /// True: executed late it does harm that nobody is there to undo, so it is only sent right behind
  /// an answer to a fresh handshake.
  bool never_late = false;
};

/// A list of 20 000 CPUs or memory blocks fits, and whatever comes takes no more memory than three
/// such replies are long.
inline constexpr Limits structured_limits{16 << 20, 16, 1 << 17, 1 << 20};
/// For an empty reply or a number: what is left is the text of an error.
inline constexpr Limits simple_limits{64 << 10, 16, 1 << 10};

template <class Reply>
constexpr Limits default_limits() {
  using IsSimple = std::disjunction<std::is_void<Reply>, std::is_arithmetic<Reply>>;
  return IsSimple::value ? simple_limits : structured_limits;
}

template <Request R>
Handling handling_of(const R& request) {
  if constexpr (requires { request.handling(); }) return request.handling();
  Handling handling{default_limits<typename R::Reply>()};
  if constexpr (requires { request.limits(); }) handling.limits = request.limits();
  if constexpr (requires { R::success_response; }) handling.success_response = R::success_response;
  if constexpr (requires { R::never_late; }) handling.never_late = R::never_late;
  return handling;
}

/// How long the command may take where the caller says nothing.
template <Request R>
Clock::duration timeout_of(const R& request) {
  if constexpr (requires { request.timeout(); }) {
    return request.timeout();
  } else {
    return default_timeout;
  }
}

/// Appends the request up to where its id goes: `{"execute":"...","arguments":{...}`.
/// @throws Unencodable
template <Request R>
void encode_request(const R& request, std::string& out) {
  out += "{\"execute\":";
  Encoder encoder(out);
  encoder.value(std::string_view(request.command));
  constexpr std::string_view arguments = ",\"arguments\":{";
  const std::size_t before = out.size();
  out += arguments;
  R::fields(request, encoder);
  if (out.size() == before + arguments.size()) {
    out.resize(before);
  } else {
    out += '}';
  }
}

}  // namespace qga::protocol
