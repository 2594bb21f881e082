// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Connects a client without blocking: the steps of connect.hpp under an event loop.
#pragma once

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include <asio/cancellation_state.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include "qga/io/connect.hpp"
#include "qga/protocol/errors.hpp"

namespace qga::io {

/// For `asio::async_compose`. A deadline ends it by cancelling the wait under way.
template <class Channel, class Stream, class Endpoint>
class AsyncConnect {
 public:
  AsyncConnect(std::shared_ptr<Channel> channel, Endpoint endpoint, Clock::time_point deadline,
               const typename Stream::executor_type& executor)
      : channel_(std::move(channel)),
        endpoint_(std::move(endpoint)),
        deadline_(deadline),
        under_way_(std::make_shared<UnderWay>(executor)) {}

  template <class Self>
  void operator()(Self& self, std::error_code waited = {}) {
    const bool first = !std::exchange(started_, true);
    if (first) {
      self.reset_cancellation_state(asio::enable_total_cancellation());
      step_ = start();
    } else if (under_way_->gave_up) {
      step_ = {Next::done, std::make_error_code(std::errc::timed_out)};
    } else if (waited ||
               self.get_cancellation_state().cancelled() != asio::cancellation_type::none) {
      step_ = {Next::done, asio::error::operation_aborted};
    } else if (step_.next == Next::wait_writable) {
      step_ = {Next::done, connect_result(under_way_->stream.native_handle())};
    } else if (step_.next == Next::retry) {
      step_ = connect_step(under_way_->stream.native_handle(), endpoint_);
    }
    const auto under_way = under_way_;  // `self` takes this object with it
    if (step_.next == Next::wait_writable) {
      under_way->stream.async_wait(Stream::wait_write, std::move(self));
    } else if (step_.next == Next::retry) {
      under_way->retry.expires_after(connect_retry);
      under_way->retry.async_wait(std::move(self));
    } else if (first) {
      asio::post(under_way->stream.get_executor(), std::move(self));
    } else {
      finish(self);
    }
  }

 private:
  using Next = ConnectStep::Next;

  struct UnderWay {
    explicit UnderWay(const typename Stream::executor_type& executor)
        : stream(executor), deadline(executor), retry(executor) {}

    void give_up() {
      gave_up = true;
      std::error_code ignored;
      stream.cancel(ignored);
      retry.cancel();
    }

    Stream stream;
    asio::steady_timer deadline;
    asio::steady_timer retry;
    bool gave_up = false;
  };

  ConnectStep start() {
    try {
      channel_->close();
      under_way_->stream.assign(endpoint_.protocol(), open_for(endpoint_).release());
    } catch (const std::system_error& error) {
      return {Next::done, error.code()};
    }
    if (deadline_ != Clock::time_point::max()) {
      under_way_->deadline.expires_at(deadline_);
      under_way_->deadline.async_wait([weak = std::weak_ptr(under_way_)](std::error_code err) {
        if (const auto under_way = weak.lock(); under_way && !err) under_way->give_up();
      });
    }
    return connect_step(under_way_->stream.native_handle(), endpoint_);
  }

  template <class Self>
  void finish(Self& self) {
    under_way_->deadline.cancel();
    std::exception_ptr error;
    if (step_.err == asio::error::operation_aborted) {
      error =
          protocol::make_error<CancelledError>("", "connecting was cancelled", Outcome::not_sent,
                                               std::make_error_code(std::errc::operation_canceled));
    } else if (step_.err) {
      error = connect_error(step_.err, shown_endpoint(endpoint_));
    } else {
      try {
        Channel::Async::attach(*channel_, std::move(under_way_->stream));
      } catch (const std::system_error& failed) {
        error = connect_error(failed.code(), shown_endpoint(endpoint_));
      }
    }
    self.complete(error);
  }

  std::shared_ptr<Channel> channel_;
  Endpoint endpoint_;
  Clock::time_point deadline_;
  std::shared_ptr<UnderWay> under_way_;
  ConnectStep step_;
  bool started_ = false;
};

}  // namespace qga::io
