// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How a request is treated on its way: the limits of its reply, its default time, and what its
// command means for the guest.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "qga/detail/number.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

struct Handling {
  ReplyLimits limits;
  /// False: the agent answers only a failure (`success-response: false` in its interface). A sync
  /// is sent right behind the request, and its reply shows that the command was accepted.
  bool success_response = true;
  /// True: the command does harm when it runs late and nobody is there to undo it, so it is only
  /// sent right behind the answer to a fresh handshake.
  bool never_late = false;
};

/// A SpecialCommand says how a command differs from others, for typed requests and for those that
/// are made by hand.
struct SpecialCommand {
  std::string_view name;
  Clock::duration timeout = default_timeout;
  bool success_response = true;
  bool never_late = false;
  std::optional<ReplyLimits> limits = {};
};

/// The limits of a reply that is nearly all payload.
constexpr ReplyLimits payload_limits(std::size_t bytes) {
  return {bytes, simple_reply_limits.depth, simple_reply_limits.elements};
}

/// The time for a payload on a slow channel: an emulated guest moves 5 MiB/s, a busy one far less.
constexpr Clock::duration transfer_timeout(std::uint64_t bytes) {
  return default_timeout + std::chrono::milliseconds(bytes / 256);
}

inline constexpr SpecialCommand special_commands[] = {
    // Both outputs full, 16 MiB each, make a line of 44 739 370 bytes.
    {"guest-exec-status", std::chrono::seconds(60), true, false, payload_limits(46 << 20)},
    {"guest-file-read", default_timeout, true, false, payload_limits(default_max_reply_size)},
    {"guest-fsfreeze-freeze", std::chrono::minutes(10), true, true},
    {"guest-fsfreeze-freeze-list", std::chrono::minutes(10), true, true},
    {"guest-fsfreeze-thaw", std::chrono::minutes(3)},
    {"guest-fstrim", std::chrono::minutes(10)},
    {"guest-set-time", std::chrono::seconds(30)},  // it runs hwclock
    {"guest-shutdown", std::chrono::seconds(60), false, true},
    {"guest-suspend-disk", std::chrono::seconds(60), false, true},
    {"guest-suspend-hybrid", std::chrono::seconds(60), false, true},
    {"guest-suspend-ram", std::chrono::seconds(60), false, true},
};

constexpr SpecialCommand special_command(std::string_view name) {
  for (const SpecialCommand& special : special_commands) {
    if (special.name == name) return special;
  }
  return {name};
}

/// The table is searched by the compiler where the type of the request has the name.
template <class R>
constexpr SpecialCommand special_of(const R& request) {
  if constexpr (requires { typename std::bool_constant<(R::command.size(), true)>; }) {
    constexpr SpecialCommand special = special_command(R::command);
    return special;
  } else {
    return special_command(request.command);
  }
}

template <class Reply>
constexpr ReplyLimits default_limits() {
  using IsSimple = std::disjunction<std::is_void<Reply>, std::is_arithmetic<Reply>>;
  return IsSimple::value ? simple_reply_limits : structured_reply_limits;
}

template <Request R>
constexpr Handling handling_of(const R& request) {
  const SpecialCommand special = special_of(request);
  Handling handling{special.limits.value_or(default_limits<typename R::Reply>()),
                    special.success_response, special.never_late};
  if constexpr (requires { request.limits(); }) handling.limits = request.limits();
  if constexpr (requires { R::success_response; }) handling.success_response = R::success_response;
  if constexpr (requires { R::never_late; }) handling.never_late = R::never_late;
  return handling;
}

/// How long the command may take where the caller says nothing.
template <Request R>
constexpr Clock::duration timeout_of(const R& request) {
  if constexpr (requires { request.timeout(); }) {
    return request.timeout();
  } else {
    return special_of(request).timeout;
  }
}

/// Whether the command changes nothing in the guest, so that to repeat it does no harm.
constexpr bool only_asks(std::string_view command) {
  constexpr std::array<std::string_view, 8> questions{
      "guest-info",      "guest-ping",      "guest-sync",       "guest-sync-delimited",
      "guest-file-read", "guest-file-seek", "guest-file-close", "guest-ssh-get-authorized-keys"};
  return command.starts_with("guest-get-") || command.starts_with("guest-network-get-") ||
         command.ends_with("-status") ||
         std::find(questions.begin(), questions.end(), command) != questions.end();
}

/// Whether a request changes something in the guest.
template <Request R>
bool has_effect(const R& request) {
  if constexpr (requires { request.has_effect(); }) {
    return request.has_effect();
  } else {
    return !only_asks(request.command);
  }
}

/// The limits of a reply for a client that takes no reply longer than `max_reply_size`. Such a
/// client means to spend less memory; small limits stay as they are.
inline ReplyLimits limited_to(ReplyLimits limits, std::size_t max_reply_size) {
  if (max_reply_size >= limits.bytes) return limits;
  if (limits.string < limits.bytes) {
    const std::uint64_t product = std::uint64_t{limits.string} * max_reply_size;
    limits.string =
        std::max(simple_reply_limits.bytes, number_as<std::size_t>(product / limits.bytes));
  }
  limits.elements = std::min(
      limits.elements, std::max(simple_reply_limits.elements, max_reply_size / bytes_per_element));
  limits.bytes = max_reply_size;
  return limits;
}

}  // namespace qga::inline v0_1::detail
