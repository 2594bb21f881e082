// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Connecting and closing as a client offers them.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <asio/associated_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include "qga/detail/io/async_runner.hpp"
#include "qga/detail/io/blocking_runner.hpp"
#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connect.hpp"

namespace qga::inline v0_1::detail {

/// The algorithm of `async_connect` and `async_reconnect`.
template <class Io>
class ConnectTo {
 public:
  /// @param target none: the client's own
  ConnectTo(Io& io, std::shared_ptr<ClientState> client, std::optional<Target> target)
      : io_(io), client_(std::move(client)), target_(std::move(target)) {}

  void start() {
    if (target_) client_->set_target(std::move(*target_));
    if (!io_.can_connect()) return io_.fail(no_target());
    io_.connect(
        [this](std::exception_ptr error) { error ? io_.fail(std::move(error)) : io_.finish(); },
        io_.deadline_of(default_timeout, {}, io_.now()));
  }

 private:
  Io& io_;
  const std::shared_ptr<ClientState> client_;
  std::optional<Target> target_;
};

/// Closes a client in the background, and then invokes the handler.
template <class Executor, class Handler>
void close_async(const std::shared_ptr<ClientState>& client, Handler handler) {
  const auto io = io_executor<Executor>(client.get(), asio::get_associated_executor(handler));
  auto work = asio::make_work_guard(asio::get_associated_executor(handler, io));
  const auto kept = std::make_shared<Handler>(std::move(handler));
  const auto complete = [kept, work](std::exception_ptr error) {
    asio::post(work.get_executor(), [kept, error] { std::move (*kept)(error); });
  };
  if (!client) return complete({});
  const ClientLock lock(*client, ClientLock::Kind::shared);
  if (!lock.owns()) return complete(busy(""));
  if (const auto connection = client->connection()) AsyncDriver<Executor>::ensure(*connection, io);
  client->close([complete] { complete({}); });
}

}  // namespace qga::inline v0_1::detail
