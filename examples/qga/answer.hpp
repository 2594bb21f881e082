// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a command has learnt from one guest, for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "print.hpp"

namespace qga_tool {

/// A row for one guest, and a column for many.
struct Fact {
  std::string name;
  std::optional<std::string> value;
  std::string column = {};  ///< the heading of the column; empty: the name, in capitals
};
using Facts = std::vector<Fact>;

struct Answer {
  /// For people: a line (empty: none), a table, or facts.
  std::variant<std::string, Table, Facts> text = {};
  std::string nothing = {};               ///< what is said instead of an empty table
  nlohmann::json json = {};               ///< with --json, instead of the text
  std::vector<std::string> missing = {};  ///< why parts of it are missing
  std::string complaint = {};             ///< on stderr; empty: none
  int status = exit_done;                 ///< the exit code for this guest
};

}  // namespace qga_tool
