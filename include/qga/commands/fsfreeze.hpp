// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Freezing the guest's file systems for a consistent snapshot, and thawing them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// Whether file systems are frozen, by the agent's own flag, not the kernel's. @since QEMU 0.15
enum class GuestFsfreezeStatus { thawed, frozen, unknown };

constexpr std::array<std::string_view, 2> wire_names(GuestFsfreezeStatus) {
  return {"thawed", "frozen"};
}

/// `guest-fsfreeze-status`. @since QEMU 0.15
struct GuestFsfreezeStatusRequest : NoArguments {
  using Reply = GuestFsfreezeStatus;
  static constexpr std::string_view command = "guest-fsfreeze-status";
};

/// `guest-fsfreeze-freeze`. @since QEMU 0.15
struct GuestFsfreezeFreezeRequest : NoArguments {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-fsfreeze-freeze";
};

/// `guest-fsfreeze-freeze-list`. @since QEMU 2.2
struct GuestFsfreezeFreezeListRequest {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-fsfreeze-freeze-list";

  std::optional<std::vector<std::string>> mountpoints;  ///< none: all; an empty list: nothing

  GuestFsfreezeFreezeListRequest() = default;
  explicit GuestFsfreezeFreezeListRequest(std::vector<std::string> mountpoints_) {
    if (!mountpoints_.empty()) mountpoints = std::move(mountpoints_);
  }

  static void fields(auto& self, auto& visit) { visit("mountpoints", self.mountpoints); }
};

/// `guest-fsfreeze-thaw`. @since QEMU 0.15
struct GuestFsfreezeThawRequest : NoArguments {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-fsfreeze-thaw";
};

/// The commands that freeze and thaw file systems. See `Commands` for what holds for all of them.
///
/// Follow every freeze by a thaw, also one that failed or timed out. While file systems are frozen
/// the agent knows only `ping`, `info`, `sync`, `sync_delimited`, `fsfreeze_status` and
/// `fsfreeze_thaw`; all else is a `CommandNotFoundError`, a second freeze among them.
/// @tparam Carrier as for `Commands`
template <class Carrier>
class FsfreezeCommands {
 public:
  /// Whether file systems are frozen, as far as the agent knows: a Windows guest thaws by itself
  /// after 10 s, and says `frozen` until it is thawed here.
  /// @return `GuestFsfreezeStatus`
  /// @throws AgentError the guest could not tell
  /// @throws CommandNotFoundError the guest cannot freeze
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto fsfreeze_status() { return detail::carrier_of(*this).execute(GuestFsfreezeStatusRequest{}); }

  /// Writes out and freezes all local file systems, after the guest's freeze hook. Is only sent
  /// behind an answer to a fresh handshake, so that it never runs when nobody is there to thaw.
  /// @return how many file systems are frozen; 0: none, and the status is `thawed`
  /// @throws AgentError the hook failed or a file system refused; all are thawed again
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @timeout 10 min. After a timeout the freeze may still happen: ask `fsfreeze_status`, and
  ///          thaw.
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto fsfreeze_freeze() { return detail::carrier_of(*this).execute(GuestFsfreezeFreezeRequest{}); }

  /// As `fsfreeze_freeze`, for some file systems only.
  /// @param mountpoints where they are mounted; unknown ones are ignored. *Empty: all.*
  /// @return how many file systems are frozen; 0: none, and the status is `thawed`
  /// @throws AgentError the hook failed or a file system refused; all are thawed again
  /// @throws CommandNotFoundError frozen already, or forbidden
  /// @timeout 10 min. After a timeout the freeze may still happen: ask `fsfreeze_status`, and
  ///          thaw.
  /// @since QEMU 2.2, FreeBSD and Linux guests; Windows guests QEMU 3.1
  auto fsfreeze_freeze_list(std::vector<std::string> mountpoints = {}) {
    return detail::carrier_of(*this).execute(
        GuestFsfreezeFreezeListRequest(std::move(mountpoints)));
  }

  /// Thaws all that is frozen. Does no harm where nothing is.
  /// @return how many file systems were thawed
  /// @throws AgentError the thaw hook failed *although* all is thawed, or (Windows) the guest had
  ///         thawed by itself and the snapshot is not consistent; ask `fsfreeze_status`
  /// @timeout 3 min. After a timeout the guest may be thawed or still frozen: send it again.
  /// @since QEMU 0.15, FreeBSD, Linux and Windows guests
  auto fsfreeze_thaw() { return detail::carrier_of(*this).execute(GuestFsfreezeThawRequest{}); }
};

}  // namespace qga::inline v0_1
