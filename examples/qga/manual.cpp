// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lays out the help and the manual page. All of their contents are in the definitions of the
// subcommands and in the tables here.
#include "manual.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <sstream>
#include <string_view>
#include <utility>

#include "wrong_use.hpp"

namespace qga_tool {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> exit_codes{{
    {"0", "Done"},
    {"1", "The guest or its agent refused, or failed"},
    {"2", "The command line is wrong"},
    {"3", "The agent cannot be reached, or does not answer in time"},
    {"123", "freeze --or-without: the program ended with 0, without a freeze"},
    {"124", "run, freeze, cp -r: it took longer than --for allowed"},
    {"125", "run, shell, freeze with a program: qga failed, instead of 1, 2, 3"},
    {"126", "run, shell, freeze: there is such a program, but it cannot be run"},
    {"127", "run, shell, freeze: there is no such program"},
    {"128+N", "Signal N ended the program, or qga: 130 is Ctrl-C"},
    {"141", "The pipe that qga writes to is closed, as in qga SOCKET fs | head -1"},
    {"255", "run, shell: the program's code does not fit here; stderr says it"},
}};
constexpr std::string_view codes_of_programs =
    "run, shell, and freeze with a program, exit as that did. Other exit codes:";

/// What the manual page says of all commands.
constexpr std::array<std::string_view, 5> remarks{
    "An agent serves one client at a time: where another program, such as libvirt, has the channel "
    "open, it does not answer.",
    "Text of the guest is escaped where people read it: control characters, characters that change "
    "the direction of writing, and invisible characters. What shell shows is not: there the "
    "guest drives the terminal.",
    "info, cpu and top ask several questions. Where the guest refuses some, they show the other "
    "answers, and a line for each that is missing; with --json these are the list 'missing'.",
    "Ctrl-C ends every command, and thaws what the command has frozen.",
    "Many guests, named by a pattern, by --socket or by --sockets-from, are asked at the same "
    "time, "
    "each with its own time, by info, ping, wait, status, fs, net, disks, cpu, users, time, "
    "ls-commands, trim, run, freeze, thaw, top and metrics. Tables have a column GUEST, lines "
    "begin "
    "with the name of the guest, and with --json each guest is an object on a line: 'guest' and "
    "'socket' with 'result', or with 'error' and 'kind'. The exit code is 0 where all succeeded, "
    "that of the guests that failed where they have the same, and 1 otherwise. freeze freezes all "
    "of them or none."};

struct Example {
  std::string_view command;  ///< whose help shows it
  std::string_view line;
  std::string_view meaning;
};

constexpr std::array<Example, 27> examples{{
    {"info", "qga /run/vm/web.sock info", "Show who the guest is"},
    {"info", "qga '/run/vm/*.sock' info", "Show all guests, a line each"},
    {"run", "qga vm.sock run -- ls -l /srv", "Run a program in the guest"},
    {"run", "qga vm.sock run --shell 'df -h | tail -1'", "Run a line of a shell in the guest"},
    {"run", "tar c . | qga vm.sock run -i --cwd /srv -- tar x", "Pass stdin on to a program"},
    {"run", "qga vm.sock run --for 60 --kill -- make", "Kill it after a minute"},
    {"shell", "qga vm.sock shell", "Work in the guest on a terminal"},
    {"cat", "qga vm.sock cat /etc/os-release", "Show a file of the guest"},
    {"cp", "qga vm.sock cp --verify backup.tar :/tmp/backup.tar", "Copy a file, and compare both"},
    {"cp", "qga vm.sock cp :/etc/hosts .", "Copy a file out of the guest"},
    {"cp", "qga vm.sock cp -r :/etc/ssh .", "Copy a directory out of the guest, as ./ssh"},
    {"freeze", "qga vm.sock freeze -- lvcreate -s -n snap /dev/vg/vm",
     "Take a snapshot on the host while the guest's file systems are frozen"},
    {"freeze", "qga '/run/vm/*.sock' freeze -- snapshot-all",
     "Take snapshots of all guests at one moment"},
    {"freeze", "qga vm.sock freeze --dry-run", "Show what would be frozen"},
    {"wait", "qga vm.sock wait --command guest-exec && qga vm.sock run -- reboot-check",
     "Run a program when the guest is up and may run programs"},
    {"wait", "qga vm.sock wait --for 600 --run -- cloud-init status --wait",
     "Wait until the guest has set itself up"},
    {"wait", "qga vm.sock shutdown && qga vm.sock wait --gone", "Wait for the end of a shutdown"},
    {"fs", "qga vm.sock --json fs | jq '.[].mountpoint'", "Print JSON, for programs"},
    {"net", "qga tcp:127.0.0.1:7000 net", "Show the addresses of a guest that TCP leads to"},
    {"top", "qga vm.sock top --interval 5", "Show what the guest does, every 5 seconds"},
    {"metrics", "qga '/run/vm/*.sock' metrics --listen 127.0.0.1:9547",
     "Serve figures of all guests to Prometheus"},
    {"trim", "qga vm.sock trim", "Give free blocks back to the host"},
    {"passwd", "qga vm.sock passwd tester <password.txt", "Set a password that a file holds"},
    {"ssh-keys add", "qga vm.sock ssh-keys add tester key.pub", "Let somebody log in"},
    {"time", "qga vm.sock time --set", "Set the guest's clock"},
    {"suspend", "qga vm.sock suspend disk", "Have the guest keep its memory on its disk"},
    {"raw", "qga vm.sock raw '{\"execute\": \"guest-get-host-name\"}'",
     "Send a command that qga does not know"},
}};

bool has_switches(const CLI::App& app) {
  return std::ranges::any_of(own_options(app), [&app](const CLI::Option* option) {
    return option->nonpositional() && option != app.get_help_ptr();
  });
}

/// The type of an option's value, such as SECONDS or a choice; empty for flags, and for positionals
/// without a choice.
std::string value_text(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const bool choice = type.find('|') != std::string::npos;
  const bool shown = option.get_expected_max() != 0 && (!option.get_positional() || choice);
  return shown ? type : "";
}

/// What a user types: `qga SOCKET cp [OPTIONS] SRC DST`.
std::string usage(const CLI::App& app, const Tool& tool) {
  const std::string words = words_of(app);
  std::string text = "qga SOCKET" + (words.empty() ? "" : " " + words);
  if (has_switches(app)) text += " [OPTIONS]";
  if (app.get_parent() != nullptr) {
    for (const CLI::Option* option : own_options(app)) {
      if (!option->get_positional()) continue;
      std::string name = option->get_name(true);
      if (option->get_expected_max() > 1) name += "...";
      text += option->get_required() ? " " + name : " [" + name + "]";
    }
  }
  if (!app.get_subcommands([](const CLI::App*) { return true; }).empty()) text += " COMMAND ...";
  const auto found = tool.commands.find(&app);
  if (found == tool.commands.end()) return text;
  if (found->second.program == Program::required) text += " -- PROGRAM [ARG...]";
  if (found->second.program == Program::optional) text += " [-- PROGRAM [ARG...]]";
  return text;
}

/// Breaks a text into lines of up to `width` characters.
std::string wrapped(const std::string& text, std::size_t width) {
  std::istringstream words(text);
  std::string result;
  std::size_t column = 0;
  for (std::string word; words >> word; column += word.size() + 1) {
    if (column > 0 && column + word.size() > width) {
      result += '\n';
      column = 0;
    } else if (column > 0) {
      result += ' ';
    }
    result += word;
  }
  return result;
}

std::string example_text(const Example& example) {
  return "  " + std::string(example.line) + "\n      " + std::string(example.meaning) + "\n";
}

/// The examples of a command.
std::string examples_of(const std::string& command) {
  std::string text;
  for (const Example& example : examples) {
    if (example.command == command) text += example_text(example);
  }
  return text.empty() ? text : "Examples:\n" + text + "\n";
}

class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(const Tool& tool) : tool_(tool) { column_width(name_width); }

