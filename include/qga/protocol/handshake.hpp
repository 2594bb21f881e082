// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The handshake that brings a channel into sync: 0xFF resets the agent's parser,
// `guest-sync-delimited` with a random id marks the point in the input from which replies are ours,
// and a ping shows whether this agent echoes ids. Its texts and what the answers to them mean.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "qga/params.hpp"
#include "qga/protocol/random.hpp"
#include "qga/protocol/request.hpp"
#include "qga/protocol/scan.hpp"

namespace qga::protocol {

inline void append_id(std::string& out, std::uint64_t id) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, id).ptr;
  out += ",\"id\":";
  out.append(digits, end);
}

/// Appends the request for a sentinel and `sync_id`, but not its end.
inline void append_sync(std::string& out, std::uint64_t sync_id) {
  out += "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":";
  out += std::to_string(sync_id);
  out += '}';
}

class Handshake {
 public:
  /// One that is not answered may have gone to a guest that then rebooted, and is repeated: first
  /// after this time, then after twice as long, and so on to the longest.
  static constexpr Clock::duration first_patience = std::chrono::seconds(4);
  static constexpr Clock::duration longest_patience = std::chrono::seconds(32);

  /// Appends a new one.
  void begin(std::string& out, Clock::time_point now) {
    repeats_at_ = now + patience_;
    patience_ = std::min(2 * patience_, longest_patience);
    const auto random = random_bits();
    constexpr auto exact = (std::uint64_t{1} << 53) - 1;  // any JSON library takes it unharmed
    sync_id_ = (random[0] & exact) | 1;
    ping_id_ = random[1] >> 34;  // short: an id costs both ends at every digit
    out += '\xFF';
    append_sync(out, sync_id_);
    out += "}\n{\"execute\":\"guest-ping\"";
    append_id(out, ping_id_);
    out += "}\n";
  }

  /// When to give up the latest and to begin another.
  Clock::time_point repeats_at() const { return repeats_at_; }
  /// An agent is there, or another channel.
  void forget_patience() { patience_ = first_patience; }

  /// Whether the line that follows a sentinel answers the latest one's sync.
  bool is_synced_by(std::string_view line) const {
    try {
      return parse_envelope(line, simple_limits).result == std::to_string(sync_id_);
    } catch (const Malformed&) {
      return false;
    }
  }

  enum class Ids { echoed, none, unclear, foreign };

  /// What the answer to the ping says of the agent. QEMU 4.0 and later echo its id, 2.12 answers
  /// without one, others reject it.
  Ids learn(const Envelope& envelope) {
    if (envelope.has_id && envelope.id != ping_id_) return Ids::foreign;
    patience_ = first_patience;
    const bool said_before = std::exchange(without_ids_, !envelope.has_id);
    if (envelope.has_id) return Ids::echoed;
    // The error that a stray byte provokes and a sync's reply that comes twice have no id either.
    // Taken for the ping's, they would shift all later replies by one.
    return said_before || answers_without_id(envelope) ? Ids::none : Ids::unclear;
  }

  /// Ids count on from here.
  std::uint64_t ping_id() const { return ping_id_; }

 private:
  /// Whether it can be nothing else than the ping's: the id passed over, or named as what is wrong.
  static bool answers_without_id(const Envelope& envelope) {
    return envelope.error.empty() ? envelope.result == "{}"
                                  : envelope.error.find("'id'") != std::string_view::npos;
  }

  std::uint64_t sync_id_ = 0;
  std::uint64_t ping_id_ = 0;
  bool without_ids_ = false;  ///< the last ping seemed to be answered without one
  Clock::time_point repeats_at_ = {};
  Clock::duration patience_ = first_patience;
};

}  // namespace qga::protocol
