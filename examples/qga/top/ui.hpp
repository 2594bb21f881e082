// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The pages of the screen, and what keys do. It knows no terminal: it gets keys, and makes lines.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "line.hpp"
#include "row.hpp"
#include "watchers.hpp"

namespace qga_tool::top {

struct Key {
  enum class Kind { character, up, down, page_up, page_down, home, end, enter, escape, backspace };
  Kind kind = Kind::character;
  char32_t character = 0;  ///< of a key that writes one
};

struct Size {
  int rows = 24;
  int columns = 80;
};

class Ui {
 public:
  using Interval = std::chrono::milliseconds;

  /// @param only_one the command line names one guest, whose own screen is the only page
  Ui(bool only_one, Interval interval);

  void press(const Key& key);
  bool has_quit() const { return quit_; }
  bool is_paused() const { return paused_; }
  Interval interval() const { return interval_; }

  /// The whole screen.
  /// @param clock the time of day
  std::vector<Line> draw(const std::vector<const Watched*>& guests, const Size& size,
                         const std::string& clock);

 private:
  enum class Page { list, guest, help };

  void press_in_filter(const Key& key);
  void press_letter(char32_t letter);
  void go_back();
  void move(std::ptrdiff_t lines);
  void change_interval(bool longer);

  std::vector<Line> draw_list(const std::vector<const Watched*>& guests, const Size& size);
  std::vector<Line> draw_guest(const std::vector<const Watched*>& guests, const Size& size);
  std::vector<Line> draw_help(const Size& size);
  /// The part of a page that is scrolled to.
  std::vector<Line> part_of(std::vector<Line> lines, int rows);
  std::string scroll_text() const;
  /// Adds the interval and the time at the right end of the first line.
  Line right_of_title(Line title, int width, const std::string& clock) const;

  const bool only_one_;
  Interval interval_;
  bool paused_ = false;
  bool quit_ = false;
  Page page_ = Page::list;
  Page before_help_ = Page::list;

  Order order_;
  std::string filter_;
  std::string filter_before_;
  bool is_typing_ = false;

  // Of the list.
  std::vector<std::string> shown_;  ///< names in the order of the last picture
  std::string selected_;            ///< a name
  bool is_following_ = false;       ///< the cursor stays on its guest, and not on the first line
  std::size_t index_ = 0;           ///< where it was in the last picture
  std::size_t first_ = 0;
  std::ptrdiff_t page_rows_ = 1;

  // Of a guest's own page and of the help.
  std::string opened_;           ///< a name
  std::ptrdiff_t scrolled_ = 0;  ///< lines above the screen
  std::ptrdiff_t below_ = 0;     ///< lines below it
};

}  // namespace qga_tool::top
