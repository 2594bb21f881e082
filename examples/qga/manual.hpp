// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Help and manual page, made from the definitions that the parser uses.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace qga_tool {

/// What `--help` is printed with; must not outlive `tool`.
std::shared_ptr<CLI::FormatterBase> help_formatter(const Tool& tool);

/// What stands below the help of the tool itself.
std::string help_footer();

/// A page in the man macros. @param version of the tool
std::string manual_page(const CLI::App& app, const Tool& tool, const std::string& version);

}  // namespace qga_tool
