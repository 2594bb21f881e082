// SPDX-License-Identifier: LGPL-3.0-or-later
//
// 10: a small backup tool, and its test. The test has a fake agent in its own process instead of a
// guest, and needs no library for tests.
// Usage: 10_test_a_backup    (it needs no guest, and ignores a socket)
#include <qga/client.hpp>
#include <qga/testing/agent.hpp>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// ---- the tool ----------------------------------------------------------------------------------

namespace {

/// Has the guest's database write its memory to the disk, and shows how far it is.
void flush(qga::Client<>& ga) {
  qga::Process flush = ga.start("/usr/sbin/flush-database", {.merge = true});
  std::string last;
  const auto limit = qga::CallOptions{.timeout = 1min};
  while (const qga::ProcessOutput output = flush.with(limit).read()) {
    std::cout << output.bytes;
    last = output.bytes;
  }
  if (flush.wait().exit_code != 0) throw std::runtime_error("the database: " + last);
}

/// Copies the disk of a guest, which is a file on the host, while nothing is written to it.
void back_up(qga::Client<>& ga, const fs::path& disk, const fs::path& copy) {
  flush(ga);

  const fs::path partial = copy.string() + ".partial";
  try {
    ga.while_frozen([&] { fs::copy_file(disk, partial); });
  } catch (...) {
    fs::remove(partial);
    throw;
  }
  fs::rename(partial, copy);
  ga.write_file("/var/lib/last-backup", copy.filename().string() + "\n");
}

}  // namespace

// ---- its test ----------------------------------------------------------------------------------

namespace {

namespace testing = qga::testing;

void check(bool is_so, std::string_view what) {
  std::cout << (is_so ? "ok    " : "WRONG ") << what << '\n';
  if (!is_so) throw std::runtime_error("a check has failed");
}

/// A guest with a database, and its disk on the host.
struct Place {
  Place() {
    std::ofstream(disk()) << "the contents of a disk";
    agent.guest().add_program("/usr/sbin/flush-database", [](testing::RunningProgram& flush) {
      flush.write("50 %\n");
      flush.after(20ms, [](testing::RunningProgram& later) {
        later.write("100 %\n");
        later.exit();
      });
    });
  }
  ~Place() { fs::remove_all(directory); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  fs::path disk() const { return directory / "disk"; }
  fs::path copy() const { return directory / "copy"; }
  /// @return what went wrong; empty: nothing
  std::string back_up() {
    try {
      qga::Client ga(agent.path());
      ::back_up(ga, disk(), copy());
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  testing::Agent agent;
  fs::path directory = fs::path(agent.path()).parent_path() / "host";
  bool made = fs::create_directory(directory);
};

void test_a_good_backup() {
  Place place;
  check(place.back_up().empty(), "the backup succeeds");
  std::ifstream copy(place.copy());
  const std::string text{std::istreambuf_iterator<char>(copy), {}};
  check(text == "the contents of a disk", "the copy is complete");
  check(place.agent.count("guest-fsfreeze-freeze") == 1, "the guest was frozen");
  check(!place.agent.guest().is_frozen(), "the guest is thawed");
  check(place.agent.files()["/var/lib/last-backup"] == "copy\n", "the guest knows of the backup");
}

void test_a_database_that_fails() {
  Place place;
  place.agent.guest().add_program("/usr/sbin/flush-database", [](const testing::ProgramCall&) {
    return testing::ProgramResult{.exit_code = 1, .err = "it is locked\n"};
  });
  check(place.back_up() == "the database: it is locked\n", "the tool tells what the database says");
  check(place.agent.count("guest-fsfreeze-freeze") == 0, "the guest was not frozen");
}

void test_a_database_that_crashes() {
  Place place;
  place.agent.guest().add_program("/usr/sbin/flush-database", [](testing::RunningProgram& flush) {
    flush.write("50 %\n");
    flush.after(20ms, [](testing::RunningProgram& later) { later.end_by_signal(11); });
  });
  check(place.back_up() == "the database: 50 %\n", "the tool tells how far the database was");
  check(place.agent.count("guest-fsfreeze-freeze") == 0, "the guest was not frozen");
}

void test_a_host_that_fails() {
  Place place;
  fs::remove(place.disk());
  check(!place.back_up().empty(), "a backup of nothing fails");
  check(place.agent.count("guest-fsfreeze-thaw") == 1, "the guest was thawed");
  check(!place.agent.guest().is_frozen(), "the guest is thawed");
}

/// Faults of the guest. After each there is no copy, and the guest is thawed.
void test_faults() {
  const struct {
    std::string_view name;
    std::string command;
    testing::Action fault;
  } faults[] = {
      {"the freeze is refused", "guest-fsfreeze-freeze", testing::fails("a hook has failed")},
      {"freezing is forbidden", "guest-fsfreeze-freeze",
       testing::fails("not allowed", "CommandNotFound")},
      {"the reply to the freeze is broken", "guest-fsfreeze-freeze",
       testing::in_order(testing::loses_reply(), testing::sends("{\"return\n"))},
      {"the guest goes away when it is frozen", "guest-fsfreeze-freeze",
       testing::in_order(testing::loses_reply(), testing::disconnects())},
      {"the thaw hook fails", "guest-fsfreeze-thaw",
       testing::in_order(testing::loses_reply(), testing::fails("a hook has failed"))},
  };
  for (const auto& one : faults) {
    Place place;
    place.agent.once(one.command, one.fault);
    check(!place.back_up().empty(), one.name);
    check(!fs::exists(place.copy()), "there is no copy");
    check(!place.agent.guest().is_frozen(), "the guest is thawed");
  }
}

}  // namespace

int main() {
  try {
    test_a_good_backup();
    test_a_database_that_fails();
    test_a_database_that_crashes();
    test_a_host_that_fails();
    test_faults();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
