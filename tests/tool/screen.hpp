// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A terminal whose screen can be read: tmux, with a server of its own.
#pragma once

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include <unistd.h>

#include "agent.hpp"
#include "tool.hpp"

namespace qga_test {

class ScreenOf {
 public:
  /// @param command a line of a shell
  ScreenOf(const std::string& command, int columns, int rows) {
    tmux("new-session -d -x " + std::to_string(columns) + " -y " + std::to_string(rows) + " " +
         quoted("LC_ALL=C.UTF-8 " + command));
    // The server has to outlive the program, so that its last screen can be read.
  }
  ScreenOf(const ScreenOf&) = delete;
  ScreenOf& operator=(const ScreenOf&) = delete;
  ~ScreenOf() { run("kill-server"); }

  static bool is_available() {
    return std::system("tmux -V >/dev/null 2>&1") == 0;  // NOLINT(cert-env33-c)
  }

  /// @param keys as tmux names them, such as `Enter`, `C-z` and `j`
  void type(const std::string& keys) { tmux("send-keys " + keys); }
  void resize(int columns, int rows) {
    tmux("resize-window -x " + std::to_string(columns) + " -y " + std::to_string(rows));
  }
  /// What the screen shows.
  std::string text() { return tmux("capture-pane -p"); }
  /// The same, with attributes and colours.
  std::string styled() { return tmux("capture-pane -e -p"); }
  /// Until the screen shows this. @return all that it shows
  std::string await(std::string_view text_there) { return await_screen(text_there, true); }
  /// Until the screen does not show this.
  std::string await_no(std::string_view text_gone) { return await_screen(text_gone, false); }

 private:
  static std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) c == '\'' ? result += "'\\''" : result += c;
    return result + "'";
  }
  /// @return false: tmux failed
  bool run(const std::string& arguments, std::string* output = nullptr) const {
    const std::string line =
        "tmux -S " + quoted(directory_.file("tmux")) + " -f /dev/null " + arguments + " 2>&1";
    std::FILE* const pipe = ::popen(line.c_str(), "r");  // NOLINT(cert-env33-c)
    if (pipe == nullptr) return false;
    std::array<char, 4096> buffer;
    for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      if (output != nullptr) output->append(buffer.data(), size);
    }
    return ::pclose(pipe) == 0;
  }
  std::string tmux(const std::string& arguments) const {
    std::string output;
    if (!run(arguments, &output)) throw std::runtime_error("tmux " + arguments + ": " + output);
    return output;
  }
  std::string await_screen(std::string_view text_of_interest, bool there) {
    std::string now;
    for (int i = 0; i < 1500; ++i) {
      now = text();
      if (contains(now, text_of_interest) == there) return now;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw std::runtime_error((there ? "the screen does not show " : "the screen still shows ") +
                             std::string(text_of_interest) + ":\n" + now);
  }

  TemporaryDirectory directory_;
};

}  // namespace qga_test
