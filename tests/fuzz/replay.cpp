// SPDX-License-Identifier: LGPL-3.0-or-later
//
// main() of a fuzz target without libFuzzer: feeds it the files of the directories that are named,
// so that every compiler replays the corpus in the ordinary tests.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz.hpp"

int main(int argc, char** argv) {
  const std::string program = std::filesystem::path(argv[0]).filename();
  std::size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::exists(argv[i])) continue;  // not every target has seeds by hand
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      // Its name is the last that is printed where the target ends the process.
      std::printf("%s\n", entry.path().c_str());
      std::fflush(stdout);
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      ++inputs;
    }
  }
  std::printf("fuzz inputs replayed (%s): %zu\n", program.c_str(), inputs);
  return inputs == 0 ? 1 : 0;
}
