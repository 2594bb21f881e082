// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The protocol core: one channel, the calls on it, and what is known of the agent at its other end.
// It does no I/O. Its owner asks `output()` what to write and `wants_input()` whether to read,
// reports `wrote()`, `received()`, `lost()` and `expire()`, and gets back the calls that are
// `finished()`.
//
// A channel is *out of sync* until an agent has answered a handshake on it, and again after every
// timeout, cancellation, broken reply and pause. Only the handshake is written then (and, at once,
// a thaw that has to follow a freeze).
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

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/handshake.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/detail/protocol/output.hpp"
#include "qga/detail/protocol/reader.hpp"
#include "qga/detail/protocol/request_queue.hpp"
#include "qga/detail/protocol/tracer.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

class Session {
 public:
  /// A guest that rebooted leaves its channel open and silent, so a handshake goes first after a
  /// pause that is longer than this.
  static constexpr Clock::duration trusted_pause = std::chrono::seconds(1);
  /// The time in which an agent that takes one request at a time has read a request.
  static constexpr Clock::duration silent_moment = std::chrono::milliseconds(250);

  explicit Session(const ClientParams& params)
      : max_reply_size_(params.max_reply_size),
        tracer_(params.trace),
        reader_(params.read_buffer_size) {}

  /// Queues a call; it must live until it is finished.
  void submit(Call& call) {
    call.at_once ? queue_.waiting.push_front(&call) : queue_.waiting.push_back(&call);
  }

  /// Returns what to write now, if anything; report with `wrote`. Calls in flight on a channel that
  /// got out of sync cause a handshake too: it tells which of them will never be answered.
  std::string_view output(Clock::time_point now) {
    if (now >= repeats_at()) desynchronize();
    const bool unsettled = state_ == State::unsynchronized && queue_.awaited();
    if (queue_.output.all_written() && (unsettled || !queue_.waiting.empty())) prepare(now);
    return queue_.output.unwritten();
  }

  void wrote(std::size_t bytes) { queue_.output.wrote(bytes); }
  /// True while input has to be read: a call waits for an answer, or waits to be sent after one.
  bool wants_input() const {
    return busy() && (shaking_hands() || !queue_.flight.empty() || reads_first());
  }

  /// True while input must be read before a request is written: an agent without ids may have sent
  /// something unasked, which must not be taken for the reply.
  bool reads_first() const {
    return state_ == State::in_sync && !echoes_ids_ && queue_.flight.empty() &&
           !queue_.waiting.empty();
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
    queue_.each_call([&](Call& call) {
      if (call.has_to_end(now, queue_.unsent(call))) return abandon(call, &timed_out);
      if (call.doubted_at > now) return;
      call.doubted_at = Clock::time_point::max();
      if (state_ == State::in_sync) desynchronize();
    });
  }

  /// Ends those calls of an operation that a stop request may end. A call that is sent and needs
  /// its answer goes on until its deadline.
  void request_stop(const Operation& operation) {
    queue_.each_call([&](Call& call) {
      if (call.operation != &operation || call.cancel == Cancel::never) return;
      call.stopping_ = true;
      if (call.cancel == Cancel::always || queue_.unsent(call)) abandon(call, &cancelled);
    });
  }

  /// Ends the calls of an operation that has ended, or of all operations when the client is closed.
  /// The requests of guards go on.
  /// @param operation null: all
  void withdraw(const Operation* operation) {
    queue_.each_call([&](Call& call) {
      const bool meant = operation == nullptr || call.operation == operation;
      if (meant && call.operation != nullptr) abandon(call, &cancelled);
    });
  }

  /// Whether nothing of an operation has reached the channel.
  bool unsent(const Operation& operation) const { return queue_.unsent(operation); }

  /// Fails every call with an error, because the channel is gone.
  void lost(MakeError make, std::string_view what, std::error_code err) {
    queue_.fail_all(make, what, err);
    handshake_due_ = false;
  }

  bool has_finished() const { return !queue_.finished.empty(); }
  /// The next call that is finished, or null.
  Call* finished() { return queue_.finished.pop_front(); }

  /// True while calls are queued or under way.
  bool busy() const { return queue_.busy(); }

  /// True while the agent may still send replies, also those that no call waits for.
  bool replies_due() const { return !queue_.flight.empty() || handshake_due_; }

