// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The face of the library, and the only header that a user includes.
//
//   qga::Client ga("/run/vm/qga.sock");
//   std::cout << ga.info().version << '\n';
#pragma once

#include <chrono>
#include <concepts>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <asio/any_io_executor.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/compose.hpp>
#include <asio/execution_context.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

#include "qga/commands.hpp"
#include "qga/error.hpp"
#include "qga/helpers.hpp"
#include "qga/io/address.hpp"
#include "qga/io/async.hpp"
#include "qga/io/async_connect.hpp"
#include "qga/io/channel.hpp"
#include "qga/io/dial.hpp"
#include "qga/io/perform.hpp"
#include "qga/params.hpp"
#include "qga/protocol/completion.hpp"
#include "qga/protocol/json.hpp"
#include "qga/protocol/raw_request.hpp"

namespace qga {

/// The streams that a client can use; see `Client`.
template <class T>
concept Stream = io::DescriptorStream<T>;

/// A client of one guest agent.
///
/// Every command is a method: of the client itself (blocking), of `with(options)` (blocking, with
/// options of its own) and of `async(token, options)` (under any completion token of Asio).
/// Constructing only connects; the first command makes the handshake, within its own deadline.
///
/// Asynchronous calls may be started from any thread and be in flight together: they are sent in
/// order, and executed in order by the agent. A blocking call has the client for itself: while it
/// runs, or while asynchronous calls do, another one throws `RequestError`.
///
/// A connection that breaks stays broken: the commands then throw `ConnectError` until `connect` or
/// `async_connect`, because file handles and process ids of the agent may not have survived.
///
/// @tparam StreamType any connected Asio stream over a descriptor: UNIX, TCP or generic sockets,
///         serial ports, POSIX stream descriptors
template <Stream StreamType = asio::local::stream_protocol::socket>
class Client : public Commands<Client<StreamType>>, public Helpers<Client<StreamType>> {
 public:
  using stream_type = StreamType;
  using executor_type = typename StreamType::executor_type;

  /// Connects to a UNIX socket, within `params.timeout`. The client runs on no executor until its
  /// first asynchronous call, which binds it to the executor of that call's handler.
  /// @throws ConnectError
  explicit Client(std::string_view path, ClientParams params = {}) requires
      std::same_as<StreamType, asio::local::stream_protocol::socket>
      : channel_(std::make_shared<Channel>(std::move(params))) {
    if (channel_->params().defer_connect) {
      channel_->remember({endpoint_of(path)});
    } else {
      connect(path);
    }
  }

  /// Takes over a connected stream, which is made non-blocking.
  /// @throws ConnectError where it is not open
  explicit Client(StreamType stream, ClientParams params = {})
      : channel_(std::make_shared<Channel>(std::move(params))) {
    attach([&] { Channel::Async::attach(*channel_, std::move(stream)); });
  }

  /// Unconnected; use `async_connect` or `connect`.
  explicit Client(const executor_type& executor, ClientParams params = {}) requires
      std::constructible_from<StreamType, const executor_type&>
      : channel_(std::make_shared<Channel>(std::move(params))) {
    Channel::Async::use_executor(*channel_, executor);
  }

  /// Unconnected, on the executor of an execution context; use `async_connect` or `connect`.
  template <std::derived_from<asio::execution_context> Context>
  requires std::constructible_from<StreamType, Context&>
  explicit Client(Context& context, ClientParams params = {})
      : Client(executor_type(context.get_executor()), std::move(params)) {}

  /// Takes over an open descriptor and closes it in the end, also where this throws.
  /// @param handle a connected socket of any family or, for other streams, what they are made from
  /// @throws ConnectError where it is none
  static Client from_handle(int handle, ClientParams params = {}) {
    io::OwnedDescriptor owned(handle);
    Client client(std::make_shared<Channel>(std::move(params)));
    attach([&] { client.channel_->attach(std::move(owned)); });
    return client;
  }

  /// A client that was moved from behaves as a closed one.
  Client(Client&&) noexcept = default;
  Client& operator=(Client&& other) noexcept {
    if (this != &other) {
      shut();
      channel_ = std::move(other.channel_);
    }
    return *this;
  }
  ~Client() { shut(); }

