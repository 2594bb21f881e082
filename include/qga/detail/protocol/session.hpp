// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The protocol core: one channel, the calls on it, and what is known of the agent at its other end.
// It does no I/O. Its owner asks `output()` what to write and `wants_input()` whether to read,
// reports `wrote()`, `received()`, `lost()` and `expire()`, and gets back the calls that are
// `finished()`.
//
// A channel is *out of sync* until an agent has answered a handshake on it, and again after every
// timeout, cancellation, broken reply and pause. Only the handshake is written then (and, at once, a
// thaw that has to follow a freeze).
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

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/handshake.hpp"
#include "qga/detail/protocol/output.hpp"
#include "qga/detail/protocol/reader.hpp"
#include "qga/detail/protocol/tracer.hpp"
#include "qga/params.hpp"

namespace qga::detail {

class Session {
 public:
  /// Requests written and not yet answered, at most. Those behind them stay unsent, and are not
  /// lost when the channel is.
  static constexpr std::size_t window = 64;
  /// Bytes of requests written and not yet answered, at most, but for a single longer request. An
  /// agent reads 4096 bytes at a time. Over virtio-serial its answer is lost where it has read
  /// beyond what it answers (GLib takes the port for a file, seeks in it, and fails; agent 7.2:
  /// three writes of 1300 bytes in flight lose answers, three of 1200 do not).
  static constexpr std::size_t window_bytes = 4096;
  /// A guest that rebooted leaves its channel open and silent: after such a pause, a handshake goes
  /// first.
  static constexpr Clock::duration trusted_pause = std::chrono::seconds(1);

  explicit Session(const ClientParams& params)
      : max_reply_size_(params.max_reply_size),
        tracer_(params.trace),
        reader_(params.read_buffer_size) {}

  /// Queues a call; it must live until it is finished.
  void submit(Call& call) { call.at_once ? waiting_.push_front(&call) : waiting_.push_back(&call); }

  /// What to write now; empty: nothing. Report with `wrote`. Calls in flight on a channel that
  /// got out of sync cause a handshake too: it tells which of them will never be answered.
  std::string_view output(Clock::time_point now) {
    if (now >= repeats_at()) desynchronize();
    const bool unsettled = state_ == State::unsynchronized && live_ > 0;
    if (out_.all_written() && (unsettled || !waiting_.empty())) prepare(now);
    return out_.unwritten();
  }

  void wrote(std::size_t bytes) { out_.wrote(bytes); }

  /// True while an answer is due that somebody waits for, or waits behind.
  bool wants_input() const {
    return busy() && (shaking_hands() || !flight_.empty() || reads_first());
  }

  /// True while what has come in must be read before anything is written: an agent without ids is
  /// about to get a request, and what it said unasked must not be mistaken for the reply.
  bool reads_first() const {
    return state_ == State::in_sync && !echoes_ids_ && flight_.empty() && !waiting_.empty();
  }

  /// The buffer for input; report with `received`.
  std::span<char> input() { return reader_.space(); }

  void received(std::size_t bytes, Clock::time_point now) {
    now_ = now;
    reader_.received(bytes);
    while (process_next()) {
    }
    forget_unwanted_handshake();
  }

  /// Fails the calls whose deadline has passed.
  void expire(Clock::time_point now) {
    each_call([&](Call& call) {
      if (call.deadline <= now) abandon(call, &timed_out);
    });
  }

  /// Ends what a stop request may end of an operation. A call that has to be answered, because it
  /// is sent, goes on until its deadline.
  void request_stop(const Operation& operation) {
    each_call([&](Call& call) {
      if (call.operation != &operation || call.cancel == Cancel::never) return;
      call.stopping_ = true;
      if (call.cancel == Cancel::always || unsent(call)) abandon(call, &cancelled);
    });
  }

  /// Withdraws all calls of an operation that has ended.
  void withdraw(const Operation& operation) {
    each_call([&](Call& call) {
      if (call.operation == &operation) abandon(call, &cancelled);
    });
  }

  /// Ends the calls of all operations: the client is closed. The requests of guards go on.
  void cancel_operations() {
    each_call([&](Call& call) {
      if (call.operation != nullptr) abandon(call, &cancelled);
    });
  }

