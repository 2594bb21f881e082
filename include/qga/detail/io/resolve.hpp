// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes a target of an address: looks host names up.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <asio/error.hpp>
#include <asio/local/stream_protocol.hpp>

#if __has_include(<linux/vm_sockets.h>)
#include <linux/vm_sockets.h>  // needs <sys/socket.h> before it
#endif

#include "qga/detail/io/address.hpp"
#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/descriptor.hpp"

namespace qga::inline v0_1::detail {

/// An error of `getaddrinfo`, as Asio's resolver would tell it.
inline std::error_code lookup_error(int err) {
  switch (err) {
    case EAI_SYSTEM:
      return last_error();
    case EAI_MEMORY:
      return std::make_error_code(std::errc::not_enough_memory);
    case EAI_AGAIN:
      return asio::error::host_not_found_try_again;
    case EAI_FAIL:
      return asio::error::no_recovery;
    default:
      return asio::error::host_not_found;
  }
}

/// The addresses of a host in the order in which the system prefers them (RFC 6724). Numeric
/// addresses are not looked up.
/// @throws std::system_error
inline std::vector<SocketAddress> look_up(const Address& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int err =
      ::getaddrinfo(address.name.c_str(), std::to_string(address.port).c_str(), &hints, &first);
  if (err != 0) throw std::system_error(lookup_error(err));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(first, &::freeaddrinfo);

  std::vector<SocketAddress> addresses;
  for (const addrinfo* next = first; next != nullptr; next = next->ai_next) {
    addresses.emplace_back(next->ai_addr, next->ai_addrlen, next->ai_protocol);
  }
  return addresses;
}

inline Target target_of_host(const Address& address) {
  if (is_ipv4(address.name) || is_ipv6(address.name)) return {.addresses = look_up(address)};
  return {.lookup = [address] { return look_up(address); }};
}
inline Target target_of_vsock([[maybe_unused]] const Address& address) {
#ifdef VMADDR_CID_ANY
  sockaddr_vm native{};
  native.svm_family = AF_VSOCK;
  native.svm_cid = address.number;
  native.svm_port = address.port;
  return {.addresses = {SocketAddress(&native, sizeof native)}};
#else
  throw std::system_error(std::make_error_code(std::errc::address_family_not_supported));
#endif
}

/// The target that an address names. `text` is shown in errors.
/// @throws ConnectError, also for the address of a descriptor
inline Target target_of(const Address& address, std::string_view text) try {
  Target target;
  switch (address.kind) {
    case Address::Kind::path:
      target = target_of(asio::local::stream_protocol::endpoint(address.name));
      break;
    case Address::Kind::host:
      target = target_of_host(address);
      break;
    case Address::Kind::vsock:
      target = target_of_vsock(address);
      break;
    case Address::Kind::handle:
      throw std::system_error(std::make_error_code(std::errc::invalid_argument));
  }
  target.shown = text;
  return target;
} catch (const std::system_error& error) {
  std::rethrow_exception(connect_error(error.code(), text));
}

}  // namespace qga::inline v0_1::detail
