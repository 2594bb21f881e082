// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Shares the width of the screen among the columns, and writes the cells.
#include "list_view.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "../print.hpp"

namespace qga_tool::top {

namespace {

constexpr int share_width = 5;  // "12%" and a space or two before it
constexpr int size_width = 6;

/// How wide each column is, with the space before it; 0: it is left out. A bar is the part of a
/// column behind its number.
struct Widths {
  int name = 0, state = 0, cpu = 0, cpu_bar = 0, load = 0, memory = 0, memory_bar = 0;
  int read = 0, written = 0, received = 0, sent = 0, fullest = 0, agent = 0;

  int of(Column column) const {
    switch (column) {
      case Column::name:
        return name;
      case Column::state:
        return state;
      case Column::cpu:
        return cpu + cpu_bar;
      case Column::load:
        return load;
      case Column::memory:
        return memory + memory_bar;
      case Column::read:
        return read;
      case Column::written:
        return written;
      case Column::received:
        return received;
      case Column::sent:
        return sent;
      case Column::fullest:
        return fullest;
      case Column::agent:
        return agent;
    }
    return 0;
  }
};

/// Gives the most important columns their least width, and then more to those that can use it.
Widths widths_for(std::span<const Row> rows, int width) {
  int longest_name = 4;
  int longest_mount = 1;
  for (const Row& row : rows) {
    longest_name = std::max(longest_name, width_of(screen_text(row.name)));
    if (row.fullest) {
      longest_mount = std::max(longest_mount, width_of(screen_text(row.fullest->mountpoint)));
    }
  }
  struct Step {
    int Widths::*column;
    int to;
  };
  const int mount = share_width + 1;
  const std::array<Step, 20> steps{{
      {&Widths::name, 8},
      {&Widths::cpu, share_width},
      {&Widths::state, 7},
      {&Widths::memory, share_width},
      {&Widths::fullest, mount + std::min(longest_mount, 6)},
      {&Widths::read, size_width},
      {&Widths::written, size_width},
      {&Widths::received, size_width},
      {&Widths::sent, size_width},
      {&Widths::name, std::min(longest_name, 11)},
      {&Widths::cpu_bar, 6},
      {&Widths::memory_bar, 6},
      {&Widths::load, 6},
      {&Widths::agent, 8},
      {&Widths::name, std::min(longest_name, 32)},
      {&Widths::fullest, mount + std::min(longest_mount, 16)},
      {&Widths::cpu_bar, 13},
      {&Widths::memory_bar, 13},
      {&Widths::fullest, mount + std::min(longest_mount, 30)},
      {&Widths::name, std::min(longest_name, 60)},
  }};
  Widths widths;
  int left = width;
  for (const auto& [column, to] : steps) {
    const int missing = std::max(to - widths.*column, 0);
    if (missing <= left) {
      widths.*column += missing;
      left -= missing;
      continue;
    }
    // What is there already can use the rest; what comes next is less important.
    if (widths.*column > 0) widths.*column += left;
    left = 0;
  }
  if (left > 0) {  // a very wide screen
    const int bars = std::min(left, 60);
    widths.cpu_bar += bars / 2;
    widths.memory_bar += bars / 2;
  }
  return widths;
}

Style style_of_state(const Row& row) {
  if (row.gone || !row.state) return Style::faint;
  switch (*row.state) {
    case GuestState::ready:
      return Style::good;
    case GuestState::frozen:
      return Style::frozen;
    case GuestState::silent:
      return Style::fair;
    case GuestState::no_socket:
      return Style::bad;
  }
  return Style::plain;
}

void add_missing(Line& line, int width) { line.add(fit_right("-", width), Style::faint); }

void add_share(Line& line, const std::optional<double>& share, int width, int bar) {
  if (width == 0) return;
  if (!share) {
    add_missing(line, width);
  } else {
    line.add(fit_right(short_share(*share), width), style_of(*share));
  }
  if (bar == 0) return;
  line.add(" ");
  share ? add_bar(line, *share, bar - 1) : add_bar(line, 0, bar - 1);
}

void add_size(Line& line, const std::optional<double>& bytes, int width) {
  if (width == 0) return;
  if (!bytes) return add_missing(line, width);
  line.add(fit_right(short_size(*bytes), width), *bytes < 1 ? Style::faint : Style::plain);
}

void add_fullest(Line& line, const std::optional<Fullest>& fullest, int width) {
  if (width == 0) return;
  if (!fullest) {
    add_missing(line, share_width);
    line.add(std::string(static_cast<std::size_t>(width - share_width), ' '));
    return;
  }
  line.add(fit_right(short_share(fullest->share), share_width), style_of(fullest->share));
  line.add(" " + fit(screen_text(fullest->mountpoint), width - share_width - 1));
}

Line line_of(const Row& row, const Widths& widths, int width) {
  Line line;
  line.add(fit(screen_text(row.name), widths.name), row.gone ? Style::faint : Style::plain);
  const bool has_figures = !row.gone && row.state == GuestState::ready;
  const std::string state = state_text(row);
  if (!has_figures) {
    line.add(" " + state, style_of_state(row));
    const bool has_more = !row.gone && row.state != GuestState::frozen && !row.error.empty();
    if (has_more) line.add("  " + screen_text(row.error), Style::faint);
    return line.limit(width);
  }
  if (widths.state > 0) line.add(" " + fit(state, widths.state - 1), style_of_state(row));
  add_share(line, row.cpu, widths.cpu, widths.cpu_bar);
  if (widths.load > 0) {
    row.load ? void(line.add(fit_right(number_text(*row.load, 2), widths.load)))
             : add_missing(line, widths.load);
  }
  add_share(line, row.memory, widths.memory, widths.memory_bar);
  add_size(line, row.read, widths.read);
  add_size(line, row.written, widths.written);
  add_size(line, row.received, widths.received);
  add_size(line, row.sent, widths.sent);
  add_fullest(line, row.fullest, widths.fullest);
  if (widths.agent > 0) {
    line.add(" " + fit(screen_text(row.version), widths.agent - 1), Style::faint);
  }
  return line.limit(width);
}

/// Whether a column's heading stands at its right end, over numbers.
bool is_number(Column column) {
  switch (column) {
    case Column::load:
    case Column::read:
    case Column::written:
    case Column::received:
    case Column::sent:
      return true;
    default:
      return false;
  }
}

}  // namespace

Line list_heading(std::span<const Row> rows, const Order& order, int width) {
  const Widths widths = widths_for(rows, width);
  Line line;
  for (const auto& [column, key, heading, meaning] : columns) {
    const int size = widths.of(column);
    if (size == 0) continue;
    const bool sorted = column == order.by;
    const std::string name = std::string(heading) + (!sorted ? "" : order.descending ? "▼" : "▲");
    const int space = column == Column::name ? 0 : 1;
    if (space > 0) line.add(" ", Style::heading);
    line.add(is_number(column) ? fit_right(name, size - space) : fit(name, size - space),
             sorted ? Style::sorted : Style::heading);
  }
  return line.fill(width, Style::heading).limit(width);
}

std::vector<Line> list_lines(std::span<const Row> rows, std::size_t first, std::size_t count,
                             std::size_t selected, int width) {
  const Widths widths = widths_for(rows, width);
  std::vector<Line> lines;
  for (std::size_t i = first; i < std::min(first + count, rows.size()); ++i) {
    lines.push_back(line_of(rows[i], widths, width));
    if (i == selected) lines.back().fill(width).restyle(Style::selected);
  }
  return lines;
}

}  // namespace qga_tool::top
