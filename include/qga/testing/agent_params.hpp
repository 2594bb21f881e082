// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Settings of an `Agent`.
#pragma once

#include <string>

namespace qga::inline v0_1::testing {

/// What an agent does with the `id` of a request.
enum class Ids {
  echoed,    ///< its reply repeats it: qemu-ga 4.0 and later
  ignored,   ///< its reply has none: qemu-ga 2.12
  rejected,  ///< a request with an `id` fails: earlier qemu-ga, and 3.0 and 3.1
};

/// Settings of an agent.
struct AgentParams {
  /// What the agent does with the `id` of a request.
  Ids ids = Ids::echoed;
  /// Where the agent listens: the path of a UNIX socket that is not there yet, of at most 107
  /// bytes. Empty: a path in a private directory, which the agent makes and removes.
  std::string path = {};
  /// Whether there is a faked guest. Without one the agent knows the commands of a handshake and
  /// `guest-ping`, and what a test tells it.
  bool has_guest = true;
  /// What `guest-info` says.
  std::string version = "9.2.0";
};

}  // namespace qga::inline v0_1::testing
