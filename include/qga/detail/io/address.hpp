// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The text that names a channel, such as `tcp:host:7000`, and what it means. This does no I/O and
// no look-up: a text becomes an address, or a ConnectError that says why not.
#pragma once

#include <charconv>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/redact.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1::detail {

/// An Address is a parsed text: its kind, and the members that this kind has.
struct Address {
  enum class Kind { path, host, vsock, handle };
  Kind kind;
  std::string name = {};     ///< the path, or the host: a name or a numeric address, no brackets
  std::uint32_t number = 0;  ///< the context id, or the descriptor
  std::uint32_t port = 0;

  friend bool operator==(const Address&, const Address&) = default;
};

[[noreturn]] inline void refuse_address(std::string_view text, std::string_view why,
                                        std::errc err = std::errc::invalid_argument) {
  std::string what = "cannot connect to '" + printable(text) + "': ";
  what += why;
  std::rethrow_exception(
      make_error<ConnectError>("", what, Outcome::not_sent, std::make_error_code(err)));
}

/// Parses decimal digits only: no sign, no blanks.
inline std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t least,
                                                 std::uint32_t most) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, err] = std::from_chars(text.data(), end, value);
  if (err != std::errc() || stopped != end || value < least || value > most) return std::nullopt;
  return value;
}

inline bool is_host_name(std::string_view text) {
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

inline bool is_ipv4(std::string_view text) {
  in_addr ignored{};
  return ::inet_pton(AF_INET, std::string(text).c_str(), &ignored) == 1;
}

/// Whether a text is an IPv6 address, with or without a zone: `fe80::1%eth0`.
inline bool is_ipv6(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos && !is_host_name(text.substr(percent + 1))) return false;
  in6_addr ignored{};
  return ::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &ignored) == 1;
}

/// @param text the whole address, for the error; the same below
inline void check_path_size(std::string_view text, std::string_view path) {
  constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= longest) return;
  refuse_address(text,
                 "the path is longer than " + std::to_string(longest) +
                     " bytes; give a shorter one: from the current directory on, or a symbolic "
                     "link to the socket or to its directory",
                 std::errc::filename_too_long);
}

inline Address parse_unix(std::string_view text, std::string_view path) {
  if (path.empty()) refuse_address(text, "a path is expected");
  check_path_size(text, path);
  return {Address::Kind::path, std::string(path)};
}

inline Address parse_tcp(std::string_view text, std::string_view host_and_port) {
  const std::size_t colon = host_and_port.rfind(':');
  if (colon == std::string_view::npos) refuse_address(text, "the port is missing: add :PORT");
  const auto port = parse_number(host_and_port.substr(colon + 1), 1, 65535);
  if (!port) refuse_address(text, "the port must be a number from 1 to 65535");

  std::string_view host = host_and_port.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!is_ipv6(host)) refuse_address(text, "an IPv6 address is expected within the brackets");
  } else if (!is_host_name(host)) {
    refuse_address(text,
                   "the host must be a name, an IPv4 address, or an IPv6 address in brackets");
  } else if (host.find_first_not_of("0123456789.") == std::string_view::npos && !is_ipv4(host)) {
    // The resolver would take 256.0.0.1 for a name, and 127.1 for an address.
    refuse_address(text, "the host must be a name or a complete IPv4 address");
  }
  return {Address::Kind::host, std::string(host), 0, *port};
}

inline Address parse_vsock(std::string_view text, std::string_view cid_and_port) {
  constexpr std::uint32_t any = UINT32_MAX;  // VMADDR_CID_ANY, VMADDR_PORT_ANY: only to bind to
  const std::size_t colon = cid_and_port.find(':');
  if (colon == std::string_view::npos) refuse_address(text, "the port is missing: add :PORT");
  const auto cid = parse_number(cid_and_port.substr(0, colon), 0, any - 1);
  if (!cid) refuse_address(text, "the context id must be a number from 0 to 4294967294");
  const auto port = parse_number(cid_and_port.substr(colon + 1), 0, any - 1);
  if (!port) refuse_address(text, "the port must be a number from 0 to 4294967294");
  return {Address::Kind::vsock, {}, *cid, *port};
}

inline Address parse_handle(std::string_view text, std::string_view number) {
  const auto handle = parse_number(number, 0, INT_MAX);
  if (!handle) refuse_address(text, "the descriptor must be a number from 0 to 2147483647");
  return {Address::Kind::handle, {}, *handle};
}

/// Parses an address; `qga::connect` describes its forms.
/// @throws ConnectError where `text` is not an address
inline Address parse_address(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    refuse_address(text, "an address must not hold a NUL byte");
  // The rule of RFC 3986, 4.2: a relative path with a colon in its first segment begins with "./".
  const std::size_t colon = text.find(':');
  const std::string_view scheme = text.substr(0, colon);
  if (colon == std::string_view::npos || scheme.find('/') != std::string_view::npos) {
    return parse_unix(text, text);
  }
  const std::string_view rest = text.substr(colon + 1);
  if (scheme == "unix") return parse_unix(text, rest);
  if (scheme == "tcp") return parse_tcp(text, rest);
  if (scheme == "vsock") return parse_vsock(text, rest);
  if (scheme == "fd") return parse_handle(text, rest);
  refuse_address(text, "it must begin with unix:, tcp:, vsock: or fd:, or be a path");
}

}  // namespace qga::inline v0_1::detail