  /// Whether nothing of an operation has reached the channel.
  bool unsent(const Operation& operation) const {
    return std::none_of(flight_.begin(), flight_.end(), [&](const Slot& slot) {
      return slot.call != nullptr && slot.call->operation == &operation && is_begun(slot);
    });
  }

  /// The channel is gone; every call fails with an error.
  void lost(MakeError make, std::string_view what, std::error_code err) {
    for (Slot& slot : flight_) {
      if (slot.call == nullptr) continue;
      const Outcome outcome = executable(slot) ? Outcome::unknown : Outcome::not_sent;
      fail(*slot.call, make(slot.call->command(), what, outcome, err));
    }
    while (Call* const call = waiting_.pop_front()) {
      fail(*call, make(call->command(), what, Outcome::not_sent, err));
    }
    flight_.clear();
    live_ = 0;
    handshake_due_ = false;
    out_.clear();
  }

  bool has_finished() const { return !finished_.empty(); }
  /// The next call that is finished, or null.
  Call* finished() { return finished_.pop_front(); }

  /// True while calls are queued or under way.
  bool busy() const { return live_ > 0 || !waiting_.empty(); }

  /// True where the agent may still send what nobody waits for any more.
  bool replies_due() const { return !flight_.empty() || handshake_due_; }

  /// When there is output although nothing comes in: a handshake is repeated. max: never.
  Clock::time_point repeats_at() const {
    return shaking_hands() && out_.all_written() && busy() ? handshake_.repeats_at()
                                                           : Clock::time_point::max();
  }

  /// No call is under way: releases the memory of large replies. Thousands of clients may rest.
  void release_memory() { reader_.release_memory(); }

  /// The earliest deadline of a call, or of an answer to a handshake; max: none.
  Clock::time_point next_deadline() {
    auto earliest = repeats_at();
    each_call([&](const Call& call) { earliest = std::min(earliest, call.deadline); });
    return earliest;
  }

  /// An empty string with memory of an earlier request, so that steady use allocates nothing.
  std::string spare_memory() { return out_.spare_memory(); }

  Tracer& tracer() { return tracer_; }

 private:
  enum class State {
    unsynchronized,  ///< nothing may be written but the handshake
    syncing,         ///< the handshake is written; its sentinel and sync reply are awaited
    learning,        ///< the sync is answered; the reply to its ping tells whether ids are echoed
    in_sync,
  };

  /// A request that is in the output, or written and not yet answered.
  struct Slot {
    std::uint64_t id;
    Call* call;             ///< null: nobody waits any more; its late reply is dropped
    std::uint64_t begin;    ///< of its bytes, in the stream of all output
    std::uint64_t runs_at;  ///< the agent needs no newline, nor the sync behind it
    std::uint64_t end;
    std::size_t text;  ///< bytes of it that are the call's own
    ReplyLimits limits;
    bool barrier;  ///< its success is told by the sync behind it
    bool refused = false;
  };

  // ---- output ------------------------------------------------------------------------------

  void prepare(Clock::time_point now) {
    out_.clear();
    if (!waiting_.empty() && may_go_at_once(*waiting_.front())) append(*waiting_.pop_front());
    const bool paused = live_ == 0 && now - answered_ > trusted_pause;
    const bool interrupted = reads_first() && reader_.pending();
    if (state_ == State::in_sync && (paused || interrupted)) desynchronize();
    while (state_ == State::in_sync && !waiting_.empty()) {
      const Call& call = *waiting_.front();
      if (flight_.size() >= (echoes_ids_ ? window : 1) || !fits(call)) return;
      if (call.handling().never_late && !just_synced_) {
        if (!flight_.empty()) return;
        desynchronize();
        break;
      }
      append(*waiting_.pop_front());
    }
    if (state_ == State::unsynchronized && out_.all_written()) begin_handshake(now);
  }

  /// A request without an answer is in front of it, and the agent is not in the middle of another.
  bool may_go_at_once(const Call& call) const {
    return call.at_once && state_ != State::in_sync && !flight_.empty() && !half_written_;
  }

  bool fits(const Call& call) const {
    constexpr std::size_t id_and_sync = 160;
    return flight_.empty() ||
           out_.end() - flight_.front().begin + call.text.size() + id_and_sync <= window_bytes;
  }