  /// When a handshake without an answer is repeated, or one is due behind a silent command; max:
  /// never.
  Clock::time_point repeats_at() const {
    if (!queue_.output.all_written() || !busy()) return Clock::time_point::max();
    return shaking_hands() ? handshake_.repeats_at() : sync_at_;
  }

  /// Releases the memory of large replies, because thousands of clients may be idle.
  void release_memory() {
    reader_.release_memory();
    json_.release_memory();
  }

  /// The earliest deadline of a call, or of an answer to a handshake; max: none.
  Clock::time_point next_deadline() {
    auto earliest = repeats_at();
    queue_.each_call([&](const Call& one) { earliest = std::min(earliest, one.next_deadline()); });
    return earliest;
  }

  Tracer& tracer() { return tracer_; }

 private:
  enum class State {
    unsynchronized,  ///< nothing may be written but the handshake
    syncing,         ///< the handshake is written; its sync reply is awaited
    learning,        ///< the sync is answered; the next reply tells whether ids are echoed
    in_sync,
  };

  using Slot = RequestQueue::Slot;

  // ---- output ---------------------------------------------------------------------------------

  void prepare(Clock::time_point now) {
    queue_.output.clear();
    const Call* const first = queue_.waiting.front();
    // Out of sync, a call may be written at once behind a whole request without an answer. But
    // between the requests of a plain handshake it might be lost.
    if (first != nullptr && first->at_once && state_ != State::in_sync && !queue_.flight.empty() &&
        !half_written_ && !(handshake_.is_plain() && shaking_hands())) {
      append(*queue_.waiting.pop_front());
    }
    const bool paused = !queue_.awaited() && now - answered_ > trusted_pause;
    const bool interrupted = reads_first() && reader_.pending();
    if (state_ == State::in_sync && (paused || interrupted)) desynchronize();
    while (state_ == State::in_sync && !queue_.waiting.empty()) {
      const Call& call = *queue_.waiting.front();
      if (!queue_.fits(call, one_at_a_time())) return;
      if (call.handling().never_late && !just_synced_) {
        if (!queue_.flight.empty()) return;
        desynchronize();
        break;
      }
      if (handshake_.is_plain() && !call.handling().success_response)
        sync_at_ = now + silent_moment;
      append(*queue_.waiting.pop_front());
    }
    if (state_ == State::unsynchronized && queue_.output.all_written()) begin_handshake(now);
  }

  /// An agent without ids answers in order; one that needs the plain handshake may lose a request
  /// that comes right behind another.
  bool one_at_a_time() const { return !echoes_ids_ || handshake_.is_plain(); }

  void append(Call& call) {
    const auto begin = queue_.append(call, next_id_++, echoes_ids_, handshake_.is_plain(),
                                     limited_to(call.handling().limits, max_reply_size_));
    just_synced_ = false;
    tracer_.record(TraceDirection::sent, queue_.output.from(begin));
  }

  void begin_handshake(Clock::time_point now) {
    const std::uint64_t begin = queue_.output.end();
    handshake_.begin(queue_.output.text(), now, half_written_);
    state_ = State::syncing;
    expect_sync_reply_ = false;
    handshake_due_ = true;
    half_written_ = false;
    settles_silence_ = sync_at_ != Clock::time_point::max();
    sync_at_ = Clock::time_point::max();
    handshake_at_ = handshake_part_at_ = begin;
    tracer_.record(TraceDirection::sent, queue_.output.from(begin));
  }

  /// Moves requests that the agent cannot run yet back to the queue. A half-written request brings
  /// the channel out of sync; the 0xFF of the next handshake makes the agent forget it.
  void unsend() {
    const bool breaks_off = shaking_hands() && !queue_.output.all_written();
    const bool half_request = queue_.take_back();
    half_written_ |= half_request || (breaks_off && queue_.output.written() > handshake_part_at_);
    if (half_request || breaks_off) state_ = State::unsynchronized;
    // The end of a request that may run already (the sync behind it) still goes out.
    Output& output = queue_.output;
    const bool unfinished = state_ == State::in_sync && !queue_.flight.empty() &&
                            queue_.flight.back().end > output.written();
    output.truncate(unfinished ? queue_.flight.back().end : output.written());
    end_stopping();
  }

  /// Ends the calls whose stop was requested while they were sent, and that are unsent again.
  void end_stopping() {
    for (Call* next = queue_.waiting.front(); next != nullptr;) {
      Call& call = *std::exchange(next, CallList::after(next));
      if (!call.stopping_) continue;
      queue_.waiting.remove(&call);
      queue_.fail(call, cancelled(call.command(), Outcome::not_sent));
    }
  }

