// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 01: asks a guest who it is, and reads one of its files. All calls are blocking.
// Usage: 01_info [SOCKET [FILE]]
#include <qga/client.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

namespace {

/// The guest decides how long its file is, and this program how much of it to accept.
constexpr std::uint64_t longest_file = 1 << 20;

std::string to_text(qga::GuestTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::floor<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::ostringstream out;
  out << std::put_time(&parts, "%Y-%m-%d %H:%M:%S UTC");
  return out.str();
}

/// Prints a text of the guest line by line. The guest may send anything, so control characters are
/// escaped: they could drive the terminal.
void print_lines(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) std::cout << qga::to_printable(line) << '\n';
}

/// Shows one answer. A command that an old agent lacks, or that a distribution forbids, is a
/// CommandNotFoundError; this program then goes on with the next one.
template <class Ask>
void show(const std::string& title, Ask ask) {
  std::cout << std::left << std::setw(12) << title;
  try {
    print_lines(ask());
  } catch (const qga::CommandNotFoundError&) {
    std::cout << "(not offered by this agent)\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string socket = argc > 1 ? argv[1] : "/tmp/qga.sock";
  const std::string path = argc > 2 ? argv[2] : "/etc/os-release";
  try {
    qga::Client ga(socket);

    const auto info = ga.info();
    const auto enabled =
        std::ranges::count_if(info.supported_commands, &qga::GuestAgentCommandInfo::enabled);
    show("agent", [&] { return info.version; });
    show("commands", [&] {
      return std::to_string(enabled) + " enabled of " +
             std::to_string(info.supported_commands.size());
    });
    show("host name", [&] { return ga.get_host_name(); });
    show("system", [&] { return ga.get_osinfo().pretty_name.value_or("(unnamed)"); });
    show("kernel", [&] { return ga.get_osinfo().kernel_release.value_or("(unnamed)"); });
    show("clock", [&] { return to_text(ga.get_time()); });
    show(path, [&] { return '\n' + ga.read_file(path, longest_file); });
  } catch (const qga::GuestAgentError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
