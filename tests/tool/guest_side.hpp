// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a program of the guest has left there, where the guest is this machine.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "tool.hpp"

namespace qga_test {

/// A number of seconds to sleep for that no other program of this machine has in its command line.
inline std::string unique_sleep() {
  static int count = 0;
  return std::to_string(1'000'000 + ::getpid()) + "." + std::to_string(++count);
}

/// The processes with this text in their command line.
inline std::vector<pid_t> processes_with(std::string_view text) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (contains(contents(entry.path().string() + "/cmdline"), text)) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

/// Whether a directory of the library below /tmp is there whose program has this text in it.
inline bool has_directory_with(std::string_view text) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    if (!entry.path().filename().string().starts_with("qga-")) continue;
    for (const char* script : {"/run", "/terminal"}) {
      if (contains(contents(entry.path().string() + script), text)) return true;
    }
  }
  return false;
}

/// Until the guest has a process with this text in its command line.
inline pid_t await_process(std::string_view text) {
  for (int i = 0; i < 3000; ++i) {
    const std::vector<pid_t> found = processes_with(text);
    if (found.size() == 1 && !has_directory_with(text)) return found.front();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("no process with " + std::string(text));
}

/// Whether, after a while, nothing with this text is left: neither process nor directory.
inline bool nothing_left(std::string_view text) {
  for (int i = 0; i < 3000; ++i) {
    if (processes_with(text).empty() && !has_directory_with(text)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace qga_test
