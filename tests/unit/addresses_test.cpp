// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which addresses of a guest are given, and that each is one, whatever the guest says.
#include <string>
#include <vector>

#include "catch.hpp"
#include "qga/helpers/addresses.hpp"

using qga::AddressParams;
using qga::GuestAddress;
using qga::GuestIpAddressType;
using Interfaces = std::vector<qga::GuestNetworkInterface>;
using Texts = std::vector<std::string>;

namespace {

qga::GuestNetworkInterface interface(const std::string& name, const Texts& addresses,
                                     std::int64_t prefix = 24) {
  qga::GuestNetworkInterface result{name, {}, {}, {}};
  result.ip_addresses.emplace();
  for (const std::string& one : addresses) {
    // Wrong for an IPv6 address: what a guest says of the type does not count.
    result.ip_addresses->push_back({one, GuestIpAddressType::ipv4, prefix});
  }
  return result;
}

/// What is given of these.
Texts given(const Texts& addresses, AddressParams params = {}) {
  Texts result;
  for (const GuestAddress& one :
       qga::detail::addresses_of({interface("eth0", addresses)}, params)) {
    result.push_back(one.address);
  }
  return result;
}

const AddressParams all{.loopback = true, .link_local = true};

}  // namespace

TEST_CASE("addresses: a flat list in the guest's order, each with its interface") {
  const auto list =
      qga::detail::addresses_of({interface("lo", {"127.0.0.1", "::1"}),
                                 {"down", {}, {}, {}},
                                 interface("eth0", {"10.0.2.15", "fe80::1", "2001:db8::1"}),
                                 interface("", {"192.0.2.1"})},
                                {});
  CHECK(list == std::vector<GuestAddress>{{"eth0", "10.0.2.15", GuestIpAddressType::ipv4, 24},
                                          {"eth0", "2001:db8::1", GuestIpAddressType::ipv6, 24},
                                          {"", "192.0.2.1", GuestIpAddressType::ipv4, 24}});
}

TEST_CASE("addresses: loopback and link-local ones if asked for") {
  const Texts loopback{"127.0.0.1", "127.255.255.255", "::1"};
  const Texts link_local{"169.254.0.0", "169.254.255.255", "fe80::1", "febf::1"};
  const Texts other{"126.255.255.255", "128.0.0.0", "169.253.0.1", "169.255.0.1",
                    "fec0::1",         "fe7f::1",   "::2:0:0:1",   "fd00::1"};
  CHECK(given(loopback).empty());
  CHECK(given(loopback, {.loopback = true}) == loopback);
  CHECK(given(loopback, {.link_local = true}).empty());
  CHECK(given(link_local).empty());
  CHECK(given(link_local, {.link_local = true}) == link_local);
  CHECK(given(link_local, {.loopback = true}).empty());
  CHECK(given(other) == other);
}

TEST_CASE("addresses: what is none is left out") {
  for (const std::string& bad :
       {std::string(""), std::string("localhost"), std::string("10.0.0"), std::string("10.0.0.256"),
        std::string("010.0.0.1"), std::string("10.0.0.1 "), std::string("10.0.0.1/24"),
        std::string("0x7f000001"), std::string("2001:db8:::1"), std::string("[2001:db8::1]"),
        std::string("%eth0"), std::string("10.0.0.1\n10.0.0.2"), std::string("10.0.0.1; rm -rf /"),
        std::string(1 << 20, '1')}) {
    CAPTURE(bad.substr(0, 100));
    CHECK(given({bad}, all).empty());
  }
}

TEST_CASE("addresses: none that no interface has, such as another word for the host itself") {
  for (const std::string bad :
       {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "255.255.255.255",
        "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1", "ff02::1"}) {
    CAPTURE(bad);
    CHECK(given({bad}, all).empty());
  }
}

TEST_CASE("addresses: one spelling for each, without the guest's number of the interface") {
  CHECK(given({"2001:0DB8:0:0::0001"}) == Texts{"2001:db8::1"});
  CHECK(given({"fe80::1%5"}, all) == Texts{"fe80::1"});
  CHECK(given({"fe80::1%\x1b[2J"}, all) == Texts{"fe80::1"});
  CHECK(given({std::string("10.0.0.1\0x", 10)}) == Texts{"10.0.0.1"});
}

TEST_CASE("addresses: of a Windows guest") {
  auto ethernet = interface("Ethernet", {"192.0.2.45"});
  ethernet.ip_addresses->insert(ethernet.ip_addresses->begin(),
                                {"fe80::b51b:d3df:15df:19eb%3", GuestIpAddressType::ipv6, -1});
  const auto loopback = interface("Loopback Pseudo-Interface 1", {"127.0.0.1", "::1"}, -1);
  const GuestAddress address{"Ethernet", "192.0.2.45", GuestIpAddressType::ipv4, 24};
  CHECK(qga::detail::addresses_of({ethernet, loopback}, {}) == std::vector{address});

  const auto all_of_them = qga::detail::addresses_of({ethernet, loopback}, all);
  REQUIRE(all_of_them.size() == 4);
  CHECK(all_of_them[0].address == "fe80::b51b:d3df:15df:19eb");
  for (const std::size_t i : {0U, 2U, 3U}) CHECK(all_of_them[i].prefix == std::nullopt);
}

TEST_CASE("addresses: a prefix that cannot be is none") {
  const auto prefix = [](const std::string& address, std::int64_t length) {
    return qga::detail::addresses_of({interface("eth0", {address}, length)}, {}).at(0).prefix;
  };
  CHECK(prefix("10.0.0.1", 0) == 0);
  CHECK(prefix("10.0.0.1", 32) == 32);
  CHECK(prefix("2001:db8::1", 128) == 128);
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{33}, INT64_MAX, INT64_MIN}) {
    CHECK(prefix("10.0.0.1", bad) == std::nullopt);
  }
  CHECK(prefix("2001:db8::1", 129) == std::nullopt);
}

TEST_CASE("addresses: an interface with a name that would be too much to repeat is left out") {
  const auto count = [](std::size_t length) {
    const std::string name(length, 'x');
    return qga::detail::addresses_of({interface(name, {"10.0.0.1", "10.0.0.2"})}, {}).size();
  };
  CHECK(count(1024) == 2);
  CHECK(count(1025) == 0);
}
