// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's network interfaces and routes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// The kind of an address. @since QEMU 1.1
enum class GuestIpAddressType { ipv4, ipv6, unknown };

constexpr std::array<std::string_view, 2> wire_names(GuestIpAddressType) {
  return {"ipv4", "ipv6"};
}

/// An address of an interface. @since QEMU 1.1
struct GuestIpAddress {
  std::string ip_address;  ///< as the guest spells it: any text
  GuestIpAddressType ip_address_type = GuestIpAddressType::unknown;  ///< the kind
  std::int64_t prefix = 0;  ///< length of the network's prefix in bits

  static void fields(auto& self, auto& visit) {
    visit("ip-address", self.ip_address);
    visit("ip-address-type", self.ip_address_type);
    visit("prefix", self.prefix);
  }
  friend bool operator==(const GuestIpAddress&, const GuestIpAddress&) = default;
};

/// What has gone through an interface, received (rx) and sent (tx). @since QEMU 2.11
struct GuestNetworkInterfaceStat {
  std::uint64_t rx_bytes = 0;    ///< bytes
  std::uint64_t rx_packets = 0;  ///< packets
  std::uint64_t rx_errs = 0;     ///< bad packets
  std::uint64_t rx_dropped = 0;  ///< dropped packets
  std::uint64_t tx_bytes = 0;    ///< bytes
  std::uint64_t tx_packets = 0;  ///< packets
  std::uint64_t tx_errs = 0;     ///< packets that failed
  std::uint64_t tx_dropped = 0;  ///< dropped packets

  static void fields(auto& self, auto& visit) {
    visit("rx-bytes", self.rx_bytes);
    visit("rx-packets", self.rx_packets);
    visit("rx-errs", self.rx_errs);
    visit("rx-dropped", self.rx_dropped);
    visit("tx-bytes", self.tx_bytes);
    visit("tx-packets", self.tx_packets);
    visit("tx-errs", self.tx_errs);
    visit("tx-dropped", self.tx_dropped);
  }
  friend bool operator==(const GuestNetworkInterfaceStat&,
                         const GuestNetworkInterfaceStat&) = default;
};

/// An interface of the guest. @since QEMU 1.1
struct GuestNetworkInterface {
  std::string name;                             ///< any text
  std::optional<std::string> hardware_address;  ///< the MAC address, as aa:bb:cc:dd:ee:ff
  std::optional<std::vector<GuestIpAddress>> ip_addresses;  ///< none: it has none
  std::optional<GuestNetworkInterfaceStat> statistics;      ///< @since QEMU 2.11

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("hardware-address", self.hardware_address);
    visit("ip-addresses", self.ip_addresses);
    visit("statistics", self.statistics);
  }
  friend bool operator==(const GuestNetworkInterface&, const GuestNetworkInterface&) = default;
};

/// A route of the guest. Which members there are depends on `version`. @since QEMU 9.1
struct GuestNetworkRoute {
  std::string iface;                        ///< the interface
  std::string destination;                  ///< the network
  std::int64_t metric = 0;                  ///< -1 has been seen
  std::optional<std::string> gateway;       ///< the next router (IPv4)
  std::optional<std::string> mask;          ///< the network's mask (IPv4)
  std::optional<std::int64_t> irtt;         ///< initial round trip time
  std::optional<std::uint64_t> flags;       ///< may be sign-extended to 64 bits
  std::optional<std::int64_t> refcnt;       ///< references
  std::optional<std::int64_t> use;          ///< how often it was used
  std::optional<std::int64_t> window;       ///< bytes, for TCP
  std::optional<std::int64_t> mtu;          ///< bytes
  std::optional<std::string> desprefixlen;  ///< a number, as text
  std::optional<std::string> source;        ///< the source network (IPv6)
  std::optional<std::string> srcprefixlen;  ///< a number, as text
  std::optional<std::string> nexthop;       ///< the next router (IPv6)
  std::int64_t version = 0;                 ///< 4 or 6, for IPv4 or IPv6

  static void fields(auto& self, auto& visit) {
    visit("iface", self.iface);
    visit("destination", self.destination);
    visit("metric", self.metric);
    visit("gateway", self.gateway);
    visit("mask", self.mask);
    visit("irtt", self.irtt);
    visit("flags", self.flags);
    visit("refcnt", self.refcnt);
    visit("use", self.use);
    visit("window", self.window);
    visit("mtu", self.mtu);
    visit("desprefixlen", self.desprefixlen);
    visit("source", self.source);
    visit("srcprefixlen", self.srcprefixlen);
    visit("nexthop", self.nexthop);
    visit("version", self.version);
  }
  friend bool operator==(const GuestNetworkRoute&, const GuestNetworkRoute&) = default;
};

/// `guest-network-get-interfaces`. @since QEMU 1.1
struct GuestNetworkGetInterfacesRequest : NoArguments {
  using Reply = std::vector<GuestNetworkInterface>;
  static constexpr std::string_view command = "guest-network-get-interfaces";
};

/// `guest-network-get-route`. @since QEMU 9.1
struct GuestNetworkGetRouteRequest : NoArguments {
  using Reply = std::vector<GuestNetworkRoute>;
  static constexpr std::string_view command = "guest-network-get-route";
};

/// The commands for network interfaces and routes. See `Commands` for what holds for all of them.
///
/// Both fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class NetworkCommands {
 public:
  /// The guest's network interfaces with their addresses. A guest may have thousands, and may
  /// make up any text.
  /// @return `std::vector<GuestNetworkInterface>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 1.1, POSIX and Windows guests
  auto network_get_interfaces() {
    return detail::carrier_of(*this).execute(GuestNetworkGetInterfacesRequest{});
  }

  /// The guest's routes, IPv4 and IPv6.
  /// @return `std::vector<GuestNetworkRoute>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 9.1, Linux guests; Windows guests QEMU 11.0
  auto network_get_route() {
    return detail::carrier_of(*this).execute(GuestNetworkGetRouteRequest{});
  }
};

}  // namespace qga::inline v0_1
