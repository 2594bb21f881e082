// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The calls of a session: those that wait, the requests in the output, those that are written and
// not yet answered, and those that are finished. It knows nothing of handshakes; the session
// decides when a request may go.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/detail/protocol/output.hpp"
#include "qga/detail/protocol/value.hpp"
#include "qga/error.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

class RequestQueue {
 public:
  /// The most requests that are written and not yet answered. The requests behind them stay unsent,
  /// and are known to be so when the channel breaks.
  static constexpr std::size_t window = 64;

  /// A request that is in the output, or written and not yet answered.
  struct Slot {
    std::uint64_t id;
    Call* call;             ///< null: it has ended; its late reply is dropped
    std::uint64_t begin;    ///< of its bytes, in the stream of all output
    std::uint64_t runs_at;  ///< from here the agent can run it, without newline and sync
    std::uint64_t end;
    std::size_t text;  ///< bytes of it that come from `Call::text`
    ReplyLimits limits;
    bool silent;   ///< the agent may answer only a failure
    bool barrier;  ///< the reply to the sync behind it shows its success
    bool refused = false;
  };

  Output output;
  CallList waiting;
  std::vector<Slot> flight;
  CallList finished;

  /// True while calls are queued or under way.
  bool busy() const { return live_ > 0 || !waiting.empty(); }
  /// True while somebody waits for an answer.
  bool awaited() const { return live_ > 0; }

  /// The limits of the next reply.
  const ReplyLimits& reply_limits() const {
    return flight.empty() ? simple_reply_limits : flight.front().limits;
  }

  /// Whether another request fits into the window.
  bool fits(const Call& call, bool one_at_a_time) const {
    constexpr std::size_t id_and_sync = 160;
    if (flight.size() >= (one_at_a_time ? 1 : window)) return false;
    return flight.empty() ||
           output.end() - flight.front().begin + call.text.size() + id_and_sync <= window_bytes;
  }

  /// Appends a request to the output. Returns where it begins.
  /// @param is_plain the agent may lose a sync that is sent right behind it
  std::uint64_t append(Call& call, std::uint64_t id, bool echoes_ids, bool is_plain,
                       const ReplyLimits& limits) {
    const std::uint64_t begin = output.end();
    const std::size_t text = call.text.size();
    output.append(call.text);
    end_request(id, echoes_ids);
    const std::uint64_t runs_at = output.end() - 1;  // without its newline
    const bool silent = !call.handling().success_response;
    const bool barrier = silent && !is_plain;
    if (barrier) {
      append_sync(output.text(), "guest-sync-delimited", id);
      end_request(id, echoes_ids);
    }
    flight.push_back({id, &call, begin, runs_at, output.end(), text, limits, silent, barrier});
    ++live_;
    return begin;
  }

  /// Whether the agent can run the request: its last brace is written.
  bool executable(const Slot& slot) const { return output.written() >= slot.runs_at; }
  bool is_begun(const Slot& slot) const { return slot.begin < output.written(); }

  /// Whether nothing of a call, or of an operation, has reached the channel.
  bool unsent(const Call& call) const {
    return unsent_where([&](const Call& sent) { return &sent == &call; });
  }
  bool unsent(const Operation& operation) const {
    return unsent_where([&](const Call& sent) { return sent.operation == &operation; });
  }

  /// Moves requests that the agent cannot run yet back to the front of the waiting calls.
  /// @return true: a request is half written
  bool take_back() {
    bool half_written = false;
    while (!flight.empty() && !executable(flight.back())) {
      Slot& slot = flight.back();
      half_written = is_begun(slot);
      if (Call* const call = release(slot)) {
        call->text = output.from(slot.begin).substr(0, slot.text);
        waiting.push_front(call);
      }
      flight.pop_back();
    }
    return half_written;
  }

  /// Removes the call from a slot, whose reply will be dropped. Null where the call has ended.
  Call* release(Slot& slot) {
    if (slot.call != nullptr) --live_;
    return std::exchange(slot.call, nullptr);
  }
  void release(const Call& call) {
    for (Slot& slot : flight) {
      if (slot.call == &call) release(slot);
    }
  }

  /// Removes a call from its slot, whose success only a sync will show; null: there is none.
  Call* release_silent() {
    const auto found = std::find_if(flight.begin(), flight.end(), [this](const Slot& slot) {
      return slot.barrier && slot.call != nullptr && executable(slot);
    });
    return found != flight.end() ? release(*found) : nullptr;
  }

  void fail(Call& call, std::exception_ptr error) {
    call.fail(std::move(error));
    finished.push_back(&call);
  }

  /// Fails every call, because the channel is gone.
  void fail_all(MakeError make, std::string_view what, std::error_code err) {
    for (Slot& slot : flight) {
      const Outcome outcome = executable(slot) ? Outcome::unknown : Outcome::not_sent;
      if (Call* const call = release(slot)) {
        fail(*call, make(call->command(), what, outcome, err));
      }
    }
    while (Call* const call = waiting.pop_front()) {
      fail(*call, make(call->command(), what, Outcome::not_sent, err));
    }
    flight.clear();
    output.clear();
  }

  /// Ends a call that was accepted in silence: its reply is empty.
  void accept(Call& call) {
    const JsonIndex empty("{}", simple_reply_limits);
    call.answer(Value(empty), false);
    finished.push_back(&call);
  }

  /// Ends the calls in the first `count` slots, and removes the slots: their replies cannot come
  /// any more. @return whether there were any
  /// @param settles_silence true: a silent command without a sync of its own was accepted
  bool skip_to(std::size_t count, bool settles_silence = false) {
    for (std::size_t i = 0; i < count; ++i) {
      Slot& slot = flight[i];
      Call* const call = release(slot);
      if (call == nullptr) continue;
      if (settles_silence && slot.silent && !slot.barrier) {
        accept(*call);
      } else {
        fail(*call, make_error<BadReplyError>(
                        call->command(), "bad reply: none, though a later request was answered",
                        Outcome::unknown, std::make_error_code(std::errc::no_message)));
      }
    }
    drop(count);
    return count > 0;
  }

  /// Removes the first `count` slots.
  void drop(std::size_t count) {
    flight.erase(flight.begin(), flight.begin() + static_cast<std::ptrdiff_t>(count));
  }

  /// Calls `visit` for each unfinished call; `visit` may finish calls.
  template <class Visit>
  void each_call(Visit visit) {
    visited_.clear();
    for (const Slot& slot : flight) {
      if (slot.call != nullptr) visited_.push_back(slot.call);
    }
    for (Call* call = waiting.front(); call != nullptr; call = CallList::after(call)) {
      visited_.push_back(call);
    }
    for (Call* const call : visited_) {
      if (!call->finished()) visit(*call);
    }
  }

 private:
  void end_request(std::uint64_t id, bool echoes_ids) {
    if (echoes_ids) append_id(output.text(), id);
    output.text() += "}\n";
  }

  template <class Is>
  bool unsent_where(Is is) const {
    return std::none_of(flight.begin(), flight.end(), [&](const Slot& slot) {
      return slot.call != nullptr && is(*slot.call) && is_begun(slot);
    });
  }

  std::size_t live_ = 0;  ///< slots with a call
  std::vector<Call*> visited_;
};

}  // namespace qga::inline v0_1::detail
