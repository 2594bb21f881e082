// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The target of connecting, and the steps that both runners repeat. Asio's own connecting would
// take a UNIX socket whose backlog is full for a connected one.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <asio/error.hpp>

#include "qga/detail/io/descriptor.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

/// The address of a stream socket of any family.
class SocketAddress {
 public:
  SocketAddress(const void* address, std::size_t size, int protocol = 0) : protocol_(protocol) {
    size_ = static_cast<socklen_t>(std::min(size, sizeof storage_));
    std::memcpy(&storage_, address, size_);
  }
  /// @tparam Endpoint of an Asio protocol
  template <class Endpoint>
  requires requires(const Endpoint& endpoint) { endpoint.protocol().protocol(); }
  explicit SocketAddress(const Endpoint& endpoint)
      : SocketAddress(endpoint.data(), endpoint.size(), endpoint.protocol().protocol()) {}

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  int protocol() const { return protocol_; }

  bool operator==(const SocketAddress& other) const {
    return size_ == other.size_ && protocol_ == other.protocol_ &&
           std::memcmp(&storage_, &other.storage_, size_) == 0;
  }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
  int protocol_ = 0;
};

/// A Target is what a client connects to, and connects to again.
struct Target {
  std::vector<SocketAddress> addresses = {};  ///< are tried in turn
  /// Finds the addresses anew for each attempt, where a name has to be looked up; it may block.
  std::function<std::vector<SocketAddress>()> lookup = {};
  std::string shown = {};  ///< for errors

  bool known() const { return lookup || !addresses.empty(); }
  bool operator==(const Target& other) const {
    return shown == other.shown && addresses == other.addresses && !lookup == !other.lookup;
  }
};

/// The target of an endpoint. Only a UNIX socket's path is shown in errors.
template <class Endpoint>
requires requires(const Endpoint& endpoint) { endpoint.protocol(); }
Target target_of(const Endpoint& endpoint) {
  Target target{.addresses = {SocketAddress(endpoint)}};
  if constexpr (requires { endpoint.path(); }) target.shown = endpoint.path();
  return target;
}

inline std::exception_ptr connect_error(std::error_code err, std::string_view where = {}) {
  if (err == std::errc::operation_canceled) {
    return make_error<CancelledError>("", "connecting was cancelled", Outcome::not_sent,
                                      std::make_error_code(std::errc::operation_canceled));
  }
  std::string what = "cannot connect";
  if (!where.empty()) what += " to " + printable(where);
  // Asio has a category of its own for the system's errors; `std::errc` does not know it.
  if (err.category() == asio::error::get_system_category()) {
    err = {err.value(), std::system_category()};
  }
  return make_error<ConnectError>("", what, Outcome::not_sent, err);
}

inline constexpr auto connect_retry = std::chrono::milliseconds(10);

struct ConnectStep {
  enum class Next {
    done,           ///< connected, or `err` says why not
    wait_writable,  ///< then ask `connect_result`
    retry,          ///< the backlog of a UNIX socket is full: try again after `connect_retry`
  };
  Next next = Next::done;
  std::error_code err = {};
};

/// @throws std::system_error
inline OwnedDescriptor open_for(const SocketAddress& address) {
  OwnedDescriptor opened = open_socket(address.family(), address.protocol());
  // With Nagle's algorithm, the second of two requests in flight waits for the first to be
  // acknowledged: 41 instead of 21 ms where a round trip takes 20. Only TCP knows the option.
  const int on = 1;
  ::setsockopt(opened.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return opened;
}

inline ConnectStep connect_step(int fd, const SocketAddress& address) {
  using Next = ConnectStep::Next;
  if (::connect(fd, address.data(), address.size()) == 0) return {};
  if (errno == EINPROGRESS || errno == EINTR) return {Next::wait_writable};
  if (errno == EAGAIN) return {Next::retry};
  return {Next::done, last_error()};
}

inline std::error_code connect_result(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return last_error();
  return {error, std::system_category()};
}

/// The deadline of the next address. Each address that is left has an equal part of the time that
/// is left, so that one without an answer does not prevent trying the next.
inline Clock::time_point share_of(Clock::time_point deadline, std::size_t addresses_left,
                                  Clock::time_point now) {
  if (deadline == Clock::time_point::max() || addresses_left <= 1) return deadline;
  return now + (deadline - now) / static_cast<Clock::rep>(addresses_left);
}

/// @param wake becomes readable when `stop` is requested
/// @throws std::system_error: `std::errc::timed_out`, `operation_canceled`, or the system's own
inline OwnedDescriptor connect_to(const SocketAddress& address, Clock::time_point deadline,
                                  const StopToken& stop, int wake) {
  using Next = ConnectStep::Next;
  OwnedDescriptor opened = open_for(address);
  ConnectStep step = connect_step(opened.get(), address);
  while (step.next != Next::done) {
    const auto now = Clock::now();
    if (stop.stop_requested()) step.err = std::make_error_code(std::errc::operation_canceled);
    if (!step.err && now >= deadline) step.err = std::make_error_code(std::errc::timed_out);
    if (step.err) break;
    if (step.next == Next::retry) {
      wait_for(-1, 0, std::min(deadline, now + connect_retry), now, wake);
      step = connect_step(opened.get(), address);
    } else if (wait_for(opened.get(), POLLOUT, deadline, now, wake) != 0) {
      step = {Next::done, connect_result(opened.get())};
    }
  }
  if (step.err) throw std::system_error(step.err);
  return opened;
}

/// Tries all addresses of a target in turn.
/// @throws std::system_error of the last one
inline OwnedDescriptor connect_to(const Target& target, Clock::time_point deadline,
                                  const StopToken& stop, int wake) {
  if (stop.stop_requested()) {
    throw std::system_error(std::make_error_code(std::errc::operation_canceled));
  }
  const std::vector<SocketAddress> addresses = target.lookup ? target.lookup() : target.addresses;
  for (std::size_t i = 0; i + 1 < addresses.size(); ++i) {
    try {
      const auto until = share_of(deadline, addresses.size() - i, Clock::now());
      return connect_to(addresses[i], until, stop, wake);
    } catch (const std::system_error&) {
      if (stop.stop_requested()) throw;  // otherwise the next address is tried
    }
  }
  if (addresses.empty()) throw std::system_error(asio::error::host_not_found);
  return connect_to(addresses.back(), deadline, stop, wake);
}

}  // namespace qga::inline v0_1::detail
