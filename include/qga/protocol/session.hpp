// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The protocol core: one channel, the calls on it, and what is known of the agent at its other end.
// It does no I/O. A driver asks `output()` what to write and `wants_input()` whether to read,
// reports `wrote()`, `received()`, `lost()` and `expire()`, and takes back the calls that are
// `finished()`.
//
// A channel is *doubtful* until an agent has answered a handshake on it, and again after every
// timeout, cancellation, broken reply and pause. On a doubtful channel only the handshake is
// written.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/params.hpp"
#include "qga/protocol/call.hpp"
#include "qga/protocol/handshake.hpp"
#include "qga/protocol/output.hpp"
#include "qga/protocol/reader.hpp"

namespace qga::protocol {

class Session {
 public:
  /// Requests written and not yet answered, at most. Those behind them stay unsent, and are not
  /// lost when the channel is.
  static constexpr std::size_t window = 64;
  /// An agent reads 4096 bytes at a time. Over virtio-serial its answer is lost where it has read
  /// beyond what it answers (GLib takes the port for a file, seeks in it, and fails; agent 7.2:
  /// three writes of 1300 bytes in flight lose answers, three of 1200 do not). So what is not
  /// answered has no more bytes than that, unless it is a single request.
  static constexpr std::size_t window_bytes = 4096;
  /// A guest that rebooted leaves its channel open and silent: after a pause, ask before sending.
  static constexpr Clock::duration trusted_pause = std::chrono::seconds(1);

  explicit Session(const ClientParams& params)
      : max_reply_size_(params.max_reply_size),
        trace_(params.trace),
        reader_(params.read_buffer_size) {}

  /// Queues a call; it must live until it is finished.
  void submit(Call& call) { waiting_.push_back(&call); }

  /// What to write now; empty: nothing. Report with `wrote`. Calls in flight on a channel that
  /// became doubtful get a handshake too: it tells which of them will never be answered.
  std::string_view output(Clock::time_point now) {
    if (now >= repeats_at()) doubt();
    const bool unsettled = state_ == State::doubtful && live_ > 0;
    if (out_.all_written() && (unsettled || !waiting_.empty())) prepare(now);
    return out_.rest();
  }

  void wrote(std::size_t bytes) { out_.wrote(bytes); }

  /// True while an answer is due that somebody waits for, or waits behind.
  bool wants_input() const {
    return busy() && (shaking_hands() || !flight_.empty() || listens_first());
  }

  /// True while what has come in must be read before anything is written: an agent without ids is
  /// about to get a request, and what it said unasked must not pass for the reply.
  bool listens_first() const {
    return state_ == State::in_sync && !echoes_ids_ && flight_.empty() && !waiting_.empty();
  }

  /// Where input goes; report with `received`.
  std::span<char> input() { return reader_.space(); }

  void received(std::size_t bytes, Clock::time_point now) {
    now_ = now;
    reader_.received(bytes);
    while (take()) {
    }
    forget_handshake_of_nobody();
  }

  /// Fails the calls whose deadline has passed.
  void expire(Clock::time_point now) {
    each_call([&](Call& call) {
      if (call.deadline <= now) {
        abandon(call, make_error<TimeoutError>, "timed out", std::errc::timed_out);
      }
    });
  }

  /// Withdraws a call that the caller no longer wants.
  void cancel(Call& call) {
    if (call.finished_) return;
    abandon(call, make_error<CancelledError>, "cancelled", std::errc::operation_canceled);
  }

  /// Whether nothing of the call's request has reached the channel.
  bool unsent(const Call& call) const {
    for (const Slot& slot : flight_) {
      if (slot.call == &call) return slot.begin >= out_.written();
    }
    return true;
  }

  /// The channel is gone; every call fails with an error, and the next connection starts afresh.
  void lost(MakeError make, std::string_view what, std::error_code err) {
    for (Slot& slot : flight_) {
      if (slot.call == nullptr) continue;
      const Outcome outcome = executable(slot) ? Outcome::unknown : Outcome::not_sent;
      fail(*slot.call, make(slot.call->command(), what, outcome, err));
    }
    while (!waiting_.empty()) {
      Call& call = *waiting_.front();
      waiting_.remove(&call);
      fail(call, make(call.command(), what, Outcome::not_sent, err));
    }
    flight_.clear();
    live_ = 0;
    handshake_due_ = false;
    out_.clear();
    reader_.reset();
    handshake_.forget_patience();
    doubt();
  }

  /// The next call that is finished, or null.
  Call* finished() {
    Call* const call = finished_.front();
    if (call != nullptr) finished_.remove(call);
    return call;
  }

  /// True while calls are queued or under way.
  bool busy() const { return live_ > 0 || !waiting_.empty(); }

  /// True where the agent may still send what nobody waits for any more.
  bool owed() const { return !flight_.empty() || handshake_due_; }

