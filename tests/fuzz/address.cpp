// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Any text is an address, or a ConnectError that may be shown; and an address that is written out
// again means the same.
#include <climits>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz.hpp"
#include "qga/detail/io/address.hpp"
#include "written.hpp"

namespace {

using namespace qga::detail;

std::optional<Address> parsed(std::string_view text) {
  try {
    return parse_address(text);
  } catch (const qga::ConnectError& error) {
    const std::string_view what = error.what();
    fuzz::require(what.size() < 5000, "an error does not flood a log");
    for (const char c : what) {
      fuzz::require(c < 0 || (c >= ' ' && c != '\x7F'), "an error does not drive a terminal");
    }
    fuzz::require(error.outcome() == qga::Outcome::not_sent, "nothing was sent");
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto address = parsed(fuzz::Bytes(data, size).rest());
  if (!address) return 0;
  const bool is_path = address->kind == Address::Kind::path;
  if (is_path) {
    fuzz::require(address->name.size() < sizeof(sockaddr_un::sun_path), "a path fits");
    fuzz::require(address->name.find('\0') == std::string::npos, "a path is not cut short");
  }
  if (address->kind == Address::Kind::host) {
    fuzz::require(address->port > 0 && address->port < 65536, "a port is named");
  }
  if (is_path || address->kind == Address::Kind::host) {
    fuzz::require(!address->name.empty(), "a path or a host is named");
  }
  if (address->kind == Address::Kind::handle) {
    fuzz::require(address->number <= INT_MAX, "a descriptor is not negative");
  }
  fuzz::require(parsed(qga::test::written(*address)) == address, "both mean the same");
  return 0;
}
