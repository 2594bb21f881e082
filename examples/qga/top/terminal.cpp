// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The only file that includes curses.h, whose names are global.
#include "terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "../width.hpp"

#define NCURSES_NOMACROS 1
#define _XOPEN_SOURCE_EXTENDED 1
#include <curses.h>
#include <term.h>
#undef columns
#undef lines

namespace qga_tool::top {

namespace {

/// In ms, after which the key Esc is no part of another key.
constexpr int escape_delay = 25;

bool is_in_foreground() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

bool wants_colours() {
  const char* const set = std::getenv("NO_COLOR");
  return set == nullptr || *set == '\0';
}

/// What stands for a character where the terminal has only ASCII.
wchar_t in_ascii(wchar_t character) {
  switch (character) {
    case L'█':
      return L'#';
    case L'▓':
      return L'=';
    case L'▒':
      return L'%';
    case L'░':
      return L'-';
    case L'▉':
    case L'▊':
    case L'▋':
    case L'▌':
      return L'+';
    case L'▍':
    case L'▎':
    case L'▏':
    case L'·':
      return L'.';
    case L'…':
      return L'~';
    case L'▼':
      return L'v';
    case L'▲':
      return L'^';
    case L'↑':
      return L'^';
    case L'↓':
      return L'v';
    default:
      return character < 0x80 ? character : L'?';
  }
}

/// @param text UTF-8
std::wstring wide(std::string_view text, bool ascii) {
  std::wstring result;
  while (!text.empty()) {
    const auto [code, bytes] = first_character(text);
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
    const auto character = static_cast<wchar_t>(code);
    if (ascii) {
      result.append(columns_of(code), in_ascii(character));
    } else {
      result += character;
    }
  }
  return result;
}

std::optional<Key> key_of(wint_t code, bool is_function) {
  using Kind = Key::Kind;
  if (!is_function) {
    switch (code) {
      case '\r':
      case '\n':
        return Key{Kind::enter};
      case 0x1B:
        return Key{Kind::escape};
      case 0x7F:
      case '\b':
        return Key{Kind::backspace};
      default:
        return Key{Kind::character, static_cast<char32_t>(code)};
    }
  }
  switch (code) {
    case KEY_UP:
      return Key{Kind::up};
    case KEY_DOWN:
      return Key{Kind::down};
    case KEY_PPAGE:
      return Key{Kind::page_up};
    case KEY_NPAGE:
      return Key{Kind::page_down};
    case KEY_HOME:
      return Key{Kind::home};
    case KEY_END:
      return Key{Kind::end};
    case KEY_ENTER:
      return Key{Kind::enter};
    case KEY_BACKSPACE:
      return Key{Kind::backspace};
    case KEY_F(1):
      return Key{Kind::character, U'?'};
    case KEY_F(10):
      return Key{Kind::character, U'q'};
    default:
      return std::nullopt;
  }
}

/// Numbers of pairs of colours.
enum Pair : short { green = 1, yellow, red, cyan, grey, on_green, on_cyan };

}  // namespace

struct Terminal::Look {
  attr_t attributes = A_NORMAL;
  short pair = 0;
};

bool Terminal::is_usable() {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return false;
  int error = 0;
  if (::setupterm(nullptr, STDOUT_FILENO, &error) != OK) return false;
  // A terminal that cannot move its cursor is none for a screen.
  const char* const move = ::tigetstr("cup");
  const bool can_move = move != nullptr && move != reinterpret_cast<const char*>(-1);
  ::del_curterm(::set_curterm(nullptr));
  return can_move;
}

Terminal::Terminal() {
  if (!is_in_foreground()) {
    throw std::runtime_error("the terminal is in use: top must run in the foreground");
  }
  std::setlocale(LC_CTYPE, "");
  is_utf8_ = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
  ::use_tioctl(TRUE);
  screen_ = ::newterm(nullptr, stdout, stdin);
  if (screen_ == nullptr) throw std::runtime_error("cannot use this terminal");
  ::set_escdelay(escape_delay);
  ::cbreak();
  ::noecho();
  ::nonl();
  ::curs_set(0);
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  has_colours_ = wants_colours() && ::has_colors() && ::start_color() == OK;
  if (!has_colours_) return;
  const short background = ::use_default_colors() == OK ? -1 : COLOR_BLACK;
  ::init_pair(green, COLOR_GREEN, background);
  ::init_pair(yellow, COLOR_YELLOW, background);
  ::init_pair(red, COLOR_RED, background);
  ::init_pair(cyan, COLOR_CYAN, background);
  ::init_pair(grey, COLORS > 8 ? 8 : COLOR_WHITE, background);
  ::init_pair(on_green, COLOR_BLACK, COLOR_GREEN);
  ::init_pair(on_cyan, COLOR_BLACK, COLOR_CYAN);
}

Terminal::~Terminal() {
  // After Ctrl-S, or where the terminal does not read, endwin() would wait for it. Linux lets TCOON
  // end only what TCOOFF has begun.
  if (!takes_output() && ::tcflow(STDOUT_FILENO, TCOOFF) == 0) ::tcflow(STDOUT_FILENO, TCOON);
  if (!takes_output()) ::tcflush(STDOUT_FILENO, TCOFLUSH);
  ::endwin();
  ::delscreen(static_cast<SCREEN*>(screen_));
}

Size Terminal::size() const { return {getmaxy(stdscr), getmaxx(stdscr)}; }

bool Terminal::takes_output() const {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) != 0;
}