  void append(Call& call) {
    const std::uint64_t begin = out_.end();
    const std::size_t text = call.text.size();
    out_.append(call.text);
    const std::uint64_t id = next_id_++;
    end_request(id);
    const std::uint64_t runs_at = out_.end() - 1;  // without its newline
    const bool barrier = !call.handling().success_response;
    if (barrier) {
      append_sync(out_.text(), id);
      end_request(id);
    }
    flight_.push_back({id, &call, begin, runs_at, out_.end(), text,
                       limited_to(call.handling().limits, max_reply_size_), barrier});
    ++live_;
    just_synced_ = false;
    tracer_.record(TraceDirection::sent, out_.from(begin));
  }

  void end_request(std::uint64_t id) {
    if (echoes_ids_) append_id(out_.text(), id);
    out_.text() += "}\n";
  }

  void begin_handshake(Clock::time_point now) {
    const std::uint64_t begin = out_.end();
    handshake_.begin(out_.text(), now);
    state_ = State::syncing;
    expect_sync_reply_ = false;
    handshake_due_ = true;
    half_written_ = false;
    handshake_at_ = begin;
    tracer_.record(TraceDirection::sent, out_.from(begin));
  }

  /// Whether the agent can run the request: its last brace is written.
  bool executable(const Slot& slot) const { return out_.written() >= slot.runs_at; }
  bool is_begun(const Slot& slot) const { return slot.begin < out_.written(); }

  /// Takes back what the agent cannot run yet. A half-written request spoils the channel, and the
  /// 0xFF of the next handshake makes the agent forget it.
  void unsend() {
    bool half_written = false;
    while (!flight_.empty() && !executable(flight_.back())) {
      const Slot& slot = flight_.back();
      half_written = is_begun(slot);
      if (slot.call != nullptr) {
        --live_;
        take_back(*slot.call, out_.from(slot.begin).substr(0, slot.text));
      }
      flight_.pop_back();
    }
    const bool half_handshake = state_ == State::syncing && !out_.all_written();
    if (half_written || half_handshake) {
      state_ = State::unsynchronized;
      half_written_ = true;
    }
    // The end of a request that may run already (the sync behind it) still goes out.
    const bool unfinished =
        state_ == State::in_sync && !flight_.empty() && flight_.back().end > out_.written();
    out_.truncate(unfinished ? flight_.back().end : out_.written());
  }

  void take_back(Call& call, std::string_view text) {
    if (call.stopping_) return fail(call, cancelled(call.command(), Outcome::not_sent));
    call.text = text;
    waiting_.push_front(&call);
  }

  void desynchronize() {
    state_ = State::unsynchronized;
    just_synced_ = false;
    expect_sync_reply_ = false;
    unsend();
  }

  // ---- input -------------------------------------------------------------------------------

  /// Processes the next piece of the input; false: there is none.
  bool process_next() {
    reader_.hunt(out_of_sync() && !expect_sync_reply_ && live_ == 0);
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

  bool out_of_sync() const { return state_ == State::unsynchronized || state_ == State::syncing; }

  std::size_t line_limit() const {
    if (expect_sync_reply_ || state_ == State::learning || flight_.empty()) return simple_reply_limits.bytes;
    return flight_.front().limits.bytes;
  }

  void on_sentinel() {
    if (state_ == State::syncing) {
      expect_sync_reply_ = true;
    } else if (!out_of_sync() && reader_.cut()) {
      broken("cut by a byte 0xFF");
    }
  }

  void on_overflow() {
    const bool expected = std::exchange(expect_sync_reply_, false);
    if (expected || out_of_sync()) return;
    broken("longer than the limit of " + std::to_string(line_limit()) + " bytes");
  }

  void on_line(std::string_view line) {
    tracer_.record(TraceDirection::received, line);
    if (std::exchange(expect_sync_reply_, false)) {
      if (handshake_.is_synced_by(line)) on_synced();
      return;
    }
    const ReplyLimits& limits = flight_.empty() ? simple_reply_limits : flight_.front().limits;
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
    } else if (!flight_.empty() && executable(flight_.front()) &&
               !(out_of_sync() && is_behind_handshake(flight_.front()))) {
      on_reply(envelope);
    }
  }

  /// Whether a request was written after the latest handshake.
  bool is_behind_handshake(const Slot& slot) const {
    return handshake_due_ && slot.begin > handshake_at_;
  }

