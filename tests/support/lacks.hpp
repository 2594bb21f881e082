// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a test needs of an agent that may be of any age.
#pragma once

#include <string_view>

#include "catch.hpp"
#include "qga/client.hpp"

namespace qga_test {

/// Whether the agent has no such command, as guest-info tells; says then that a test, or the part
/// of it that needs the command, is skipped.
template <class Way>
bool lacks(Way& ga, std::string_view command) {
  if (ga.capabilities().support(command) != qga::Support::unknown) return false;
  WARN("skipped: the agent has no " << command);
  return true;
}

}  // namespace qga_test
