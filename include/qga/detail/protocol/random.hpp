// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Random bits that nobody can guess: for ids in the handshake, and for the names of files.
#pragma once

#include <array>
#include <cstdint>

#include "qga/detail/system.hpp"

namespace qga::inline v0_1::detail {

/// These bits are not from a std::random_device: to make one takes 26 us in a virtual machine,
/// where a CPUID instruction traps, and its header is costly to compile.
/// @throws std::system_error
inline std::array<std::uint64_t, 2> random_bits() {
  std::array<std::uint64_t, 2> bits{};
  fill_with_random(bits.data(), sizeof bits);
  return bits;
}

}  // namespace qga::inline v0_1::detail