  void on_synced() {
    // Requests run in order: what was written before the handshake will not be answered any more.
    skip_to(static_cast<std::size_t>(
        std::count_if(flight_.begin(), flight_.end(),
                      [this](const Slot& slot) { return !is_behind_handshake(slot); })));
    state_ = State::learning;
  }

  /// Agents without ids get one request at a time, so that the order tells what a reply answers.
  void on_learned(const Envelope& envelope) {
    switch (handshake_.learn(envelope)) {
      case Handshake::Ids::foreign:
        return broken("not the ping of the handshake");
      case Handshake::Ids::unclear:
        return desynchronize();
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
    just_synced_ = true;
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
      if (lost_any && !out_of_sync()) desynchronize();
      return;
    }
    // The reply is late or a duplicate, and no call waits for it.
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

  /// Handles a reply for the first slot.
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
        // The command was accepted in silence, which counts as an empty reply.
        call.decode(from_barrier ? "{}" : envelope.result);
        finish(call);
      }
    } catch (const WrongShape& error) {
      fail(call, bad_reply(call.command(), error.what(), Outcome::unknown));
    } catch (const Malformed& error) {
      fail(call, bad_reply(call.command(), error.what(), Outcome::unknown));
      desynchronize();
    } catch (...) {
      fail(call, std::current_exception());
    }
  }

  /// Malformed input fails the oldest call and starts a new handshake.
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
    desynchronize();
  }

  // ---- calls -------------------------------------------------------------------------------

  /// Ends a call that nobody waits for any more.
  /// @param error makes the error from the command and what is known of it
  void abandon(Call& call, std::exception_ptr (*error)(std::string_view, Outcome)) {
    if (!waiting_.contains(&call)) unsend();
    if (call.finished()) return;  // it was stopping, and unsent
    Outcome outcome = Outcome::not_sent;
    if (waiting_.contains(&call)) {
      waiting_.remove(&call);
    } else {
      outcome = Outcome::unknown;
      for (Slot& slot : flight_) {
        if (slot.call == &call) slot.call = nullptr;
      }
      --live_;
      if (state_ == State::in_sync) desynchronize();
    }
    forget_unwanted_handshake();
    // A sync behind a refused command may have gone unanswered.
    if (state_ == State::in_sync && live_ == 0 && !flight_.empty()) desynchronize();
    fail(call, error(call.command(), outcome));
  }

  /// A handshake that no call waits for is dropped: its answer stays unread, and would tell the next
  /// call nothing of the guest as it is then.
  void forget_unwanted_handshake() {
    if (shaking_hands() && !busy()) desynchronize();
  }

  /// Calls `visit` for each unfinished call; `visit` may finish calls.
  template <class Visit>
  void each_call(Visit visit) {
    scratch_.clear();
    for (const Slot& slot : flight_) {
      if (slot.call != nullptr) scratch_.push_back(slot.call);
    }
    for (Call* call = waiting_.front(); call != nullptr; call = CallList::after(call)) {
      scratch_.push_back(call);
    }
    for (Call* const call : scratch_) {
      if (!call->finished()) visit(*call);
    }
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

  bool unsent(const Call& call) const {
    return std::none_of(flight_.begin(), flight_.end(), [&](const Slot& slot) {
      return slot.call == &call && is_begun(slot);
    });
  }

  std::size_t max_reply_size_;
  Tracer tracer_;
  Reader reader_;
  Output out_;
  Handshake handshake_;
  State state_ = State::unsynchronized;
  bool expect_sync_reply_ = false;  ///< the next line may answer the sync
  bool echoes_ids_ = false;         ///< the agent echoes ids
  bool handshake_due_ = false;      ///< a handshake is written, and not answered to the end
  bool just_synced_ = false;        ///< nothing was sent since the handshake was answered
  bool half_written_ = false;       ///< the agent has a part of a request, until a byte 0xFF
  std::uint64_t handshake_at_ = 0;  ///< the position of the latest handshake
  std::uint64_t next_id_ = 0;
  Clock::time_point answered_ = {};
  Clock::time_point now_ = {};

  CallList waiting_;
  std::vector<Slot> flight_;
  std::size_t live_ = 0;  ///< slots with a call
  CallList finished_;
  std::vector<Call*> scratch_;
};

}  // namespace qga::detail
