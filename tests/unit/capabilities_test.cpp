// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `capabilities` makes of what an agent says of itself.
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/capabilities.hpp"

using namespace helper_test;
using qga::Capabilities;
using qga::Support;
using AskCapabilities = Scripted<Capabilities, qga::detail::ReadCapabilities>;

namespace {

nlohmann::json command(const char* name, bool enabled) {
  return {{"name", name}, {"enabled", enabled}, {"success-response", true}};
}
const Reply info{
    .json = {{"version", "10.2"},
             {"supported_commands",
              nlohmann::json::array({command("guest-ping", true), command("guest-exec", false),
                                     command("guest-ping", false)})}}};

}  // namespace

TEST_CASE("capabilities: asks for both at once") {
  AskCapabilities read;
  read.run({info, {.json = "thawed"}});
  CHECK(read.log == std::vector<std::string>{"guest-info {}", "guest-fsfreeze-status {}"});
  CHECK(read.finished->version == "10.2");
  CHECK(read.finished->commands.size() == 3);
}

TEST_CASE("capabilities: policy, a freeze and an unknown command are told apart") {
  AskCapabilities thawed;
  thawed.run({info, {.json = "thawed"}});
  CHECK_FALSE(thawed.finished->frozen);
  CHECK(thawed.finished->support("guest-ping") == Support::enabled);
  CHECK(thawed.finished->support("guest-exec") == Support::disabled);
  CHECK(thawed.finished->support("guest-exe") == Support::unknown);
  CHECK(thawed.finished->support("") == Support::unknown);

  AskCapabilities frozen;
  frozen.run({info, {.json = "frozen"}});
  CHECK(frozen.finished->frozen);
  CHECK(frozen.finished->support("guest-ping") == Support::enabled);
  CHECK(frozen.finished->support("guest-exec") == Support::frozen);
  CHECK(frozen.finished->support("guest-exe") == Support::unknown);
}

TEST_CASE("capabilities: supported is what is enabled, frozen or not") {
  for (const char* const status : {"thawed", "frozen"}) {
    AskCapabilities read;
    read.run({info, {.json = status}});
    CHECK(read.finished->supports("guest-ping"));
    CHECK_FALSE(read.finished->supports("guest-exec"));
    CHECK_FALSE(read.finished->supports("guest-exe"));
  }
}

TEST_CASE("capabilities: an agent that cannot say whether it is frozen is not") {
  for (const Reply& status :
       {Reply{.error = error<qga::CommandNotFoundError>(Outcome::refused)},
        Reply{.error = error<qga::AgentError>(Outcome::refused)}, Reply{.json = "melting"}}) {
    AskCapabilities read;
    read.run({info, status});
    CHECK_FALSE(read.finished->frozen);
    CHECK(read.finished->support("guest-exec") == Support::disabled);
  }
}

TEST_CASE("capabilities: fails with the first error, when both are answered") {
  const auto silent = error<qga::TimeoutError>();
  const auto broken = error<qga::ReadError>();
  AskCapabilities first;
  first.run({{.error = silent}, {.error = broken}});
  CHECK(first.failed == silent);
  AskCapabilities second;
  second.run({info, {.error = broken}});
  CHECK(second.failed == broken);
  AskCapabilities refused;
  refused.run({{.error = error<qga::AgentError>(Outcome::refused)}, {.json = "thawed"}});
  CHECK(error_of<qga::AgentError>(refused).outcome() == Outcome::refused);
}
