// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The help of the screen as lines.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "line.hpp"
#include "row.hpp"

namespace qga_tool::top {

inline std::vector<Line> help_lines(int width) {
  constexpr int key_width = 13;
  std::vector<Line> lines;
  const auto add = [&](std::string_view key, std::string_view meaning) {
    lines.push_back(
        Line().add(" ").add(fit(key, key_width - 1), Style::key).add(meaning).limit(width));
  };
  const auto title = [&](std::string_view text) {
    lines.push_back(Line().add(text, Style::heading).fill(width, Style::heading).limit(width));
  };
  title("KEYS");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> keys{{
      {"↑ ↓ j k", "move the cursor, or scroll; also PgUp, PgDn, Home and End"},
      {"Enter", "open the guest that the cursor is on"},
      {"Esc q", "go back; q in the list ends top, and Ctrl-C anywhere"},
      {"/", "show only guests whose name has a text in it; Esc shows all"},
      {"Space", "pause, and go on"},
      {"+ -", "a longer or shorter interval"},
      {"Ctrl-Z", "stop top; fg goes on"},
      {"?", "this help"},
      {"", ""},
  }};
  for (const auto& [key, meaning] : keys) add(key, meaning);
  title("SORT BY, AND COLUMNS; THE SAME KEY AGAIN REVERSES");
  for (const ColumnInfo& column : columns) {
    lines.push_back(Line()
                        .add(" ")
                        .add(std::string(1, column.key), Style::key)
                        .add("  " + fit(column.heading, key_width - 4))
                        .add(column.meaning)
                        .limit(width));
  }
  lines.emplace_back();
  title("STATES");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> states{{
      {"ready", "the guest has answered"},
      {"frozen", "its file systems are frozen; it answers nothing else"},
      {"silent", "it is connected, and has not answered in time"},
      {"no channel", "nobody can be connected to"},
      {"gone", "its socket is not there any more"},
  }};
  for (const auto& [state, meaning] : states) {
    lines.push_back(
        Line().add(" ").add(fit(state, key_width - 1)).add(meaning, Style::faint).limit(width));
  }
  lines.emplace_back();
  lines.push_back(
      Line()
          .add(" A dash: the guest does not tell, or there is no second sample yet.", Style::faint)
          .limit(width));
  return lines;
}

}  // namespace qga_tool::top
