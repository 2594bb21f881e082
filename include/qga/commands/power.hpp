// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Shutting the guest down and putting it to sleep: commands that answer only a failure.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// How a guest goes down; the library's own enumeration of protocol strings. @since QEMU 0.15
enum class GuestShutdownMode {
  powerdown,  ///< the virtual machine ends
  halt,       ///< the guest stops and answers no more; the virtual machine stays
  reboot,     ///< the guest starts again; the channel does not show it
};

constexpr std::array<std::string_view, 3> wire_names(GuestShutdownMode) {
  return {"powerdown", "halt", "reboot"};
}

/// `guest-shutdown`. @since QEMU 0.15
struct GuestShutdownRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-shutdown";

  std::optional<std::string> mode;  ///< none: powerdown

  GuestShutdownRequest() = default;
  explicit GuestShutdownRequest(GuestShutdownMode mode_) : mode(wire_name(mode_)) {}

  static void fields(auto& self, auto& visit) { visit("mode", self.mode); }
};

/// `guest-suspend-disk`. @since QEMU 1.1
struct GuestSuspendDiskRequest : NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-suspend-disk";
};

/// `guest-suspend-ram`. @since QEMU 1.1
struct GuestSuspendRamRequest : NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-suspend-ram";
};

/// `guest-suspend-hybrid`. @since QEMU 1.1
struct GuestSuspendHybridRequest : NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-suspend-hybrid";
};

/// The commands that shut the guest down or put it to sleep. See `Commands` for what holds for all
/// of them.
///
/// The agent answers these only where it fails, so the client sends a sync right behind, and the
/// call ends when that is answered: then the agent has accepted. They are only sent behind an
/// answer to a fresh handshake, so that none runs late. All fail while file systems are frozen
/// (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class PowerCommands {
 public:
  /// Shuts the guest down; it may take a while after this has returned.
  /// @param mode power down, halt or reboot
  /// @throws AgentError the guest could not start its shutdown
  /// @throws ReadError with `Outcome::unknown`: the guest may have gone down before the agent
  ///         answered the sync
  /// @throws TimeoutError with `Outcome::unknown`, for the same reason
  /// @timeout 60 s. After a timeout the guest may have gone down, or may yet go down.
  /// @since QEMU 0.15, all guests
  auto shutdown(GuestShutdownMode mode = GuestShutdownMode::powerdown) {
    return detail::carrier_of(*this).execute(GuestShutdownRequest(mode));
  }

  /// Writes the guest's memory to its disk and powers it off.
  /// @throws AgentError the guest does not support it, or failed (after 3 to 5 s)
  /// @throws ReadError with `Outcome::unknown`: also where the suspend works, because the guest
  ///         sleeps before the agent can answer
  /// @throws TimeoutError with `Outcome::unknown`, for the same reason
  /// @timeout 60 s. After a timeout the guest may sleep, or may yet fall asleep.
  /// @since QEMU 1.1, Linux and Windows guests
  auto suspend_disk() { return detail::carrier_of(*this).execute(GuestSuspendDiskRequest{}); }

  /// Suspends the guest to memory. Make sure first that the host can wake it up.
  /// @throws AgentError the guest does not support it, or failed
  /// @throws TimeoutError with `Outcome::unknown`: also where the suspend works, unless the guest
  ///         is woken up within the timeout; it answers nothing before
  /// @timeout 60 s. After a timeout the guest may sleep, or may yet fall asleep.
  /// @since QEMU 1.1, Linux and Windows guests
  auto suspend_ram() { return detail::carrier_of(*this).execute(GuestSuspendRamRequest{}); }

  /// Writes the guest's memory to its disk *and* suspends it to memory.
  /// @throws AgentError the guest does not support it, or failed
  /// @throws TimeoutError with `Outcome::unknown`: also where the suspend works, unless the guest
  ///         is woken up within the timeout; it answers nothing before
  /// @timeout 60 s. After a timeout the guest may sleep, or may yet fall asleep.
  /// @since QEMU 1.1, Linux guests
  auto suspend_hybrid() { return detail::carrier_of(*this).execute(GuestSuspendHybridRequest{}); }
};

}  // namespace qga::inline v0_1
