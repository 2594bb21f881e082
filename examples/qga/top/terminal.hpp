// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The terminal, through ncurses: draws lines in colour, and reads keys. It is restored when this
// ends, whyever.
#pragma once

#include <optional>
#include <vector>

#include "line.hpp"
#include "ui.hpp"

namespace qga_tool::top {

class Terminal {
 public:
  /// Whether stdin and stdout are a terminal that ncurses knows.
  static bool is_usable();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Size size() const;
  /// Whether what is drawn will not hold up this process: the terminal has room for output, and
  /// Ctrl-S has not stopped it.
  bool takes_output() const;
  void draw(const std::vector<Line>& lines);
  /// The next key that was pressed; nothing: there is none now.
  std::optional<Key> key();
  /// Whether the terminal is closed.
  bool is_closed() const;

  /// Takes over the new size of the window.
  void resize();
  /// Restores the terminal, and stops this process as Ctrl-Z does.
  void stop();
  /// Takes the terminal again after this process was stopped.
  /// @return false: another program has it
  bool resume();

 private:
  /// The attributes of a style.
  struct Look;
  Look look_of(Style style) const;
  void draw(const Line& line, int row);

  void* screen_ = nullptr;
  bool has_colours_ = false;
  bool is_utf8_ = false;
};

}  // namespace qga_tool::top
