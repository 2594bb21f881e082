// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand run: runs a program in the guest, prints its output, and exits with its exit code.
#include <cstdint>
#include <iomanip>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
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

/// The exit code, as in a shell; nothing where the program's own does not fit. A code of Windows
/// has 32 bits, of which only 8 fit here.
std::optional<int> exit_code_of(const qga::RunResult& result) {
  const std::int64_t code = result.exit_code.value_or(-1);
  if (code >= 0 && code <= 255) return static_cast<int>(code);
  const std::int64_t signal = result.signal.value_or(0);
  if (!result.exit_code && signal > 0 && signal < 127) return static_cast<int>(128 + signal);
  return std::nullopt;
}

/// A number as it is and, where it has 32 bits, as Windows's documentation has it: in hexadecimal.
std::string code_text(std::int64_t code) {
  std::ostringstream text;
  text << code;
  if (code >= std::numeric_limits<std::int32_t>::min() &&
      code <= std::numeric_limits<std::uint32_t>::max()) {
    text << " (0x" << std::hex << std::setfill('0') << std::setw(8)
         << static_cast<std::uint32_t>(code) << ")";
  }
  return text.str();
}

/// How a program ended.
std::string end_text(const qga::RunResult& result) {
  if (result.exit_code) return "the program ended with exit code " + code_text(*result.exit_code);
  // A Windows agent has the number of an exception for a signal.
  if (result.signal) return "the program ended by signal or exception " + code_text(*result.signal);
  return "the guest does not say how the program ended";
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

/// Runs the program. Where the guest cannot start it, the error may have a hint.
qga::RunResult run_in_guest(Tool& tool, qga::RunParams params) {
  const std::string& program = tool.program.front();
  try {
    return tool.ga().run(program, std::move(params));
  } catch (const qga::CommandNotFoundError&) {
    throw;
  } catch (const qga::AgentError& error) {
    if (error.command() != qga::GuestExecRequest::command) throw;
    throw std::runtime_error(error.what() + hint_of_spaces(program));
  }
}

int run(Tool& tool, const RunOptions& options) {
  qga::RunParams params;
  params.args.assign(tool.program.begin() + 1, tool.program.end());
  if (!options.env.empty()) params.env = options.env;
  if (options.input) params.input = read_stdin(tool.stop, longest_input);
  if (options.timeout) params.timeout = duration_of(*options.timeout);
  params.kill = options.kill;

  const qga::RunResult result = run_in_guest(tool, std::move(params));
  if (tool.json) {
    print_json(json_of(result));
  } else {
    print_bytes(result.out, options.raw_output);
    print_error_bytes(result.err, options.raw_output);
  }
  warn_of_cut(tool, "stdout", result.out_truncated);
  warn_of_cut(tool, "stderr", result.err_truncated);
  if (const std::optional<int> code = exit_code_of(result)) return *code;
  complain(end_text(result) + "; qga exits with " + std::to_string(exit_no_code));
  return exit_no_code;
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
