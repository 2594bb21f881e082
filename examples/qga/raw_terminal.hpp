// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The terminal that the tool runs on, while a terminal of the guest is shown on it.
#pragma once

#include <termios.h>
#include <qga/client.hpp>

namespace qga_tool {

/// The size of the terminal of stdin, and the name of its kind.
qga::Terminal terminal_here();

/// Every key is input while one of these lives, Ctrl-C included, and nothing is echoed.
class RawTerminal {
 public:
  /// @throws std::runtime_error it cannot be set, or belongs to a program in the foreground
  RawTerminal();
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
};

}  // namespace qga_tool
