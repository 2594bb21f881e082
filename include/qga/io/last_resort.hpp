// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a helper's guard does when it is destroyed: one more request, blocking, on whatever thread
// that happens and whatever is under way on the channel. An event loop is held up by it, which is
// the lesser evil: an asynchronous request could be cut off by the end of its client or its
// context.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "qga/helpers/step.hpp"
#include "qga/io/channel.hpp"
#include "qga/params.hpp"
#include "qga/protocol/call.hpp"
#include "qga/protocol/request.hpp"

namespace qga::io {

template <class Channel, class Request>
class ChannelLastResort final : public helpers::LastResort, private ClosingHook {
 public:
  ChannelLastResort(std::shared_ptr<Channel> channel, Request request, Clock::duration patience)
      : channel_(std::move(channel)), request_(std::move(request)), patience_(patience) {
    if (channel_) channel_->add(*this);
  }
  ChannelLastResort(const ChannelLastResort&) = delete;
  ChannelLastResort& operator=(const ChannelLastResort&) = delete;
  ~ChannelLastResort() override {
    if (!channel_) return;
    channel_->remove(*this);
    if (!sent_) send();
  }

  void disarm() noexcept override {
    if (channel_) channel_->remove(*this);
    channel_.reset();
  }

 private:
  void before_close() noexcept override {
    sent_ = true;
    send();
  }

  void send() noexcept {
    try {
      protocol::TypedCall<typename Request::Reply, std::identity> call(
          Request::command, protocol::handling_of(request_), {});
      protocol::encode_into(call.wire, request_);
      call.deadline = deadline_after(patience_, Clock::now());
      channel_->run_among_others(call);
    } catch (...) {  // no memory is left, and nobody to tell
    }
  }

  std::shared_ptr<Channel> channel_;
  Request request_;
  Clock::duration patience_;
  bool sent_ = false;  ///< because the client was closed
};

}  // namespace qga::io
