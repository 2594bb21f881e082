// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes help and manual page from the definitions that the parser uses.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace qga_tool {

/// Formats the help. Must not outlive `tool`.
std::shared_ptr<CLI::FormatterBase> help_formatter(const Tool& tool);

/// The end of the help of the tool itself: the exit codes.
std::string help_footer();

/// The manual page, in the man macros of roff.
/// @param version the version of the tool
std::string manual_page(const CLI::App& app, const Tool& tool, const std::string& version);

}  // namespace qga_tool
