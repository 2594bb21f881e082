// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 02: runs programs in the guest: with arguments, with its output, with input of our own.
// Usage: 02_run_command [SOCKET]
#include <qga/client.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// Starts a program and waits for its end. `exec` only starts it, so ask how it is doing: soon at
/// first, for the many programs that end at once, then less and less often.
qga::GuestExecStatus run(qga::Client<>& ga, std::string program, qga::GuestExecParams params) {
  const auto pid = ga.exec(std::move(program), std::move(params));
  const auto deadline = qga::Clock::now() + 30s;
  for (auto pause = 2ms; qga::Clock::now() < deadline; pause = std::min(2 * pause, 500ms)) {
    // The reply that says `exited` is given once: the agent forgets the program with it.
    auto status = ga.exec_status(pid);
    if (status.exited) return status;
    std::this_thread::sleep_for(pause);
  }
  // The program goes on, and the agent keeps its output. Nothing but a `kill` in the guest ends it.
  throw std::runtime_error("process " + std::to_string(pid) + " is still running");
}

void print(const std::string& title, const qga::GuestExecStatus& status) {
  std::cout << "$ " << title << '\n';
  // Absent, not empty, where the program wrote nothing. These are bytes, in whatever encoding the
  // guest uses, and may hold anything that a hostile guest likes to send to a terminal.
  std::cout << status.out_data.value_or("") << status.err_data.value_or("");
  if (status.exitcode) {
    std::cout << "-> exit code " << *status.exitcode << "\n\n";
  } else if (status.signal) {
    std::cout << "-> ended by signal " << *status.signal << "\n\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    qga::Client ga(argc > 1 ? argv[1] : "/tmp/qga.sock");

    // There is no shell in between: each argument arrives as it is, spaces and quotes included.
    print("ls -ld / /tmp", run(ga, "ls", {.args = {"-ld", "/", "/tmp"}, .capture_output = true}));

    // A program that fails is no error of the library: the exit code says so.
    print("ls '/no such file'", run(ga, "ls", {.args = {"/no such file"}, .capture_output = true}));

    // What needs a shell asks for one.
    print("sh -c 'echo $((6 * 7)) | tr 4 5'",
          run(ga, "sh", {.args = {"-c", "echo $((6 * 7)) | tr 4 5"}, .capture_output = true}));

    // Arguments show in the guest's log. Standard input does not, so it is for secrets, too.
    print("tr a-z A-Z <<< 'hello, guest'",
          run(ga, "tr",
              {.args = {"a-z", "A-Z"}, .input_data = "hello, guest\n", .capture_output = true}));
  } catch (const qga::CommandNotFoundError& error) {
    std::cerr << error.what() << "\nThis guest's agent may not run programs.\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
