// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand run: runs a program in the guest, prints its output, and exits with its exit code.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "input.hpp"
#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

struct RunOptions {
  bool input = false;
  bool kill = false;
  bool raw_output = false;
  std::vector<std::string> env;
  std::optional<double> timeout;
};

/// The input is held in memory.
constexpr std::size_t longest_input = 1 << 30;

/// The exit code, as in a shell. A code of Windows has 32 bits, of which only 8 fit here: a failure
/// must not look like success.
int exit_code_of(const qga::RunResult& result) {
  if (result.exit_code) {
    const auto kept = static_cast<int>(*result.exit_code & 0xFF);
    return kept == 0 && *result.exit_code != 0 ? exit_no_code : kept;
  }
  const std::int64_t signal = result.signal.value_or(0);
  return signal > 0 && signal < 127 ? static_cast<int>(128 + signal) : exit_no_code;
}

void warn_of_cut(const Tool& tool, const char* output, qga::Truncated truncated) {
  if (truncated == qga::Truncated::no) return;
  const std::string is = truncated == qga::Truncated::yes ? " is cut" : " may be cut";
  tool.note(output + is + ": the agent keeps 16 MiB");
}

nlohmann::json json_of(const qga::RunResult& result) {
  // The form of a reply to guest-exec-status, where bytes are base64.
  qga::GuestExecStatus status;
  status.exited = true;
  status.exitcode = result.exit_code;
  status.signal = result.signal;
  status.out_data = result.out;
  status.err_data = result.err;
  status.out_truncated = result.out_truncated != qga::Truncated::no;
  status.err_truncated = result.err_truncated != qga::Truncated::no;
  return status;
}

int run(Tool& tool, const RunOptions& options) {
  qga::RunParams params;
  params.args.assign(tool.program.begin() + 1, tool.program.end());
  if (!options.env.empty()) params.env = options.env;
  if (options.input) params.input = read_stdin(tool.stop, longest_input);
  if (options.timeout) params.timeout = duration_of(*options.timeout);
  params.kill = options.kill;

  const qga::RunResult result = tool.ga().run(tool.program.front(), std::move(params));
  if (tool.json) {
    print_json(json_of(result));
  } else {
    print_bytes(result.out, options.raw_output);
    print_error_bytes(result.err, options.raw_output);
  }
  warn_of_cut(tool, "stdout", result.out_truncated);
  warn_of_cut(tool, "stderr", result.err_truncated);
  return exit_code_of(result);
}

std::string check_variable(const std::string& text) {
  const std::size_t name_size = text.find('=');
  const bool valid = name_size > 0 && name_size != std::string::npos;
  return valid ? "" : "'" + text + "' must be NAME=VALUE";
}

}  // namespace

void define_run(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* const sub = define(
      app, tool, "run", "Run a program in the guest, and exit as it does",
      [&tool, options] { return run(tool, *options); }, Program::required);
  sub->add_flag("-i,--input", options->input, "Give the program what stdin holds");
  sub->add_option(
         "-e,--env", options->env,
         "A variable; may be repeated. Together they replace the agent's environment, PATH "
         "included")
      ->type_name("NAME=VALUE")
      ->check(check_variable)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  seconds_option(sub, "--timeout", options->timeout, "How long the program may run");
  sub->add_flag("--kill", options->kill, "Kill the program in the guest after --timeout or Ctrl-C");
  sub->add_flag("--raw-output", options->raw_output,
                "Do not escape control characters, even on a terminal");
  sub->footer(
      "The program is started without a shell. Its output is shown when it has ended. The guest's "
      "log shows its arguments: pass secrets on stdin.");
}

}  // namespace qga_tool
