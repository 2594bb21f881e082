// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 09: a command that the library does not know as a typed request, and replies as JSON. A real
// agent has no commands of a vendor, so this one describes a command that agents do have.
// Usage: 09_own_request [SOCKET]
#include <qga/client.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vendor {

// The field tables name each member once. They serve the wire and `nlohmann::json`.
struct Command {
  std::string name;
  bool enabled = false;

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("enabled", self.enabled);
  }
};

struct Description {
  std::string version;
  std::vector<Command> commands;
  std::optional<std::string> vendor;  // may be missing

  static void fields(auto& self, auto& visit) {
    visit("version", self.version);
    visit("supported_commands", self.commands);
    visit("vendor", self.vendor);
  }
};

struct DescribeRequest : qga::NoArguments {
  using Reply = Description;
  static constexpr std::string_view command = "guest-info";

  // Its time where the caller gives none, and the bounds of a reply that is taken: bytes, depth,
  // elements, characters of a string.
  qga::Clock::duration timeout() const { return std::chrono::seconds(2); }
  qga::ReplyLimits limits() const { return {64 << 10, 8, 2000, 256}; }
};

}  // namespace vendor

int main(int argc, char** argv) {
  try {
    qga::Client ga(argc > 1 ? argv[1] : "/tmp/qga.sock");

    const vendor::Description description = ga.execute(vendor::DescribeRequest());
    std::cout << "version " << qga::to_printable(description.version) << ", "
              << description.commands.size() << " commands, vendor "
              << qga::to_printable(description.vendor.value_or("unnamed")) << '\n';

    // Its types convert to JSON and back, as the library's own do.
    nlohmann::json json = description.commands.front();
    json["enabled"] = false;
    const auto changed = json.get<vendor::Command>();
    std::cout << "changed: " << json.dump() << " -> " << std::boolalpha << changed.enabled << '\n';
    try {
      json["enabled"] = "maybe";
      json.get<vendor::Command>();
    } catch (const nlohmann::json::type_error& error) {
      std::cout << "refused: " << error.what() << '\n';
    }

    // Without a type: by name, with arguments as JSON.
    std::cout << "by name: " << ga.execute("guest-sync", {{"id", 7}}) << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
