// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs of a faked guest: functions of a test that stand for them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "qga/params.hpp"

namespace qga::inline v0_1::testing {

/// How a client has started a program.
struct ProgramCall {
  std::string path;               ///< as the client has named it
  std::vector<std::string> args;  ///< without the program itself
  std::vector<std::string> env;   ///< `NAME=value` each; empty: the environment of the agent
  std::string input;              ///< bytes of its standard input
};

/// How a program of a faked guest ends.
struct ProgramResult {
  std::int64_t exit_code = 0;  ///< of a program that ends by itself
  std::string out = {};        ///< bytes that it has written to its standard output
  std::string err = {};        ///< bytes that it has written to its standard error
  /// The signal that ended it; then there is no exit code.
  std::optional<std::int64_t> signal = {};
  /// How long it runs after its start. `Clock::duration::max()`: until it is killed.
  Clock::duration runs_for = {};
};

/// A function that stands for a program. It runs when the program is started, where the agent runs
/// (see `Agent`), one call at a time and under no lock. Where it throws, the program has ended by
/// the signal 6 (SIGABRT), with the text of the exception on its standard error.
using Program = std::function<ProgramResult(const ProgramCall&)>;

}  // namespace qga::inline v0_1::testing
