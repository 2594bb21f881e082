// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 12: deploys a program into a guest: uploads it beside its place, verifies it, puts it in place,
// checks it there, and puts the earlier one back where the check fails.
// Usage: 12_deploy [SOCKET [FILE PATH]]
//   12_deploy /run/vm/qga.sock ./server /usr/local/bin/server
// FILE is a program that ends with exit code 0 when it is run with --version. The program that was
// there before stays as PATH.old. Without FILE and PATH this shows how it works, with a good and a
// bad program below /tmp in the guest.
//
// Exit codes: 0 deployed; 1 not deployed, the guest has what it had before; 2 wrong arguments; 3
// not deployed, and somebody has to look at the guest.
#include <qga/client.hpp>

#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <istream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// For the whole of a deployment. Undoing it has time of its own.
constexpr auto total_time = 5min;
constexpr auto undo_time = 1min;

constexpr int exit_not_deployed = 1;
constexpr int exit_wrong_use = 2;
constexpr int exit_look = 3;

// The scripts get the path as "$1", so that no character of it means anything to the shell. A link
// and a rename are done or not done: there is no moment with half a program.
constexpr const char* install_script = R"(set -e
chmod 755 -- "$1.new"
rm -f -- "$1.old"
if [ -e "$1" ]; then ln -- "$1" "$1.old"; fi
mv -f -- "$1.new" "$1")";
constexpr const char* discard_script = R"(rm -f -- "$1.new")";
/// Where the new program is not in its place yet, it is still beside it.
constexpr const char* roll_back_script = R"(set -e
if [ -e "$1.new" ]; then rm -f -- "$1.new"
elif [ -e "$1.old" ]; then mv -f -- "$1.old" "$1"
else rm -f -- "$1"; fi)";

/// The first line of what the guest wrote. It may have written anything, and control characters
/// could drive the terminal.
std::string line_of(const std::string& text) {
  return qga::to_printable(text.substr(0, text.find('\n')), 1000);
}

/// Runs a program in the guest. @return the first line that it wrote
/// @throws std::runtime_error it did not end with exit code 0
std::string run(qga::Client<>& ga, const qga::CallOptions& options, const std::string& path,
                std::vector<std::string> args) {
  // Without `kill` a script that takes too long would run on beside the one that undoes it.
  qga::RunParams params{.args = std::move(args), .timeout = 1min, .kill = true};
  const qga::RunResult result = ga.with(options).run(path, std::move(params));
  if (result.exit_code == 0) return line_of(result.out);
  throw std::runtime_error(path + " failed in the guest: " + line_of(result.err + result.out));
}

void run_script(qga::Client<>& ga, const qga::CallOptions& options, const char* script,
                const std::string& path) {
  run(ga, options, "/bin/sh", {"-c", script, "sh", path});
}

/// Undoes what was done, and returns the exit code.
int undo(qga::Client<>& ga, const char* script, const std::string& path) {
  try {
    if (!ga.is_open()) ga.reconnect();
    run_script(ga, {.timeout = undo_time}, script, path);
  } catch (const std::exception& error) {
    std::cerr << "cannot undo it: " << error.what() << '\n';
    return exit_look;
  }
  std::cerr << "not deployed; the guest has what it had before\n";
  return exit_not_deployed;
}

/// Whether a program in the guest that failed may still run, or may yet start.
bool may_run(const qga::GuestAgentError& error) {
  const auto* const program = dynamic_cast<const qga::ProgramError*>(&error);
  return program != nullptr ? !program->ended() : error.outcome() == qga::Outcome::unknown;
}

/// Brings the new program into the guest, beside its place.
/// @return 0, or the exit code of a failure
int bring(qga::Client<>& ga, const qga::CallOptions& options, std::istream& program,
          const std::string& path) {
  try {
    ga.with(options).upload(program, path + ".new", {.verify = true});
    return 0;
  } catch (const qga::GuestAgentError& error) {
    std::cerr << error.what() << '\n';
    // Where nothing was written there is nothing to undo, and the guest may forbid programs.
    if (error.outcome() != qga::Outcome::unknown) return exit_not_deployed;
  } catch (const std::exception& error) {  // a file of this machine that cannot be read
    std::cerr << error.what() << '\n';
  }
  return undo(ga, discard_script, path);
}

/// Puts the program in its place, and checks it there.
/// @return 0, or the exit code of a failure
int install(qga::Client<>& ga, const qga::CallOptions& options, const std::string& path) {
  try {
    run_script(ga, options, install_script, path);
    const std::string version = run(ga, options, path, {"--version"});
    std::cout << "deployed: " << version << '\n';
    return 0;
  } catch (const qga::GuestAgentError& error) {
    std::cerr << error.what() << '\n';
    if (may_run(error)) return exit_look;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return undo(ga, roll_back_script, path);
}

int deploy(qga::Client<>& ga, std::istream& program, const std::string& path) {
  const qga::CallOptions options{.deadline = qga::Clock::now() + total_time};
  const int status = bring(ga, options, program, path);
  return status != 0 ? status : install(ga, options, path);
}

/// Deploys a program that works, and then one that does not.
/// @return the exit code: 0 where the second one was undone
int demonstrate(qga::Client<>& ga) {
  const std::string path = "/tmp/qga-example-program";
  std::istringstream good("#!/bin/sh\necho version 1\n");
  std::istringstream bad("#!/bin/sh\necho 'a library is missing' >&2; exit 127\n");
  int status = deploy(ga, good, path);
  if (status != 0) return status;
  status = deploy(ga, bad, path);
  if (status != exit_not_deployed) return exit_look;
  const std::string version = run(ga, {}, path, {"--version"});
  std::cout << "in the guest: " << version << '\n';
  run(ga, {}, "rm", {"--", path});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 || argc > 4) {
    std::cerr << "usage: 12_deploy [SOCKET [FILE PATH]]\n";
    return exit_wrong_use;
  }
  try {
    qga::Client ga(argc > 1 ? argv[1] : "/tmp/qga.sock");
    if (argc < 4) return demonstrate(ga);
    std::ifstream program(argv[2], std::ios::binary);
    if (!program) throw std::runtime_error(std::string("cannot read ") + argv[2]);
    return deploy(ga, program, argv[3]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return exit_not_deployed;
  }
}
