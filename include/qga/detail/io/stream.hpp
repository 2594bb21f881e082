// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which streams a client can be made from, and how it takes their descriptor over.
#pragma once

#include <concepts>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/generic/stream_protocol.hpp>
#include <asio/local/stream_protocol.hpp>

#include "qga/detail/io/address.hpp"
#include "qga/detail/io/connect.hpp"
#include "qga/detail/io/descriptor.hpp"
#include "qga/detail/io/resolve.hpp"

namespace qga::inline v0_1::detail {

/// A connected Asio stream over a descriptor: a stream socket of any protocol, a serial port, a
/// POSIX stream descriptor. Acceptors and datagram sockets are refused, because they are not
/// streams of bytes; so is a stream over another stream, because the client would bypass it.
template <class T>
concept DescriptorStream = std::move_constructible<T> &&
    requires(T& stream, char* bytes, std::error_code& err) {
  typename T::executor_type;
  { stream.native_handle() } -> std::convertible_to<int>;
  stream.get_executor();
  stream.close(err);
  stream.read_some(asio::buffer(bytes, 1), err);
  stream.write_some(asio::buffer(bytes, 1), err);
} && !requires(T & stream) {
  stream.next_layer();
};

/// A stream that a text can connect: a UNIX socket by a path, a generic socket by an address.
template <class T>
concept Nameable = std::same_as<T, asio::local::stream_protocol::socket> ||
    std::same_as<T, asio::generic::stream_protocol::socket>;

/// Releases the descriptor of a stream. A stream without `release` (a serial port) gives a copy.
/// @throws std::system_error
template <class StreamType>
OwnedDescriptor release_descriptor(StreamType stream) {
  if (!stream.is_open()) return OwnedDescriptor();
  if constexpr (requires { stream.release(); }) {
    return OwnedDescriptor(stream.release());
  } else {
    return duplicate(stream.native_handle());
  }
}

/// The target that the path of a UNIX socket names. @throws ConnectError where it is too long
inline Target target_of_path(std::string_view path) {
  check_path_size(path, path);
  try {
    return target_of(asio::local::stream_protocol::endpoint(path));
  } catch (const std::system_error& error) {
    std::rethrow_exception(connect_error(error.code(), path));
  }
}

/// The target that a text names for a type of stream. @throws ConnectError
template <Nameable StreamType>
Target target_of_text(std::string_view where) {
  if constexpr (std::same_as<StreamType, asio::local::stream_protocol::socket>) {
    return target_of_path(where);
  } else {
    return target_of(parse_address(where), where);
  }
}

}  // namespace qga::inline v0_1::detail
