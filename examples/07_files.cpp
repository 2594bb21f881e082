// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 07: waits for a guest, copies a file into it and back, and writes another one.
// Usage: 07_files [SOCKET]
#include <qga/client.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>

using namespace std::chrono_literals;

namespace {

void show(std::uint64_t bytes, std::optional<std::uint64_t> total) {
  if (bytes % (1 << 20) != 0) return;
  std::cout << '\r' << (bytes >> 20) << " of " << (total.value_or(0) >> 20) << " MiB "
            << std::flush;
}

}  // namespace

int main(int argc, char** argv) {
  const auto directory = std::filesystem::temp_directory_path() / "qga-example";
  int status = 0;
  try {
    std::filesystem::create_directory(directory);
    std::ofstream(directory / "here") << std::string(8 << 20, 'x');

    qga::Client ga(argc > 1 ? argv[1] : "/tmp/qga.sock", {.defer_connect = true});
    const qga::Readiness ready = ga.wait_ready(1min, "guest-file-open");
    if (ready.state == qga::ReadyState::disabled) {
      std::cerr << "This guest's agent opens no files.\n";
      return 1;
    }

    const std::string guest_path = "/tmp/qga-example-file";
    // `verify` compares SHA-256 sums. The guest computes its own, so its agent must be allowed to
    // run programs.
    const bool verify = ga.supports("guest-exec");
    ga.upload(directory / "here", guest_path, {.progress = show, .verify = verify});
    std::cout << "uploaded\n";
    const auto back =
        ga.download(guest_path, directory / "back", {.progress = show, .verify = verify});
    std::cout << "downloaded, SHA-256 " << back.sha256 << '\n';

    qga::File file = ga.open(guest_path, "w");  // makes the file empty
    ga.write(file, "one line\nand another\n");
    ga.close(file);  // throws where the guest's disk is full
    std::cout << ga.read_file(guest_path);
    if (verify) ga.run("rm", {.args = {guest_path}});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    status = 1;
  }
  std::filesystem::remove_all(directory);
  return status;
}
