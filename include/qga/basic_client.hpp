// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The client: connecting, closing, requests; its commands and helpers are in its base classes.
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/execution_context.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

#include "qga/commands.hpp"
#include "qga/detail/io/async_runner.hpp"
#include "qga/detail/io/blocking_runner.hpp"
#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connecting.hpp"
#include "qga/detail/io/resolve.hpp"
#include "qga/detail/io/stream.hpp"
#include "qga/detail/protocol/json.hpp"
#include "qga/detail/protocol/raw_request.hpp"
#include "qga/error.hpp"
#include "qga/helpers.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"
#include "qga/with_options.hpp"

namespace qga::inline v0_1 {

/// The streams that a client can use; see `Client`.
template <class T>
concept Stream = detail::DescriptorStream<T>;

/// A client of one guest agent.
///
/// Every command is a method: of the client itself (blocking), of `with(options)` (blocking, with
/// options of its own) and of `async(token, options)` (under any completion token of Asio). All
/// three have the methods of `Commands`, one for each command of the agent, and of `Helpers`, for
/// tasks that take more than one command.
///
/// Constructing only connects; the first command makes the handshake, within its own deadline.
///
/// Asynchronous calls may be started from any thread and be in flight together: they are sent in
/// order, and executed in order by the agent. A blocking call has the client for itself, a helper
/// from its first step to its last: while it runs, or while asynchronous calls do, another one
/// throws `BusyError`.
///
/// A connection that breaks stays broken: the commands then throw `ConnectError` until `connect`,
/// `reconnect` or `async_connect`, because file handles and process ids of the agent may not have
/// survived.
///
/// @tparam StreamType any connected Asio stream over a descriptor: UNIX, TCP or generic sockets,
///         serial ports, POSIX stream descriptors. The client reads and writes the descriptor
///         itself, so streams over other streams (TLS, proxies) are refused.
template <Stream StreamType = asio::local::stream_protocol::socket>
class Client : public Commands<Client<StreamType>>, public Helpers<Client<StreamType>> {
 public:
  using stream_type = StreamType;                            ///< the Asio stream
  using executor_type = typename StreamType::executor_type;  ///< the stream's executor

  /// Makes an unconnected client; use `connect` or `async_connect`. It runs on no executor until
  /// its first asynchronous call, whose handler's executor its connection then uses.
  Client() : Client(std::make_shared<detail::ClientState>(ClientParams())) {}

  /// Connects to a UNIX socket. The client runs on no executor until its first asynchronous call.
  /// @param path of the socket, 107 bytes at most
  /// @param params the client's settings
  /// @throws ConnectError no connection could be made
  /// @timeout 5 s, or `params.timeout`
  explicit Client(std::string_view path, ClientParams params = {}) requires
      std::same_as<StreamType, asio::local::stream_protocol::socket>
      : Client(std::make_shared<detail::ClientState>(std::move(params))) {
    state_->set_target(detail::target_of_path(path));
    if (!state_->params().defer_connect) reconnect();
  }

  /// Takes over a connected stream, which is made non-blocking and is not inherited by child
  /// processes. The client runs on the stream's executor.
  /// @param stream connected
  /// @param params the client's settings
  /// @throws ConnectError it is not open
  explicit Client(StreamType stream, ClientParams params = {})
      : Client(make_state(std::move(params), stream.get_executor())) {
    attach(detail::release_descriptor(std::move(stream)));
  }

  /// Makes an unconnected client on an executor; use `async_connect` or `connect`.
  /// @param executor of its I/O, and of handlers that have none
  /// @param params the client's settings
  explicit Client(const executor_type& executor, ClientParams params = {}) requires
      std::constructible_from<StreamType, const executor_type&>
      : Client(make_state(std::move(params), executor)) {}

  /// Makes an unconnected client on a context's executor; use `async_connect` or `connect`.
  /// @param context such as an `asio::io_context`
  /// @param params the client's settings
  template <std::derived_from<asio::execution_context> Context>
  requires std::constructible_from<StreamType, Context&>
  explicit Client(Context& context, ClientParams params = {})
      : Client(executor_type(context.get_executor()), std::move(params)) {}