  void desynchronize() {
    if (shaking_hands()) unsend();
    state_ = State::unsynchronized;
    just_synced_ = false;
    expect_sync_reply_ = false;
    unsend();
  }

  // ---- input ----------------------------------------------------------------------------------

  /// Processes the next piece of the input; false: there is none.
  bool process_next() {
    reader_.hunt(out_of_sync() && !expect_sync_reply_ && !queue_.awaited() &&
                 !handshake_.is_late_answer_due());
    const Reader::Item item = reader_.next(limits().bytes);
    if (item == Reader::Item::sentinel) on_sentinel();
    if (item == Reader::Item::line) on_line(reader_.line());
    if (item == Reader::Item::overflow) on_overflow();
    return item != Reader::Item::none;
  }

  bool shaking_hands() const { return state_ == State::syncing || state_ == State::learning; }
  bool out_of_sync() const { return state_ == State::unsynchronized || state_ == State::syncing; }

  /// The limits of the next line.
  const ReplyLimits& limits() const {
    const bool in_handshake = expect_sync_reply_ || state_ == State::learning;
    return in_handshake ? simple_reply_limits : queue_.reply_limits();
  }

  void on_sentinel() {
    if (state_ == State::syncing) expect_sync_reply_ = true;
    if (!out_of_sync() && reader_.cut()) broken("cut by a byte 0xFF");
  }

  void on_overflow() {
    const bool expected = std::exchange(expect_sync_reply_, false);
    if (expected || out_of_sync()) return;
    broken("longer than the limit of " + std::to_string(limits().bytes) + " bytes");
  }

  void on_line(std::string_view line) {
    tracer_.record(TraceDirection::received, line);
    Envelope envelope;
    try {
      json_.read(line, limits());
      envelope = envelope_of(json_);
    } catch (const Malformed& error) {
      expect_sync_reply_ = false;
      if (!out_of_sync()) return broken(error.what());
      // It may be the refusal of a command that is answered by nothing else.
      while (Call* const call = queue_.release_silent()) {
        queue_.fail(*call, bad_reply(call->command(), error.what(), Outcome::unknown));
      }
      return;
    }
    if (state_ == State::syncing) handshake_.note(envelope);
    const bool is_sync = !envelope.has_id && handshake_.is_synced_by(envelope);
    if (std::exchange(expect_sync_reply_, false) && (is_sync || !echoes_ids_)) {
      if (is_sync) on_synced();
    } else if (state_ == State::learning && !handshake_.is_late(envelope)) {
      on_learned(envelope);
    } else if (echoes_ids_) {
      if (!is_sync) on_reply_by_id(envelope);  // else it comes twice
    } else if (!queue_.flight.empty() && queue_.executable(queue_.flight.front())) {
      // An error may be to the byte 0xFF of the handshake.
      const bool of_handshake =
          is_behind_handshake(queue_.flight.front()) || (handshake_due_ && envelope.refused);
      if (!out_of_sync() || !of_handshake) on_reply(envelope);
    }
  }

  /// Whether a request was written after the latest handshake.
  bool is_behind_handshake(const Slot& slot) const {
    return handshake_due_ && slot.begin > handshake_at_;
  }

  void on_synced() {
    // Requests run in order: what was written before the handshake will not be answered any more.
    // std::ranges::count_if is missing from libc++ 14.
    const auto before =
        std::count_if(queue_.flight.begin(), queue_.flight.end(),
                      [this](const Slot& slot) { return !is_behind_handshake(slot); });
    queue_.skip_to(static_cast<std::size_t>(before), settles_silence_);
    state_ = State::learning;
    const std::uint64_t begin = queue_.output.end();
    handshake_.on_synced(queue_.output.text());
    if (queue_.output.end() == begin) return;
    handshake_part_at_ = begin;
    tracer_.record(TraceDirection::sent, queue_.output.from(begin));
  }

  /// Agents without ids get one request at a time, so that the order tells what a reply answers.
  void on_learned(const Envelope& envelope) {
    const Handshake::Ids ids = handshake_.learn(envelope);
    if (ids == Handshake::Ids::foreign) return broken("not the handshake's id");
    if (ids == Handshake::Ids::unclear) return desynchronize();
    if (ids == Handshake::Ids::repeated) return;
    echoes_ids_ = ids == Handshake::Ids::echoed;
    next_id_ = handshake_.last_id() + 1;
    state_ = State::in_sync;
    handshake_due_ = false;
    just_synced_ = true;
    answered_ = now_;
  }

