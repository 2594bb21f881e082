// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 01: asks a guest who it is, and reads a file of it. Blocking calls, one after the other.
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

std::string to_text(qga::GuestTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::floor<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::ostringstream out;
  out << std::put_time(&parts, "%Y-%m-%d %H:%M:%S UTC");
  return out.str();
}

/// An open file in the guest. The agent keeps files open until told otherwise, even after the
/// client has left, so close this one however we leave.
struct OpenFile {
  qga::Client<>& ga;
  std::int64_t handle;

  ~OpenFile() {
    try {
      ga.file_close(handle);
    } catch (const qga::GuestAgentError&) {
      // A file that was only read has nothing to lose.
    }
  }
};

std::string read_file(qga::Client<>& ga, const std::string& path) {
  const OpenFile file{ga, ga.file_open(path)};
  std::string contents;
  // No more than a megabyte: how much there is, the guest decides.
  while (contents.size() < (1 << 20)) {
    const auto part = ga.file_read(file.handle, 64 << 10);
    contents += part.buf_b64;  // bytes: the library has decoded them
    // Linux says `eof` with the last bytes, Windows with an empty read behind them.
    if (part.eof || part.buf_b64.empty()) break;
  }
  return contents;
}

/// Shows one answer. Old agents lack some commands, and distributions forbid some: both make a
/// CommandNotFoundError, which is no reason to give up here.
template <class Ask>
void show(const std::string& title, Ask ask) {
  std::cout << std::left << std::setw(12) << title;
  try {
    std::cout << ask() << '\n';
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
    show(path, [&] { return '\n' + read_file(ga, path); });
  } catch (const qga::GuestAgentError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
