// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's processors: which are online, and what they have spent their time on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// A processor as the guest sees it. @since QEMU 1.5
struct GuestLogicalProcessor {
  std::int64_t logical_id = 0;           ///< the guest's number for it
  bool online = false;                   ///< whether the guest uses it
  std::optional<bool> can_offline = {};  ///< given by `get_vcpus`, ignored by `set_vcpus`

  static void fields(auto& self, auto& visit) {
    visit("logical-id", self.logical_id);
    visit("online", self.online);
    visit("can-offline", self.can_offline);
  }
  friend bool operator==(const GuestLogicalProcessor&, const GuestLogicalProcessor&) = default;
};

/// Which system the statistics are from; `linux` is a macro in GNU mode. @since QEMU 7.1
enum class GuestCpuStatsType { linux_, unknown };

constexpr std::array<std::string_view, 1> wire_names(GuestCpuStatsType) { return {"linux"}; }

/// What a processor of a Linux guest has spent its time on: milliseconds since the guest started.
/// @since QEMU 7.1
struct GuestLinuxCpuStats {
  std::int64_t cpu = 0;                    ///< the processor's number
  std::uint64_t user = 0;                  ///< programs
  std::uint64_t nice = 0;                  ///< programs with a lower priority
  std::uint64_t system = 0;                ///< the kernel
  std::uint64_t idle = 0;                  ///< nothing to do
  std::optional<std::uint64_t> iowait;     ///< nothing to do while a disk was waited for
  std::optional<std::uint64_t> irq;        ///< interrupts
  std::optional<std::uint64_t> softirq;    ///< software interrupts
  std::optional<std::uint64_t> steal;      ///< the host ran something else
  std::optional<std::uint64_t> guest;      ///< virtual machines within the guest
  std::optional<std::uint64_t> guestnice;  ///< such with a lower priority

  static void fields(auto& self, auto& visit) {
    visit("cpu", self.cpu);
    visit("user", self.user);
    visit("nice", self.nice);
    visit("system", self.system);
    visit("idle", self.idle);
    visit("iowait", self.iowait);
    visit("irq", self.irq);
    visit("softirq", self.softirq);
    visit("steal", self.steal);
    visit("guest", self.guest);
    visit("guestnice", self.guestnice);
  }
  friend bool operator==(const GuestLinuxCpuStats&, const GuestLinuxCpuStats&) = default;
};

/// Statistics of one processor; `type` says which branch there is. @since QEMU 7.1
struct GuestCpuStats {
  GuestCpuStatsType type = GuestCpuStatsType::unknown;  ///< which system the guest is
  std::optional<GuestLinuxCpuStats> linux_;             ///< of a Linux guest

  static void fields(auto& self, auto& visit) {
    visit("type", self.type);
    detail::visit_branch(self.type == GuestCpuStatsType::linux_, self.linux_, visit);
  }
  friend bool operator==(const GuestCpuStats&, const GuestCpuStats&) = default;
};

/// `guest-get-vcpus`. @since QEMU 1.5
struct GuestGetVcpusRequest : NoArguments {
  using Reply = std::vector<GuestLogicalProcessor>;
  static constexpr std::string_view command = "guest-get-vcpus";
};

/// `guest-set-vcpus`. @since QEMU 1.5
struct GuestSetVcpusRequest {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-set-vcpus";

  std::vector<GuestLogicalProcessor> vcpus;  ///< which, and their new state

  GuestSetVcpusRequest() = default;
  explicit GuestSetVcpusRequest(std::vector<GuestLogicalProcessor> vcpus_)
      : vcpus(std::move(vcpus_)) {}

  static void fields(auto& self, auto& visit) { visit("vcpus", self.vcpus); }
};

/// `guest-get-cpustats`. @since QEMU 7.1
struct GuestGetCpustatsRequest : NoArguments {
  using Reply = std::vector<GuestCpuStats>;
  static constexpr std::string_view command = "guest-get-cpustats";
};

/// The commands for processors: which are online, change that, and what they have done. See
/// `Commands` for what holds for all of them.
///
/// All fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class CpuCommands {
 public:
  /// The guest's processors, online and offline, in any order.
  /// @return `std::vector<GuestLogicalProcessor>`
  /// @throws AgentError the guest could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 1.5, Linux and Windows guests
  auto get_vcpus() { return detail::carrier_of(*this).execute(GuestGetVcpusRequest{}); }

  /// Takes processors online or offline, in the order of the list, up to the first that fails.
  /// @param vcpus which, and their new state; `can_offline` is ignored
  /// @return how many were handled, from the start of the list; fewer than given is *not* an error:
  ///         call again with the rest, and what fails then is thrown
  /// @throws AgentError the first of the list failed: no such processor, it cannot go offline
  /// @timeout 5 s. After a timeout any number of the processors may be changed: ask `get_vcpus`.
  /// @since QEMU 1.5, Linux guests
  auto set_vcpus(std::vector<GuestLogicalProcessor> vcpus) {
    return detail::carrier_of(*this).execute(GuestSetVcpusRequest(std::move(vcpus)));
  }

  /// What each online processor has spent its time on, in milliseconds.
  /// @return `std::vector<GuestCpuStats>`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 7.1, Linux guests
  auto get_cpustats() { return detail::carrier_of(*this).execute(GuestGetCpustatsRequest{}); }
};

}  // namespace qga::inline v0_1
