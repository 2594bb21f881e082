// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The main header of the library, and the only one that a user includes.
//
//   qga::Client ga("/run/vm/qga.sock");
//   std::cout << ga.info().version << '\n';
#pragma once

#if __cplusplus < 202002L
#error "qga needs C++20 or later: compile with -std=c++20"
#endif

#include <concepts>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include <asio/generic/stream_protocol.hpp>

#include "qga/basic_client.hpp"
#include "qga/commands.hpp"
#include "qga/detail/io/address.hpp"
#include "qga/detail/io/client_state.hpp"
#include "qga/detail/io/connecting.hpp"
#include "qga/error.hpp"
#include "qga/helpers.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"
#include "qga/text.hpp"
#include "qga/version.hpp"

/// A client of the QEMU Guest Agent. Everything that users need is in this namespace; what is in
/// `qga::detail` may change in every release.
namespace qga::inline v0_1 {

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
///   It is taken over as by `Client::from_handle`: closed in the end, also where this throws
///   because of it.
///
/// The addresses of a name are tried in turn, each with its share of the time that is left. Looking
/// the name up counts, but is not interrupted: it takes as long as the system's resolver does. A
/// numeric address is not looked up.
///
/// Anyone who can connect to an agent controls its guest: the agent asks for no password. Use TCP
/// only on loopback, or within a tunnel.
/// @param params the client's settings
/// @param options `stop` ends the connecting, `timeout` and `deadline` bound it
/// @throws ConnectError names the address. Its `err()` is `std::errc::invalid_argument` or
///         `filename_too_long` for a text that is not an address: trying again does not help then
/// @throws CancelledError it was stopped
/// @timeout 5 s, or `params.timeout`, or what `options` say
/// @tparam Any always the stream of an `AnyClient`; a template, so that only callers compile one
template <std::same_as<asio::generic::stream_protocol::socket> Any =
              asio::generic::stream_protocol::socket>
Client<Any> connect(std::string_view address, ClientParams params = {},
                    CallOptions options = CallOptions()) {
  const detail::Address parsed = detail::parse_address(address);
  if (parsed.kind == detail::Address::Kind::handle) {
    try {
      return Client<Any>::from_handle(static_cast<int>(parsed.number), std::move(params));
    } catch (const ConnectError& error) {
      std::rethrow_exception(detail::connect_error(error.err(), address));
    }
  }
  Client<Any> client(std::make_shared<detail::ClientState>(std::move(params)));
  client.state_->set_target(detail::target_of(parsed, address));
  if (!client.state_->params().defer_connect) client.reconnect(std::move(options));
  return client;
}

}  // namespace qga::inline v0_1
