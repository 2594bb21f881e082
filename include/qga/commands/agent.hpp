// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The agent itself: synchronisation, liveness, what it can do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// One command of the agent, in `GuestAgentInfo`. @since QEMU 1.1
struct GuestAgentCommandInfo {
  std::string name;               ///< as on the wire, such as `guest-ping`
  bool enabled = false;           ///< false: forbidden by policy, or file systems are frozen
  bool success_response = false;  ///< false: the agent answers only a failure

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("enabled", self.enabled);
    visit("success-response", self.success_response, true);  // since QEMU 1.7
  }
  friend bool operator==(const GuestAgentCommandInfo&, const GuestAgentCommandInfo&) = default;
};

/// What `info` replies. @since QEMU 0.15
struct GuestAgentInfo {
  std::string version;  ///< for people: Windows builds and distributions number as they like
  std::vector<GuestAgentCommandInfo> supported_commands;  ///< all that the agent lists

  static void fields(auto& self, auto& visit) {
    visit("version", self.version);
    visit("supported_commands", self.supported_commands);
  }
  friend bool operator==(const GuestAgentInfo&, const GuestAgentInfo&) = default;
};

/// `guest-sync-delimited`. @since QEMU 1.1
struct GuestSyncDelimitedRequest {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-sync-delimited";

  std::int64_t id = 0;  ///< any number

  GuestSyncDelimitedRequest() = default;
  explicit GuestSyncDelimitedRequest(std::int64_t id_) : id(id_) {}

  static void fields(auto& self, auto& visit) { visit("id", self.id); }
};

/// `guest-sync`. @since QEMU 0.15
struct GuestSyncRequest {
  using Reply = std::int64_t;
  static constexpr std::string_view command = "guest-sync";

  std::int64_t id = 0;  ///< any number

  GuestSyncRequest() = default;
  explicit GuestSyncRequest(std::int64_t id_) : id(id_) {}

  static void fields(auto& self, auto& visit) { visit("id", self.id); }
};

/// `guest-ping`. @since QEMU 0.15
struct GuestPingRequest : NoArguments {
  using Reply = void;
  static constexpr std::string_view command = "guest-ping";
};

/// `guest-info`. @since QEMU 0.15
struct GuestInfoRequest : NoArguments {
  using Reply = GuestAgentInfo;
  static constexpr std::string_view command = "guest-info";
};

/// The commands about the agent itself: whether it answers, and what it can do. See `Commands` for
/// what holds for all of them.
/// @tparam Carrier as for `Commands`
template <class Carrier>
class AgentCommands {
 public:
  /// Sends `id` and gives back what the agent answers. The client synchronises the channel by
  /// itself; this is for measuring and for tests.
  /// @param id any 64-bit value
  /// @return the same `id`
  /// @throws BadReplyError the reply is not a number
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto sync(std::int64_t id) { return detail::carrier_of(*this).execute(GuestSyncRequest(id)); }

  /// As `sync`; the agent puts a byte 0xFF before the reply, which the client skips.
  /// @param id any 64-bit value
  /// @return the same `id`
  /// @throws BadReplyError the reply is not a number
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 1.1, all guests
  auto sync_delimited(std::int64_t id) {
    return detail::carrier_of(*this).execute(GuestSyncDelimitedRequest(id));
  }

  /// Checks that the agent answers. Works while file systems are frozen.
  /// @throws UnreachableError no agent answers
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto ping() { return detail::carrier_of(*this).execute(GuestPingRequest{}); }

  /// The agent's version and its commands, with what is enabled *now*: while file systems are
  /// frozen nearly all are disabled, so do not cache what was read then.
  /// @return `GuestAgentInfo`
  /// @throws BadReplyError the reply is not a list of commands
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto info() { return detail::carrier_of(*this).execute(GuestInfoRequest{}); }
};

}  // namespace qga::inline v0_1