  /// Takes over an open descriptor and closes it in the end, also where this throws. Its open file
  /// description is made non-blocking: that shows in other processes that share it, such as the
  /// shell whose terminal it is.
  /// @param handle a connected socket of any family or, for other streams, what they are made from
  /// @param params the client's settings
  /// @throws ConnectError `handle` is not an open descriptor
  static Client from_handle(int handle, ClientParams params = {}) {
    detail::OwnedDescriptor owned(handle);
    Client client(std::make_shared<detail::ClientState>(std::move(params)));
    client.attach(std::move(owned));
    return client;
  }

  /// A client that was moved from behaves as a closed one.
  Client(Client&&) noexcept = default;
  /// Closes this client, which then is the other.
  Client& operator=(Client&& other) noexcept {
    if (this != &other) {
      shut();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  /// Closes the connection, as `close`.
  ~Client() { shut(); }

  // ---- connecting --------------------------------------------------------------------------

  /// Connects (again). An earlier connection is closed first, and an attempt that is under way ends
  /// with `CancelledError`.
  /// @param where a path of up to 107 bytes; for an `AnyClient` any address that `qga::connect`
  ///        takes, but no descriptor
  /// @param options time and stop token of this call
  /// @throws ConnectError no connection could be made
  /// @throws CancelledError `options.stop` or `close` ended it
  /// @throws BusyError a blocking call is using the client
  /// @timeout 5 s, the client's `timeout`, or what `options` say
  void connect(std::string_view where,
               CallOptions options = CallOptions()) requires detail::Nameable<StreamType> {
    connect_to(detail::target_of_text<StreamType>(where), options);
  }
  /// Connects (again) to an endpoint of Asio; otherwise as to a path.
  /// @param endpoint of the stream's protocol
  /// @param options time and stop token of this call
  /// @throws ConnectError no connection could be made
  /// @throws CancelledError `options.stop` or `close` ended it
  /// @throws BusyError a blocking call is using the client
  /// @timeout 5 s, the client's `timeout`, or what `options` say
  template <class Endpoint>
  requires requires(const Endpoint& endpoint) { endpoint.protocol(); }
  void connect(const Endpoint& endpoint, CallOptions options = CallOptions()) {
    connect_to(detail::target_of(endpoint), options);
  }

  /// Connects again to the last target.
  /// @param options time and stop token of this call
  /// @throws ConnectError also where there is no target, because a stream or a descriptor was taken
  ///         over
  /// @throws CancelledError `options.stop` or `close` ended it
  /// @throws BusyError a blocking call is using the client
  /// @timeout 5 s, the client's `timeout`, or what `options` say
  void reconnect(CallOptions options = CallOptions()) { connect_to({}, options); }

  /// Connects (again); as `connect`.
  /// @param where as for `connect`. A name is looked up on a thread of the library's own
  /// @param token a completion token of Asio
  /// @param options time and stop token of this call
  /// @handler `void(std::exception_ptr)`: null, or as `connect` throws
  /// @cancellation terminal and partial. It completes with `CancelledError`
  /// @executor the handler runs on its associated executor; without one, on the client's. I/O is
  ///           done on the client's executor or, where it has none, on the handler's.
  /// @timeout as `connect`
  template <class Token>
  auto async_connect(std::string_view where, Token&& token,
                     CallOptions options = CallOptions()) requires detail::Nameable<StreamType> {
    return async_connect_to(detail::target_of_text<StreamType>(where), std::forward<Token>(token),
                            options);
  }
  /// Connects (again) to an endpoint of Asio; otherwise as to a path.
  /// @param endpoint of the stream's protocol
  /// @param token a completion token of Asio
  /// @param options time and stop token of this call
  /// @handler `void(std::exception_ptr)`: null, or as `connect` throws
  /// @cancellation terminal and partial. It completes with `CancelledError`
  /// @executor the handler runs on its associated executor; without one, on the client's. I/O is
  ///           done on the client's executor or, where it has none, on the handler's.
  /// @timeout as `connect`
  template <class Endpoint, class Token>
  requires requires(const Endpoint& endpoint) { endpoint.protocol(); }
  auto async_connect(const Endpoint& endpoint, Token&& token, CallOptions options = CallOptions()) {
    return async_connect_to(detail::target_of(endpoint), std::forward<Token>(token), options);
  }

  /// Connects again to the last target; as `reconnect`.
  /// @param token a completion token of Asio
  /// @param options time and stop token of this call
  /// @handler `void(std::exception_ptr)`: null, or as `connect` throws
  /// @cancellation terminal and partial. It completes with `CancelledError`
  /// @executor the handler runs on its associated executor; without one, on the client's. I/O is
  ///           done on the client's executor or, where it has none, on the handler's.
  /// @timeout as `connect`
  template <class Token>
  auto async_reconnect(Token&& token, CallOptions options = CallOptions()) {
    return async_connect_to({}, std::forward<Token>(token), options);
  }

  /// True from connecting until the connection is closed, or found to be broken. May be called on
  /// any thread.
  bool is_open() const { return state_ && state_->is_open(); }

  using FileHelpers<Client>::close;  // of a file

  /// Closes the connection. Asynchronous calls and an `async_connect` under way end with
  /// `CancelledError`. Guards act first: 5 s at most in all, 30 s where something is frozen. Where
  /// replies are still due, reads for up to 100 ms what the agent has to say, because some agents
  /// exit when a client closes with replies unread. After asynchronous calls all of this goes on in
  /// the background of the executor; otherwise it is over when this returns.
  /// @throws BusyError a blocking call is using the client
  /// @timeout as above: neither the client's `timeout` nor a deadline of a call holds for it
  void close() { close_then({}); }

  /// Closes the connection, as `close`.
  /// @param token a completion token of Asio
  /// @handler `void(std::exception_ptr)`, when all of it is over: null, or `BusyError`
  /// @cancellation none
  /// @executor the handler runs on its associated executor; without one, on the client's
  /// @timeout as `close`
  template <class Token>
  auto async_close(Token&& token) {
    return asio::async_initiate<Token, void(std::exception_ptr)>(
        [](auto handler, const StatePtr& state) {
          detail::close_async<executor_type>(state, std::move(handler));
        },
        token, state_);
  }

  // ---- requests ----------------------------------------------------------------------------

  /// Sends a typed request and waits for its reply.
  /// @param request a request of the library, or one of your own; see `Request`
  /// @param project what to make of the reply: a function or a pointer to a member
  /// @return the reply, or nothing where it has none
  /// @throws GuestAgentError see `Commands`
  /// @timeout that of the request; 5 s where it has none
  template <Request R, class Project = std::identity>
  auto execute(const R& request, Project project = {}) {
    return run_command(request, std::move(project), CallOptions{});
  }

  /// Sends any command and waits for its reply.
  /// @param command the wire name
  /// @param arguments an object, or null for none
  /// @return what stands under `return`, as it is: base64 stays base64. At most 65 MiB, and no
  /// string
  ///         longer than 24 MiB but the payload of `guest-file-read` and `guest-exec-status`
  /// @throws GuestAgentError see `Commands`
  /// @timeout that of the command, where the library knows it; 5 s otherwise
  nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
    return execute(detail::RawRequest(command, std::move(arguments)));
  }

  /// Sends a typed request.
  /// @param request is encoded before this returns; it need not live longer
  /// @param token a completion token of Asio
  /// @param options time and stop token of this call
  /// @handler `void(std::exception_ptr, Reply)`, or `void(std::exception_ptr)` where there is no
  ///          reply
  /// @cancellation terminal and partial at any time, total while nothing was sent
  /// @executor the handler runs on its associated executor; without one, on the client's
  /// @timeout as `execute`
  template <Request R, class Token>
  auto async_execute(const R& request, Token&& token, const CallOptions& options = CallOptions()) {
    return start_command(request, std::identity(), std::forward<Token>(token), options);
  }

  /// Sends any command.
  /// @param command the wire name
  /// @param arguments an object, or null for none
  /// @param token a completion token of Asio
  /// @param options time and stop token of this call
  /// @handler `void(std::exception_ptr, nlohmann::json)`: as `execute`
  /// @cancellation terminal and partial at any time, total while nothing was sent
  /// @executor the handler runs on its associated executor; without one, on the client's
  /// @timeout as `execute`
  template <class Token>
  auto async_execute(std::string_view command, nlohmann::json arguments, Token&& token,
                     const CallOptions& options = CallOptions()) {
    return start_command(detail::RawRequest(command, std::move(arguments)), std::identity(),
                         std::forward<Token>(token), options);
  }

  /// For the library's own use: runs the algorithm of a helper; see `Helpers` for its methods.
  template <class Result, template <class> class Algorithm, class... Args>
  Result perform(Args&&... args) {
    return run_helper<Result, Algorithm>(CallOptions{}, std::forward<Args>(args)...);
  }

  /// The type that `with` returns. It has the same commands, blocking, with options of their own.
  using WithOptions = qga::WithOptions<Client>;

  /// Makes the same commands with options, such as `ga.with({.timeout = 1h}).fstrim()`.
  /// @param options of the calls that are made through what is returned
  WithOptions with(CallOptions options) { return WithOptions(*this, std::move(options)); }

  /// The type that `async` returns. It has the same commands, under a completion token.
  template <class Token>
  using Async = qga::Async<Client, Token>;

  /// Makes the same commands under a completion token, such as
  /// `co_await ga.async(asio::use_awaitable).info()`.
  /// @param token a completion token of Asio
  /// @param options of the calls that are made through what is returned
  /// @handler `void(std::exception_ptr, Reply)`, or `void(std::exception_ptr)` where there is no
  ///          reply
  /// @cancellation terminal and partial at any time, total while nothing was sent
  /// @executor the handler runs on its associated executor; without one, on the client's. I/O is
  ///          done on the client's executor or, where it has none, on that of its first handler.
  /// @timeout that of the command or helper, or what `options` say
  template <class Token>
  auto async(Token&& token, CallOptions options = CallOptions()) {
    return Async<std::decay_t<Token>>(*this, std::forward<Token>(token), std::move(options));
  }

 private:
  using StatePtr = std::shared_ptr<detail::ClientState>;

  explicit Client(StatePtr state) : state_(std::move(state)) {}

  static StatePtr make_state(ClientParams params, const executor_type& executor) {
    return std::make_shared<detail::ClientState>(
        std::move(params), std::make_unique<detail::WatchedExecutor<executor_type>>(executor));
  }

  friend WithOptions;
  template <class, class>
  friend class qga::Async;
  template <std::same_as<asio::generic::stream_protocol::socket> Any>
  friend Client<Any> connect(std::string_view, ClientParams, CallOptions);

  // Without a target: to the earlier one.
  void connect_to(std::optional<detail::Target> target, const CallOptions& options) {
    detail::connect_blocking(state_.get(), std::move(target), options);
  }
  template <class Token>
  auto async_connect_to(std::optional<detail::Target> target, Token&& token,
                        const CallOptions& options) {
    return start_helper<void, detail::ConnectTo>(std::forward<Token>(token), options, state_,
                                                 std::move(target));
  }

  void attach(detail::OwnedDescriptor opened) {
    try {
      state_->finish_connecting(state_->begin_connecting(), std::move(opened));
    } catch (const std::system_error& error) {
      std::rethrow_exception(detail::connect_error(error.code()));
    }
  }

  void shut() noexcept {
    try {
      close();
    } catch (...) {
      // A blocking call runs on another thread: destroying the client under it is not supported.
    }
  }

  void close_then(std::function<void()> on_closed) {
    if (!state_) return;
    const detail::ClientLock lock(*state_, detail::ClientLock::Kind::shared);
    if (!lock.owns()) std::rethrow_exception(detail::busy(""));
    state_->close(std::move(on_closed));
  }

  template <class R, class Project>
  auto run_command(const R& request, Project project, const CallOptions& options) {
    return detail::run_command(state_.get(), request, std::move(project), options);
  }

  template <class R, class Project, class Token>
  auto start_command(const R& request, Project project, Token&& token, const CallOptions& options) {
    using Op = detail::CommandOperation<typename R::Reply, Project>;
    return detail::initiate<Op, executor_type>(
        std::forward<Token>(token), state_, options,
        detail::PreparedCommand<typename R::Reply, Project>(request, std::move(project)));
  }

  template <class Result, template <class> class Algorithm, class... Args>
  Result run_helper(const CallOptions& options, Args&&... args) {
    return detail::run_helper<Result, Algorithm>(state_, options, std::forward<Args>(args)...);
  }

  template <class Result, template <class> class Algorithm, class Token, class... Args>
  auto start_helper(Token&& token, const CallOptions& options, Args&&... args) {
    using Op = detail::HelperOperation<Result, Algorithm>;
    return detail::initiate<Op, executor_type>(std::forward<Token>(token), state_, options,
                                               std::forward<Args>(args)...);
  }

  StatePtr state_;  ///< null: moved from
};

/// `qga::Client ga("/path")` is a `Client<>`. The constructors say that, too, but clang can warn of
/// a class that is deduced and has no guide.
Client()->Client<>;

}  // namespace qga::inline v0_1
