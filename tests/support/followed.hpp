// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that tests start over a real agent on this machine, each with a mark in its environment,
// by which is found what is left of them.
#pragma once

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <csignal>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

namespace qga_test {

/// Whether a process runs on this machine, which is the agent's.
inline bool process_runs(std::int64_t pid) { return ::kill(static_cast<pid_t>(pid), 0) == 0; }

/// The parameters for a shell's script.
inline qga::StartParams shell_script(const std::string& text) { return {.args = {"-c", text}}; }

/// An agent that knows what its programs leave.
class FollowedAgent : public Agent {
 public:
  using Agent::Agent;

  std::string mark() const { return "QGA_TEST=" + file(""); }

  /// Starts a program with the mark.
  template <class On>
  auto start_marked(On& on, const std::string& path, qga::StartParams params) const {
    params.add_env.push_back(mark());
    return on.start(path, std::move(params));
  }
  template <class Way>
  typename Way::Program start(Way& ga, const std::string& path,
                              qga::StartParams params = {}) const {
    return typename Way::Program(ga, start_marked(ga, path, std::move(params)));
  }

  /// Processes with the mark.
  std::vector<std::int64_t> processes() const {
    std::vector<std::int64_t> found;
    for (const auto& one : std::filesystem::directory_iterator("/proc")) {
      const std::string name = one.path().filename();
      if (std::isdigit(static_cast<unsigned char>(name[0])) == 0) continue;
      if (has_mark(one.path() / "environ")) found.push_back(std::stoll(name));
    }
    return found;
  }
  /// Directories of programs with the mark. Other tests have some of their own.
  std::vector<std::string> directories() const {
    std::vector<std::string> found;
    for (const auto& one : std::filesystem::directory_iterator("/tmp")) {
      const std::string name = one.path().filename();
      if (!name.starts_with("qga-") || name.starts_with("qga-test-")) continue;
      if (has_mark(one.path() / "run") || has_mark(one.path() / "terminal")) {
        found.push_back(one.path());
      }
    }
    return found;
  }
  /// How many files of programs the agent has open.
  std::size_t handles() const {
    std::size_t count = 0;
    for (const auto& fd :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid()) + "/fd")) {
      std::error_code ignored;
      const std::string name = std::filesystem::read_symlink(fd.path(), ignored);
      count += name.starts_with("/tmp/qga-") && !name.starts_with("/tmp/qga-test-");
      count += name.find("/cmdline") != std::string::npos;
    }
    return count;
  }

  /// Nothing is left, at once or soon: a process that was killed takes a moment to end.
  void check_nothing_left() const {
    const auto deadline = std::chrono::steady_clock::now() + long_enough;
    while (!(processes().empty() && directories().empty() && handles() == 0)) {
      if (std::chrono::steady_clock::now() > deadline) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    CHECK(processes().empty());
    CHECK(directories().empty());
    CHECK(handles() == 0);
  }

 private:
  bool has_mark(const std::filesystem::path& path) const {
    std::ifstream stream(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    return text.find(file("")) != std::string::npos;
  }
};

/// All that a program writes, until its end.
struct Written {
  std::string out;
  std::string err;

  void add(const qga::ProcessOutput& output) {
    (output.stream == qga::ProcessStream::out ? out : err) += output.bytes;
  }
};
template <class Program>
Written read_all(Program& program) {
  Written written;
  while (const qga::ProcessOutput output = program.read()) written.add(output);
  return written;
}

/// Reads until `out` ends so.
template <class Program>
std::string read_until(Program& program, const std::string& end) {
  Written written;
  while (!written.out.ends_with(end)) {
    const qga::ProcessOutput output = program.read();
    if (!output) throw std::runtime_error("it has ended: " + written.out);
    written.add(output);
  }
  return written.out;
}

}  // namespace qga_test
