// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The small inputs of the hostile corpus, one file each: a line of JSON says which command is asked
// and what is to come of it, and all behind that line is what the agent answers, byte for byte, but
// for `$id`. A file that is added is tried.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "hostile.hpp"

using namespace hostile;

namespace {

std::vector<Input> files() {
  std::vector<Input> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(QGA_TEST_HOSTILE_INPUTS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string header;
    std::getline(file, header);
    const std::string reply{std::istreambuf_iterator<char>(file), {}};
    const auto json = nlohmann::json::parse(header);
    inputs.push_back({entry.path().filename(), json.at("command"),
                      json.value("arguments", nlohmann::json()), json.at("expect"),
                      json.value("value", nlohmann::json()), script::says(reply)});
  }
  if (inputs.size() < 100) throw std::runtime_error("files are missing");
  return inputs;
}

}  // namespace

TEMPLATE_TEST_CASE("hostile: files", "[hostile]", Blocking, Async) {
  Tally tally("files");
  try_inputs<TestType>(files(), tally);
}
