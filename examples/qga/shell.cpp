// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand shell: a terminal in the guest, shown on the terminal here. Where one of them is
// missing, lines go to the program, and what it writes comes back.
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "escape_keys.hpp"
#include "follower.hpp"
#include "print.hpp"
#include "program_end.hpp"
#include "raw_terminal.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

struct ShellOptions {
  std::string cwd;
  std::string user;
};

/// Becomes the login shell of the user that it runs as. $1 is not empty where the directory was
/// chosen, $2 is an option of the shell or empty.
constexpr const char* login_script =
    "USER=$(id -un)\n"
    "LOGNAME=$USER\n"
    "entry=$( (getent passwd \"$USER\" || grep \"^$USER:\" /etc/passwd) 2>/dev/null)\n"
    "SHELL=${entry##*:}\n"
    "entry=${entry%:*}\n"
    "HOME=${entry##*:}\n"
    "case $SHELL in '' | */nologin | */false) SHELL= ;; esac\n"
    "[ -x \"$SHELL\" ] || SHELL=$(command -v bash || echo /bin/sh)\n"
    "export USER LOGNAME SHELL HOME\n"
    "[ -n \"$1\" ] || cd \"$HOME\" 2>/dev/null\n"
    "option=$2\n"
    "set --\n"
    "case ${SHELL##*/}:$(uname -s) in\n"
    "  bash:* | dash:* | ash:* | zsh:* | ksh:* | mksh:* | fish:* | sh:Linux) set -- -l ;;\n"
    "esac\n"
    "exec \"$SHELL\" \"$@\" $option\n";

struct Started {
  qga::Process process;
  std::optional<qga::Terminal> terminal;
};

qga::Process start(Tool& tool, const ShellOptions& options,
                   const std::optional<qga::Terminal>& terminal) {
  qga::StartParams params;
  params.cwd = options.cwd;
  params.user = options.user;
  params.terminal = terminal;
  if (!tool.program.empty()) {
    params.args.assign(tool.program.begin() + 1, tool.program.end());
    return tool.ga().start(tool.program.front(), std::move(params));
  }
  // Without a terminal a shell shows its prompt only where it is told to.
  const bool has_user = ::isatty(STDIN_FILENO) != 0;
  params.args = {"-c", login_script, "sh", options.cwd, has_user && !terminal ? "-i" : ""};
  return tool.ga().start("/bin/sh", std::move(params));
}

Started start(Tool& tool, const ShellOptions& options) {
  if (::isatty(STDIN_FILENO) == 0) return {start(tool, options, std::nullopt), {}};
  const qga::Terminal terminal = terminal_here();
  try {
    return {start(tool, options, terminal), terminal};
  } catch (const qga::AgentError& error) {
    if (error.outcome() != qga::Outcome::refused) throw;
    // Where it is something else that is wrong, this fails in the same way.
    Started started{start(tool, options, std::nullopt), {}};
    tool.note(std::string("no terminal, only lines: ") + error.what());
    return started;
  }
}

Started start_or_explain(Tool& tool, const ShellOptions& options) {
  try {
    return start(tool, options);
  } catch (const qga::CommandNotFoundError&) {
    throw;
  } catch (const qga::AgentError& error) {
    if (error.outcome() != qga::Outcome::refused) throw;
    throw NotStartedError(error);
  }
}

/// Ends after something other than the end of the program, with the terminal as it was before.
int give_up(const Followed& end) {
  switch (end.why) {
    case Followed::Why::left:
      complain("left; the program is ended");
      return exit_own_failure;
    case Followed::Why::stopped:
      throw std::runtime_error("interrupted; the program is ended");
    case Followed::Why::lost:
      complain("the program is lost: the guest or its agent was restarted, or does not answer");
      break;
    default:
      if (is_closed_pipe(end.error)) throw ClosedPipeError();
      break;
  }
  std::rethrow_exception(end.error);
}

int shell(Tool& tool, const ShellOptions& options) {
  if (tool.json) throw UsageError("shell must be used without --json");
  const Stop::TidyUp tidy(tool.stop);
  Started started = start_or_explain(tool, options);
  FollowParams params{.input = true, .raw_output = true, .terminal = started.terminal};
  if (started.terminal) {
    const auto keys = std::make_shared<EscapeKeys>();
    params.keys = [keys](const std::string& typed) { return keys->add(typed); };
    tool.note("~. at the beginning of a line leaves");
  }
  Follower follower(tool, std::move(started.process), std::move(params));
  Followed end;
  {
    std::optional<RawTerminal> raw;
    if (started.terminal) raw.emplace();
    end = follower.follow();
  }
  if (end.why != Followed::Why::ended) return give_up(end);
  return exit_as({end.status.exit_code, end.status.signal});
}

}  // namespace

void define_shell(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<ShellOptions>();
  CLI::App* const sub = define(
      app, tool, "shell", "Use a terminal in the guest",
      [&tool, options] { return shell(tool, *options); }, Program::optional,
      ExitsAsProgram::always);
  sub->add_option("--cwd", options->cwd, "The directory to begin in (the user's own)")
      ->type_name("DIR");
  sub->add_option("--user", options->user, "The user to be (the agent's, as a rule root)")
      ->type_name("NAME");
  sub->footer(
      "Without a program it is the user's login shell. All keys go to the guest, Ctrl-C included; "
      "~. at the beginning of a line leaves, and ~~ there is one ~. What the guest writes is not "
      "escaped: it drives the terminal here, so use it only with a guest that you trust. The "
      "terminal here is as before when qga ends, and the program in the guest is ended. This takes "
      "a POSIX shell in the guest, an agent that may open files, and script (util-linux, BSD, "
      "busybox) or python3. Without these two, and where stdin is not a terminal, whole lines are "
      "passed on.");
}

}  // namespace qga_tool
