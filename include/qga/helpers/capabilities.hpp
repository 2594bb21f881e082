// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells which commands an agent offers. Its version does not tell that: distributions backport and
// number as they like, and an administrator may forbid commands.
#pragma once

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/commands/agent.hpp"
#include "qga/commands/fsfreeze.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {

/// Whether an agent has a command.
enum class Support {
  enabled,
  disabled,  ///< by policy or, before QEMU 9.1, because the guest's system has no such thing
  frozen,    ///< disabled while file systems are frozen; its state after a thaw is unknown
  unknown,   ///< the agent does not list it
};

/// The commands that an agent offers at one moment.
struct Capabilities {
  std::string version = {};  ///< for people: Windows builds and distributions number as they like
  bool frozen = false;       ///< file systems are frozen, and nearly all commands are disabled
  std::vector<GuestAgentCommandInfo> commands = {};  ///< all that the agent lists

  static void fields(auto& self, auto& visit) {
    visit("version", self.version);
    visit("frozen", self.frozen);
    visit("commands", self.commands);
  }

  /// Whether the agent has the command.
  /// @param command the wire name, such as `guest-exec`
  Support support(std::string_view command) const {
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const auto& one) { return one.name == command; });
    if (found == commands.end()) return Support::unknown;
    if (found->enabled) return Support::enabled;
    return frozen ? Support::frozen : Support::disabled;
  }

  /// Whether the agent carries a command out just now.
  /// @param command the wire name
  bool supports(std::string_view command) const { return support(command) == Support::enabled; }
};

namespace detail {

template <class Io>
class ReadCapabilities {
 public:
  explicit ReadCapabilities(Io& io) : io_(io) {}

  void start() {
    io_.call(GuestInfoRequest(), [this](std::exception_ptr error, GuestAgentInfo info) {
      result_.version = std::move(info.version);
      result_.commands = std::move(info.supported_commands);
      answered(std::move(error));
    });
    io_.call(GuestFsfreezeStatusRequest(),
             [this](std::exception_ptr error, GuestFsfreezeStatus status) {
               // An agent that refuses is not frozen: a frozen one answers this command.
               if (code_of(error) == err_from_agent) error = nullptr;
               result_.frozen = status == GuestFsfreezeStatus::frozen;
               answered(std::move(error));
             });
  }

 private:
  void answered(std::exception_ptr error) {
    if (!error_) error_ = std::move(error);
    if (--unanswered_ > 0) return;
    if (error_) return io_.fail(std::move(error_));
    io_.finish(std::move(result_));
  }

  Io& io_;
  Capabilities result_;
  std::exception_ptr error_;
  int unanswered_ = 2;
};

}  // namespace detail

/// What the agent can do; see `Helpers`.
template <class Carrier>
class CapabilityHelpers {
 public:
  /// What the agent can do now: its commands, and whether it is policy or a freeze that disables
  /// one. Works while file systems are frozen. Ask again after a thaw or a restart of the agent.
  /// @return `Capabilities`
  /// @throws UnreachableError no agent answers
  /// @throws BadReplyError the reply is not a list of commands
  /// @timeout 5 s for each of two requests. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto capabilities() {
    return detail::carrier_of(*this).template perform<Capabilities, detail::ReadCapabilities>();
  }

  /// Whether the agent carries a command out just now: false also while file systems are frozen.
  /// `capabilities` answers for many commands at once, and says why not.
  /// @param command the wire name, such as `guest-exec`
  /// @return `bool`
  /// @throws UnreachableError no agent answers
  /// @throws BadReplyError the reply is not a list of commands
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 0.15, all guests
  auto supports(std::string command) {
    return detail::carrier_of(*this).execute(
        GuestInfoRequest(), [command = std::move(command)](GuestAgentInfo info) {
          return Capabilities{.commands = std::move(info.supported_commands)}.supports(command);
        });
  }
};

}  // namespace qga::inline v0_1