  /// Connects (again), within the client's timeout. Closes an earlier connection first.
  /// @param path of a UNIX socket, 107 characters at most
  /// @throws ConnectError; RequestError while a blocking call runs
  void connect(std::string_view path) requires
      std::same_as<StreamType, asio::local::stream_protocol::socket> {
    connect(endpoint_of(path));
  }

  /// Connects (again), within the client's timeout. Closes an earlier connection first.
  /// @throws ConnectError; RequestError while a blocking call runs
  template <class Endpoint>
  requires requires(const Endpoint& endpoint) { endpoint.protocol(); }
  void connect(const Endpoint& endpoint) {
    close();
    Channel& channel = connectable();
    channel.remember({endpoint});
    try {
      const auto deadline = deadline_after(channel.params().timeout, Clock::now());
      channel.attach(io::connect_blocking(endpoint, deadline));
    } catch (const std::system_error& error) {
      std::rethrow_exception(io::connect_error(error.code(), io::shown_endpoint(endpoint)));
    }
  }

  /// Connects (again), within the client's timeout. Closes an earlier connection first.
  /// @param endpoint of the stream's protocol
  /// @param token for `void(std::exception_ptr)`: `ConnectError`, or `CancelledError`
  /// Supports cancellation of all types. Runs on the executor that the client was made with, or to
  /// which its first asynchronous call bound it.
  /// @throws RequestError where it has none
  template <class Endpoint, class Token>
  auto async_connect(const Endpoint& endpoint, Token&& token) {
    Channel& channel = connectable();
    const auto executor = Channel::Async::executor_of(channel);
    if (!executor) {
      std::rethrow_exception(protocol::make_error<RequestError>(
          "", "async_connect needs a client that has an executor", Outcome::not_sent,
          std::make_error_code(std::errc::invalid_argument)));
    }
    channel.remember({endpoint});
    return asio::async_compose<Token, void(std::exception_ptr)>(
        io::AsyncConnect<Channel, StreamType, typename StreamType::endpoint_type>(
            channel_, endpoint, deadline_after(channel.params().timeout, Clock::now()), *executor),
        token, *executor);
  }

  /// True from connecting until the connection is closed, or found to be broken.
  bool is_open() const { return channel_ && channel_->is_open(); }

  using FileHelpers<Client>::close;  // of a file

  /// Closes the connection. Asynchronous calls under way end with `CancelledError`. Where replies
  /// are still due, reads for up to 100 ms what the agent has to say, because some agents exit when
  /// a client leaves with replies unread: in the background of its executor after asynchronous
  /// calls, otherwise before it returns.
  /// @throws RequestError while a blocking call runs
  void close() {
    if (!is_open()) return;
    if (const auto error = Channel::join(channel_, "")) std::rethrow_exception(error);
    channel_->close();
    channel_->leave();
  }

  // ---- requests ----------------------------------------------------------------------------

  /// Sends a typed request and waits for its reply.
  /// @param project what to make of the reply: a function or a pointer to a member
  /// @return the reply, or nothing where it has none
  /// @throws GuestAgentError, see `Commands`
  template <protocol::Request Request, class Project = std::identity>
  auto execute(const Request& request, Project project = {}) {
    return run_call(request, std::move(project), CallOptions{});
  }

  /// Sends any command and waits for its reply.
  /// @param command the wire name
  /// @param arguments an object, or null for none
  /// @return what stands under `return`, as it is: base64 stays base64. At most 65 MiB, no string
  ///         longer than 24 MiB
  /// @throws GuestAgentError, see `Commands`
  nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
    return execute(protocol::RawRequest(command, std::move(arguments)));
  }

  /// Sends a typed request.
  /// @param request is encoded before this returns; it need not live longer
  /// @param token for `void(std::exception_ptr, Reply)`, or `void(std::exception_ptr)` where there
  ///        is no reply. Supports cancellation: terminal and partial at any time, total while
  ///        nothing was sent. The handler runs on its associated executor, by default the stream's.
  template <protocol::Request Request, class Token>
  auto async_execute(const Request& request, Token&& token, const CallOptions& options = {}) {
    return start(request, std::identity(), std::forward<Token>(token), options);
  }