  std::string make_usage(const CLI::App* app, std::string) const override {
    return "\nUsage: " + usage(*app, tool_) + "\n";
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string value = value_text(*option);
    return value.empty() ? value : " " + value;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(option->get_description(), line_width - name_width);
  }
  std::string make_footer(const CLI::App* app) const override {
    const std::string own = app->get_footer();
    if (app->get_parent() == nullptr) return own;
    const std::string remark = own.empty() ? "" : wrapped(own, line_width) + "\n\n";
    return remark + examples_of(words_of(*app)) + "Options of all commands: qga --help\n";
  }

 private:
  static constexpr std::size_t name_width = 24;
  static constexpr std::size_t line_width = 80;

  const Tool& tool_;
};

// ---- the manual page -------------------------------------------------------------------------

/// Escapes what roff would take for a command.
std::string roff(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const bool at_start = safe.empty() || safe.back() == '\n';
    if (at_start && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else if (c == '\'') {
      safe += "\\(aq";
    } else if (c == '"') {
      safe += "\\(dq";  // a macro would take it for a mark around its argument
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string item(std::string_view tag, std::string_view text) {
  return ".TP\n.B " + roff(tag) + "\n" + roff(text) + "\n";
}

std::string options_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : own_options(app)) {
    if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;
    const bool positional = option->get_positional();
    const std::string value = value_text(*option);
    const std::string name = option->get_name(positional, !positional);
    text += item(value.empty() ? name : name + " " + value, option->get_description());
  }
  return text;
}

std::string commands_of(const CLI::App& app, const Tool& tool) {
  std::string text;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (tool.commands.contains(sub)) {
      text += ".SS " + roff(usage(*sub, tool)) + "\n" + roff(sub->get_description()) + ".\n";
      if (!sub->get_footer().empty()) text += ".PP\n" + roff(sub->get_footer()) + "\n";
      text += options_of(*sub);
    }
    text += commands_of(*sub, tool);
  }
  return text;
}

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter(const Tool& tool) {
  return std::make_shared<HelpFormatter>(tool);
}

