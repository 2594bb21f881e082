// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's disks and file systems: what there is, how it is used, and trimming it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// How a disk is attached; an agent that does not know it also says `unknown`.
/// @since QEMU 2.2
enum class GuestDiskBusType {
  ide,
  fdc,
  scsi,
  virtio,
  xen,
  usb,
  uml,
  sata,
  sd,
  unknown,
  ieee1394,
  ssa,
  fibre,
  raid,
  iscsi,
  sas,
  mmc,
  virtual_,  ///< `virtual` is a keyword
  file_backed_virtual,
  nvme,
};

constexpr std::array<std::string_view, 20> wire_names(GuestDiskBusType) {
  return {"ide",
          "fdc",
          "scsi",
          "virtio",
          "xen",
          "usb",
          "uml",
          "sata",
          "sd",
          "unknown",
          "ieee1394",
          "ssa",
          "fibre",
          "raid",
          "iscsi",
          "sas",
          "mmc",
          "virtual",
          "file-backed-virtual",
          "nvme"};
}

/// Where a PCI device sits; -1: the guest could not tell. @since QEMU 2.2
struct GuestPCIAddress {
  std::int64_t domain = 0;    ///< the bus's domain
  std::int64_t bus = 0;       ///< number of the bus
  std::int64_t slot = 0;      ///< number of the slot
  std::int64_t function = 0;  ///< number of the function

  static void fields(auto& self, auto& visit) {
    visit("domain", self.domain);
    visit("bus", self.bus);
    visit("slot", self.slot);
    visit("function", self.function);
  }
  friend bool operator==(const GuestPCIAddress&, const GuestPCIAddress&) = default;
};

/// Where a channel device (s390x) sits. @since QEMU 6.0
struct GuestCCWAddress {
  std::int64_t cssid = 0;    ///< channel subsystem
  std::int64_t ssid = 0;     ///< subchannel set
  std::int64_t subchno = 0;  ///< subchannel
  std::int64_t devno = 0;    ///< device

  static void fields(auto& self, auto& visit) {
    visit("cssid", self.cssid);
    visit("ssid", self.ssid);
    visit("subchno", self.subchno);
    visit("devno", self.devno);
  }
  friend bool operator==(const GuestCCWAddress&, const GuestCCWAddress&) = default;
};

/// Where a disk sits. @since QEMU 2.2
struct GuestDiskAddress {
  GuestPCIAddress pci_controller;                         ///< where its controller sits
  GuestDiskBusType bus_type = GuestDiskBusType::unknown;  ///< how it is attached
  std::int64_t bus = 0;                                   ///< number of the bus
  std::int64_t target = 0;                                ///< number of the target
  std::int64_t unit = 0;                                  ///< number of the unit
  std::optional<std::string> serial;                      ///< serial number. @since QEMU 3.1
  std::optional<std::string> dev;                         ///< the device node. @since QEMU 3.1
  std::optional<GuestCCWAddress> ccw_address;             ///< s390x only. @since QEMU 6.0

  static void fields(auto& self, auto& visit) {
    visit("pci-controller", self.pci_controller);
    visit("bus-type", self.bus_type);
    visit("bus", self.bus);
    visit("target", self.target);
    visit("unit", self.unit);
    visit("serial", self.serial);
    visit("dev", self.dev);
    visit("ccw-address", self.ccw_address);
  }
  friend bool operator==(const GuestDiskAddress&, const GuestDiskAddress&) = default;
};

