// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A call: one request on its way, from its encoding to its decoded reply. A driver owns it, the
// session moves it along and answers it exactly once.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "qga/protocol/decode.hpp"
#include "qga/protocol/errors.hpp"
#include "qga/protocol/request.hpp"

namespace qga::protocol {

/// The agent's lexer gives up at 64 MiB; an id, and maybe a sync, still come behind the text.
inline constexpr std::size_t max_request_size = (64 << 20) - 256;

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

  std::string wire;                                       ///< the request up to its id
  Clock::time_point deadline = Clock::time_point::max();  ///< max: none
  bool keep_sent = false;                                 ///< do not cancel it once it is sent
  void* operation = nullptr;                              ///< the driver's own

 protected:
  Call(std::string_view command, const Handling& handling)
      : command_(command), handling_(handling) {}

  /// Decodes and keeps the text of `return`. @throws Malformed, WrongShape
  virtual void decode(std::string_view result) = 0;

 private:
  friend class Session;
  friend class CallList;

  std::string_view command_;
  Handling handling_;
  std::exception_ptr error_;
  Call* next_ = nullptr;
  Call* previous_ = nullptr;
  bool finished_ = false;
};

/// A queue of calls, linked through themselves: queueing allocates nothing.
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
  bool contains(const Call* call) const {
    const Call* at = first_;
    while (at != nullptr && at != call) at = at->next_;
    return at != nullptr;
  }

 private:
  Call* first_ = nullptr;
  Call* last_ = nullptr;
};

/// Where a call's reply ends up: nothing, or a value.
template <class Result>
struct ResultOf {
  std::optional<Result> value;
  Result take() { return std::move(*value); }
};
template <>
struct ResultOf<void> {
  void take() {}
};

/// What `project` makes of a reply.
template <class Reply, class Project>
struct Projected {
  using type = std::remove_cvref_t<std::invoke_result_t<Project, Reply>>;
};
template <class Project>
struct Projected<void, Project> {
  using type = void;
};

/// The call of a typed request; its result is the reply as `Project` shows it.
template <class Reply, class Project>
class TypedCall : public Call {
 public:
  using Result = typename Projected<Reply, Project>::type;

  TypedCall(std::string_view command, const Handling& handling, Project project)
      : Call(command, handling), project_(std::move(project)) {}

  ResultOf<Result> result;

 protected:
  void decode(std::string_view text) override {
    if constexpr (std::is_void_v<Reply>) {
      decode_reply<Reply>(text);
    } else {
      result.value.emplace(std::invoke(project_, decode_reply<Reply>(text)));
    }
  }

 private:
  Project project_;
};

/// Encodes `request`, or says what the caller did wrong.
/// @throws RequestError
template <class R>
void encode_into(std::string& wire, const R& request) {
  const auto refuse = [&](std::string_view what, std::errc err) {
    std::rethrow_exception(make_error<RequestError>(request.command, what, Outcome::not_sent,
                                                    std::make_error_code(err)));
  };
  try {
    encode_request(request, wire);
  } catch (const Unencodable& error) {
    refuse(error.what(), std::errc::invalid_argument);
  }
  if (wire.size() >= max_request_size) refuse("64 MiB or longer", std::errc::message_size);
}

}  // namespace qga::protocol