  /// Sends any command. @param token for `void(std::exception_ptr, nlohmann::json)`
  template <class Token>
  auto async_execute(std::string_view command, nlohmann::json arguments, Token&& token,
                     const CallOptions& options = {}) {
    return start(protocol::RawRequest(command, std::move(arguments)), std::identity(),
                 std::forward<Token>(token), options);
  }

  /// Runs the algorithm of a helper; see `Helpers` for its methods.
  template <class Result, template <class> class Algorithm, class... Args>
  Result perform(Args&&... args) {
    return run_helper<Result, Algorithm>(CallOptions{}, std::forward<Args>(args)...);
  }

  /// The same commands, blocking, with options of their own. Must not outlive the client.
  class WithOptions : public Commands<WithOptions>, public Helpers<WithOptions> {
   public:
    WithOptions(Client& client, CallOptions options)
        : client_(client), options_(std::move(options)) {}

    template <protocol::Request Request, class Project = std::identity>
    auto execute(const Request& request, Project project = {}) {
      return client_.run_call(request, std::move(project), options_);
    }
    nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
      return execute(protocol::RawRequest(command, std::move(arguments)));
    }
    template <class Result, template <class> class Algorithm, class... Args>
    Result perform(Args&&... args) {
      return client_.template run_helper<Result, Algorithm>(options_, std::forward<Args>(args)...);
    }

   private:
    Client& client_;
    CallOptions options_;
  };

  WithOptions with(CallOptions options) { return WithOptions(*this, std::move(options)); }

  /// The same commands under a completion token. Must not outlive the client.
  template <class Token>
  class Async : public Commands<Async<Token>>, public Helpers<Async<Token>> {
   public:
    Async(Client& client, Token token, CallOptions options)
        : client_(client), token_(std::move(token)), options_(std::move(options)) {}

    template <protocol::Request Request, class Project = std::identity>
    auto execute(const Request& request, Project project = {}) {
      return client_.start(request, std::move(project), token(), options_);
    }
    auto execute(std::string_view command, nlohmann::json arguments = nullptr) {
      return execute(protocol::RawRequest(command, std::move(arguments)));
    }
    template <class Result, template <class> class Algorithm, class... Args>
    auto perform(Args&&... args) {
      return client_.template start_helper<Result, Algorithm>(token(), options_,
                                                              std::forward<Args>(args)...);
    }

   private:
    Token token() {
      if constexpr (std::copy_constructible<Token>) {
        return token_;
      } else {
        return std::move(token_);
      }
    }

    Client& client_;
    Token token_;
    CallOptions options_;
  };

  template <class Token>
  auto async(Token&& token, CallOptions options = {}) {
    return Async<std::decay_t<Token>>(*this, std::forward<Token>(token), std::move(options));
  }

 private:
  using Channel = io::Channel<StreamType>;
  using ChannelPtr = std::shared_ptr<Channel>;

  explicit Client(ChannelPtr channel) : channel_(std::move(channel)) {}

  template <std::same_as<asio::generic::stream_protocol::socket> Any>
  friend Client<Any> connect(std::string_view, ClientParams);

  static asio::local::stream_protocol::endpoint endpoint_of(std::string_view path) {
    try {
      return std::string(path);
    } catch (const std::system_error& error) {  // the path is too long
      std::rethrow_exception(io::connect_error(error.code(), path));
    }
  }

  template <class Attach>
  static void attach(Attach attach_it) {
    try {
      attach_it();
    } catch (const std::system_error& error) {
      std::rethrow_exception(io::connect_error(error.code()));
    }
  }

  Channel& connectable() {
    if (!channel_) std::rethrow_exception(io::not_connected(""));
    return *channel_;
  }

  void shut() noexcept {
    try {
      close();
    } catch (...) {
      // A blocking call runs on another thread: destroying the client under it is not supported.
    }
  }

  template <class Request, class Project>
  auto run_call(const Request& request, Project project, const CallOptions& options) {
    return io::run_on(channel_, request, std::move(project), options);
  }

  template <class Request, class Project, class Token>
  auto start(const Request& request, Project project, Token&& token, const CallOptions& options) {
    return io::start_on(channel_, request, std::move(project), std::forward<Token>(token), options);
  }

  template <class Result, template <class> class Algorithm, class... Args>
  Result run_helper(const CallOptions& options, Args&&... args) {
    return io::BlockingHelper<Result, Algorithm, Channel>({channel_, options},
                                                          std::forward<Args>(args)...)
        .run();
  }

  template <class Result, template <class> class Algorithm, class Token, class... Args>
  auto start_helper(Token&& token, const CallOptions& options, Args&&... args) {
    return asio::async_initiate<Token, typename protocol::CompletionSignature<Result>::type>(
        [](auto handler, io::HelperCalls<Channel> calls, auto... given) {
          using Helper = io::AsyncHelper<Result, Algorithm, Channel, decltype(handler)>;
          const executor_type io = Channel::Async::executor_for(
              calls.channel, asio::get_associated_executor(handler), false);
          std::make_shared<Helper>(std::move(calls), std::move(handler), io, std::move(given)...)
              ->begin();
        },
        token, io::HelperCalls<Channel>{channel_, options}, std::forward<Args>(args)...);
  }

  ChannelPtr channel_;
};