  void on_reply_by_id(const Envelope& envelope) {
    if (!envelope.has_id) {
      // An agent leaves out the id where it cannot parse a request; a handshake causes that.
      if (!out_of_sync()) broken("an id is missing: " + redacted(envelope.reply.text()));
      return;
    }
    for (std::size_t i = 0; i < queue_.flight.size(); ++i) {
      if (queue_.flight[i].id != envelope.id || !queue_.executable(queue_.flight[i])) continue;
      const bool lost_any = queue_.skip_to(i);
      on_reply(envelope);
      if (lost_any && !out_of_sync()) desynchronize();
      return;
    }
    // The reply is late or a duplicate, and no call waits for it.
  }

  /// Handles a reply for the first slot.
  void on_reply(const Envelope& envelope) {
    answered_ = now_;
    Slot& slot = queue_.flight.front();
    if (slot.silent) sync_at_ = Clock::time_point::max();
    Call* const call = queue_.release(slot);
    const bool from_barrier = slot.barrier && (slot.refused || envelope.returns(slot.id));
    if (!slot.barrier || from_barrier) {
      queue_.drop(1);
    } else {
      slot.refused = envelope.refused;
    }
    if (call == nullptr) return;
    if (from_barrier) return queue_.accept(*call);
    const bool well_formed = call->answer(envelope.reply, envelope.refused);
    queue_.finished.push_back(call);
    if (!well_formed) desynchronize();
  }

  /// Malformed input fails the oldest call and starts a new handshake.
  void broken(std::string_view what) {
    Call* const oldest = queue_.flight.empty() ? nullptr : queue_.release(queue_.flight.front());
    if (oldest != nullptr) {
      queue_.fail(*oldest, bad_reply(oldest->command(), what, Outcome::unknown));
    } else if (state_ == State::learning && !queue_.waiting.empty()) {
      Call& call = *queue_.waiting.pop_front();
      queue_.fail(call, bad_reply(call.command(), "in the handshake, " + std::string(what),
                                  Outcome::not_sent));
    }
    desynchronize();
  }

  // ---- calls ----------------------------------------------------------------------------------

  /// Ends a call before its answer.
  /// @param error makes the error from the command and what is known of it
  void abandon(Call& call, std::exception_ptr (*error)(std::string_view, Outcome)) {
    if (!queue_.waiting.contains(&call)) unsend();
    if (call.finished()) return;  // `unsend` has ended it
    Outcome outcome = Outcome::not_sent;
    if (queue_.waiting.contains(&call)) {
      queue_.waiting.remove(&call);
    } else {
      outcome = Outcome::unknown;
      queue_.release(call);
      if (state_ == State::in_sync) desynchronize();
    }
    forget_unwanted_handshake();
    // A sync behind a refused command may have gone unanswered.
    if (state_ == State::in_sync && !queue_.awaited() && !queue_.flight.empty()) desynchronize();
    queue_.fail(call, error(call.command(), outcome));
  }

  /// Drops a handshake that no call waits for. Its answer would stay unread, and would not tell the
  /// next call what the guest is like then.
  void forget_unwanted_handshake() {
    if (shaking_hands() && !busy()) desynchronize();
  }

  std::size_t max_reply_size_;
  Tracer tracer_;
  Reader reader_;
  JsonIndex json_;  ///< of the latest line
  RequestQueue queue_;
  Handshake handshake_;
  State state_ = State::unsynchronized;
  bool expect_sync_reply_ = false;  ///< the next line may answer the sync
  bool echoes_ids_ = false;         ///< the agent echoes ids
  bool handshake_due_ = false;      ///< a handshake is written, and not answered to the end
  bool just_synced_ = false;        ///< nothing was sent since the handshake was answered
  bool settles_silence_ = false;    ///< the handshake tells whether a silent command was accepted
  bool half_written_ = false;       ///< the agent has a part of a request, until a byte 0xFF
  std::uint64_t handshake_at_ = 0;  ///< the position of the latest handshake
  std::uint64_t handshake_part_at_ = 0;  ///< of what was written of it last
  std::uint64_t next_id_ = 0;
  /// A handshake follows a silent command of an agent that takes one request at a time; max: none.
  Clock::time_point sync_at_ = Clock::time_point::max();
  Clock::time_point answered_ = {};
  Clock::time_point now_ = {};
};

}  // namespace qga::inline v0_1::detail
