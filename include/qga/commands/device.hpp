// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Devices and drivers of a Windows guest.
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

/// The kind of bus that a device is on. @since QEMU 5.2
enum class GuestDeviceType { pci, unknown };

constexpr std::array<std::string_view, 1> wire_names(GuestDeviceType) { return {"pci"}; }

/// What a PCI device is. @since QEMU 5.2
struct GuestDeviceIdPCI {
  std::uint16_t vendor_id = 0;  ///< the maker's number
  std::uint16_t device_id = 0;  ///< the maker's number for the device

  static void fields(auto& self, auto& visit) {
    visit("vendor-id", self.vendor_id);
    visit("device-id", self.device_id);
  }
  friend bool operator==(const GuestDeviceIdPCI&, const GuestDeviceIdPCI&) = default;
};

/// What a device is; `type` says which branch there is. @since QEMU 5.2
struct GuestDeviceId {
  GuestDeviceType type = GuestDeviceType::unknown;  ///< the kind of bus
  std::optional<GuestDeviceIdPCI> pci;              ///< of a PCI device

  static void fields(auto& self, auto& visit) {
    visit("type", self.type);
    detail::visit_branch(self.type == GuestDeviceType::pci, self.pci, visit);
  }
  friend bool operator==(const GuestDeviceId&, const GuestDeviceId&) = default;
};

/// A device and its driver. @since QEMU 5.2
struct GuestDeviceInfo {
  std::string driver_name;                    ///< for people
  std::optional<std::int64_t> driver_date;    ///< nanoseconds since 1970
  std::optional<std::string> driver_version;  ///< for people
  std::optional<GuestDeviceId> id;            ///< which device it is

  static void fields(auto& self, auto& visit) {
    visit("driver-name", self.driver_name);
    visit("driver-date", self.driver_date);
    visit("driver-version", self.driver_version);
    visit("id", self.id);
  }
  friend bool operator==(const GuestDeviceInfo&, const GuestDeviceInfo&) = default;
};

/// A driver package in the guest's store. @since QEMU 11.2
struct GuestDriverPackage {
  std::string name;                          ///< the package's name in the guest
  std::optional<std::string> original_name;  ///< the name before it was installed
  std::string version;                       ///< the package's
  std::optional<std::string> vendor;         ///< who made it

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("original-name", self.original_name);
    visit("version", self.version);
    visit("vendor", self.vendor);
  }
  friend bool operator==(const GuestDriverPackage&, const GuestDriverPackage&) = default;
};

/// The state of a driver's service; an agent that does not know it also says `unknown`.
/// @since QEMU 11.2
enum class GuestDriverServiceStatus {
  stopped,
  start_pending,
  stop_pending,
  running,
  continue_pending,
  pause_pending,
  paused,
  unknown,
};

constexpr std::array<std::string_view, 8> wire_names(GuestDriverServiceStatus) {
  return {"stopped",          "start-pending", "stop-pending", "running",
          "continue-pending", "pause-pending", "paused",       "unknown"};
}

/// A driver's service. @since QEMU 11.2
struct GuestDriverService {
  std::string name;                                                     ///< the service's
  std::optional<std::string> driver_path;                               ///< the file that it runs
  std::optional<std::string> version;                                   ///< that file's
  std::optional<std::string> vendor;                                    ///< who made it
  GuestDriverServiceStatus status = GuestDriverServiceStatus::unknown;  ///< whether it runs

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("driver-path", self.driver_path);
    visit("version", self.version);
    visit("vendor", self.vendor);
    visit("status", self.status);
  }
  friend bool operator==(const GuestDriverService&, const GuestDriverService&) = default;
};

/// `guest-get-devices`. @since QEMU 5.2
struct GuestGetDevicesRequest : NoArguments {
  using Reply = std::vector<GuestDeviceInfo>;
  static constexpr std::string_view command = "guest-get-devices";
};

/// `guest-get-driver-packages`. @since QEMU 11.2
struct GuestGetDriverPackagesRequest : NoArguments {
  using Reply = std::vector<GuestDriverPackage>;
  static constexpr std::string_view command = "guest-get-driver-packages";
};

/// `guest-get-driver-services`. @since QEMU 11.2
struct GuestGetDriverServicesRequest : NoArguments {
  using Reply = std::vector<GuestDriverService>;
  static constexpr std::string_view command = "guest-get-driver-services";
};

/// The commands for the devices and drivers of a Windows guest. See `Commands` for what holds for
/// all of them.
///
/// Guests other than Windows have none of them (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class DeviceCommands {
 public:
  /// The guest's devices with their drivers.
  /// @return `std::vector<GuestDeviceInfo>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 5.2, Windows guests
  auto get_devices() { return detail::carrier_of(*this).execute(GuestGetDevicesRequest{}); }

  /// The driver packages that are installed in the guest.
  /// @return `std::vector<GuestDriverPackage>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 11.2, Windows guests
  auto get_driver_packages() {
    return detail::carrier_of(*this).execute(GuestGetDriverPackagesRequest{});
  }

  /// The guest's driver services, running or not.
  /// @return `std::vector<GuestDriverService>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 11.2, Windows guests
  auto get_driver_services() {
    return detail::carrier_of(*this).execute(GuestGetDriverServicesRequest{});
  }
};

}  // namespace qga::inline v0_1
