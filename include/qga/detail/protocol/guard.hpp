// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guards that `File` and `Frozen` hold. A guard sends one more request, unless it is disarmed
// before. This header is the part without I/O.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/encode.hpp"

namespace qga::inline v0_1::detail {

/// A request of a guard. Its text is made beforehand, so that sending it needs no memory.
class GuardCall final : public Call {
 public:
  /// @param expected the reply, as JSON text, after which the guard goes on; empty: any
  template <Request R>
  explicit GuardCall(const R& request, std::string_view expected = {})
      : Call(R::command, handling_of(request)), expected_(expected) {
    encode_into(text, request);
    cancel = Cancel::never;
  }

  bool answered_as_expected() const { return as_expected_; }

 protected:
  void decode(const Value& result) override {
    as_expected_ = expected_.empty() || result.text() == expected_;
  }

 private:
  std::string expected_;
  bool as_expected_ = false;
};

class ClientState;

/// A guard acts when it is destroyed, unless it is disarmed.
class Guard {
 public:
  virtual ~Guard() = default;

  /// The client that it acts for; null in tests of algorithms.
  virtual std::shared_ptr<ClientState> client() const noexcept { return nullptr; }

  /// Disarms the guard, because there is nothing left to do.
  virtual void disarm() noexcept = 0;
  /// The request that it is there to undo has had its effect. Earlier guards of the same client are
  /// replaced: their effect is over.
  virtual void confirm() noexcept = 0;
  /// Acts now. True: all is done; false: it failed, or it goes on in the background.
  virtual bool act() noexcept = 0;
  /// Tells whether the request that the guard undoes still has no answer. If so, the guard's own
  /// request is sent at once.
  virtual void expect_answer(bool expected) noexcept = 0;
};

}  // namespace qga::inline v0_1::detail