  /// When there is output although nothing comes in: a handshake is repeated. max: never.
  Clock::time_point repeats_at() const {
    return shaking_hands() && out_.all_written() && busy() ? handshake_.repeats_at()
                                                           : Clock::time_point::max();
  }

  /// Nobody waits for anything, and maybe not for a while: there may be thousands of us.
  void rest() { reader_.rest(); }

  /// The earliest deadline of a call, or of an answer to a handshake; max: none.
  Clock::time_point next_deadline() {
    auto earliest = repeats_at();
    each_call([&](const Call& call) { earliest = std::min(earliest, call.deadline); });
    return earliest;
  }

  /// An empty string with memory of an earlier request, so that steady use allocates nothing.
  std::string spare() { return out_.spare(); }

 private:
  enum class State {
    doubtful,  ///< nothing may be written but the handshake
    syncing,   ///< the handshake is written; its sentinel and sync reply are awaited
    learning,  ///< the sync is answered; the reply to its ping tells whether ids are echoed
    in_sync,
  };

  /// A request that is in the output, or written and not yet answered.
  struct Slot {
    std::uint64_t id;
    Call* call;             ///< null: nobody waits any more; its late reply is swallowed
    std::uint64_t begin;    ///< of its bytes, in the stream of all output
    std::uint64_t runs_at;  ///< the agent needs no newline, nor the sync behind it
    std::uint64_t end;
    std::size_t text;  ///< bytes of it that are the call's own
    Limits limits;
    bool barrier;  ///< its success is told by the sync behind it
    bool refused = false;
  };

  // ---- output ------------------------------------------------------------------------------

  void prepare(Clock::time_point now) {
    out_.clear();
    const bool paused = live_ == 0 && now - answered_ > trusted_pause;
    const bool interrupted = listens_first() && reader_.pending();
    if (state_ == State::in_sync && (paused || interrupted)) doubt();
    while (state_ == State::in_sync && !waiting_.empty()) {
      Call& call = *waiting_.front();
      if (flight_.size() >= (echoes_ids_ ? window : 1) || !fits(call)) return;
      if (call.handling().never_late && !fresh_) {
        if (!flight_.empty()) return;
        doubt();
        break;
      }
      waiting_.remove(&call);
      append(call);
    }
    if (state_ == State::doubtful && out_.all_written()) begin_handshake(now);
  }

  bool fits(const Call& call) const {
    constexpr std::size_t id_and_sync = 160;
    return flight_.empty() ||
           out_.end() - flight_.front().begin + call.wire.size() + id_and_sync <= window_bytes;
  }

  void append(Call& call) {
    const std::uint64_t begin = out_.end();
    const std::size_t text = call.wire.size();
    out_.take(call.wire);
    const std::uint64_t id = next_id_++;
    end_request(id);
    const std::uint64_t runs_at = out_.end() - 1;  // without its newline
    const bool barrier = !call.handling().success_response;
    if (barrier) {
      append_sync(out_.text(), id);
      end_request(id);
    }
    flight_.push_back({id, &call, begin, runs_at, out_.end(), text, limits_of(call), barrier});
    ++live_;
    fresh_ = false;
    trace(TraceDirection::sent, out_.from(begin));
  }

  void end_request(std::uint64_t id) {
    if (echoes_ids_) append_id(out_.text(), id);
    out_.text() += "}\n";
  }

  void begin_handshake(Clock::time_point now) {
    const std::uint64_t begin = out_.end();
    handshake_.begin(out_.text(), now);
    state_ = State::syncing;
    candidate_ = false;
    handshake_due_ = true;
    trace(TraceDirection::sent, out_.from(begin));
  }

  /// Whether the agent can run it: its last brace is written.
  bool executable(const Slot& slot) const { return out_.written() >= slot.runs_at; }

  /// Takes back what the agent cannot run yet. A half-written request spoils the channel, and the
  /// 0xFF of the next handshake makes the agent forget it.
  void unsend() {
    bool half_written = false;
    while (!flight_.empty() && !executable(flight_.back())) {
      const Slot& slot = flight_.back();
      half_written = slot.begin < out_.written();
      if (slot.call != nullptr) {
        slot.call->wire = out_.from(slot.begin).substr(0, slot.text);
        waiting_.push_front(slot.call);
        --live_;
      }
      flight_.pop_back();
    }
    const bool half_handshake = state_ == State::syncing && !out_.all_written();
    if (half_written || half_handshake) state_ = State::doubtful;
    // The end of a request that may run already, its sync for one, still goes out.
    const bool unfinished =
        state_ == State::in_sync && !flight_.empty() && flight_.back().end > out_.written();
    out_.cut(unfinished ? flight_.back().end : out_.written());
  }

