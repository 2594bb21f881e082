// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Verifying where the guest cannot hash, or hashes to something else: real agents, with a PATH of
// their own in which sha256sum is missing, or does not tell the truth.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include <sys/stat.h>

#include "agent.hpp"
#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;
namespace fs = std::filesystem;

namespace {

/// Sets a variable of the environment for as long as this lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* const old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// Programs of the guest: those that verifying takes, as far as the test lets it have them.
class Programs {
 public:
  explicit Programs(std::initializer_list<std::string_view> names) {
    allow(directory_.file(""));
    for (const std::string_view name : names) {
      for (const std::string place : {"/usr/bin/", "/bin/"}) {
        if (!fs::exists(place + std::string(name))) continue;
        fs::create_symlink(place + std::string(name), directory_.file(name));
        break;
      }
    }
  }
  void add(std::string_view name, std::string_view script) {
    std::ofstream(directory_.file(name)) << script;
    allow(directory_.file(name));
  }
  std::string path() const { return directory_.file(""); }

 private:
  static void allow(const std::string& path) {
    if (::chmod(path.c_str(), 0755) != 0) TemporaryDirectory::fail("chmod");
  }
  TemporaryDirectory directory_;
};

/// An agent whose programs find others only where they are told.
class AgentWith {
 public:
  explicit AgentWith(const Programs& programs)
      : path_(std::in_place, "PATH", programs.path()), agent_() {
    path_.reset();
  }
  Agent* operator->() { return &agent_; }

 private:
  std::optional<Environment> path_;
  Agent agent_;
};

}  // namespace

TEMPLATE_TEST_CASE("verify: a guest that cannot hash refuses before the first byte", "[faults]",
                   Blocking, Async) {
  const Programs programs{"sh", "cat", "head", "tail", "ls"};
  AgentWith agent(programs);
  TestType ga(agent->path());
  agent->put("there", "old");
  const TemporaryDirectory host;
  std::ofstream(host.file("from")) << "new";
  SECTION("an upload") {
    CHECK_THROWS_AS(ga.upload(host.file("from"), agent->file("there"), {.verify = true}),
                    qga::VerificationError);
    CHECK(agent->get("there") == "old");
  }
  SECTION("writing a file") {
    CHECK_THROWS_AS(ga.write_file(agent->file("there"), "new", {.verify = true}),
                    qga::VerificationError);
    CHECK(agent->get("there") == "old");
  }
  SECTION("a new file") {
    CHECK_THROWS_AS(ga.write_file(agent->file("other"), "new", {.verify = true}),
                    qga::VerificationError);
    CHECK_FALSE(fs::exists(agent->file("other")));
  }
  SECTION("without verifying it works") {
    ga.write_file(agent->file("there"), "new");
    CHECK(agent->get("there") == "new");
  }
  CHECK(agent->opened("there") == 0);
}

TEMPLATE_TEST_CASE("verify: a guest that forbids programs refuses before the first byte",
                   "[faults]", Blocking, Async) {
  ScriptedGuest guest;
  guest.put("/there", "old");
  guest.on("guest-exec", script::fails("disabled", "CommandNotFound"));
  TestType ga(guest.path());
  const Fate fate = fate_of([&] { ga.write_file("/there", "new", {.verify = true}); });
  INFO(fate);
  CHECK(fate.is<qga::VerificationError>());
  CHECK(fate.outcome != Outcome::unknown);
  CHECK(guest.get("/there") == "old");
  CHECK(guest.executed("guest-file-open") == 0);
}

TEMPLATE_TEST_CASE("verify: another hash is an error of its own", "[faults]", Blocking, Async) {
  const bool keep = GENERATE(false, true);
  CAPTURE(keep);
  Programs programs{"sh", "cat", "head", "tail"};
  // The truth of an empty input, and of nothing else.
  programs.add("sha256sum",
               "#!/bin/sh\nsum=$(/usr/bin/sha256sum)\ncase $sum in\n  e3b0c442*) echo \"$sum\" ;;\n"
               "  *) echo \"00${sum#??}\" ;;\nesac\n");
  AgentWith agent(programs);
  TestType ga(agent->path());
  agent->put("there", "old");
  const qga::TransferParams params{.verify = true, .keep_partial = keep};
  const Fate fate = fate_of([&] { ga.write_file(agent->file("there"), "new", params); });
  INFO(fate);
  CHECK(fate.is<qga::VerificationError>());
  CHECK(fate.is<qga::BadReplyError>());
  CHECK(fate.outcome == Outcome::unknown);
  CHECK(agent->get("there") == (keep ? "new" : ""));
  CHECK(agent->opened("there") == 0);
}

TEMPLATE_TEST_CASE("verify: a guest that can hash does", "[faults]", Blocking, Async) {
  const Programs programs{"sh", "cat", "head", "tail", "sha256sum"};
  AgentWith agent(programs);
  TestType ga(agent->path());
  agent->put("there", "old");
  const qga::TransferResult result = ga.write_file(agent->file("there"), "abc", {.verify = true});
  CHECK(result.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(agent->get("there") == "abc");
}
