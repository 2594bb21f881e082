// SPDX-License-Identifier: LGPL-3.0-or-later
//
// An asynchronous call: a call that owns itself and the handler that waits for it.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include "qga/protocol/call.hpp"

namespace qga::io {

/// Deleting one drops its handler unheard, as Asio does when a context is destroyed.
class Operation {
 public:
  virtual ~Operation() = default;

  /// Invokes the handler on its executor; the operation is gone then.
  /// @param initiating within the initiating function, which must not invoke the handler itself
  virtual void complete(bool initiating) = 0;
  /// Invokes the handler here; the operation is gone then.
  virtual void deliver() = 0;
};

/// What an executor is given to run: of one type, so that handing it over is compiled only once for
/// each executor.
struct Delivery {
  std::unique_ptr<Operation> operation;
  void operator()() { operation.release()->deliver(); }
};

/// Everything of an asynchronous call but its handler. The request is encoded: a token may start
/// the operation long after the request is gone.
template <class Channel, class Reply, class Project>
struct Prepared {
  std::shared_ptr<Channel> channel;
  std::string command;
  protocol::Handling handling;
  Project project;
  std::string wire = {};
  Clock::duration timeout = {};
  std::exception_ptr error = {};  ///< why there is nothing to start
};

/// A base, so that it is made before the call that refers to it.
struct CommandName {
  std::string name;
};

template <class Channel, class Handler, class Reply, class Project>
class HandlerOperation final : private CommandName,
                               public Operation,
                               public protocol::TypedCall<Reply, Project> {
 public:
  using TypedCall = protocol::TypedCall<Reply, Project>;
  using Executor = asio::associated_executor_t<Handler, typename Channel::executor_type>;

  HandlerOperation(Handler handler, const Executor& executor,
                   Prepared<Channel, Reply, Project> prepared)
      : CommandName{std::move(prepared.command)},
        TypedCall(name, prepared.handling, std::move(prepared.project)),
        channel_(std::move(prepared.channel)),
        handler_(std::move(handler)),
        work_(executor) {
    this->wire = std::move(prepared.wire);
    this->operation = static_cast<Operation*>(this);
  }

  ~HandlerOperation() override {
    if (channel_) channel_->leave();
  }

  /// Lets the handler's cancellation slot end this call.
  void listen() {
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (!slot.is_connected()) return;
    slot.assign(
        [this](asio::cancellation_type type) { Channel::Async::cancel(channel_, *this, type); });
  }

  void complete(bool initiating) override {
    const Executor executor = work_.get_executor();
    Delivery delivery{std::unique_ptr<Operation>(this)};
    if (initiating) {
      asio::post(executor, std::move(delivery));
    } else {
      asio::dispatch(executor, std::move(delivery));
    }
  }

  void deliver() override { deliver_from(std::unique_ptr<HandlerOperation>(this)); }

 private:
  static void deliver_from(std::unique_ptr<HandlerOperation> self) {
    // Cleared here and not earlier: a slot belongs to the handler's executor.
    auto slot = asio::get_associated_cancellation_slot(self->handler_);
    if (slot.is_connected()) slot.clear();
    Handler handler(std::move(self->handler_));
    const std::exception_ptr error = self->error();
    if constexpr (std::is_void_v<typename TypedCall::Result>) {
      self.reset();
      std::move(handler)(error);
    } else {
      using Result = typename TypedCall::Result;
      Result result = error ? Result{} : self->result.take();
      self.reset();
      std::move(handler)(error, std::move(result));
    }
  }

  std::shared_ptr<Channel> channel_;  ///< joined
  Handler handler_;
  asio::executor_work_guard<Executor> work_;
};

/// Starts the call, or completes it with what is wrong.
template <class Channel, class Handler, class Reply, class Project>
void initiate(Handler handler, Prepared<Channel, Reply, Project> prepared) {
  using IoExecutor = typename Channel::executor_type;
  using Started = HandlerOperation<Channel, Handler, Reply, Project>;
  const auto channel = prepared.channel;
  if (!prepared.error) prepared.error = Channel::join(channel, prepared.command);
  const std::exception_ptr error = prepared.error;
  const IoExecutor io = Channel::Async::executor_for(
      channel, asio::get_associated_executor(handler), error == nullptr);
  if (error) prepared.channel.reset();

  const auto executor = asio::get_associated_executor(handler, io);
  const auto deadline = deadline_after(prepared.timeout, Clock::now());
  auto started = std::make_unique<Started>(std::move(handler), executor, std::move(prepared));
  started->deadline = deadline;
  if (error) {
    started->fail(error);
    started.release()->complete(true);
  } else {
    started->listen();
    Channel::Async::start(*channel, *started.release());
  }
}

}  // namespace qga::io
