// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 02: runs programs in the guest: with arguments, with its output, with input of our own.
// Usage: 02_run_command [SOCKET]
#include <qga/client.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

void print(const std::string& title, const qga::RunResult& result) {
  std::cout << "$ " << title << '\n';
  // These are bytes, in whatever encoding the guest uses, and may hold anything that a hostile
  // guest likes to send to a terminal.
  std::cout << result.out << result.err;
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

    // There is no shell in between: each argument arrives as it is, spaces and quotes included.
    print("ls -ld / /tmp", ga.run("ls", {.args = {"-ld", "/", "/tmp"}}));

    // A program that fails is no error of the library: the exit code says so.
    print("ls '/no such file'", ga.run("ls", {.args = {"/no such file"}}));

    // What needs a shell asks for one.
    print("sh -c 'echo $((6 * 7)) | tr 4 5'",
          ga.run("sh", {.args = {"-c", "echo $((6 * 7)) | tr 4 5"}}));

    // Arguments show in the guest's log. Standard input does not, so it is for secrets, too.
    print("tr a-z A-Z <<< 'hello, guest'",
          ga.run("tr", {.args = {"a-z", "A-Z"}, .input = "hello, guest\n"}));

    // Nothing in the agent ends a program, but another program can.
    try {
      ga.run("sleep", {.args = {"1000"}, .timeout = 500ms, .kill = true});
    } catch (const qga::ProgramTimeoutError& error) {
      std::cout << "$ sleep 1000\n-> " << (error.ended() ? "killed" : "still running") << "\n\n";
    }
  } catch (const qga::CommandNotFoundError& error) {
    std::cerr << error.what() << "\nThis guest's agent may not run programs.\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
