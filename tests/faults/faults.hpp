// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the tests with a scripted agent share.
#pragma once

#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "catch.hpp"
#include "scripted_agent.hpp"
#include "ways.hpp"

namespace faults {

using namespace std::chrono_literals;
using namespace qga_test;
using qga::Outcome;

/// For calls that are to time out.
inline constexpr auto brief = 250ms;
/// What a deadline may be overrun by on a slow machine.
inline constexpr auto tolerance = 5s;

/// The error that `call` throws, which has to end at its deadline `brief`.
template <class Error, class Call>
Error error_at_deadline(Call&& call) {
  const auto start = std::chrono::steady_clock::now();
  Error error = error_of<Error>(std::forward<Call>(call));
  const auto elapsed = std::chrono::steady_clock::now() - start;
  CHECK(elapsed >= brief);
  CHECK(elapsed < brief + tolerance);
  return error;
}

/// The outcome of a call that ends at its deadline, by no other error.
template <class Call>
Outcome outcome_at_deadline(Call&& call) {
  return error_at_deadline<qga::TimeoutError>(std::forward<Call>(call)).outcome();
}

inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Whether `sent` is handshakes from end to end. Gives their number, or -1.
inline int handshakes(std::string_view sent) {
  int count = 0;
  for (; !sent.empty(); ++count) {
    for (const std::string_view start : {"\n", "\xFF\n", "{\"execute\":\"guest-sync-delimited\",",
                                         "{\"execute\":\"guest-sync\","}) {
      const std::size_t end = sent.find('\n');
      if (end == std::string_view::npos || !sent.starts_with(start)) return -1;
      sent.remove_prefix(end + 1);
    }
  }
  return count;
}

}  // namespace faults
