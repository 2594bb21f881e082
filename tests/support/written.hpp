// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The text of an address.
#pragma once

#include <string>

#include "qga/detail/io/address.hpp"

namespace qga::test {

/// As an address is written; the opposite of `parse_address`.
inline std::string written(const detail::Address& address) {
  using Kind = detail::Address::Kind;
  const std::string port = ":" + std::to_string(address.port);
  const bool is_ipv6 = address.name.find(':') != std::string::npos;
  switch (address.kind) {
    case Kind::path:
      return "unix:" + address.name;
    case Kind::host:
      return "tcp:" + (is_ipv6 ? "[" + address.name + "]" : address.name) + port;
    case Kind::vsock:
      return "vsock:" + std::to_string(address.number) + port;
    default:
      return "fd:" + std::to_string(address.number);
  }
}

}  // namespace qga::test