// ---- any channel -----------------------------------------------------------------------------

/// A client over a stream socket of any kind. `async_connect` takes any stream endpoint: of UNIX
/// sockets, TCP, or an `asio::generic::stream_protocol::endpoint` over a `sockaddr_vm`.
using AnyClient = Client<asio::generic::stream_protocol::socket>;

/// Connects to the channel that a text names, within `params.timeout`. As with a client that is
/// made from a path, its first asynchronous call binds it to an executor.
///
/// @param address one of
/// - `/path`, `unix:path`: a UNIX socket. The path may be relative, has 107 bytes at most, and
///   needs `unix:` (or `./`) only where a colon comes before its first slash: `qga.sock` and
///   `run/a:b` are paths, `a:b` is not. No abstract sockets.
/// - `tcp:host:port`: a host name or an IPv4 address, or an IPv6 address in brackets, with or
///   without a zone: `tcp:[fe80::1%eth0]:7000`. The port is a number, 1 to 65535.
/// - `vsock:cid:port`: decimal numbers, 0 to 4294967294. The context id is what QEMU gave to the
///   guest as `guest-cid`; 1 is this machine itself, 2 its host.
/// - `fd:N`: an open descriptor: a connected socket that was inherited, or a terminal in raw mode.
///   It is taken over as by `Client::from_handle`: closed in the end, also where this throws on its
///   account.
///
/// A name that has several addresses has them tried in turn, each with its share of the time that
/// is left. Looking the name up counts, but is not cut short: it takes as long as the system's
/// resolver does. A numeric address is not looked up.
///
/// Whoever can connect to an agent commands its guest: it asks for no password. TCP is for
/// loopback, or within a tunnel.
/// @throws ConnectError that names the address. Its `err()` is `std::errc::invalid_argument` or
///         `filename_too_long` for a text that is no address: trying again is of no use then.
/// @tparam Any the stream of an `AnyClient`, and nothing else: only who calls this compiles one
template <std::same_as<asio::generic::stream_protocol::socket> Any =
              asio::generic::stream_protocol::socket>
Client<Any> connect(std::string_view address, ClientParams params = {}) {
  const io::Address parsed = io::parse_address(address);
  if (const auto* handle = std::get_if<io::HandleAddress>(&parsed)) {
    try {
      return Client<Any>::from_handle(handle->handle, std::move(params));
    } catch (const ConnectError& error) {
      std::rethrow_exception(io::connect_error(error.err(), address));
    }
  }
  const auto deadline = deadline_after(params.timeout, Clock::now());
  Client<Any> client(std::make_shared<io::Channel<Any>>(std::move(params)));
  try {
    auto endpoints = io::endpoints_of<typename Any::endpoint_type>(parsed);
    client.channel_->remember(endpoints);
    if (!client.channel_->params().defer_connect) {
      client.channel_->attach(io::connect_first(endpoints, deadline));
    }
  } catch (const std::system_error& error) {
    std::rethrow_exception(io::connect_error(error.code(), address));
  }
  return client;
}

}  // namespace qga
