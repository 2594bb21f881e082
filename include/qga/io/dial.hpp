// SPDX-License-Identifier: LGPL-3.0-or-later
//
// From an address to a channel: looks up what has a name, and tries what it finds in turn.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include <netdb.h>
#include <sys/socket.h>
#include <asio/error.hpp>
#include <asio/local/stream_protocol.hpp>

#include <linux/vm_sockets.h>  // needs <sys/socket.h> before it

#include "qga/io/address.hpp"
#include "qga/io/connect.hpp"
#include "qga/io/descriptor.hpp"
#include "qga/params.hpp"

namespace qga::io {

/// @tparam Endpoint a generic one; the same below. Only who dials compiles this
template <class Endpoint>
std::vector<Endpoint> endpoints_of(const UnixAddress& address) {
  return {asio::local::stream_protocol::endpoint(address.path)};
}

template <class Endpoint>
std::vector<Endpoint> endpoints_of(const VsockAddress& address) {
  sockaddr_vm native{};
  native.svm_family = AF_VSOCK;
  native.svm_cid = address.cid;
  native.svm_port = address.port;
  return {Endpoint(&native, sizeof native)};
}

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

/// In the order in which the system prefers them (RFC 6724). Numeric addresses are not looked up.
/// @throws std::system_error
template <class Endpoint>
std::vector<Endpoint> endpoints_of(const TcpAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int err =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &first);
  if (err != 0) throw std::system_error(lookup_error(err));
  const auto give_back = [](addrinfo* found) { ::freeaddrinfo(found); };
  const std::unique_ptr<addrinfo, decltype(give_back)> found(first);

  std::vector<Endpoint> endpoints;
  for (const addrinfo* next = first; next != nullptr; next = next->ai_next) {
    endpoints.emplace_back(next->ai_addr, next->ai_addrlen);
  }
  return endpoints;
}

template <class Endpoint>
std::vector<Endpoint> endpoints_of(const HandleAddress&) {
  return {};
}

/// @throws std::system_error
template <class Endpoint>
std::vector<Endpoint> endpoints_of(const Address& address) {
  return std::visit([](const auto& kind) { return endpoints_of<Endpoint>(kind); }, address);
}

/// Tries one or more endpoints in turn. Each gets its share of the time that is left: one that does
/// not answer must not keep the next from being tried.
/// @throws std::system_error of the last one
template <class Endpoint>
OwnedDescriptor connect_first(const std::vector<Endpoint>& endpoints, Clock::time_point deadline) {
  for (std::size_t i = 0; i + 1 < endpoints.size(); ++i) {
    const auto now = Clock::now();
    const auto left = static_cast<Clock::rep>(endpoints.size() - i);
    const bool for_ever = deadline == Clock::time_point::max();
    try {
      return connect_blocking(endpoints[i], for_ever ? deadline : now + (deadline - now) / left);
    } catch (const std::system_error&) {
      // The next one may be better.
    }
  }
  return connect_blocking(endpoints.back(), deadline);
}

}  // namespace qga::io
