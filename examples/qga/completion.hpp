// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes shell completion from the definitions that the parser uses. What the scripts do not know,
// they complete as file names: sockets, files to copy, files with keys.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace qga_tool {

/// An option of a command, as a completion has it.
struct OptionFacts {
  std::vector<std::string> names;  ///< with their dashes
  std::string description;
  bool has_value = false;
  std::vector<std::string> choices;  ///< of its value
};

/// What may follow a command, or the name of the tool.
struct CommandFacts {
  std::string path;         ///< the words of the command, each with a space before it
  std::string description;  ///< what it does
  std::vector<std::string> commands;
  std::vector<std::string> choices;  ///< of its positional
  std::vector<OptionFacts> options;
};

/// Of the tool, which is the last, and of all commands.
std::vector<CommandFacts> completion_facts(const CLI::App& app, const Tool& tool);
/// The names of all options that have a value.
std::vector<std::string> options_with_values(const std::vector<CommandFacts>& all);
/// A text in single quotes, for sh.
std::string quoted(const std::string& text);

/// The shells that there are scripts for.
inline const std::vector<std::string> completed_shells{"bash", "zsh", "fish"};
/// The script for one of these shells.
std::string completion_script(const CLI::App& app, const Tool& tool, const std::string& shell);

std::string bash_completion(const std::vector<CommandFacts>& all);
std::string zsh_completion(const std::vector<CommandFacts>& all);
std::string fish_completion(const std::vector<CommandFacts>& all);

}  // namespace qga_tool