  void doubt() {
    state_ = State::doubtful;
    fresh_ = false;
    candidate_ = false;
    unsend();
  }

  // ---- input -------------------------------------------------------------------------------

  /// Takes the next piece of the input; false: there is none.
  bool take() {
    reader_.hunt(out_of_sync() && !candidate_ && live_ == 0);
    switch (reader_.next(line_limit())) {
      case Reader::Item::none:
        return false;
      case Reader::Item::sentinel:
        on_sentinel();
        break;
      case Reader::Item::line:
        on_line(reader_.line());
        break;
      case Reader::Item::overflow:
        on_overflow();
        break;
    }
    return true;
  }

  bool shaking_hands() const { return state_ == State::syncing || state_ == State::learning; }

  bool out_of_sync() const { return state_ == State::doubtful || state_ == State::syncing; }

  std::size_t line_limit() const {
    if (candidate_ || state_ == State::learning || flight_.empty()) return simple_limits.bytes;
    return flight_.front().limits.bytes;
  }

  void on_sentinel() {
    if (state_ == State::syncing) {
      candidate_ = true;
    } else if (!out_of_sync() && reader_.cut()) {
      broken("cut by a byte 0xFF");
    }
  }

  void on_overflow() {
    const bool was_candidate = std::exchange(candidate_, false);
    if (was_candidate || out_of_sync()) return;
    broken("longer than the limit of " + std::to_string(line_limit()) + " bytes");
  }

  void on_line(std::string_view line) {
    trace(TraceDirection::received, line);
    if (std::exchange(candidate_, false)) {
      if (handshake_.is_synced_by(line)) on_synced();
      return;
    }
    const Limits& limits = flight_.empty() ? simple_limits : flight_.front().limits;
    Envelope envelope;
    try {
      envelope = parse_envelope(line, limits);
    } catch (const Malformed& error) {
      if (!out_of_sync()) broken(error.what());
      return;
    }
    if (state_ == State::learning) {
      on_learned(envelope);
    } else if (echoes_ids_) {
      on_reply_by_id(envelope);
    } else if (!flight_.empty() && executable(flight_.front())) {
      on_reply(envelope);
    }
  }

  void on_synced() {
    // Requests run in order: what was written before the handshake will not be answered any more.
    skip_to(flight_.size());
    state_ = State::learning;
  }

  /// Agents without ids get one request at a time, so that order is beyond doubt.
  void on_learned(const Envelope& envelope) {
    switch (handshake_.learn(envelope)) {
      case Handshake::Ids::foreign:
        return broken("not the ping of the handshake");
      case Handshake::Ids::unclear:
        return doubt();
      case Handshake::Ids::echoed:
        echoes_ids_ = true;
        break;
      case Handshake::Ids::none:
        echoes_ids_ = false;
        break;
    }
    next_id_ = handshake_.ping_id() + 1;
    state_ = State::in_sync;
    handshake_due_ = false;
    fresh_ = true;
    answered_ = now_;
  }

  void on_reply_by_id(const Envelope& envelope) {
    if (!envelope.has_id) {
      // Only what the agent could not parse is answered without an id, and a handshake provokes
      // that.
      if (!out_of_sync()) broken("without an id: " + redacted(envelope.error));
      return;
    }
    for (std::size_t i = 0; i < flight_.size(); ++i) {
      if (flight_[i].id != envelope.id || !executable(flight_[i])) continue;
      const bool lost_any = skip_to(i);
      on_reply(envelope);
      if (lost_any && !out_of_sync()) doubt();
      return;
    }
    // Late, or a duplicate: not for any call that waits.
  }

  /// Drops the first `count` slots; their replies cannot come any more.
  bool skip_to(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (flight_[i].call != nullptr) {
        fail_in_flight(flight_[i],
                       bad_reply(flight_[i].call->command(),
                                 "none, though a later request was answered", Outcome::unknown));
      }
    }
    flight_.erase(flight_.begin(), flight_.begin() + static_cast<std::ptrdiff_t>(count));
    return count > 0;
  }

  /// A reply for the first slot.
  void on_reply(const Envelope& envelope) {
    answered_ = now_;
    Slot& slot = flight_.front();
    Call* const call = std::exchange(slot.call, nullptr);
    if (call != nullptr) --live_;
    const bool from_barrier =
        slot.barrier && (slot.refused || envelope.result == std::to_string(slot.id));
    if (!slot.barrier || from_barrier) {
      flight_.erase(flight_.begin());
    } else {
      slot.refused = !envelope.error.empty();
    }
    if (call != nullptr) answer(*call, envelope, from_barrier);
  }

