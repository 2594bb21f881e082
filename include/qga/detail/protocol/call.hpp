// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A call: one request on its way, from its text to its decoded reply. An operation owns it, a
// session carries it and answers it exactly once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "qga/detail/protocol/decode.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1::detail {

class Operation;

/// The most bytes of requests that are written and not yet answered; a single request may be
/// longer. An agent reads 4096 bytes at a time. Over virtio-serial its answer is lost where it has
/// read more than it answers (GLib takes the port for a file, seeks in it, and fails; agent 7.2:
/// three writes of 1300 bytes in flight lose answers, three of 1200 do not).
inline constexpr std::size_t window_bytes = 4096;

/// When a stop request or a cancellation ends a call.
enum class Cancel {
  always,
  unsent,  ///< not once it is sent, because only its answer tells what has to be cleaned up
  never,
};

class Call {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call() = default;

  std::string_view command() const { return command_; }
  const Handling& handling() const { return handling_; }
  bool finished() const { return finished_; }
  const std::exception_ptr& error() const { return error_; }

  /// Ends the call with an error.
  void fail(std::exception_ptr error) {
    error_ = std::move(error);
    finished_ = true;
  }

  /// Ends the call with the value of its `return`, or of its `error` where it is refused.
  /// @return false: it is malformed
  bool answer(const Value& reply, bool refused) try {
    if (refused) {
      fail(agent_error(command_, reply));
    } else {
      decode(reply);
      finished_ = true;
    }
    return true;
  } catch (const Malformed& error) {
    fail(bad_reply(command_, error.what(), Outcome::unknown));
    return false;
  } catch (const WrongShape& error) {
    fail(bad_reply(command_, error.what(), Outcome::unknown));
    return true;
  } catch (...) {
    fail(std::current_exception());
    return true;
  }

  /// When something has to be decided about the call, unless it ends before.
  Clock::time_point next_deadline() const { return std::min({deadline, doubted_at, sent_by}); }
  /// Whether its time is over. `sent_by` is looked at once.
  /// @param unsent whether it is not sent
  bool has_to_end(Clock::time_point now, bool unsent) {
    const bool is_too_late = sent_by <= now && unsent;
    if (sent_by <= now) sent_by = Clock::time_point::max();
    return deadline <= now || is_too_late;
  }

  std::string text;                                       ///< the request up to its id
  Clock::time_point deadline = Clock::time_point::max();  ///< max: none
  /// From here on handshakes tell whether the answer is only late, or lost; max: never.
  Clock::time_point doubted_at = Clock::time_point::max();
  /// A call that is not sent by then ends; max: by its deadline.
  Clock::time_point sent_by = Clock::time_point::max();
  Operation* operation = nullptr;  ///< the owner; null: a guard's request
  Cancel cancel = Cancel::always;
  /// True: the request is written at once, although the channel is out of sync. This is for a thaw
  /// behind a freeze without an answer: the agent must have it even when the client is gone.
  bool at_once = false;

 protected:
  /// @param command must outlive the call
  Call(std::string_view command, const Handling& handling)
      : command_(command), handling_(handling) {}

  /// Decodes and keeps the value of `return`. @throws Malformed, WrongShape
  virtual void decode(const Value& result) = 0;

 private:
  friend class Session;
  friend class CallList;

  std::string_view command_;
  Handling handling_;
  std::exception_ptr error_;
  Call* next_ = nullptr;
  Call* previous_ = nullptr;
  bool finished_ = false;
  bool stopping_ = false;  ///< a stop is requested: the call ends if it becomes unsent again
};

/// A queue of calls. The calls themselves hold the links, so queueing allocates nothing.
class CallList {
 public:
  bool empty() const { return first_ == nullptr; }
  Call* front() const { return first_; }
  static Call* after(const Call* call) { return call->next_; }

  void push_back(Call* call) {
    call->previous_ = last_;
    call->next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = call;
    last_ = call;
  }
  void push_front(Call* call) {
    call->previous_ = nullptr;
    call->next_ = first_;
    (first_ != nullptr ? first_->previous_ : last_) = call;
    first_ = call;
  }
  void remove(Call* call) {
    (call->previous_ != nullptr ? call->previous_->next_ : first_) = call->next_;
    (call->next_ != nullptr ? call->next_->previous_ : last_) = call->previous_;
  }
  /// The first call, removed; null where there is none.
  Call* pop_front() {
    Call* const call = first_;
    if (call != nullptr) remove(call);
    return call;
  }
  bool contains(const Call* call) const {
    const Call* at = first_;
    while (at != nullptr && at != call) at = at->next_;
    return at != nullptr;
  }

 private:
  Call* first_ = nullptr;
  Call* last_ = nullptr;
};

/// The result of a call: nothing, or a value.
template <class Result>
struct ResultOf {
  std::optional<Result> value;
  Result move_out() { return std::move(*value); }
};
template <>
struct ResultOf<void> {
  void move_out() {}
};

/// The type that `project` makes of a reply.
template <class Reply, class Project>
struct Projected {
  using type = std::remove_cvref_t<std::invoke_result_t<Project, Reply>>;
};
template <class Project>
struct Projected<void, Project> {
  using type = void;
};

/// The call of a typed request; its result is what `Project` makes of the reply.
/// @tparam Base Call, or a class derived from it
template <class Reply, class Project = std::identity, class Base = Call>
class TypedCall : public Base {
 public:
  using Result = typename Projected<Reply, Project>::type;

  TypedCall(std::string_view command, const Handling& handling, Project project = {})
      : Base(command, handling), project_(std::move(project)) {}

  ResultOf<Result> result;

 protected:
  void decode(const Value& reply) override {
    if constexpr (std::is_void_v<Reply>) {
      decode_reply<void>(reply);
    } else {
      result.value.emplace(std::invoke(project_, decode_reply<Reply>(reply)));
    }
  }

 private:
  [[no_unique_address]] Project project_;
};

}  // namespace qga::inline v0_1::detail
