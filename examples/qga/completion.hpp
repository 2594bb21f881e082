// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes shell completion from the definitions that the parser uses.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace qga_tool {

/// The script, for bash to source.
std::string bash_completion(const CLI::App& app, const Tool& tool);

}  // namespace qga_tool
