// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Says what is wrong with a command line, and what would be right.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace qga_tool {

/// The innermost subcommand that was given, or the tool itself.
const CLI::App* chosen(const CLI::App& app);
/// The words of a subcommand, such as `ssh-keys add`.
std::string words_of(const CLI::App& app);

/// The text of a parser's error, in the words of this tool.
std::string wrong_use_text(const CLI::App& app, const Tool& tool, const CLI::ParseError& error);

}  // namespace qga_tool
