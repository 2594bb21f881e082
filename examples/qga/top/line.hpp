// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lines of a screen: pieces of text with a style each, laid out by display width. What draws them
// on a terminal gives the styles their colours.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qga_tool::top {

enum class Style {
  plain,
  faint,     ///< what is there for completeness
  strong,    ///< titles
  good,      ///< a low load, or a guest that is ready
  fair,      ///< a high load, or a guest that does not answer
  bad,       ///< a very high load, or a guest without a channel
  frozen,    ///< a frozen guest
  heading,   ///< the names of columns
  sorted,    ///< the name of the column that the rows are sorted by
  selected,  ///< the row that the cursor is on
  key,       ///< the name of a key
};

struct Span {
  std::string text;
  Style style = Style::plain;
};

class Line {
 public:
  Line& add(std::string_view text, Style style = Style::plain);
  /// Adds another line at the end.
  Line& add(const Line& other);
  /// Adds spaces up to a column.
  Line& fill(int column, Style style = Style::plain);
  /// Gives all of it one style.
  Line& restyle(Style style);
  /// Cuts it to a width.
  Line& limit(int width);

  int width() const;
  const std::vector<Span>& spans() const { return spans_; }
  /// The text alone.
  std::string text() const;

 private:
  std::vector<Span> spans_;
};

/// Makes a text of a guest harmless on a screen: escapes it, and also letters that are written
/// from right to left, because terminals move the numbers of other columns that stand beside them.
std::string screen_text(std::string_view text);

/// How many columns of a terminal a text takes.
int width_of(std::string_view text);
/// Cuts a text to a width; a text that was cut ends with '…'.
std::string cut(std::string_view text, int width);
/// Cuts a text or adds spaces at its end.
std::string fit(std::string_view text, int width);
/// Cuts a text or adds spaces before it.
std::string fit_right(std::string_view text, int width);

/// The style of a share from 0 to 1 of something that should not run out.
Style style_of(double share);
/// Adds a bar: the longer, the nearer it comes to the style of what runs out.
void add_bar(Line& line, double share, int width);

}  // namespace qga_tool::top