Terminal::Look Terminal::look_of(Style style) const {
  if (!has_colours_) {
    switch (style) {
      case Style::strong:
      case Style::fair:
      case Style::bad:
      case Style::key:
        return {A_BOLD};
      case Style::heading:
        return {A_REVERSE};
      case Style::sorted:
      case Style::selected:
        return {A_REVERSE | A_BOLD};
      default:
        return {};
    }
  }
  switch (style) {
    case Style::plain:
      return {};
    case Style::faint:
      return {COLORS > 8 ? A_NORMAL : A_DIM, grey};
    case Style::strong:
      return {A_BOLD};
    case Style::good:
      return {A_NORMAL, green};
    case Style::fair:
      return {A_NORMAL, yellow};
    case Style::bad:
      return {A_NORMAL, red};
    case Style::frozen:
      return {A_NORMAL, cyan};
    case Style::heading:
      return {A_NORMAL, on_green};
    case Style::sorted:
    case Style::selected:
      return {A_NORMAL, on_cyan};
    case Style::key:
      return {A_BOLD, cyan};
  }
  return {};
}

void Terminal::draw(const std::vector<Line>& lines) {
  const int rows = size().rows;
  for (int row = 0; row < rows; ++row) {
    ::wmove(stdscr, row, 0);
    ::wclrtoeol(stdscr);
    if (static_cast<std::size_t>(row) < lines.size())
      draw(lines[static_cast<std::size_t>(row)], row);
  }
  ::wrefresh(stdscr);
}

/// Each piece begins where it belongs, also where the terminal has another opinion than we about
/// the width of the one before.
void Terminal::draw(const Line& line, int row) {
  int column = 0;
  const int width = size().columns;
  for (const Span& span : line.spans()) {
    if (column >= width) break;
    const auto [attributes, pair] = look_of(span.style);
    ::wattr_set(stdscr, attributes, pair, nullptr);
    const std::wstring text = wide(span.text, !is_utf8_);
    ::wmove(stdscr, row, column);
    ::waddnwstr(stdscr, text.c_str(), static_cast<int>(text.size()));
    column += width_of(span.text);
  }
  ::wattr_set(stdscr, A_NORMAL, 0, nullptr);
}

std::optional<Key> Terminal::key() {
  for (;;) {
    wint_t code = 0;
    const int kind = ::wget_wch(stdscr, &code);
    if (kind == ERR) return std::nullopt;
    constexpr wint_t ctrl_l = 'L' - '@';
    if (kind == OK && code == ctrl_l) {
      ::clearok(curscr, TRUE);
      continue;
    }
    if (const std::optional<Key> key = key_of(code, kind == KEY_CODE_YES)) return key;
  }
}

bool Terminal::is_closed() const {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (::poll(&input, 1, 0) < 1) return false;
  if ((input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return true;
  int bytes = 0;
  return ::ioctl(STDIN_FILENO, FIONREAD, &bytes) != 0 || bytes == 0;
}

void Terminal::resize() {
  winsize now{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) != 0 || now.ws_row == 0 || now.ws_col == 0) return;
  ::resizeterm(now.ws_row, now.ws_col);
  ::clearok(curscr, TRUE);
}

void Terminal::stop() {
  ::endwin();
  struct sigaction usual {};
  struct sigaction ours {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(SIGTSTP, &usual, &ours);
  std::raise(SIGTSTP);
  ::sigaction(SIGTSTP, &ours, nullptr);
}

bool Terminal::resume() {
  if (!is_in_foreground()) return false;
  ::reset_prog_mode();
  resize();
  return true;
}

}  // namespace qga_tool::top
