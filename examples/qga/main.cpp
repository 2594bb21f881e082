// SPDX-License-Identifier: LGPL-3.0-or-later
//
// qga: the guest agent from the command line. Parses the command line and runs one subcommand.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "closed_files.hpp"
#include "completion.hpp"
#include "exit_code.hpp"
#include "manual.hpp"
#include "print.hpp"
#include "tool.hpp"
#include "wrong_use.hpp"

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

/// Whether a subcommand exits as a program does.
bool exits_as_program(const CLI::App& sub, const Tool& tool) {
  const auto found = tool.commands.find(&sub);
  if (found == tool.commands.end()) return false;
  const ExitsAsProgram when = found->second.exits_as_program;
  return when == ExitsAsProgram::always ||
         (when == ExitsAsProgram::where_given && !tool.program.empty());
}

int run(const CLI::App& app, Tool& tool, bool has_dashes) {
  const CLI::App* const sub = chosen(app);
  const auto found = tool.commands.find(sub);
  if (found == tool.commands.end())
    throw UsageError("a command must follow SOCKET: see qga --help");
  if (!tool.guests.are_named())
    throw UsageError("a SOCKET must be named before the command: see qga --help");
  const Command& command = found->second;
  tool.exits_as_program = exits_as_program(*sub, tool);
  if (tool.program.empty() && (has_dashes || command.program == Program::required)) {
    throw UsageError("a program must follow --");
  }
  const int status = command.action();
  check_stdout();
  return status;
}

/// Whether words that follow `--` belong to the command before it, or name it.
bool names_command(const CLI::App& app) {
  return !chosen(app)->get_subcommands([](const CLI::App*) { return true; }).empty();
}

/// Parses the words of the command line. Behind `--` there are no options of the tool: these words
/// are the program, where the command takes one, and otherwise arguments as they are.
/// @return whether a command that takes a program has `--`
bool parse(CLI::App& app, Tool& tool, std::vector<std::string> words) {
  const auto parse_words = [&app](std::vector<std::string> some) {
    std::ranges::reverse(some);  // CLI11 needs the last one first
    app.parse(std::move(some));
  };
  auto dashes = std::ranges::find(words, std::string("--"));
  while (dashes != words.end()) {
    // Which command it is decides; whether the words before `--` are enough is known later.
    try {
      parse_words({words.begin(), dashes});
    } catch (const CLI::Success&) {
      throw;
    } catch (const CLI::ParseError&) {
    }
    if (!names_command(app)) break;
    // SOCKET or a command follows. A path that begins with '-' must not be taken for an option.
    dashes = words.erase(dashes);
    if (dashes == words.end()) break;
    if (dashes->starts_with('-')) dashes->insert(0, "./");
    dashes = std::find(dashes + 1, words.end(), "--");
  }
  const auto found = tool.commands.find(chosen(app));
  const bool takes_program = dashes != words.end() && found != tool.commands.end() &&
                             found->second.program != Program::none;
  // The arguments of a program are kept from the parser, which would split some, such as '[a,b]'.
  if (takes_program) {
    tool.program.assign(dashes + 1, words.end());
    words.erase(dashes, words.end());
  }
  try {
    parse_words(std::move(words));
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::ParseError& error) {
    throw UsageError(wrong_use_text(app, tool, error));
  }
  return takes_program;
}

int main(int argc, char** argv) try {
  keep_closed_files();
  Tool tool;
  CLI::App app("Talks to the QEMU guest agent of a virtual machine.", "qga");
  app.formatter(help_formatter(tool));
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "qga " QGA_TOOL_VERSION, "Print the version and exit");
  define_globals(app, tool);
  bool manual = false;
  std::string shell;
  app.add_flag("--man", manual, "Print the manual page and exit");
  allow(app.add_option("--completion", shell, "Print a completion script and exit"),
        completed_shells);
  app.require_subcommand(0, 1);
  define_info(app, tool);
  define_wait(app, tool);
  define_run(app, tool);
  define_shell(app, tool);
  define_files(app, tool);
  define_freeze(app, tool);
  define_lists(app, tool);
  define_top(app, tool);
  define_metrics(app, tool);
  define_accounts(app, tool);
  define_power(app, tool);
  define_raw(app, tool);
  app.footer(help_footer());  // after the commands, which would inherit it

  try {
    const bool has_dashes = parse(app, tool, {argv + std::min(argc, 1), argv + argc});
    if (!manual && shell.empty()) return run(app, tool, has_dashes);
    std::cout << (manual ? manual_page(app, tool, QGA_TOOL_VERSION)
                         : completion_script(app, tool, shell));
    check_stdout();
    return exit_done;
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success);
    check_stdout();
    return exit_done;
  } catch (const std::exception&) {
    tool.exits_as_program = exits_as_program(*chosen(app), tool);  // also where parsing failed
    return explain_error(tool);
  }
} catch (const ClosedPipeError&) {
  return exit_closed_pipe;
} catch (const std::exception& error) {
  complain(error.what());
  return exit_failed;
}

}  // namespace

}  // namespace qga_tool

int main(int argc, char** argv) { return qga_tool::main(argc, argv); }
