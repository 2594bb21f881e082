// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a faked guest says about itself. It is always the same.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace qga::inline v0_1::testing::detail {

/// Replies that never change, by command.
inline const std::map<std::string, nlohmann::json>& guest_facts() {
  using nlohmann::json;
  static const std::map<std::string, json> facts{
      {"guest-get-host-name", {{"host-name", "fake-guest"}}},
      {"guest-get-osinfo",
       {{"id", "debian"},
        {"name", "Debian GNU/Linux"},
        {"pretty-name", "Debian GNU/Linux 12 (bookworm)"},
        {"version", "12 (bookworm)"},
        {"version-id", "12"},
        {"kernel-release", "6.1.0-fake"},
        {"kernel-version", "#1 SMP"},
        {"machine", "x86_64"}}},
      {"guest-get-timezone", {{"zone", "UTC"}, {"offset", 0}}},
      {"guest-get-users", json::array({{{"user", "root"}, {"login-time", 1'700'000'000.0}}})},
      {"guest-network-get-interfaces",
       json::array({{{"name", "lo"},
                     {"ip-addresses", json::array({{{"ip-address-type", "ipv4"},
                                                    {"ip-address", "127.0.0.1"},
                                                    {"prefix", 8}}})}},
                    {{"name", "eth0"},
                     {"hardware-address", "52:54:00:12:34:56"},
                     {"ip-addresses", json::array({{{"ip-address-type", "ipv4"},
                                                    {"ip-address", "192.0.2.10"},
                                                    {"prefix", 24}}})}}})},
  };
  return facts;
}

/// The reply to `guest-get-fsinfo`.
inline nlohmann::json file_systems(const std::vector<std::string>& mountpoints) {
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& mountpoint : mountpoints) {
    list.push_back({{"name", "vda" + std::to_string(list.size() + 1)},
                    {"mountpoint", mountpoint},
                    {"type", "ext4"},
                    {"used-bytes", std::uint64_t{1} << 30},
                    {"total-bytes", std::uint64_t{8} << 30},
                    {"disk", nlohmann::json::array()}});
  }
  return list;
}

}  // namespace qga::inline v0_1::testing::detail
