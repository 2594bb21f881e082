// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waiting until a guest has an address.
#pragma once

#include <algorithm>
#include <cctype>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qga/commands/network.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/addresses.hpp"
#include "qga/helpers/wait_steps.hpp"

namespace qga::inline v0_1 {

namespace detail {

/// Compares hardware addresses; Windows guests use `-` and capital letters.
inline bool same_hardware_address(const std::string& one, const std::string& other) {
  const auto plain = [](char c) {
    return c == '-' ? ':' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return plain(a) == plain(b); });
}

template <class Io>
class WaitAddress final : public WaitSteps<Io> {
 public:
  WaitAddress(Io& io, GuestIpAddressType family, std::string hardware_address,
              Clock::duration timeout)
      : WaitSteps<Io>(io, timeout, GuestNetworkGetInterfacesRequest::command),
        family_(family),
        hardware_address_(std::move(hardware_address)) {}

 private:
  void attempt() override {
    this->io_.call(
        GuestNetworkGetInterfacesRequest(),
        [this](const std::exception_ptr& error, std::vector<GuestNetworkInterface> interfaces) {
          if (error) return this->again(error);
          look(std::move(interfaces));
        },
        {.until = this->deadline_});
  }

  void look(std::vector<GuestNetworkInterface> interfaces) {
    if (!hardware_address_.empty()) {
      std::erase_if(interfaces, [this](const GuestNetworkInterface& interface) {
        return !same_hardware_address(interface.hardware_address.value_or(""), hardware_address_);
      });
    }
    for (GuestAddress& address : addresses_of(interfaces, {})) {
      if (family_ == GuestIpAddressType::unknown || family_ == address.type) {
        return this->io_.finish(std::move(address));
      }
    }
    this->again(nullptr);
  }

  void give_up() override { this->io_.finish(std::nullopt); }

  GuestIpAddressType family_;
  std::string hardware_address_;
};

}  // namespace detail

/// Waiting for an address; see `Helpers`.
template <class Carrier>
class WaitAddressHelpers {
 public:
  /// Waits until the guest has an address that is neither of loopback nor link-local. Waits across
  /// restarts of the agent and the guest, as `wait_ready` does: calls that are under way are
  /// cancelled where it connects again.
  /// @param family ipv4 or ipv6; `unknown`: either
  /// @param hardware_address of the interface, as aa:bb:cc:dd:ee:ff; empty: any
  /// @param timeout in all
  /// @return `std::optional<GuestAddress>`, the first in the guest's order; none: the time is up,
  ///         or the agent cannot tell
  /// @throws CancelledError the caller cancelled or stopped it, or closed the client
  /// @throws BusyError another call is using the client
  /// @timeout as `timeout` says. Nothing changes in the guest.
  /// @since QEMU 1.1, POSIX and Windows guests
  auto wait_address(GuestIpAddressType family, std::string hardware_address,
                    Clock::duration timeout) {
    return detail::carrier_of(*this)
        .template perform<std::optional<GuestAddress>, detail::WaitAddress>(
            family, std::move(hardware_address), timeout);
  }
};

}  // namespace qga::inline v0_1