  void answer(Call& call, const Envelope& envelope, bool from_barrier) {
    try {
      if (!envelope.error.empty()) {
        fail(call, agent_error(call.command(), envelope.error));
      } else {
        // Accepted in silence: as if it were answered as all commands are that have nothing to say.
        call.decode(from_barrier ? "{}" : envelope.result);
        finish(call);
      }
    } catch (const WrongShape& error) {
      fail(call, bad_reply(call.command(), error.what(), Outcome::unknown));
    } catch (const Malformed& error) {
      fail(call, bad_reply(call.command(), error.what(), Outcome::unknown));
      doubt();
    } catch (...) {
      fail(call, std::current_exception());
    }
  }

  /// Input that no agent in its senses sends: it costs the call whose turn it was.
  void broken(std::string_view what) {
    if (!flight_.empty() && flight_.front().call != nullptr) {
      Slot& slot = flight_.front();
      fail_in_flight(slot, bad_reply(slot.call->command(), what, Outcome::unknown));
    } else if (state_ == State::learning && !waiting_.empty()) {
      Call& call = *waiting_.front();
      waiting_.remove(&call);
      fail(call,
           bad_reply(call.command(), "in the handshake, " + std::string(what), Outcome::not_sent));
    }
    doubt();
  }

  // ---- calls -------------------------------------------------------------------------------

  void abandon(Call& call, MakeError make, std::string_view what, std::errc err) {
    if (!waiting_.contains(&call)) unsend();
    Outcome outcome = Outcome::not_sent;
    if (waiting_.contains(&call)) {
      waiting_.remove(&call);
    } else {
      outcome = Outcome::unknown;
      for (Slot& slot : flight_) {
        if (slot.call == &call) slot.call = nullptr;
      }
      --live_;
      if (state_ == State::in_sync) doubt();
    }
    forget_handshake_of_nobody();
    // A sync behind a refused command may have gone unanswered.
    if (state_ == State::in_sync && live_ == 0 && !flight_.empty()) doubt();
    fail(call, make(call.command(), what, outcome, std::make_error_code(err)));
  }

  /// Its answer stays unread, and would tell the next call nothing of the guest as it is then.
  void forget_handshake_of_nobody() {
    if (shaking_hands() && !busy()) doubt();
  }

  /// Calls `visit` for each unfinished call; it may finish the one that it is called with.
  template <class Visit>
  void each_call(Visit visit) {
    scratch_.clear();
    for (const Slot& slot : flight_) {
      if (slot.call != nullptr) scratch_.push_back(slot.call);
    }
    for (Call* call = waiting_.front(); call != nullptr; call = CallList::after(call)) {
      scratch_.push_back(call);
    }
    for (Call* const call : scratch_) visit(*call);
  }

  void fail_in_flight(Slot& slot, std::exception_ptr error) {
    Call& call = *std::exchange(slot.call, nullptr);
    --live_;
    fail(call, std::move(error));
  }

  void fail(Call& call, std::exception_ptr error) {
    call.fail(std::move(error));
    finished_.push_back(&call);
  }

  void finish(Call& call) {
    call.finished_ = true;
    finished_.push_back(&call);
  }

  Limits limits_of(const Call& call) const {
    Limits limits = call.handling().limits;
    if (max_reply_size_ >= limits.bytes) return limits;
    // A client that takes shorter replies means to spend less memory. Small ones stay as they are.
    if (limits.string < limits.bytes) {
      const std::uint64_t product = std::uint64_t{limits.string} * max_reply_size_;
      limits.string =
          std::max(simple_limits.bytes, static_cast<std::size_t>(product / limits.bytes));
    }
    limits.elements =
        std::min(limits.elements, std::max(simple_limits.elements, max_reply_size_ / 64));
    limits.bytes = max_reply_size_;
    return limits;
  }

  void trace(TraceDirection direction, std::string_view lines) {
    while (trace_ && !lines.empty()) {
      const std::size_t length = std::min(lines.find('\n'), lines.size());
      try {
        trace_(direction, redacted(lines.substr(0, length)));
      } catch (...) {
        // A tracer's own trouble is no reason to lose a reply.
      }
      lines.remove_prefix(std::min(length + 1, lines.size()));
    }
  }

  std::size_t max_reply_size_;
  Trace trace_;
  Reader reader_;
  Output out_;
  Handshake handshake_;
  State state_ = State::doubtful;
  bool candidate_ = false;      ///< the next line may answer the sync
  bool echoes_ids_ = false;     ///< the agent echoes ids
  bool handshake_due_ = false;  ///< written, not answered to the end
  bool fresh_ = false;          ///< nothing was sent since the handshake was answered
  std::uint64_t next_id_ = 0;
  Clock::time_point answered_ = {};
  Clock::time_point now_ = {};

  CallList waiting_;
  std::vector<Slot> flight_;
  std::size_t live_ = 0;  ///< slots with a call
  CallList finished_;
  std::vector<Call*> scratch_;
};

}  // namespace qga::protocol
