// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the user of `run` has asked for, and what is made of it for one guest and for many.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

#include "program_end.hpp"
#include "tool.hpp"

namespace qga_tool {

struct RunOptions {
  bool input = false;
  bool kill = false;
  bool raw_output = false;
  bool buffered = false;
  std::optional<std::string> shell;
  std::optional<std::string> powershell;
  std::string encoding;
  std::string cwd;
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> add_env;
  std::optional<double> limit;

  /// Whether only a guest with a shell can do it.
  bool needs_shell() const { return !cwd.empty() || !user.empty() || !add_env.empty(); }
};

/// The program and its arguments.
/// @throws UsageError none or several were given
std::vector<std::string> words_of(const Tool& tool, const RunOptions& options);

/// The parameters that `run` and `start` of the library share.
/// @tparam Params qga::RunParams or qga::StartParams
template <class Params>
Params params_of(const std::vector<std::string>& words, const RunOptions& options) {
  Params params;
  params.args.assign(words.begin() + 1, words.end());
  if (!options.env.empty()) params.env = options.env;
  params.add_env = options.add_env;
  params.cwd = options.cwd;
  params.user = options.user;
  return params;
}

/// The parameters of a program whose output is shown at the end.
qga::RunParams buffered_params(const std::vector<std::string>& words, const RunOptions& options);

/// Whether a program that could not be started so that it is followed may be run in the other way:
/// the guest has not started it.
bool may_run_buffered(const std::exception_ptr& error, const RunOptions& options);

/// Makes a NotStartedError of a guest's refusal to start a program, with a hint where the program's
/// name has spaces. Other errors stay as they are.
std::exception_ptr not_started(std::exception_ptr error, const std::string& program);

/// In the form of a reply to guest-exec-status, where bytes are base64.
nlohmann::json json_of(const qga::RunResult& result);

/// What there is to say of output that was cut: a line, or nothing.
std::string cut_text(const char* output, qga::Truncated truncated);

/// Runs the program in many guests at the same time.
int run_many(Tool& tool, const std::vector<std::string>& words, const RunOptions& options);

}  // namespace qga_tool
