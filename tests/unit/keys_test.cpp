// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `add_keys` takes for the same key, and what it sends.
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/keys.hpp"

using namespace helper_test;
using qga::detail::key_of;
using Add = Scripted<std::size_t, qga::detail::AddKeys>;
using Keys = std::vector<std::string>;

namespace {

const std::string user = "tester";
const std::string ask = R"(guest-ssh-get-authorized-keys {"username":"tester"})";

Reply present(const Keys& keys) { return {.json = {{"keys", keys}}}; }

/// What is sent for `keys` where `there` are present; empty where nothing is.
Keys sent(const Keys& there, const Keys& keys) {
  Add add(user, keys);
  add.run({present(there), {}});
  REQUIRE(add.log.size() == 2);
  const std::string command = "guest-ssh-add-authorized-keys ";
  REQUIRE(add.log[1].starts_with(command));
  const auto arguments = nlohmann::json::parse(add.log[1].substr(command.size()));
  CHECK(arguments["username"] == user);
  CHECK_FALSE(arguments.contains("reset"));
  CHECK(add.finished == arguments["keys"].size());
  return arguments["keys"];
}

/// Nothing is sent but the question.
void check_nothing_sent(const Keys& there, const Keys& keys) {
  Add add(user, keys);
  add.run({present(there)});
  CHECK(add.log == Keys{ask});
  CHECK(add.finished == 0);
}

}  // namespace

TEST_CASE("keys: only the missing ones are sent, each once, in their order") {
  CHECK(sent({}, {"ssh-rsa B b@x", "ssh-rsa A"}) == Keys{"ssh-rsa B b@x", "ssh-rsa A"});
  CHECK(sent({"ssh-rsa A a@x"}, {"ssh-rsa A", "ssh-rsa B"}) == Keys{"ssh-rsa B"});
  CHECK(sent({}, {"ssh-rsa A first", "ssh-rsa A second"}) == Keys{"ssh-rsa A first"});
  CHECK(sent({"ssh-rsa A"}, {"ssh-ed25519 A"}) == Keys{"ssh-ed25519 A"});
}

TEST_CASE("keys: nothing is sent where nothing is missing") {
  check_nothing_sent({"ssh-rsa A old comment"}, {"ssh-rsa A new"});
  check_nothing_sent({"restrict,command=\"a b\" ssh-rsa A"}, {"ssh-rsa A"});
  check_nothing_sent({"ssh-rsa A"}, {"from=\"10.0.0.*\" ssh-rsa A"});
  check_nothing_sent({"ssh-rsa A"}, {});
}

TEST_CASE("keys: a .pub file's line ending is not sent") {
  CHECK(sent({}, {" ssh-rsa A a@x\r\n"}) == Keys{"ssh-rsa A a@x"});
  check_nothing_sent({"ssh-rsa A"}, {"ssh-rsa A\n"});
}

TEST_CASE("keys: what is no key is left to the agent to refuse") {
  CHECK(sent({}, {""}) == Keys{""});
  CHECK(sent({"# ssh-rsa A"}, {"ssh-rsa A"}) == Keys{"ssh-rsa A"});
  CHECK(sent({}, {"ssh-rsa A\nssh-rsa B"}) == Keys{"ssh-rsa A\nssh-rsa B"});
}

TEST_CASE("keys: type and base64 make a key") {
  for (const char* const same :
       {"ssh-rsa AAAA", "ssh-rsa  AAAA", "ssh-rsa\tAAAA\tcomment", " ssh-rsa AAAA a b c ",
        "no-pty ssh-rsa AAAA", "command=\"echo \\\"ssh-rsa BBBB\\\" \" ssh-rsa AAAA",
        "environment=\"A=ssh-rsa C\",no-pty\tssh-rsa AAAA x"}) {
    CAPTURE(same);
    CHECK(key_of(same) == "ssh-rsa AAAA");
  }
  CHECK(key_of("ecdsa-sha2-nistp256 A c") == "ecdsa-sha2-nistp256 A");
  CHECK(key_of("sk-ssh-ed25519@openssh.com A c") == "sk-ssh-ed25519@openssh.com A");
  for (const char* const other :
       {"", "#", "# ssh-rsa AAAA", "#ssh-rsa AAAA", "ssh-rsa", "no-pty ssh-rsa", "no-pty",
        "rsa AAAA c", "command=\"ssh-rsa AAAA", "a b ssh-rsa AAAA", "\\", "\"", "\\\""}) {
    CAPTURE(other);
    CHECK(key_of(other) == other);
  }
}

TEST_CASE("keys: a user who has none yet") {
  Add add(user, Keys{"ssh-rsa A"});
  add.run({{.error = error<qga::AgentError>(Outcome::refused)}, {}});
  CHECK(add.finished == 1);
  CHECK(add.log.size() == 2);
}

TEST_CASE("keys: nothing is added where it cannot be known what is there") {
  for (const auto& why :
       {error<qga::CommandNotFoundError>(Outcome::refused), error<qga::TimeoutError>(),
        error<qga::BadReplyError>(), error<qga::CancelledError>()}) {
    Add add(user, Keys{"ssh-rsa A"});
    add.run({{.error = why}});
    CHECK(add.failed == why);
    CHECK(add.log == Keys{ask});
  }
}

TEST_CASE("keys: adding may be refused") {
  const auto why = error<qga::AgentError>(Outcome::refused);
  Add add(user, Keys{"ssh-rsa A"});
  add.run({present({}), {.error = why}});
  CHECK(add.failed == why);
}
