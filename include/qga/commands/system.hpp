// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's clock, name, time zone, operating system and load.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// A point in time of the guest's clock, UTC.
using GuestTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// What `guest-get-host-name` replies. @since QEMU 2.10
struct GuestHostName {
  std::string host_name;  ///< the guest's name for itself

  static void fields(auto& self, auto& visit) { visit("host-name", self.host_name); }
  friend bool operator==(const GuestHostName&, const GuestHostName&) = default;
};

/// What `get_timezone` replies. @since QEMU 2.10
struct GuestTimezone {
  std::optional<std::string> zone;  ///< for people: guests name zones as they like
  std::int64_t offset = 0;          ///< seconds, as of now; east of Greenwich is positive

  static void fields(auto& self, auto& visit) {
    visit("zone", self.zone);
    visit("offset", self.offset);
  }
  friend bool operator==(const GuestTimezone&, const GuestTimezone&) = default;
};

/// What `get_osinfo` replies. From `id` on: what the guest's os-release file has, if anything;
/// Windows has values of its own. @since QEMU 2.10
struct GuestOSInfo {
  std::optional<std::string> kernel_release;  ///< Windows: the build number
  std::optional<std::string> kernel_version;  ///< for people
  std::optional<std::string> machine;         ///< hardware name, such as x86_64
  std::optional<std::string> id;              ///< Windows: mswindows
  std::optional<std::string> name;            ///< such as Debian GNU/Linux
  std::optional<std::string> pretty_name;     ///< name and version, for people
  std::optional<std::string> version;         ///< for people
  std::optional<std::string> version_id;      ///< such as 12
  std::optional<std::string> variant;         ///< Windows: server or client
  std::optional<std::string> variant_id;      ///< the same for programs

  static void fields(auto& self, auto& visit) {
    visit("kernel-release", self.kernel_release);
    visit("kernel-version", self.kernel_version);
    visit("machine", self.machine);
    visit("id", self.id);
    visit("name", self.name);
    visit("pretty-name", self.pretty_name);
    visit("version", self.version);
    visit("version-id", self.version_id);
    visit("variant", self.variant);
    visit("variant-id", self.variant_id);
  }
  friend bool operator==(const GuestOSInfo&, const GuestOSInfo&) = default;
};

/// What `get_load` replies: averages of the processes that run or wait. @since QEMU 10.0
struct GuestLoadAverage {
  double load1m = 0;   ///< over 1 minute
  double load5m = 0;   ///< over 5 minutes
  double load15m = 0;  ///< over 15 minutes

  static void fields(auto& self, auto& visit) {
    visit("load1m", self.load1m);
    visit("load5m", self.load5m);
    visit("load15m", self.load15m);
  }
  friend bool operator==(const GuestLoadAverage&, const GuestLoadAverage&) = default;
};

/// `guest-get-time`. @since QEMU 1.5
struct GuestGetTimeRequest : NoArguments {
  using Reply = std::int64_t;  ///< nanoseconds since 1970
  static constexpr std::string_view command = "guest-get-time";
};

/// `guest-set-time`. @since QEMU 1.5
struct GuestSetTimeRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-set-time";

  std::optional<std::int64_t> time;  ///< nanoseconds since 1970; none: from the hardware clock

  GuestSetTimeRequest() = default;
  explicit GuestSetTimeRequest(std::optional<GuestTime> time_) {
    if (time_) time = time_->time_since_epoch().count();
  }

  static void fields(auto& self, auto& visit) { visit("time", self.time); }
};

/// `guest-get-host-name`. @since QEMU 2.10
struct GuestGetHostNameRequest : NoArguments {
  using Reply = GuestHostName;
  static constexpr std::string_view command = "guest-get-host-name";
};

/// `guest-get-timezone`. @since QEMU 2.10
struct GuestGetTimezoneRequest : NoArguments {
  using Reply = GuestTimezone;
  static constexpr std::string_view command = "guest-get-timezone";
};

/// `guest-get-osinfo`. @since QEMU 2.10
struct GuestGetOsinfoRequest : NoArguments {
  using Reply = GuestOSInfo;
  static constexpr std::string_view command = "guest-get-osinfo";
};

/// `guest-get-load`. @since QEMU 10.0
struct GuestGetLoadRequest : NoArguments {
  using Reply = GuestLoadAverage;
  static constexpr std::string_view command = "guest-get-load";
};

/// The commands for the guest's clock, name, time zone, operating system and load. See `Commands`
/// for what holds for all of them.
///
/// All fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class SystemCommands {
 public:
  /// The guest's clock.
  /// @return `GuestTime`, in nanoseconds
  /// @throws AgentError the guest could not read it
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 1.5, all guests
  auto get_time() {
    return detail::carrier_of(*this).execute(GuestGetTimeRequest{}, [](std::int64_t since_epoch) {
      return GuestTime(std::chrono::nanoseconds(since_epoch));
    });
  }

  /// Sets the guest's clock, as after a long pause or a restored snapshot.
  /// @param time the years 1970 to 2069; none: the time of the guest's hardware clock
  /// @throws AgentError out of range; no hardware clock to read (Linux needs hwclock). Without
  ///         `time`, a Windows guest may fail *although* its clock was set: compare `get_time`.
  /// @timeout 30 s. After a timeout the clock may be set still, and to a time that is old by then.
  /// @since QEMU 1.5, all guests
  auto set_time(std::optional<GuestTime> time = {}) {
    return detail::carrier_of(*this).execute(GuestSetTimeRequest(time));
  }

  /// The guest's name for itself, whatever the network calls it.
  /// @return `std::string`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.10, all guests
  auto get_host_name() {
    return detail::carrier_of(*this).execute(GuestGetHostNameRequest{}, &GuestHostName::host_name);
  }

  /// The guest's time zone, with daylight saving as of now.
  /// @return `GuestTimezone`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.10, all guests
  auto get_timezone() { return detail::carrier_of(*this).execute(GuestGetTimezoneRequest{}); }

  /// The guest's operating system and kernel.
  /// @return `GuestOSInfo`; any member may be missing
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.10, all guests
  auto get_osinfo() { return detail::carrier_of(*this).execute(GuestGetOsinfoRequest{}); }

  /// How busy the guest is.
  /// @return `GuestLoadAverage`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 10.0, POSIX guests; Windows guests QEMU 10.1
  auto get_load() { return detail::carrier_of(*this).execute(GuestGetLoadRequest{}); }
};

}  // namespace qga::inline v0_1
