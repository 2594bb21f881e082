// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A terminal of a program of a faked guest: what is typed is shown, handed over in lines, and can
// be a signal.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/helpers/start_params.hpp"

namespace qga::inline v0_1::testing::detail {

struct GuestTerminal {
  Terminal size;
  std::string name;  ///< below /dev/pts
  bool raw = false;  ///< all bytes pass as they are, in both directions, and are not shown

  std::string line;          ///< that is being typed
  std::string typed;         ///< that the program can read
  bool ended = false;        ///< the end of the input was typed
  std::vector<int> signals;  ///< that were typed
  std::string to_show;       ///< on the output

  /// What the program writes, as it comes out.
  std::string shown(std::string_view bytes) const {
    if (raw) return std::string(bytes);
    std::string text;
    for (const char c : bytes) c == '\n' ? text += "\r\n" : text += c;
    return text;
  }

  void type(std::string_view bytes) {
    if (raw) typed += bytes;
    for (const char c : raw ? std::string_view() : bytes) type(c);
  }
  /// Ends the input, as closing it does.
  void end() {
    typed += std::exchange(line, std::string());
    ended = true;
  }

 private:
  void type(char c) {
    constexpr char interrupt = '\x03', end_of_input = '\x04', quit = '\x1C', erase = '\x7F';
    if (c == interrupt || c == quit) {
      line.clear();
      to_show += c == quit ? "^\\" : "^C";
      signals.push_back(c == quit ? 3 : 2);
    } else if (c == end_of_input) {
      ended = ended || line.empty();
      typed += std::exchange(line, std::string());
    } else if (c == erase) {
      if (line.empty()) return;
      line.pop_back();
      to_show += "\b \b";
    } else {
      const char read = c == '\r' ? '\n' : c;
      line += read;
      to_show += shown(std::string_view(&read, 1));
      if (read == '\n') typed += std::exchange(line, std::string());
    }
  }
};

}  // namespace qga::inline v0_1::testing::detail
