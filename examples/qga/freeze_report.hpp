// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells what became of guests that were to be frozen together: for people, and in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "freeze_guests.hpp"
#include "tool.hpp"

namespace qga_tool {

/// Such as `2 file systems`; none: how many is not known.
std::string count_text(std::optional<std::int64_t> count);

/// Prints the error of the only guest. @return the exit code
int tell_error(const Tool& tool, const GuestFreeze& result);
/// For each guest, how long it was frozen, and what went wrong.
void tell_each(const Tool& tool, const std::vector<GuestFreeze>& results);

/// The document about many guests.
/// @param frozen whether all were frozen
nlohmann::json document_of(const std::vector<GuestFreeze>& results, bool frozen);

/// The exit code for what went wrong with the guests; 0: nothing did.
int code_of(const Tool& tool, const std::vector<GuestFreeze>& results);

}  // namespace qga_tool