std::string help_footer() {
  std::string text = "Examples:\n";
  for (const std::string_view command : {"info", "run", "cp", "freeze"}) {
    text += example_text(*std::ranges::find(examples, command, &Example::command));
  }
  text += "\n" + std::string(codes_of_programs) + "\n";
  for (const auto& [code, meaning] : exit_codes) {
    text.append("  ").append(code).append(8 - code.size(), ' ').append(meaning).append("\n");
  }
  return text + "\nThe manual has more: qga --man | man -l -\n";
}

std::string manual_page(const CLI::App& app, const Tool& tool, const std::string& version) {
  std::string page = ".TH QGA 1 \"\" \"qga " + roff(version) + "\" \"User Commands\"\n";
  page += ".SH NAME\nqga \\- talk to the QEMU guest agent of a virtual machine\n";
  page += ".SH SYNOPSIS\n.B qga\n.I SOCKET COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n";
  page += ".SH DESCRIPTION\n" + roff(app.get_description()) + "\n";
  for (const std::string_view paragraph : remarks) page += ".PP\n" + roff(paragraph) + "\n";
  page +=
      ".SH OPTIONS\nThey may stand before or after the command. Behind \\-\\- there are no "
      "options: ";
  page += "these words are the program of run, shell, freeze and wait, and plain arguments of the ";
  page += "other commands.\n" + options_of(app);
  page += ".SH COMMANDS\n" + commands_of(app, tool);
  page += ".SH EXIT STATUS\n" + roff(codes_of_programs) + "\n";
  for (const auto& [code, meaning] : exit_codes) page += item(code, std::string(meaning) + ".");
  page += ".SH EXAMPLES\n";
  for (const Example& example : examples) {
    page += item(example.line, std::string(example.meaning) + ".");
  }
  return page + ".SH SEE ALSO\n.BR qemu\\-ga (8)\n";
}

}  // namespace qga_tool
