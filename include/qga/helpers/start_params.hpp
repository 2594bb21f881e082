// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How a program is started that is followed while it runs, and what is told of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qga::inline v0_1 {

/// A terminal for a program. A size of 0 is refused (`RequestError`).
struct Terminal {
  unsigned rows = 24;          ///< lines, 1 to 65535
  unsigned columns = 80;       ///< characters in a line, 1 to 65535
  std::string type = "xterm";  ///< for `TERM`
};

/// How `start` starts a program.
struct StartParams {
  std::vector<std::string> args = {};  ///< without its own name
  /// `NAME=value` each; *replaces* the agent's environment, PATH included. None: inherits it. A
  /// name has letters, digits and `_`.
  std::optional<std::vector<std::string>> env = {};
  std::vector<std::string> add_env = {};  ///< `NAME=value` each, beside the environment
  std::string cwd = {};                   ///< working directory, absolute; empty: `/`
  /// The user to run as, by name; empty: the agent's own, which is root as a rule. Another one
  /// needs an agent that runs as root, and `setpriv` or `su` in the guest.
  std::string user = {};
  bool merge = false;  ///< standard error goes where standard output goes
  /// A terminal, in which there is one output. It needs `script` (util-linux, BSD or busybox) or
  /// python3 in the guest.
  std::optional<Terminal> terminal = {};
  /// False: what leaves the program behind (the end of its `Process`, of the client or of the
  /// connection) ends it. True: it goes on then, and its output stays in the guest, in
  /// `Process::directory()`.
  bool leave_behind = false;
};

/// An output of a program.
enum class ProcessStream { out, err };

constexpr std::array<std::string_view, 2> wire_names(ProcessStream) { return {"out", "err"}; }

/// What a program has written since the last time.
struct ProcessOutput {
  ProcessStream stream = ProcessStream::out;  ///< where
  std::string bytes = {};                     ///< what; empty: there is no more

  static void fields(auto& self, auto& visit) {
    visit("stream", self.stream);
    visit.bytes("data", self.bytes);
  }

  /// False: the program has ended, and all of its output was read.
  explicit operator bool() const { return !bytes.empty(); }
};

/// Whether a program runs, and how it ended.
struct ProcessStatus {
  bool ended = false;                          ///< false: it runs
  std::optional<std::int64_t> exit_code = {};  ///< after a normal end
  /// The signal that ended it. A terminal's `script` gives an exit code of 128 and the signal
  /// instead.
  std::optional<std::int64_t> signal = {};

  static void fields(auto& self, auto& visit) {
    visit("ended", self.ended);
    visit("exitcode", self.exit_code);
    visit("signal", self.signal);
  }
};

}  // namespace qga::inline v0_1
