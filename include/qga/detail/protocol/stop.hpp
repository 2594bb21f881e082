// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The stop token of a call. Where the standard library has no std::stop_token, such as libc++ 14,
// CallOptions has no member `stop`, and no token is ever stopped.
#pragma once

#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "qga/params.hpp"

namespace qga::inline v0_1::detail {

#ifdef __cpp_lib_jthread

using StopToken = std::stop_token;
template <class Function>
using StopCallback = std::stop_callback<Function>;

inline const StopToken& stop_of(const CallOptions& options) { return options.stop; }

#else

struct StopToken {
  static constexpr bool stop_possible() { return false; }
  static constexpr bool stop_requested() { return false; }
};
template <class Function>
struct StopCallback {
  StopCallback(const StopToken&, const Function&) {}
};

inline const StopToken& stop_of(const CallOptions&) {
  static constexpr StopToken never;
  return never;
}

#endif

}  // namespace qga::inline v0_1::detail
