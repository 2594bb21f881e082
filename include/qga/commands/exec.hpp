// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs in the guest: start one, ask how it is doing, collect what it wrote.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// Which output of a program the agent keeps. @since QEMU 8.1 (its documents say 8.0)
enum class GuestExecCaptureOutputMode { none, stdout_, stderr_, separated, merged, unknown };

constexpr std::array<std::string_view, 5> wire_names(GuestExecCaptureOutputMode) {
  return {"none", "stdout", "stderr", "separated", "merged"};
}

/// Keep both outputs apart or none (any agent), or a mode. @since QEMU 8.1
using GuestExecCaptureOutput = std::variant<bool, GuestExecCaptureOutputMode>;

/// What `guest-exec` replies. @since QEMU 2.5
struct GuestExec {
  std::int64_t pid = 0;  ///< the process id in the guest

  static void fields(auto& self, auto& visit) { visit("pid", self.pid); }
  friend bool operator==(const GuestExec&, const GuestExec&) = default;
};

/// What `exec_status` replies. @since QEMU 2.5
///
/// Each output is kept up to 16 MiB. Where more was written an agent since 10.2 sets the
/// `..._truncated` member to true, and gives it as false where all is there. Agents before that
/// leave it out where all is there and give it as *false* where output was cut; distributions have
/// taken the correction into older versions.
struct GuestExecStatus {
  bool exited = false;                   ///< also: nobody holds the captured outputs open any more
  std::optional<std::int64_t> exitcode;  ///< after a normal end; Windows: 32 bits, may be negative
  std::optional<std::int64_t> signal;  ///< number of the signal; Windows: NTSTATUS, may be negative
  std::optional<std::string> out_data;  ///< bytes, decoded; none where nothing was written
  std::optional<std::string> err_data;  ///< bytes, decoded; none where nothing was written
  std::optional<bool> out_truncated;    ///< see above
  std::optional<bool> err_truncated;    ///< see above

  static void fields(auto& self, auto& visit) {
    visit("exited", self.exited);
    visit("exitcode", self.exitcode);
    visit("signal", self.signal);
    visit.bytes("out-data", self.out_data);
    visit.bytes("err-data", self.err_data);
    visit("out-truncated", self.out_truncated);
    visit("err-truncated", self.err_truncated);
  }
  friend bool operator==(const GuestExecStatus&, const GuestExecStatus&) = default;
};

/// Optional arguments of `exec`. g++ 12 destroys a braced list inside a `co_await` expression
/// twice, so name an object of this before. (A default argument is `GuestExecParams()` for that
/// reason.)
struct GuestExecParams {
  /// The program's arguments, without its own name. They show in the guest's log: pass secrets in
  /// `input_data`.
  std::vector<std::string> args = {};
  /// `NAME=value` each. They *replace* the environment, PATH included; none: the agent's own.
  std::optional<std::vector<std::string>> env = {};
  /// The program's standard input, any bytes; empty: none. Give 64 KiB at most: longer input harms
  /// the agent where the program ends without reading it.
  std::string input_data = {};
  /// Whether, or which, output to keep. Agents before 8.1 refuse a mode; agent 10.2 damages itself
  /// with `stdout` and `stderr`; Windows guests have no `merged`, which puts all in `out_data`.
  GuestExecCaptureOutput capture_output = false;
};

/// `guest-exec`. @since QEMU 2.5
struct GuestExecRequest {
  using Reply = GuestExec;
  static constexpr std::string_view command = "guest-exec";

  std::string path;                             ///< a file, or a name to look for in PATH
  std::optional<std::vector<std::string>> arg;  ///< the arguments, without the name
  std::optional<std::vector<std::string>> env;  ///< `NAME=value` each; none: the agent's own
  std::optional<std::string> input_data;        ///< the bytes themselves, not encoded
  std::optional<GuestExecCaptureOutput> capture_output;  ///< none: keep nothing

  GuestExecRequest() = default;
  explicit GuestExecRequest(std::string path_, GuestExecParams params_ = GuestExecParams())
      : path(std::move(path_)), env(std::move(params_.env)) {
    if (!params_.args.empty()) arg = std::move(params_.args);
    if (!params_.input_data.empty()) input_data = std::move(params_.input_data);
    const auto* const kept = std::get_if<bool>(&params_.capture_output);
    if (kept == nullptr || *kept) capture_output = params_.capture_output;
  }

  static void fields(auto& self, auto& visit) {
    visit("path", self.path);
    visit("arg", self.arg);
    visit("env", self.env);
    visit.bytes("input-data", self.input_data);
    visit("capture-output", self.capture_output);
  }
};

/// `guest-exec-status`. @since QEMU 2.5
struct GuestExecStatusRequest {
  using Reply = GuestExecStatus;
  static constexpr std::string_view command = "guest-exec-status";

  std::int64_t pid = 0;  ///< as `exec` gave it

  GuestExecStatusRequest() = default;
  explicit GuestExecStatusRequest(std::int64_t pid_) : pid(pid_) {}

  static void fields(auto& self, auto& visit) { visit("pid", self.pid); }
};

/// The commands for programs: start one, ask how it is doing, collect what it wrote. See `Commands`
/// for what holds for all of them.
///
/// The agent keeps a record of every program until `exec_status` has given its end, so ask until
/// then even where the result does not matter. Records belong to the agent process: a restart of
/// the agent or of the guest loses them. Both fail while file systems are frozen
/// (`CommandNotFoundError`), and many distributions forbid them by default.
/// @tparam Carrier as for `Commands`
template <class Carrier>
class ExecCommands {
 public:
  /// Starts a program and does not wait for it. No shell is involved. No command of the agent ends
  /// the program: only another program can do that.
  /// @param path a file, or a name that is looked for in the agent's PATH
  /// @param params arguments, environment, standard input, what to capture
  /// @return the process id, for `exec_status`
  /// @throws AgentError no such program, not allowed to run it, a capture mode that the agent does
  ///         not know
  /// @timeout 5 s. After a timeout the program may run all the same, and its process id is lost,
  ///          unless `outcome()` is `not_sent`.
  /// @since QEMU 2.5, all guests; capture modes QEMU 8.1
  auto exec(std::string path, GuestExecParams params = GuestExecParams()) {
    return detail::carrier_of(*this).execute(GuestExecRequest(std::move(path), std::move(params)),
                                             &GuestExec::pid);
  }

  /// Whether a program has ended, and then how, and what it wrote. A reply with `exited` is given
  /// *once*: the agent forgets the program with it. With captured output a program counts as ended
  /// only when its children have closed those outputs too: a daemon never ends.
  /// @param pid from `exec`
  /// @return `GuestExecStatus`; its `out_data` and `err_data` hold bytes, already decoded
  /// @throws AgentError no such process id, or its end has been given before
  /// @timeout 60 s, for up to 45 MiB of reply. A timeout may lose exit code and output for good.
  /// @since QEMU 2.5, all guests
  auto exec_status(std::int64_t pid) {
    return detail::carrier_of(*this).execute(GuestExecStatusRequest(pid));
  }
};

}  // namespace qga::inline v0_1
