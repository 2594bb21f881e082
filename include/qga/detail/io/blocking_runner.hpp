// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The blocking runner: carries an operation to its end on the caller's thread.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "qga/detail/io/client_guard.hpp"
#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/descriptor.hpp"
#include "qga/detail/protocol/helper_operation.hpp"
#include "qga/detail/protocol/operation.hpp"

namespace qga::inline v0_1::detail {

/// Locks a client while it lives, exclusive or shared.
class ClientLock {
 public:
  enum class Kind { exclusive, shared };

  explicit ClientLock(ClientState& client, Kind kind = Kind::exclusive)
      : client_(client), kind_(kind) {
    owns_ = kind == Kind::exclusive ? client.try_lock_exclusive() : client.try_lock_shared();
  }
  ClientLock(const ClientLock&) = delete;
  ClientLock& operator=(const ClientLock&) = delete;
  ~ClientLock() {
    if (!owns_) return;
    kind_ == Kind::exclusive ? client_.unlock_exclusive() : client_.unlock_shared();
  }

  bool owns() const { return owns_; }

 private:
  ClientState& client_;
  const Kind kind_;
  bool owns_ = false;
};

/// Connects a client to its target, which replaces its connection. Every blocking way to connect
/// uses this.
/// @param wake becomes readable when `stop` is requested
/// @return null, or a ConnectError or CancelledError
inline std::exception_ptr connect_now(ClientState& client, Clock::time_point until,
                                      const StopToken& stop, int wake) {
  const Target target = client.target();
  try {
    const auto attempt = client.begin_connecting();
    client.finish_connecting(attempt, connect_to(target, until, stop, wake));
  } catch (const std::system_error& error) {
    return connect_error(error.code(), target.shown);
  }
  return nullptr;
}

class BlockingRunner {
 public:
  /// @throws std::system_error where no descriptor is left for a stop request; nothing is sent then
  BlockingRunner(ClientState& client, Operation& operation)
      : client_(client),
        operation_(operation),
        stop_(operation.stop()),
        connection_(client.connection()) {}

  /// Runs the operation to its end. The operation then has the result.
  void run() {
    operation_.start();
    while (!operation_.done()) {
      switch (operation_.waiting()) {
        case Waiting::nothing:
          send_and_receive();
          break;
        case Waiting::pause:
          pause(operation_.waits_until());
          operation_.end_wait({});
          break;
        case Waiting::connection:
          connection_.reset();
          operation_.end_wait(
              connect_now(client_, operation_.waits_until(), operation_.stop(), stop_.fd()));
          break;
        case Waiting::work:
          work();
          break;
      }
    }
    // An algorithm that was ended by an exception may have left calls behind.
    if (connection_ && !operation_.is_single()) connection_->withdraw(operation_);
  }

 private:
  void send_and_receive() {
    if (!connection_ || !connection_->is_open()) connection_ = client_.connection();
    if (connection_) return connection_->run(operation_, stop_.fd());
    while (Call* const call = operation_.next_to_submit()) {
      call->fail(not_connected(call->command()));
      operation_.deliver(*call);
    }
  }

  void pause(Clock::time_point until) {
    for (auto now = Clock::now(); now < until && !operation_.wait_is_stopped();
         now = Clock::now()) {
      // A signal that was heard stays readable: it must not end every wait from now on.
      wait_for(-1, 0, until, now, operation_.stop_requested() ? -1 : stop_.fd());
    }
  }

  void work() {
    std::exception_ptr failed;
    operation_.start_work(nullptr, [&](std::exception_ptr error) { failed = std::move(error); });
    operation_.end_wait(std::move(failed));
  }

  ClientState& client_;
  Operation& operation_;
  const StopSignal stop_;
  std::shared_ptr<Connection> connection_;  ///< null: there is none
};

/// Runs a command. @param client null: the client was moved from. @throws GuestAgentError
template <Request R, class Project>
auto run_command(ClientState* client, const R& request, Project project,
                 const CallOptions& options) {
  using Reply = typename R::Reply;
  if (client == nullptr) std::rethrow_exception(not_connected(request.command));
  const ClientLock lock(*client);
  if (!lock.owns()) std::rethrow_exception(busy(request.command));
  CommandOperation<Reply, Project> operation(
      client->params(), options, Clock::now(),
      PreparedCommand<Reply, Project>(request, std::move(project),
                                      std::move(client->spare_memory()), false));
  BlockingRunner(*client, operation).run();
  client->spare_memory() = operation.move_memory();
  if (operation.error()) std::rethrow_exception(operation.error());
  return operation.move_result();
}

/// Runs a helper. @param client null: the client was moved from. @throws GuestAgentError
template <class Result, template <class> class Algorithm, class... Args>
Result run_helper(const std::shared_ptr<ClientState>& client, const CallOptions& options,
                  Args&&... args) {
  if (client == nullptr) std::rethrow_exception(not_connected(""));
  const ClientLock lock(*client);
  if (!lock.owns()) std::rethrow_exception(busy(""));
  HelperOperation<Result, Algorithm> operation(client_of_helper(client), client->params(), options,
                                               Clock::now(), std::forward<Args>(args)...);
  BlockingRunner(*client, operation).run();
  if (operation.error()) std::rethrow_exception(operation.error());
  return operation.move_result();
}

/// Connects a client. @param client null: the client was moved from
/// @param target none: the earlier target
/// @throws ConnectError, CancelledError, BusyError
inline void connect_blocking(ClientState* client, std::optional<Target> target,
                             const CallOptions& options) {
  if (client == nullptr) std::rethrow_exception(not_connected(""));
  const ClientLock lock(*client, ClientLock::Kind::shared);
  if (!lock.owns()) std::rethrow_exception(busy(""));
  if (target) client->set_target(std::move(*target));
  if (!client->has_target()) std::rethrow_exception(no_target());
  const StopToken& token = stop_of(options);
  const StopSignal stop(token);
  const auto until = connecting_deadline(client->params(), options, Clock::now());
  const auto error = connect_now(*client, until, token, stop.fd());
  if (error) std::rethrow_exception(error);
}

}  // namespace qga::inline v0_1::detail
