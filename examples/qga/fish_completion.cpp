// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes the completion for fish, which shows what commands and options do.
#include <algorithm>
#include <string>
#include <vector>

#include "completion.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

/// A text in single quotes. Fish has a backslash before the quotes in it.
std::string fish_quoted(const std::string& text) {
  std::string safe = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe + "'";
}

std::string fish_option(const OptionFacts& option, const std::string& condition) {
  std::string line = "complete -c qga -n " + condition;
  for (const std::string& name : option.names) {
    line += name == "--"             ? " -a --"
            : name.starts_with("--") ? " -l " + name.substr(2)
                                     : " -s " + name.substr(1);
  }
  if (!option.choices.empty()) {
    line += " -x -a " + fish_quoted(joined(option.choices, " "));
  } else if (option.has_value) {
    line += " -r";
  }
  return line + " -d " + fish_quoted(option.description) + "\n";
}

std::string fish_command(const std::vector<CommandFacts>& all, const CommandFacts& command) {
  const std::string here = "\"__qga_at " + fish_quoted(command.path) + "\"";
  const std::string after = "\"__qga_at " + fish_quoted(command.path) + " behind\"";
  std::string text;
  for (const std::string& name : command.commands) {
    const auto sub = std::ranges::find(all, command.path + " " + name, &CommandFacts::path);
    text += "complete -c qga -n " + after + " -f -a " + name + " -d " +
            fish_quoted(sub->description) + "\n";
  }
  if (!command.choices.empty()) {
    text += "complete -c qga -n " + after + " -f -a " + fish_quoted(joined(command.choices, " ")) +
            "\n";
  }
  for (const OptionFacts& option : command.options) {
    text += fish_option(option, command.path.empty() ? "__qga_at" : here);
  }
  return text;
}

}  // namespace

std::string fish_completion(const std::vector<CommandFacts>& all) {
  std::vector<std::string> paths;
  std::string text;
  for (const CommandFacts& command : all) {
    if (!command.path.empty()) paths.push_back(fish_quoted(command.path));
    text += fish_command(all, command);
  }
  return R"(# fish completion for qga; made by "qga --completion fish".

# Whether options may be here. With an argument: whether they are those of the command with this
# path. With another argument: whether SOCKET is there, too.
function __qga_at
    set -l paths )" +
         joined(paths, " ") + R"(
    set -l at ''
    set -l socket ''
    set -l skip ''
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if test -n "$skip"
            set skip ''
            continue
        end
        switch $word
            case --
                return 1 # a program follows, or arguments
            case )" +
         joined(options_with_values(all), " ") + R"(
                set skip yes
                string match -q -r '^(-s|--socket.*)$' -- $word
                and set socket yes
            case '-*'
            case '*'
                if contains -- "$at $word" $paths
                    set at "$at $word"
                else
                    set socket yes
                end
        end
    end
    test (count $argv) -eq 0
    and return
    test "$at" = "$argv[1]"
    or return
    test (count $argv) -eq 1 -o -n "$socket"
end

)" + text;
}

}  // namespace qga_tool
