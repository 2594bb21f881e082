// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The settings of all subcommands, the client, and the list of subcommands, from which parser,
// help, manual and completion are made.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <asio/io_context.hpp>
#include <qga/client.hpp>

#include "exit_code.hpp"
#include "guests.hpp"
#include "stop.hpp"

namespace qga_tool {

/// A mistake in the command line that the parser cannot find.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A signal has ended the work.
class InterruptedError : public std::runtime_error {
 public:
  InterruptedError() : std::runtime_error("interrupted") {}
};

/// Whether a subcommand takes a program and its arguments after `--`.
enum class Program { none, optional, required };

/// Whether a subcommand exits as a program does: then its own failures have other exit codes.
enum class ExitsAsProgram { never, where_given, always };

struct Command {
  std::function<int()> action;  ///< returns the exit code
  Program program = Program::none;
  ExitsAsProgram exits_as_program = ExitsAsProgram::never;
};

struct Tool {
  Stop stop;

  Guests guests;
  std::optional<double> timeout;  ///< seconds, for each command
  bool json = false;
  bool quiet = false;
  bool trace = false;
  std::vector<std::string> program;  ///< the words after `--`
  bool exits_as_program = false;     ///< whether the command does; see exit_code.hpp

  std::map<const CLI::App*, Command> commands;

  /// Of the asynchronous calls of the client, which ends before it.
  asio::io_context context;

  /// The client. It is connected here, unless `later` leaves that to `wait_ready`.
  qga::AnyClient& client(bool later = false);
  /// The client with the user's options; Ctrl-C ends its calls.
  /// @param limit the timeout of the call where the user has not given one
  qga::AnyClient::WithOptions ga(std::optional<qga::Clock::duration> limit = {});
  /// The client for calls that Ctrl-C does not end.
  qga::AnyClient::WithOptions unstoppable();

  /// Prints `qga: <line>` on stderr, unless --quiet was given.
  void note(const std::string& line) const;

  /// The settings of a client, with the user's options.
  /// @param guest is named in the lines of --trace; empty: there is only one
  qga::ClientParams client_params(const std::string& guest = "") const;

 private:
  std::optional<qga::AnyClient> client_;
};

// ---- defining subcommands ----------------------------------------------------------------------

/// Defines a subcommand that only has subcommands of its own.
CLI::App* define(CLI::App& parent, const std::string& name, const std::string& description);
/// Defines a subcommand.
CLI::App* define(CLI::App& parent, Tool& tool, const std::string& name,
                 const std::string& description, std::function<int()> action,
                 Program program = Program::none,
                 ExitsAsProgram exits_as_program = ExitsAsProgram::never);

/// The options and positionals that were defined for a subcommand itself. Newer versions of CLI11
/// also list those of its parents, which `fallthrough` lets it take.
std::vector<const CLI::Option*> own_options(const CLI::App& app);

/// Defines an option that takes a number of seconds.
CLI::Option* seconds_option(CLI::App* app, const std::string& name, std::optional<double>& value,
                            const std::string& description);
/// Defines an option that takes a variable, and may be repeated.
CLI::Option* variables_option(CLI::App* app, const std::string& name,
                              std::vector<std::string>& values, const std::string& description);
/// Restricts an option to these choices, which help and completion show, too.
void allow(CLI::Option* option, const std::vector<std::string>& choices);

/// A hint for the error about a program that cannot be started. It is empty where the program's
/// name has no space. A name with spaces may be a program and its arguments in one word.
std::string hint_of_spaces(const std::string& program);

/// Ends a subcommand whose only answer is that it succeeded.
int done(const Tool& tool);

inline qga::Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<qga::Clock::duration>(std::chrono::duration<double>(seconds));
}

// ---- the subcommands, by file ------------------------------------------------------------------

void define_info(CLI::App& app, Tool& tool);      // info ping
void define_wait(CLI::App& app, Tool& tool);      // wait
void define_raw(CLI::App& app, Tool& tool);       // raw
void define_run(CLI::App& app, Tool& tool);       // run
void define_shell(CLI::App& app, Tool& tool);     // shell
void define_files(CLI::App& app, Tool& tool);     // cat cp
void define_freeze(CLI::App& app, Tool& tool);    // freeze thaw status
void define_lists(CLI::App& app, Tool& tool);     // ls-commands fs net disks cpu users trim
void define_top(CLI::App& app, Tool& tool);       // top
void define_metrics(CLI::App& app, Tool& tool);   // metrics
void define_accounts(CLI::App& app, Tool& tool);  // passwd ssh-keys
void define_power(CLI::App& app, Tool& tool);     // time shutdown reboot suspend

}  // namespace qga_tool
