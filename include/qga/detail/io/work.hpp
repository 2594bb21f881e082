// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs a user's coroutine within a helper. It runs on the executor of the helper's handler, and is
// cancelled with the helper.
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>

#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/errors.hpp"

namespace qga::inline v0_1::detail {

struct WorkContext {
  explicit WorkContext(asio::any_io_executor executor_) : executor(std::move(executor_)) {}

  /// May be called on any thread; a signal belongs to the executor.
  void cancel(const std::shared_ptr<WorkContext>& self) {
    asio::post(executor, [self] { self->signal.emit(asio::cancellation_type::terminal); });
  }

  asio::any_io_executor executor;
  asio::cancellation_signal signal;
};

#ifdef ASIO_HAS_CO_AWAIT
template <class Executor>
struct WorkStarter<asio::awaitable<void, Executor>> {
  template <class Function>
  static void start(Function& function, WorkContext* context, Continuation<void> then) {
    if (context == nullptr) {
      return then(
          wrong_argument("", "a coroutine needs a helper that runs under a completion token"));
    }
    try {
      asio::co_spawn(context->executor, function(),
                     asio::bind_cancellation_slot(context->signal.slot(), then));
    } catch (...) {  // The function has thrown before there was a coroutine.
      then(std::current_exception());
    }
  }
};
#endif

}  // namespace qga::inline v0_1::detail
