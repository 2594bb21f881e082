// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What must hold of a session that was spoilt, judged by what went over the line and by what the
// agent executed, never by what the library thinks.
#pragma once

#include "cuts.hpp"

namespace cuts {

/// What the client sent whole: handshakes and steps, with where each begins.
struct Sent {
  std::size_t at;
  std::size_t size;                 ///< of its line
  std::optional<std::size_t> step;  ///< none: a handshake
  std::string sync_reply = {};      ///< what answers the handshake
};

/// A session and what is wrong with it; nothing, as a rule.
struct Judged {
  Played played = {};
  std::vector<std::string> complaints = {};
  bool damage = false;  ///< no deadline, however short, excuses it
};

class Oracle {
 public:
  /// @param tolerance what a deadline may be overrun by; on a slow machine, a lot
  /// @param is_plain whether handshakes have no 0xFF
  explicit Oracle(const Script& script, Clock::duration tolerance = 5s, bool is_plain = false)
      : script_(script), tolerance_(tolerance), is_plain_(is_plain) {}

  /// @param agent null where it cannot be asked
  Judged judge(Played played, const std::optional<Fault>& fault, const ReplayAgent* agent) const {
    Judged judged{std::move(played)};
    for (std::size_t i = 0; i < judged.played.results.size(); ++i) {
      if (fault && script_.steps[i].silent() && hides_silence(fault->effect)) continue;
      judge_end(judged, i, fault);
      if (agent != nullptr) judge_execution(judged, i, fault, *agent);
    }
    judge_order(judged);
    return judged;
  }

  /// What is refused or accepted in silence shows only by the order of the answers; and an agent
  /// that ends at a byte 0xFF does not say what became of the request before.
  bool hides_silence(Effect effect) const {
    return effect == Effect::reorder ||
           (is_plain_ && (effect == Effect::stray || effect == Effect::garble));
  }

  /// What the client sent whole, in order.
  std::vector<Sent> sent(std::string_view written) const {
    std::vector<Sent> found;
    for (std::size_t at = 0, end = 0; at < written.size(); at = end) {
      // A handshake may cut a request that was half written.
      end = std::min(written.size(),
                     std::min(written.find('\n', at), written.find('\xFF', at + 1) - 1) + 1);
      const std::string_view line = written.substr(at, end - at);
      constexpr std::string_view sync =
          "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":";
      // The sync behind a silent command belongs to it, but for an agent of plain handshakes.
      const bool belongs = !is_plain_ && !found.empty() && found.back().step &&
                           found.back().at + found.back().size == at &&
                           script_.steps[*found.back().step].silent();
      const bool begins =
          written.substr(0, at).ends_with("\xFF\n") || (!belongs && line.ends_with("}}\n"));
      if (line.starts_with(sync) && begins) {
        const std::string_view rest = line.substr(sync.size());
        found.push_back({at,
                         line.size(),
                         {},
                         "\xFF{\"return\": " + std::string(rest.substr(0, rest.find('}'))) + "}"});
      }
      for (std::size_t i = 0; i < script_.steps.size(); ++i) {
        if (line.starts_with(script_.steps[i].wire)) found.push_back({at, line.size(), i});
      }
    }
    return found;
  }

 private:
  /// How a call ended, and when.
  void judge_end(Judged& judged, std::size_t i, const std::optional<Fault>& fault) const {
    const Result& result = judged.played.results[i];
    const Step& step = script_.steps[i];
    if (result.end == End::success && !result.right) damage(judged, i, "got another's reply");
    if (result.end == End::success && step.refused()) damage(judged, i, "was refused: a success");
    if (result.end == End::refused && !step.refused()) damage(judged, i, "was not refused");
    if (result.end == End::timeout && result.overshoot < Clock::duration::zero()) {
      damage(judged, i, "ended before its deadline");
    }
    if (result.overshoot > tolerance_) complain(judged, i, "ended long after its deadline");
    if (as_recorded(result, step)) return;
    if (!may_end(result.end, fault)) complain(judged, i, "ended as it should not");
    if (!result.after_strike) complain(judged, i, "failed before anything happened");
    for (std::size_t before = 0; before < i; ++before) {
      const Result& other = judged.played.results[before];
      if (other.batch < result.batch && !as_recorded(other, script_.steps[before])) {
        return complain(judged, i, "failed when the fault was over");
      }
    }
  }

