// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Measures and cuts text, and draws bars of block characters.
#include "line.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include "../print.hpp"
#include "../width.hpp"

namespace qga_tool::top {

namespace {

/// Letters of Hebrew, Arabic and other scripts that are written from right to left.
bool is_right_to_left(char32_t code) {
  constexpr std::array<std::pair<char32_t, char32_t>, 5> ranges{
      {{0x590, 0x8FF}, {0xFB1D, 0xFDFF}, {0xFE70, 0xFEFE}, {0x10800, 0x10FFF}, {0x1E800, 0x1EFFF}}};
  return std::ranges::any_of(
      ranges, [code](const auto& range) { return range.first <= code && code <= range.second; });
}

/// A text of at most this width, and the characters without a width that follow its last one.
std::string_view prefix(std::string_view text, int width) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto [code, bytes] = first_character(rest);
    width -= static_cast<int>(columns_of(code));
    if (width < 0) break;
    rest.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return text.substr(0, text.size() - rest.size());
}

constexpr double fair_share = 0.6;
constexpr double bad_share = 0.85;

}  // namespace

Line& Line::add(std::string_view text, Style style) {
  if (text.empty()) return *this;
  if (!spans_.empty() && spans_.back().style == style) {
    spans_.back().text += text;
  } else {
    spans_.push_back({std::string(text), style});
  }
  return *this;
}

Line& Line::add(const Line& other) {
  for (const Span& span : other.spans_) add(span.text, span.style);
  return *this;
}

Line& Line::fill(int column, Style style) {
  const int missing = column - width();
  return add(std::string(static_cast<std::size_t>(std::max(missing, 0)), ' '), style);
}

Line& Line::restyle(Style style) {
  const std::string all = text();
  spans_.clear();
  return add(all, style);
}

Line& Line::limit(int width) {
  std::vector<Span> kept;
  for (Span& span : spans_) {
    const int needed = top::width_of(span.text);
    if (needed > width) span.text = cut(span.text, width);
    width -= std::min(needed, width);
    if (!span.text.empty()) kept.push_back(std::move(span));
    if (width == 0) break;
  }
  spans_ = std::move(kept);
  return *this;
}

int Line::width() const {
  int width = 0;
  for (const Span& span : spans_) width += top::width_of(span.text);
  return width;
}

std::string Line::text() const {
  std::string text;
  for (const Span& span : spans_) text += span.text;
  return text;
}

std::string screen_text(std::string_view text) {
  // A longer text does not fit into a terminal, and marks need not be drawn without an end.
  constexpr std::size_t longest = 2000;
  const std::string safe = shown(text.substr(0, longest));
  std::string result;
  int marks = 0;
  std::size_t bytes = 0;
  for (std::string_view rest = safe; !rest.empty(); rest.remove_prefix(bytes)) {
    const Character character = first_character(rest);
    const char32_t code = character.code;
    bytes = std::max<std::size_t>(character.bytes, 1);
    marks = columns_of(code) == 0 ? marks + 1 : 0;
    if (marks > 2) continue;
    if (is_right_to_left(code)) {
      std::array<char, 16> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(code));
      result += escaped.data();
    } else {
      result += rest.substr(0, bytes);
    }
  }
  return result;
}

int width_of(std::string_view text) { return static_cast<int>(qga_tool::width_of(text)); }

std::string cut(std::string_view text, int width) {
  if (width_of(text) <= width) return std::string(text);
  if (width <= 0) return "";
  return std::string(prefix(text, width - 1)) + "…";
}

std::string fit(std::string_view text, int width) {
  std::string cell = cut(text, width);
  return cell.append(static_cast<std::size_t>(std::max(width - width_of(cell), 0)), ' ');
}

std::string fit_right(std::string_view text, int width) {
  const std::string cell = cut(text, width);
  return std::string(static_cast<std::size_t>(std::max(width - width_of(cell), 0)), ' ') + cell;
}

Style style_of(double share) {
  return share < fair_share ? Style::good : share < bad_share ? Style::fair : Style::bad;
}

void add_bar(Line& line, double share, int width) {
  constexpr std::array<const char*, 8> parts{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  share = std::clamp(share, 0.0, 1.0);
  const int eighths = static_cast<int>(std::lround(share * width * 8));
  for (int i = 0; i < width; ++i) {
    const int filled = std::clamp(eighths - i * 8, 0, 8);
    const Style style = style_of((i + 0.5) / width);
    if (filled == 8) {
      line.add("█", style);
    } else if (filled > 0) {
      line.add(parts[static_cast<std::size_t>(filled)], style);
    } else {
      line.add("·", Style::faint);
    }
  }
}

}  // namespace qga_tool::top
