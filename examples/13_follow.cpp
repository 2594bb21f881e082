// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 13: follows a program in the guest: prints what it writes while it runs, and answers what it
// asks. Usage: 13_follow [SOCKET]
#include <qga/client.hpp>

#include <exception>
#include <iostream>
#include <sstream>
#include <string>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace {

/// A program that writes over some time, and reads an answer in between.
constexpr const char* script =
    "for i in 1 2 3; do echo \"step $i\"; sleep 0.2; done\n"
    "printf 'go on? '; read -r answer; echo \"you said $answer\"; exit 3";

/// Prints lines of a guest, which must not drive the terminal.
void print(const std::string& bytes) {
  std::istringstream lines(bytes);
  for (std::string line; std::getline(lines, line);) std::cout << qga::to_printable(line) << '\n';
}

asio::awaitable<int> follow(std::string path) {
  qga::Client<> ga(co_await asio::this_coro::executor);
  co_await ga.async_connect(path, asio::use_awaitable);

  qga::StartParams params;
  params.args = {"-c", script};
  params.merge = true;
  qga::Process process = co_await ga.async(asio::use_awaitable).start("sh", std::move(params));
  auto p = process.async(asio::use_awaitable);

  while (const qga::ProcessOutput output = co_await p.read()) {
    print(output.bytes);
    if (output.bytes.find("go on?") != std::string::npos) co_await p.write("yes\n");
  }
  const qga::ProcessStatus end = co_await p.wait();
  co_return static_cast<int>(end.exit_code.value_or(-1));
}

}  // namespace

int main(int argc, char** argv) try {
  asio::io_context context;
  int exit_code = 0;
  asio::co_spawn(context, follow(argc > 1 ? argv[1] : "/run/vm/qga.sock"),
                 [&](std::exception_ptr error, int code) {
                   if (error) std::rethrow_exception(error);
                   exit_code = code;
                 });
  context.run();
  std::cout << "exit code " << exit_code << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
