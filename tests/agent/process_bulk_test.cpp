// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Programs that write and read much: every byte arrives once and in order, in little memory.
#include <array>
#include <cstdio>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/wait.h>
#include <unistd.h>

#include "followed.hpp"
#include "sanitized.hpp"

namespace process_bulk {

using namespace qga_test;

/// In MiB, of this process, ever.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  throw std::runtime_error("no VmHWM in /proc/self/status");
}

/// The sum of what is written into it, by the host's own program.
class Sum {
 public:
  explicit Sum(const std::string& file)
      : pipe_(::popen(("sha256sum >" + file).c_str(), "w")), file_(file) {
    if (pipe_ == nullptr) throw std::runtime_error("popen");
  }
  void add(std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), pipe_); }
  std::string digest() {
    ::pclose(pipe_);
    std::string digits;
    std::ifstream(file_) >> digits;
    return digits;
  }

 private:
  std::FILE* const pipe_;
  const std::string file_;
};

/// Works in a process of its own.
/// @param rehearsal does the same with little, so that the program's own pages are in memory: how
///        many of them a page fault brings depends on what else the machine does
/// @return by how many MiB its peak of memory grew after that
double growth_of(const std::function<void()>& rehearsal, const std::function<void()>& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      rehearsal();
      const double before = peak_memory();
      work();
      const double growth = peak_memory() - before;
      ::_exit(::write(ends[1], &growth, sizeof growth) == sizeof growth ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  double growth = -1;
  const bool whole = ::read(ends[0], &growth, sizeof growth) == sizeof growth;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!whole) throw std::runtime_error("the work failed");
  return growth;
}

constexpr int output_mebibytes = sanitized ? 30 : 300;
constexpr int input_mebibytes = sanitized ? 5 : 100;

/// A line of a shell that writes so many MiB of numbers.
std::string numbers(int mebibytes) {
  return "seq 1 50000000 | head -c " + std::to_string(mebibytes) + "M";
}

/// The sum of what such a line writes.
std::string sum_of(const FollowedAgent& agent, const std::string& line) {
  const std::string file = agent.file("expected");
  if (std::system((line + " | sha256sum >" + file).c_str()) != 0) return "";
  std::string digits;
  std::ifstream(file) >> digits;
  return digits;
}

TEST_CASE("process: 300 MiB of output arrive in order, in little memory", "[agent][long]") {
  const FollowedAgent agent;
  const bool runs = GENERATE(false, true);
  const auto follow = [&](int mebibytes) {
    const std::string line = numbers(mebibytes);
    Blocking ga(agent.path());
    Sum sum(agent.file("sum"));
    if (runs) {
      qga::RunParams params{.args = {"-c", line}, .add_env = {agent.mark()}};
      params.output = [&](qga::ProcessStream, std::string_view bytes) { sum.add(bytes); };
      ga.run("/bin/sh", std::move(params));
    } else {
      auto program = agent.start(ga, "/bin/sh", shell_script(line));
      while (const qga::ProcessOutput output = program.read()) sum.add(output.bytes);
    }
    return sum.digest();
  };
  const std::string expected = sum_of(agent, numbers(output_mebibytes));
  REQUIRE(expected.size() == 64);
  const double growth = growth_of([&] { follow(1); },
                                  [&] {
                                    if (follow(output_mebibytes) != expected) {
                                      throw std::runtime_error("other bytes");
                                    }
                                  });
  CHECK(growth >= 0);
  CAPTURE(growth);
  if (!sanitized) CHECK(growth < 8);
  std::printf("memory: %.1f MiB more for 300 MiB of output (%s)\n", growth, runs ? "run" : "read");
  agent.check_nothing_left();
}

TEST_CASE("process: 100 MiB of input arrive in order", "[agent][long]") {
  const FollowedAgent agent;
  Blocking ga(agent.path());
  Sum sum(agent.file("sum"));
  auto program = agent.start(ga, "sha256sum");
  int number = 0;
  for (int i = 0; i < input_mebibytes; ++i) {
    std::string bytes;
    while (bytes.size() < (1 << 20)) bytes += std::to_string(++number) + '\n';
    sum.add(bytes);
    program.write(std::move(bytes));
  }
  program.close_input();
  CHECK(read_all(program).out.substr(0, 64) == sum.digest());
  CHECK(program.wait().exit_code == 0);
  agent.check_nothing_left();
}

}  // namespace process_bulk
