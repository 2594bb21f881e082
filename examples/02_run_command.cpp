// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 02: runs programs in the guest: gives them arguments and input, and shows what they write.
// Usage: 02_run_command [SOCKET]
#include <qga/client.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

namespace {

void print(const std::string& title, const qga::RunResult& result) {
  std::cout << "$ " << title << '\n';
  // The output is bytes, in the encoding of the guest. A hostile guest may send what drives a
  // terminal, so control characters are escaped.
  std::istringstream lines(result.out + result.err);
  for (std::string line; std::getline(lines, line);) std::cout << qga::to_printable(line) << '\n';
  if (result.exit_code) {
    std::cout << "-> exit code " << *result.exit_code << "\n\n";
  } else if (result.signal) {
    std::cout << "-> ended by signal " << *result.signal << "\n\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    qga::Client ga(argc > 1 ? argv[1] : "/tmp/qga.sock");

    // The program is started without a shell: each argument arrives as it is, with its spaces and
    // quotes.
    print("ls -ld / /tmp", ga.run("ls", {.args = {"-ld", "/", "/tmp"}}));

    // A program that fails has an exit code; the library throws nothing for it.
    print("ls '/no such file'", ga.run("ls", {.args = {"/no such file"}}));

    // A pipe needs a shell, so this runs one.
    print("sh -c 'echo $((6 * 7)) | tr 4 5'",
          ga.run("sh", {.args = {"-c", "echo $((6 * 7)) | tr 4 5"}}));

    // The guest's log shows arguments, but not standard input: secrets belong there.
    print("tr a-z A-Z <<< 'hello, guest'",
          ga.run("tr", {.args = {"a-z", "A-Z"}, .input = "hello, guest\n"}));

    // `kill` ends a program that runs for too long, by another program in the guest.
    try {
      ga.run("sleep", {.args = {"1000"}, .timeout = 500ms, .kill = true});
    } catch (const qga::ProgramTimeoutError& error) {
      std::cout << "$ sleep 1000\n-> " << (error.ended() ? "killed" : "may still run") << "\n\n";
    }
  } catch (const qga::CommandNotFoundError& error) {
    std::cerr << error.what() << "\nThis guest's agent may not run programs.\n";
    return 1;
  } catch (const qga::ProgramError& error) {
    // The program was started. Running it again without a look at this process could run it twice.
    std::cerr << error.what() << "\nLook for process " << error.pid() << " in the guest.\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
