// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Sets the terminal of stdin by termios.
#include "raw_terminal.hpp"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include <sys/ioctl.h>
#include <unistd.h>

namespace qga_tool {

qga::Terminal terminal_here() {
  qga::Terminal terminal;
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
    terminal.rows = size.ws_row;
    terminal.columns = size.ws_col;
  }
  const char* const type = std::getenv("TERM");
  terminal.type = type != nullptr && *type != '\0' ? type : "dumb";
  return terminal;
}

RawTerminal::RawTerminal() {
  // The signal that would stop a program in the background is ignored.
  if (::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) {
    throw std::runtime_error("the terminal is in use: a shell must run in the foreground");
  }
  if (::tcgetattr(STDIN_FILENO, &before_) != 0) {
    throw std::system_error(errno, std::system_category(), "cannot read the terminal's settings");
  }
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0) {
    throw std::system_error(errno, std::system_category(), "cannot set the terminal");
  }
}

RawTerminal::~RawTerminal() {
  // Without waiting for its output, which may take for ever.
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

}  // namespace qga_tool