/// The health page of an NVMe disk. Counters of 128 bits come as a low and a high half.
/// @since QEMU 7.1
struct GuestNVMeSmart {
  std::int64_t critical_warning = 0;                 ///< a set of bits, 0: all is well
  std::int64_t temperature = 0;                      ///< kelvin
  std::int64_t available_spare = 0;                  ///< percent
  std::int64_t available_spare_threshold = 0;        ///< percent
  std::int64_t percentage_used = 0;                  ///< of the expected life, may exceed 100
  std::uint64_t data_units_read_lo = 0;              ///< thousands of 512 bytes
  std::uint64_t data_units_read_hi = 0;              ///< the high half
  std::uint64_t data_units_written_lo = 0;           ///< thousands of 512 bytes
  std::uint64_t data_units_written_hi = 0;           ///< the high half
  std::uint64_t host_read_commands_lo = 0;           ///< read requests
  std::uint64_t host_read_commands_hi = 0;           ///< the high half
  std::uint64_t host_write_commands_lo = 0;          ///< write requests
  std::uint64_t host_write_commands_hi = 0;          ///< the high half
  std::uint64_t controller_busy_time_lo = 0;         ///< minutes
  std::uint64_t controller_busy_time_hi = 0;         ///< the high half
  std::uint64_t power_cycles_lo = 0;                 ///< how often it was switched on
  std::uint64_t power_cycles_hi = 0;                 ///< the high half
  std::uint64_t power_on_hours_lo = 0;               ///< hours
  std::uint64_t power_on_hours_hi = 0;               ///< the high half
  std::uint64_t unsafe_shutdowns_lo = 0;             ///< power lost without notice
  std::uint64_t unsafe_shutdowns_hi = 0;             ///< the high half
  std::uint64_t media_errors_lo = 0;                 ///< data that could not be corrected
  std::uint64_t media_errors_hi = 0;                 ///< the high half
  std::uint64_t number_of_error_log_entries_lo = 0;  ///< entries in the log of errors
  std::uint64_t number_of_error_log_entries_hi = 0;  ///< the high half

  static void fields(auto& self, auto& visit) {
    visit("critical-warning", self.critical_warning);
    visit("temperature", self.temperature);
    visit("available-spare", self.available_spare);
    visit("available-spare-threshold", self.available_spare_threshold);
    visit("percentage-used", self.percentage_used);
    visit("data-units-read-lo", self.data_units_read_lo);
    visit("data-units-read-hi", self.data_units_read_hi);
    visit("data-units-written-lo", self.data_units_written_lo);
    visit("data-units-written-hi", self.data_units_written_hi);
    visit("host-read-commands-lo", self.host_read_commands_lo);
    visit("host-read-commands-hi", self.host_read_commands_hi);
    visit("host-write-commands-lo", self.host_write_commands_lo);
    visit("host-write-commands-hi", self.host_write_commands_hi);
    visit("controller-busy-time-lo", self.controller_busy_time_lo);
    visit("controller-busy-time-hi", self.controller_busy_time_hi);
    visit("power-cycles-lo", self.power_cycles_lo);
    visit("power-cycles-hi", self.power_cycles_hi);
    visit("power-on-hours-lo", self.power_on_hours_lo);
    visit("power-on-hours-hi", self.power_on_hours_hi);
    visit("unsafe-shutdowns-lo", self.unsafe_shutdowns_lo);
    visit("unsafe-shutdowns-hi", self.unsafe_shutdowns_hi);
    visit("media-errors-lo", self.media_errors_lo);
    visit("media-errors-hi", self.media_errors_hi);
    visit("number-of-error-log-entries-lo", self.number_of_error_log_entries_lo);
    visit("number-of-error-log-entries-hi", self.number_of_error_log_entries_hi);
  }
  friend bool operator==(const GuestNVMeSmart&, const GuestNVMeSmart&) = default;
};

/// The health of a disk; `type` says which branch there is, if any. @since QEMU 7.1
struct GuestDiskSmart {
  GuestDiskBusType type = GuestDiskBusType::unknown;  ///< how the disk is attached
  std::optional<GuestNVMeSmart> nvme;                 ///< of an NVMe disk

  static void fields(auto& self, auto& visit) {
    visit("type", self.type);
    detail::visit_branch(self.type == GuestDiskBusType::nvme, self.nvme, visit);
  }
  friend bool operator==(const GuestDiskSmart&, const GuestDiskSmart&) = default;
};

/// A disk or a partition. @since QEMU 5.2
struct GuestDiskInfo {
  std::string name;                                      ///< the device node
  bool partition = false;                                ///< true: a part of a disk
  std::optional<std::vector<std::string>> dependencies;  ///< the device nodes it is made of
  std::optional<GuestDiskAddress> address;               ///< where it sits
  std::optional<std::string> alias;                      ///< another name, such as that of a volume
  std::optional<GuestDiskSmart> smart;                   ///< @since QEMU 7.1

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("partition", self.partition);
    visit("dependencies", self.dependencies);
    visit("address", self.address);
    visit("alias", self.alias);
    visit("smart", self.smart);
  }
  friend bool operator==(const GuestDiskInfo&, const GuestDiskInfo&) = default;
};

