// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand run: runs a program in the guest, prints its output, and exits with its exit code.
// It prints output as it comes where the guest can do that, and otherwise at the end.
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "follower.hpp"
#include "guest_text.hpp"
#include "input.hpp"
#include "print.hpp"
#include "program_end.hpp"
#include "run_options.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

/// The input is held in memory where it is not passed on as it comes.
constexpr std::size_t longest_input = 1 << 30;

// ---- output at the end --------------------------------------------------------------------------

void print_all(std::ostream& out, int fd, const std::string& bytes, const RunOptions& options) {
  GuestText text(!options.raw_output && ::isatty(fd) != 0, options.encoding);
  out << text.add(bytes) << text.finish() << std::flush;
}

int run_buffered(Tool& tool, const std::vector<std::string>& words, const RunOptions& options) {
  qga::RunParams params = buffered_params(words, options);
  if (options.input) params.input = read_stdin(tool.stop, longest_input);
  const qga::RunResult result = tool.ga().run(words.front(), std::move(params));
  if (tool.json) {
    print_json(json_of(result));
  } else {
    print_all(std::cout, STDOUT_FILENO, result.out, options);
    print_all(std::cerr, STDERR_FILENO, result.err, options);
  }
  for (const std::string& cut :
       {cut_text("stdout", result.out_truncated), cut_text("stderr", result.err_truncated)}) {
    if (!cut.empty()) tool.note(cut);
  }
  return exit_as({result.exit_code, result.signal});
}

// ---- output as it comes -------------------------------------------------------------------------

/// @return nothing where the guest cannot start a program that is followed. Nothing has happened
/// then
std::optional<qga::Process> start(Tool& tool, const std::vector<std::string>& words,
                                  const RunOptions& options) {
  try {
    return tool.ga().start(words.front(), params_of<qga::StartParams>(words, options));
  } catch (const qga::AgentError&) {
    if (!may_run_buffered(std::current_exception(), options)) throw;
    return std::nullopt;
  }
}

/// Ends after something other than the program's end.
int give_up(Follower& follower, const RunOptions& options, const Followed& end) {
  using Why = Followed::Why;
  // Where its output cannot be written here, the program is ended, as a closed pipe ends one in a
  // shell.
  const bool kill = options.kill || end.why == Why::failed;
  const bool killed = kill && follower.kill();
  follower.release();
  if (end.why == Why::lost) std::rethrow_exception(end.error);
  const std::string process = "process " + std::to_string(follower.process().pid());
  if (end.why == Why::too_long) {
    complain(process + (killed ? " ran for too long and was killed"
                               : " has run for too long and is left behind"));
    return exit_too_long;
  }
  const std::string fate = "; " + process + (killed ? " was killed" : " may still run");
  if (end.why == Why::stopped) throw std::runtime_error("interrupted" + fate);
  if (is_closed_pipe(end.error)) {
    if (!killed) complain(process + " may still run");
    throw ClosedPipeError();
  }
  try {
    std::rethrow_exception(end.error);
  } catch (const std::exception& error) {
    throw std::runtime_error(error.what() + fate);
  }
}

int follow(Tool& tool, qga::Process process, const RunOptions& options) {
  FollowParams params{
      .input = options.input, .raw_output = options.raw_output, .encoding = options.encoding};
  if (options.limit) params.timeout = duration_of(*options.limit);
  Follower follower(tool, std::move(process), std::move(params));
  const Followed end = follower.follow();
  if (end.why != Followed::Why::ended) return give_up(follower, options, end);
  return exit_as({end.status.exit_code, end.status.signal});
}

int run(Tool& tool, const RunOptions& options) {
  const std::vector<std::string> words = words_of(tool, options);
  if (tool.json && !options.encoding.empty()) {
    throw UsageError("--encoding must be used without --json, which shows the bytes");
  }
  const GuestText checked(false, options.encoding);
  if (tool.guests.are_many()) {
    if (options.input) throw UsageError("--input must be used with one SOCKET, not with many");
    return run_many(tool, words, options);
  }
  try {
    if (!options.buffered && !tool.json) {
      if (auto process = start(tool, words, options)) {
        return follow(tool, std::move(*process), options);
      }
    }
    return run_buffered(tool, words, options);
  } catch (const qga::AgentError&) {
    std::rethrow_exception(not_started(std::current_exception(), words.front()));
  }
}

}  // namespace

void define_run(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* const sub = define(
      app, tool, "run", "Run a program in the guest, and exit as it does",
      [&tool, options] { return run(tool, *options); }, Program::optional, ExitsAsProgram::always);
  sub->add_option("--shell", options->shell, "Run a line of /bin/sh instead of a program")
      ->type_name("LINE");
  sub->add_option("--powershell", options->powershell, "Run a line of PowerShell (Windows)")
      ->type_name("LINE");
  sub->add_flag("-i,--input", options->input, "Give the program what stdin holds, as it comes");
  variables_option(sub, "-e,--env", options->env,
                   "A variable; may be repeated. Together they replace the agent's environment, "
                   "PATH included");
  variables_option(sub, "--env-add", options->add_env,
                   "A variable beside the environment; may be repeated");
  sub->add_option("--cwd", options->cwd, "The directory to run in (/)")->type_name("DIR");
  sub->add_option("--user", options->user, "The user to run as (the agent's, as a rule root)")
      ->type_name("NAME");
  seconds_option(sub, "--for", options->limit, "How long the program may run; no limit");
  sub->add_flag("--kill", options->kill, "Kill the program in the guest after --for or Ctrl-C");
  sub->add_option("--encoding", options->encoding,
                  "The encoding of what it writes, such as CP850, to be shown as UTF-8; "
                  "iconv -l lists them")
      ->type_name("NAME");
  sub->add_flag("--raw-output", options->raw_output,
                "Do not escape control characters, even on a terminal");
  sub->add_flag("--buffered", options->buffered,
                "Show output when the program has ended, through guest-exec alone");
  sub->footer(
      "The program is started without a shell, unless --shell is given. Its output is shown as it "
      "comes. This takes a POSIX shell in the guest, and an agent that may open files; without "
      "them, and with --json or --buffered, output is shown when the program has ended, stdin is "
      "read to its end first, and the guest's log shows the arguments. --cwd, --user and --env-add "
      "take such a guest. Without --kill a program that is left behind goes on in the guest. A "
      "program whose output cannot be written here is killed. Of many guests, each line begins "
      "with "
      "the guest's name.");
}

}  // namespace qga_tool
