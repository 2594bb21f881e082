// SPDX-License-Identifier: LGPL-3.0-or-later
//
// From a request to a call on a channel: blocking, or under a completion token.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <asio/async_result.hpp>

#include "qga/io/channel.hpp"
#include "qga/io/operation.hpp"
#include "qga/params.hpp"
#include "qga/protocol/call.hpp"
#include "qga/protocol/completion.hpp"
#include "qga/protocol/request.hpp"

namespace qga::io {

template <class Request>
Clock::duration timeout_for(const Request& request, const CallOptions& options,
                            const ClientParams& params) {
  if (options.timeout) return *options.timeout;
  return params.timeout != default_timeout ? params.timeout : protocol::timeout_of(request);
}

/// @throws GuestAgentError
template <class Channel, class Request, class Project>
auto run_on(const std::shared_ptr<Channel>& channel, const Request& request, Project project,
            const CallOptions& options) {
  using Call = protocol::TypedCall<typename Request::Reply, Project>;
  if (!channel) std::rethrow_exception(not_connected(request.command));
  if (!channel->take()) std::rethrow_exception(busy(request.command));
  const auto give_back = [](Channel* taken) { taken->give_back(); };
  const std::unique_ptr<Channel, decltype(give_back)> taken(channel.get(), give_back);

  Call call(request.command, protocol::handling_of(request), std::move(project));
  call.wire = taken->spare();
  protocol::encode_into(call.wire, request);
  const auto now = Clock::now();
  call.deadline = deadline_after(timeout_for(request, options, taken->params()), now);
  taken->submit(call);
  if (!call.finished()) {
    protocol::Call* const calls[] = {&call};
    taken->run(calls, now, options.stop);
  }
  if (call.error()) std::rethrow_exception(call.error());
  return call.result.take();
}

/// Everything of an asynchronous call but its handler; `initiate` starts it.
template <class Channel, class Request, class Project>
auto prepare(const std::shared_ptr<Channel>& channel, const Request& request, Project project,
             const CallOptions& options) {
  Prepared<Channel, typename Request::Reply, Project> prepared{
      channel, std::string(request.command), protocol::handling_of(request), std::move(project)};
  try {
    protocol::encode_into(prepared.wire, request);
    if (channel) prepared.timeout = timeout_for(request, options, channel->params());
  } catch (const RequestError&) {
    prepared.error = std::current_exception();
  }
  return prepared;
}

template <class Channel, class Request, class Project, class Token>
auto start_on(const std::shared_ptr<Channel>& channel, const Request& request, Project project,
              Token&& token, const CallOptions& options) {
  using Result = typename protocol::Projected<typename Request::Reply, Project>::type;
  auto prepared = prepare(channel, request, std::move(project), options);
  return asio::async_initiate<Token, typename protocol::CompletionSignature<Result>::type>(
      [](auto handler, auto ready) { initiate(std::move(handler), std::move(ready)); }, token,
      std::move(prepared));
}

}  // namespace qga::io