/// A mounted file system. @since QEMU 2.2
struct GuestFilesystemInfo {
  std::string name;                                     ///< of the device, without its path
  std::string mountpoint;                               ///< where it is mounted
  std::string type;                                     ///< such as ext4
  std::optional<std::uint64_t> used_bytes;              ///< @since QEMU 3.0
  std::optional<std::uint64_t> total_bytes;             ///< for ordinary users. @since QEMU 3.0
  std::optional<std::uint64_t> total_bytes_privileged;  ///< with the reserve. @since QEMU 9.1
  std::vector<GuestDiskAddress> disk;                   ///< the disks it lies on

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("mountpoint", self.mountpoint);
    visit("type", self.type);
    visit("used-bytes", self.used_bytes);
    visit("total-bytes", self.total_bytes);
    visit("total-bytes-privileged", self.total_bytes_privileged);
    visit("disk", self.disk);
  }
  friend bool operator==(const GuestFilesystemInfo&, const GuestFilesystemInfo&) = default;
};

/// The result of trimming one file system. @since QEMU 2.4
struct GuestFilesystemTrimResult {
  std::string path;                     ///< where it is mounted
  std::optional<std::int64_t> trimmed;  ///< bytes
  std::optional<std::int64_t> minimum;  ///< bytes, as the file system took it
  std::optional<std::string> error;     ///< why it failed

  static void fields(auto& self, auto& visit) {
    visit("path", self.path);
    visit("trimmed", self.trimmed);
    visit("minimum", self.minimum);
    visit("error", self.error);
  }
  friend bool operator==(const GuestFilesystemTrimResult&,
                         const GuestFilesystemTrimResult&) = default;
};

/// What `fstrim` replies. @since QEMU 2.4
struct GuestFilesystemTrimResponse {
  std::vector<GuestFilesystemTrimResult> paths;  ///< one for each file system

  static void fields(auto& self, auto& visit) { visit("paths", self.paths); }
  friend bool operator==(const GuestFilesystemTrimResponse&,
                         const GuestFilesystemTrimResponse&) = default;
};

/// What has gone to and from a disk, as far as the guest's kernel counts it: sectors of 512 bytes,
/// ticks of 1 ms. @since QEMU 7.1
struct GuestDiskStats {
  std::optional<std::uint64_t> read_sectors;     ///< sectors read
  std::optional<std::uint64_t> read_ios;         ///< read requests
  std::optional<std::uint64_t> read_merges;      ///< read requests merged with others
  std::optional<std::uint64_t> write_sectors;    ///< sectors written
  std::optional<std::uint64_t> write_ios;        ///< write requests
  std::optional<std::uint64_t> write_merges;     ///< write requests merged with others
  std::optional<std::uint64_t> discard_sectors;  ///< sectors discarded
  std::optional<std::uint64_t> discard_ios;      ///< discard requests
  std::optional<std::uint64_t> discard_merges;   ///< discard requests merged with others
  std::optional<std::uint64_t> flush_ios;        ///< flush requests
  std::optional<std::uint64_t> read_ticks;       ///< that reads took, summed
  std::optional<std::uint64_t> write_ticks;      ///< that writes took, summed
  std::optional<std::uint64_t> discard_ticks;    ///< that discards took, summed
  std::optional<std::uint64_t> flush_ticks;      ///< that flushes took, summed
  std::optional<std::uint64_t> ios_pgr;          ///< requests under way now
  std::optional<std::uint64_t> total_ticks;      ///< with any request under way
  std::optional<std::uint64_t> weight_ticks;     ///< summed over the requests under way