  /// What the agent made of it.
  void judge_execution(Judged& judged, std::size_t i, const std::optional<Fault>& fault,
                       const ReplayAgent& agent) const {
    const Result& result = judged.played.results[i];
    const int times = agent.executed(i);
    if (times > 1) damage(judged, i, "was executed twice");
    if (as_recorded(result, script_.steps[i])) {
      if (times == 0) damage(judged, i, "was not executed");
      return;
    }
    if (result.outcome == Outcome::not_sent && times > 0) damage(judged, i, "was not 'not sent'");
    if (was_answered(agent.answered(i), fault)) complain(judged, i, "lost a reply that arrived");
  }

  static bool as_recorded(const Result& result, const Step& step) {
    return result.end == (step.refused() ? End::refused : End::success);
  }

  void complain(Judged& judged, std::size_t i, const std::string& what) const {
    const std::string& error = judged.played.results[i].what;
    judged.complaints.push_back(script_.steps[i].command + " (" + std::to_string(i) + ") " + what +
                                (error.empty() ? "" : ": " + error));
  }
  void damage(Judged& judged, std::size_t i, const std::string& what) const {
    judged.damage = true;
    complain(judged, i, what);
  }

  static bool may_end(End end, const std::optional<Fault>& fault) {
    if (!fault) return false;
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& candidate) {
      return candidate.effect == fault->effect;
    });
    return std::find(kind->ends.begin(), kind->ends.end(), end) != kind->ends.end();
  }

  /// Whether a reply reached the client before the fault could spoil it.
  static bool was_answered(std::size_t end_of_reply, const std::optional<Fault>& fault) {
    if (!fault || end_of_reply == 0 || fault->effect == Effect::reset) return false;
    return fault->way == Way::to_client ? end_of_reply <= fault->at : fault->effect == Effect::eof;
  }

  /// Nothing but handshakes goes to a channel that has not answered one since it became doubtful.
  void judge_order(Judged& judged) const {
    const Played& played = judged.played;
    const std::vector<Sent> all = sent(played.line.written());
    const Sent* handshake = nullptr;
    const Sent* before = nullptr;
    for (const Sent& one : all) {
      if (!one.step) {
        handshake = &one;
      } else if (handshake == nullptr) {
        damage(judged, *one.step, "was sent without a handshake");
      } else {
        if (played.line.arrived_before(one.at).find(handshake->sync_reply) == std::string::npos) {
          damage(judged, *one.step, "was sent before the handshake was answered");
        }
        if (script_.steps[*one.step].dangerous() && before != handshake) {
          damage(judged, *one.step, "was sent without a handshake of its own");
        }
        if (was_doubtful(played, all, one, handshake->at)) {
          damage(judged, *one.step, "was sent to a doubtful channel");
        }
      }
      before = &one;
    }
  }

  /// Whether an earlier call had failed, and no handshake was sent between its request and `one`.
  static bool was_doubtful(const Played& played, const std::vector<Sent>& all, const Sent& one,
                           std::size_t handshake) {
    return std::any_of(all.begin(), all.end(), [&](const Sent& earlier) {
      if (!earlier.step || earlier.at <= handshake || earlier.at >= one.at) return false;
      const Result& result = played.results[*earlier.step];
      return (result.end == End::timeout || result.end == End::bad_reply) &&
             result.batch < played.results[*one.step].batch;
    });
  }

  const Script& script_;
  Clock::duration tolerance_;
  bool is_plain_;
};

}  // namespace cuts
