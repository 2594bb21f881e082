// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The handshake that brings a channel into sync: 0xFF resets the agent's parser,
// `guest-sync-delimited` with a random id marks the point in the input from which replies are ours,
// and a ping shows whether this agent echoes ids. This header writes it and reads its answers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/output.hpp"
#include "qga/detail/protocol/random.hpp"
#include "qga/params.hpp"

namespace qga::detail {

class Handshake {
 public:
  /// A handshake without an answer may have gone to a guest that then rebooted, so it is repeated:
  /// first after this time, then after twice as long, and so on up to the longest.
  static constexpr Clock::duration first_interval = std::chrono::seconds(4);
  static constexpr Clock::duration longest_interval = std::chrono::seconds(32);

  /// Appends a new handshake.
  void begin(std::string& out, Clock::time_point now) {
    repeats_at_ = now + interval_;
    interval_ = std::min(2 * interval_, longest_interval);
    const auto random = random_bits();
    constexpr auto exact = (std::uint64_t{1} << 53) - 1;  // every JSON library keeps such a number
    sync_id_ = (random[0] & exact) | 1;
    ping_id_ = random[1] >> 34;  // short: every digit of an id costs time at both ends
    out += '\xFF';
    append_sync(out, sync_id_);
    out += "}\n{\"execute\":\"guest-ping\"";
    append_id(out, ping_id_);
    out += "}\n";
  }

  /// The time at which the latest handshake is given up and another one begins.
  Clock::time_point repeats_at() const { return repeats_at_; }
  /// An agent has answered, or there is another channel: the next repeat comes soon again.
  void reset_interval() { interval_ = first_interval; }

  /// Whether the line that follows a sentinel answers the latest handshake's sync.
  bool is_synced_by(const Envelope& envelope) const {
    return envelope.returns(std::to_string(sync_id_));
  }

  enum class Ids { echoed, none, unclear, foreign };

  /// What the answer to the ping says of the agent. QEMU 4.0 and later echo its id, 2.12 answers
  /// without one, others reject it.
  Ids learn(const Envelope& envelope) {
    if (envelope.has_id && envelope.id != ping_id_) return Ids::foreign;
    reset_interval();
    const bool said_before = std::exchange(without_ids_, !envelope.has_id);
    if (envelope.has_id) return Ids::echoed;
    // The error that a stray byte provokes and a sync's reply that comes twice have no id either.
    // If one were mistaken for the ping's answer, all later replies would be shifted by one.
    return said_before || answers_without_id(envelope) ? Ids::none : Ids::unclear;
  }

  /// The ids of requests count on from here.
  std::uint64_t ping_id() const { return ping_id_; }

 private:
  /// Whether the answer can only be the ping's: the agent ignored the id, or complains about it.
  static bool answers_without_id(const Envelope& envelope) {
    return envelope.returns("{}") ||
           (envelope.refused && envelope.reply.text().find("'id'") != std::string_view::npos);
  }

  std::uint64_t sync_id_ = 0;
  std::uint64_t ping_id_ = 0;
  bool without_ids_ = false;  ///< the last ping seemed to be answered without an id
  Clock::time_point repeats_at_ = {};
  Clock::duration interval_ = first_interval;
};

}  // namespace qga::detail
