// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The addresses of a guest as a flat list, without those that cannot be reached from outside, and
// without texts that are not addresses.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "qga/commands/network.hpp"
#include "qga/detail/protocol/carrier.hpp"

namespace qga::inline v0_1 {

/// Which special addresses `addresses` returns beside the others.
struct AddressParams {
  bool loopback = false;    ///< 127.0.0.0/8 and ::1
  bool link_local = false;  ///< 169.254.0.0/16 and fe80::/10
};

/// An address of the guest.
struct GuestAddress {
  std::string interface = {};  ///< the guest's name for it: any text
  std::string address = {};    ///< numeric, spelled as the host's libc spells it
  GuestIpAddressType type = GuestIpAddressType::unknown;  ///< ipv4 or ipv6, as the address is
  std::optional<int> prefix = {};  ///< bits of the network's prefix; none: the guest gave nonsense

  static void fields(auto& self, auto& visit) {
    visit("interface", self.interface);
    visit("address", self.address);
    visit("type", self.type);
    visit("prefix", self.prefix);
  }
  friend bool operator==(const GuestAddress&, const GuestAddress&) = default;
};

namespace detail {

enum class Reach { nowhere, loopback, link_local, further };

/// An address of `nowhere` belongs to no interface. Connecting to some of them (0.0.0.0,
/// ::ffff:127.0.0.1) reaches the host itself, and a guest must not cause that.
inline Reach reach_of(const in_addr& address) {
  const std::uint32_t bits = ntohl(address.s_addr);
  if (bits >> 24 == 0 || bits >> 28 == 0xe || bits == 0xffffffff) return Reach::nowhere;
  if (bits >> 24 == 127) return Reach::loopback;
  return bits >> 16 == 0xa9fe ? Reach::link_local : Reach::further;
}
inline Reach reach_of(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return Reach::loopback;
  // IPv4 within IPv6, and "::". IN6_IS_ADDR_V4COMPAT of musl does not know those that end with 1.
  const auto* const bytes = address.s6_addr;
  const bool starts_empty = std::all_of(bytes, bytes + 12, [](auto byte) { return byte == 0; });
  if (starts_empty || IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_MULTICAST(&address)) {
    return Reach::nowhere;
  }
  return IN6_IS_ADDR_LINKLOCAL(&address) ? Reach::link_local : Reach::further;
}

/// Spells an address as the host does; none where the text is not an address.
template <int Family, class Binary>
std::optional<std::string> respelled(const std::string& text, Binary& address) {
  std::array<char, INET6_ADDRSTRLEN> spelled{};
  if (::inet_pton(Family, text.c_str(), &address) != 1) return {};
  return ::inet_ntop(Family, &address, spelled.data(), spelled.size());
}

/// The longest name in bytes; Linux has 15 at most, Windows 256 characters. Each address has the
/// name: one of megabytes with thousands of addresses would take gigabytes.
inline constexpr std::size_t longest_name = 1024;

inline std::vector<GuestAddress> addresses_of(const std::vector<GuestNetworkInterface>& interfaces,
                                              AddressParams params) {
  std::vector<GuestAddress> result;
  for (const GuestNetworkInterface& interface : interfaces) {
    if (!interface.ip_addresses || interface.name.size() > longest_name) continue;
    for (const GuestIpAddress& given : *interface.ip_addresses) {
      // Windows agents put the number of the interface behind: fe80::1%5.
      const std::string text = given.ip_address.substr(0, given.ip_address.find('%'));
      Reach reach = Reach::nowhere;
      GuestAddress found{.interface = interface.name};
      in_addr v4{};
      in6_addr v6{};
      if (auto address = respelled<AF_INET>(text, v4)) {
        found.address = std::move(*address);
        found.type = GuestIpAddressType::ipv4;
        reach = reach_of(v4);
      } else if (auto address6 = respelled<AF_INET6>(text, v6)) {
        found.address = std::move(*address6);
        found.type = GuestIpAddressType::ipv6;
        reach = reach_of(v6);
      }
      if (reach == Reach::nowhere || (reach == Reach::loopback && !params.loopback) ||
          (reach == Reach::link_local && !params.link_local)) {
        continue;
      }
      const int longest = found.type == GuestIpAddressType::ipv4 ? 32 : 128;
      if (given.prefix >= 0 && given.prefix <= longest) {
        found.prefix = static_cast<int>(given.prefix);
      }
      result.push_back(std::move(found));
    }
  }
  return result;
}

}  // namespace detail

/// The guest's addresses; see `Helpers`.
template <class Carrier>
class AddressHelpers {
 public:
  /// The guest's IP addresses, in its own order. Left out are texts that are not addresses,
  /// addresses that no interface can have (unspecified, multicast, IPv4 in IPv6), and interfaces
  /// with a name of more than 1024 bytes.
  /// @param params loopback and link-local addresses are left out unless asked for
  /// @return `std::vector<GuestAddress>`. Each is a valid address, in the spelling of the host's
  ///         `inet_ntop`, so that equal ones are equal as text; but *that it is the guest's is only
  ///         what the guest says*
  /// @throws AgentError the guest could not list them
  /// @throws CommandNotFoundError file systems are frozen, or it is forbidden
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 1.1, POSIX and Windows guests
  auto addresses(AddressParams params = AddressParams()) {
    return detail::carrier_of(*this).execute(
        GuestNetworkGetInterfacesRequest(),
        [params](const std::vector<GuestNetworkInterface>& reply) {
          return detail::addresses_of(reply, params);
        });
  }
};

}  // namespace qga::inline v0_1
