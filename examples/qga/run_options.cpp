// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes parameters, texts and JSON for `run`.
#include "run_options.hpp"

#include <utility>

#include "failure.hpp"
#include "guest_text.hpp"

namespace qga_tool {

std::vector<std::string> words_of(const Tool& tool, const RunOptions& options) {
  const int given =
      (tool.program.empty() ? 0 : 1) + (options.shell ? 1 : 0) + (options.powershell ? 1 : 0);
  if (given != 1) {
    throw UsageError("one of -- PROGRAM, --shell and --powershell must be given");
  }
  if (options.shell) return {"/bin/sh", "-c", *options.shell};
  if (options.powershell) {
    return {"powershell.exe", "-NoProfile", "-NonInteractive", "-EncodedCommand",
            encoded_command(*options.powershell)};
  }
  return tool.program;
}

qga::RunParams buffered_params(const std::vector<std::string>& words, const RunOptions& options) {
  auto params = params_of<qga::RunParams>(words, options);
  if (options.limit) params.timeout = duration_of(*options.limit);
  params.kill = options.kill;
  return params;
}

bool may_run_buffered(const std::exception_ptr& error, const RunOptions& options) {
  return has_code(error, qga::err_from_agent) &&
         qga::error_of(error)->outcome() != qga::Outcome::unknown && !options.needs_shell();
}

std::exception_ptr not_started(std::exception_ptr error, const std::string& program) {
  try {
    std::rethrow_exception(error);
  } catch (const qga::CommandNotFoundError&) {
  } catch (const qga::AgentError& refusal) {
    if (refusal.outcome() != qga::Outcome::refused) return error;
    return std::make_exception_ptr(NotStartedError(refusal, hint_of_spaces(program)));
  } catch (const std::exception&) {
  }
  return error;
}

nlohmann::json json_of(const qga::RunResult& result) {
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

std::string cut_text(const char* output, qga::Truncated truncated) {
  if (truncated == qga::Truncated::no) return "";
  const std::string is = truncated == qga::Truncated::yes ? " is cut" : " may be cut";
  return output + is + ": the agent keeps 16 MiB";
}

}  // namespace qga_tool
