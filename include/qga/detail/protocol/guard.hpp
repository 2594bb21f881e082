// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `File` and `Frozen` hold: a guard that sends one more request, unless somebody has done it
// before. This is the part of it without I/O.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/encode.hpp"

namespace qga::detail {

/// A request of a guard. Its text is made beforehand, so that sending it needs no memory.
class GuardCall final : public Call {
 public:
  /// @param expected the reply, as JSON text, that lets the guard go on; empty: any
  template <Request R>
  explicit GuardCall(const R& request, std::string_view expected = {})
      : Call(R::command, handling_of(request)), expected_(expected) {
    encode_into(text, request);
    cancel = Cancel::never;
  }

  bool answered_as_expected() const { return as_expected_; }

 protected:
  void decode(std::string_view result) override {
    as_expected_ = expected_.empty() || result == expected_;
  }

 private:
  std::string expected_;
  bool as_expected_ = false;
};

/// Destroying it does what it is there for, unless it is disarmed.
class Guard {
 public:
  virtual ~Guard() = default;

  /// There is nothing left to do.
  virtual void disarm() noexcept = 0;
  /// Does now what is to be done. True: it is done; false: it could not be, or it goes on in the
  /// background.
  virtual bool act() noexcept = 0;
  /// The request that it is there to undo is not answered yet, so that its own has to follow at
  /// once.
  virtual void expect_answer(bool expected) noexcept = 0;
};

}  // namespace qga::detail
