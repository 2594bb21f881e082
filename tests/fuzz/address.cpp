// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Any text is an address, or a ConnectError that may be shown; and an address that is written out
// again means the same.
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "fuzz.hpp"
#include "qga/detail/io/address.hpp"

namespace {

using namespace qga::detail;

struct Written {
  std::string operator()(const UnixAddress& to) const { return "unix:" + to.path; }
  std::string operator()(const TcpAddress& to) const {
    const bool is_ipv6 = to.host.find(':') != std::string::npos;
    return "tcp:" + (is_ipv6 ? "[" + to.host + "]" : to.host) + ":" + std::to_string(to.port);
  }
  std::string operator()(const VsockAddress& to) const {
    return "vsock:" + std::to_string(to.cid) + ":" + std::to_string(to.port);
  }
  std::string operator()(const HandleAddress& to) const {
    return "fd:" + std::to_string(to.handle);
  }
};

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
  if (const auto* to = std::get_if<UnixAddress>(&*address)) {
    fuzz::require(!to->path.empty() && to->path.size() < sizeof(sockaddr_un::sun_path),
                  "a path fits");
    fuzz::require(to->path.find('\0') == std::string::npos, "a path is not cut short");
  }
  if (const auto* to = std::get_if<TcpAddress>(&*address)) {
    fuzz::require(!to->host.empty() && to->port != 0, "a host and a port are named");
  }
  if (const auto* to = std::get_if<HandleAddress>(&*address)) {
    fuzz::require(to->handle >= 0, "a descriptor is not negative");
  }
  fuzz::require(parsed(std::visit(Written(), *address)) == address, "both mean the same");
  return 0;
}
