// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Conversions between integers whose sizes differ between systems.
#pragma once

#include <type_traits>

namespace qga::inline v0_1::detail {

/// Converts an integer to a type that on some systems is its own already, where a cast would be
/// reported as useless (-Wuseless-cast), and on others is narrower.
template <class To, class From>
constexpr To number_as(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace qga::inline v0_1::detail