  static void fields(auto& self, auto& visit) {
    visit("read-sectors", self.read_sectors);
    visit("read-ios", self.read_ios);
    visit("read-merges", self.read_merges);
    visit("write-sectors", self.write_sectors);
    visit("write-ios", self.write_ios);
    visit("write-merges", self.write_merges);
    visit("discard-sectors", self.discard_sectors);
    visit("discard-ios", self.discard_ios);
    visit("discard-merges", self.discard_merges);
    visit("flush-ios", self.flush_ios);
    visit("read-ticks", self.read_ticks);
    visit("write-ticks", self.write_ticks);
    visit("discard-ticks", self.discard_ticks);
    visit("flush-ticks", self.flush_ticks);
    visit("ios-pgr", self.ios_pgr);
    visit("total-ticks", self.total_ticks);
    visit("weight-ticks", self.weight_ticks);
  }
  friend bool operator==(const GuestDiskStats&, const GuestDiskStats&) = default;
};

/// Statistics of one disk. @since QEMU 7.1
struct GuestDiskStatsInfo {
  std::string name;         ///< the guest's name for it
  std::uint64_t major = 0;  ///< device number
  std::uint64_t minor = 0;  ///< device number
  GuestDiskStats stats;     ///< the counters

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("major", self.major);
    visit("minor", self.minor);
    visit("stats", self.stats);
  }
  friend bool operator==(const GuestDiskStatsInfo&, const GuestDiskStatsInfo&) = default;
};

/// `guest-get-disks`. @since QEMU 5.2
struct GuestGetDisksRequest : NoArguments {
  using Reply = std::vector<GuestDiskInfo>;
  static constexpr std::string_view command = "guest-get-disks";
};

/// `guest-get-fsinfo`. @since QEMU 2.2
struct GuestGetFsinfoRequest : NoArguments {
  using Reply = std::vector<GuestFilesystemInfo>;
  static constexpr std::string_view command = "guest-get-fsinfo";
};

/// `guest-fstrim`. @since QEMU 1.2, with this reply 2.4
struct GuestFstrimRequest {
  using Reply = GuestFilesystemTrimResponse;
  static constexpr std::string_view command = "guest-fstrim";

  std::optional<std::int64_t> minimum;  ///< bytes

  GuestFstrimRequest() = default;
  explicit GuestFstrimRequest(std::int64_t minimum_) {
    if (minimum_ != 0) minimum = minimum_;
  }

  static void fields(auto& self, auto& visit) { visit("minimum", self.minimum); }
};

/// `guest-get-diskstats`. @since QEMU 7.1
struct GuestGetDiskstatsRequest : NoArguments {
  using Reply = std::vector<GuestDiskStatsInfo>;
  static constexpr std::string_view command = "guest-get-diskstats";
};

/// The commands for disks and file systems. See `Commands` for what holds for all of them.
///
/// All fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class DiskCommands {
 public:
  /// The guest's disks and partitions, mounted or not.
  /// @return `std::vector<GuestDiskInfo>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 5.2, Linux and Windows guests
  auto get_disks() { return detail::carrier_of(*this).execute(GuestGetDisksRequest{}); }

  /// The guest's mounted file systems, with the disks they lie on.
  /// @return `std::vector<GuestFilesystemInfo>`
  /// @throws AgentError the guest could not list them; before QEMU 7.1 one unreadable device is
  ///         enough
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.2, Linux and Windows guests; FreeBSD guests between 10.1 and 11.2
  auto get_fsinfo() { return detail::carrier_of(*this).execute(GuestGetFsinfoRequest{}); }

  /// Tells the disks which blocks of the mounted file systems are not in use.
  /// @param minimum bytes; shorter free ranges are left alone. 0: none is too short.
  /// @return `GuestFilesystemTrimResponse`; a file system that failed has its `error` there
  /// @throws AgentError the guest cannot trim at all
  /// @throws BadReplyError an agent before QEMU 2.4 has trimmed, but does not report it
  /// @timeout 10 min. A timeout does not stop it; to call it again does no harm.
  /// @since QEMU 1.2, Linux and Windows guests
  auto fstrim(std::int64_t minimum = 0) {
    return detail::carrier_of(*this).execute(GuestFstrimRequest(minimum));
  }

  /// What has gone to and from each disk since the guest started.
  /// @return `std::vector<GuestDiskStatsInfo>`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 7.1, Linux guests
  auto get_diskstats() { return detail::carrier_of(*this).execute(GuestGetDiskstatsRequest{}); }
};

}  // namespace qga::inline v0_1
