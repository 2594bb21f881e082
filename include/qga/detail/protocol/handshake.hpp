// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The handshake that brings a channel into sync. A byte 0xFF on a line of its own resets the
// agent's parser; `guest-sync-delimited` with a random id marks the point in the input from which
// replies are ours; a second sync, with an `id`, shows whether this agent echoes ids. Neither
// leaves a line in the guest's log, as a ping would. This header writes it and reads its answers.
//
// Some agents end at a byte 0xFF, and some lose what comes in one read behind a request. So after 4
// s without an answer comes a plain form: without 0xFF, and with the second request only after the
// first one is answered. What has worked is kept for the connection.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/output.hpp"
#include "qga/detail/protocol/random.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

class Handshake {
 public:
  /// A handshake without an answer may have gone to a guest that then rebooted, so it is repeated:
  /// first after this time, then, when both forms were tried, after twice as long, and so on up to
  /// the longest.
  static constexpr Clock::duration first_interval = std::chrono::seconds(4);
  static constexpr Clock::duration longest_interval = std::chrono::seconds(32);

  /// Appends a new handshake; of the plain form, the first request.
  /// @param behind_part the agent may have a part of a request
  void begin(std::string& out, Clock::time_point now, bool behind_part) {
    // An agent may have been replaced, or never have needed the plain form: both are tried again.
    if (plain_ && has_worked_ && misses_ >= most_misses) {
      has_worked_ = false;
      interval_ = first_interval;
    }
    if (!form_since_) form_since_ = now;
    if (!has_worked_ && now - *form_since_ >= first_interval) {
      plain_ = !plain_;
      form_since_ = now;
    }
    repeats_at_ = now + interval_;
    if (plain_ || has_worked_) interval_ = std::min(2 * interval_, longest_interval);
    const auto random = random_bits();
    // Some agents write 15 digits of a number.
    constexpr std::uint64_t most = 999'999'999'999'999;
    sync_id_ = random[0] % most + 1;
    second_id_ = random[1] >> 34;  // short: every digit of an id costs time at both ends
    if (!plain_) usual_id_ = second_id_;
    // The newline ends a line of which the agent may have a part. In the plain form it is left out
    // as long as nothing was lost, because some agents read no further than an empty line.
    if (!plain_ || behind_part || (has_worked_ && misses_ > 0)) out += '\n';
    ++misses_;
    if (!plain_) out += "\xFF\n";
    append_sync(out, "guest-sync-delimited", sync_id_);
    out += "}\n";
    if (!plain_) append_second(out, "guest-sync");
  }

  /// Notes that the sync is answered. Appends the second request of a plain handshake: an agent may
  /// know no other sync than this.
  void on_synced(std::string& out) {
    misses_ = 0;
    if (plain_) append_second(out, "guest-sync-delimited");
  }

  /// The time at which the latest handshake is given up and another one begins.
  Clock::time_point repeats_at() const { return repeats_at_; }

  /// Whether the agent may get one request at a time only.
  bool is_plain() const { return plain_; }

  /// Whether the line that follows a sentinel answers the latest handshake's sync.
  bool is_synced_by(const Envelope& envelope) const { return envelope.returns(sync_id_); }

  /// Whether an agent that was only slow may still answer an earlier handshake.
  bool is_late_answer_due() const { return plain_ && !has_worked_ && usual_id_.has_value(); }
  /// Notes a line that came before the sync's answer: such an agent understands the usual form.
  void note(const Envelope& envelope) {
    if (is_late_answer_due() && envelope.id == usual_id_) understands_usual_ = true;
  }

  /// `repeated`: the sync's answer came twice, and does so in each handshake.
  enum class Ids { echoed, none, unclear, foreign, repeated };

  /// Tells by the answer to the second request what the agent does with ids. QEMU 4.0 and later
  /// echo them, 2.12 answers without them, others reject them.
  Ids learn(const Envelope& envelope) {
    if (envelope.has_id && envelope.id != second_id_) return Ids::foreign;
    interval_ = first_interval;
    if (!envelope.has_id && is_synced_by(envelope)) {
      return std::exchange(repeats_syncs_, true) ? Ids::repeated : Ids::unclear;
    }
    const bool said_before = std::exchange(without_ids_, !envelope.has_id);
    // The error that a stray byte provokes and the answer to an earlier sync have no id either. If
    // one were mistaken for this answer, all later replies would be shifted by one.
    if (!envelope.has_id && !said_before && !answers_without_id(envelope)) return Ids::unclear;
    has_worked_ = true;
    plain_ = plain_ && !understands_usual_;
    return envelope.has_id ? Ids::echoed : Ids::none;
  }

  /// The ids of requests count on from here.
  std::uint64_t last_id() const { return second_id_; }

  /// Whether a line is the reply to an earlier request, which may come between the requests of a
  /// plain handshake.
  bool is_late(const Envelope& envelope) const {
    return plain_ && envelope.has_id && envelope.id != second_id_;
  }

 private:
  /// Plain handshakes without an answer after which the other form is tried again.
  static constexpr int most_misses = 4;

  void append_second(std::string& out, std::string_view command) const {
    append_sync(out, command, second_id_);
    append_id(out, second_id_);
    out += "}\n";
  }

  /// Whether this can only be the answer: the agent ignored the id, or complains about it.
  bool answers_without_id(const Envelope& envelope) const {
    return envelope.returns(second_id_) ||
           (envelope.refused && envelope.reply.text().find("'id'") != std::string_view::npos);
  }

  std::uint64_t sync_id_ = 0;
  std::uint64_t second_id_ = 0;
  std::optional<std::uint64_t> usual_id_;  ///< the second id of the latest that was not plain
  bool plain_ = false;                     ///< the form of the latest handshake
  bool has_worked_ = false;                ///< that form was answered to its end
  bool understands_usual_ = false;         ///< the agent has answered the other form, though late
  int misses_ = 0;                         ///< syncs in a row without an answer
  bool without_ids_ = false;               ///< the last answer had no id
  bool repeats_syncs_ = false;             ///< the agent has said a sync's answer twice
  std::optional<Clock::time_point> form_since_;
  Clock::time_point repeats_at_ = {};
  Clock::duration interval_ = first_interval;
};

}  // namespace qga::inline v0_1::detail
