// SPDX-License-Identifier: LGPL-3.0-or-later
//
// qga: the guest agent from the command line. Parses the command line, runs one subcommand, and
// makes an exit code of its errors.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "completion.hpp"
#include "exit_code.hpp"
#include "manual.hpp"
#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

void define_globals(CLI::App& app, Tool& tool) {
  // It is required by every subcommand, but not by --man or --completion: see `run`.
  app.add_option("SOCKET", tool.guests.socket,
                 "Where the agent is: /path or unix:path of a UNIX socket, "
                 "tcp:host:port, vsock:cid:port or fd:N; or a pattern of paths, such as "
                 "'/run/vm/*.sock', for many guests")
      ->type_name("");
  app.add_option("-s,--socket", tool.guests.sockets,
                 "Another guest's SOCKET, instead of or beside the first; may be repeated")
      ->type_name("SOCKET")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--sockets-from", tool.guests.file,
                 "A file with a SOCKET on each line ('#' begins a remark); - is stdin")
      ->type_name("FILE");
  seconds_option(&app, "--timeout", tool.timeout,
                 "How long each call to the agent may take (5, and longer for what is slow)");
  app.add_flag("--json", tool.json, "Print JSON, as the agent sends it where there is one command");
  app.add_flag("-q,--quiet", tool.quiet, "Show neither progress nor remarks on stderr");
  app.add_flag("--trace", tool.trace, "Show on stderr what is sent and received, without secrets");
}

/// The innermost subcommand that was given.
const CLI::App* chosen(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

int run(const CLI::App& app, Tool& tool, bool dashes) {
  const CLI::App* const sub = chosen(app);
  const auto found = tool.commands.find(sub);
  if (found == tool.commands.end()) throw UsageError("a command must follow SOCKET");
  if (!tool.guests.are_named()) throw UsageError("SOCKET must stand before the command");
  const Command& command = found->second;
  if (dashes && command.program == Program::none) {
    throw UsageError("'" + sub->get_name() + "' does not run a program: remove --");
  }
  if (tool.program.empty() && (dashes || command.program == Program::required)) {
    throw UsageError("a program must follow --");
  }
  const int status = command.action();
  std::cout.flush();
  if (!std::cout) throw std::runtime_error("cannot write to stdout");
  return status;
}

/// Prints the exception that is being handled, and returns the exit code for it.
int explained(const Tool& tool) {
  try {
    throw;
  } catch (const std::exception& error) {
    complain(error.what());
  }
  const int code = code_of_error();
  return tool.stop.signal() != 0 && code != exit_wrong_use ? 128 + tool.stop.signal() : code;
}

int main(int argc, char** argv) try {
  Tool tool;
  CLI::App app("Talks to the QEMU guest agent of a virtual machine.", "qga");
  app.formatter(help_formatter(tool));
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "qga " QGA_TOOL_VERSION, "Print the version and exit");
  define_globals(app, tool);
  bool manual = false;
  std::string shell;
  app.add_flag("--man", manual, "Print the manual page and exit");
  allow(app.add_option("--completion", shell, "Print a completion script and exit"), {"bash"});
  app.require_subcommand(0, 1);
  define_info(app, tool);
  define_wait(app, tool);
  define_run(app, tool);
  define_shell(app, tool);
  define_files(app, tool);
  define_freeze(app, tool);
  define_lists(app, tool);
  define_top(app, tool);
  define_accounts(app, tool);
  define_power(app, tool);
  define_raw(app, tool);
  app.footer(help_footer());  // after the commands, which would inherit it

  // The arguments of a program are kept from the parser, which would split some, such as '[a,b]'.
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const auto dashes = std::ranges::find(arguments, std::string("--"));
  const bool has_dashes = dashes != arguments.end();
  if (has_dashes) tool.program.assign(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  std::ranges::reverse(arguments);  // CLI11 needs the last one first

  try {
    app.parse(arguments);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError&) {
    return explained(tool);
  }
  if (manual || !shell.empty()) {
    std::cout << (manual ? manual_page(app, tool, QGA_TOOL_VERSION) : bash_completion(app, tool))
              << std::flush;
    return std::cout ? exit_done : exit_failed;
  }
  try {
    return run(app, tool, has_dashes);
  } catch (const std::exception&) {
    return explained(tool);
  }
} catch (const std::exception& error) {
  complain(error.what());
  return exit_failed;
}

}  // namespace

}  // namespace qga_tool

int main(int argc, char** argv) { return qga_tool::main(argc, argv); }
