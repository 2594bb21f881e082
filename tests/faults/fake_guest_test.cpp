// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The faked guest of qga::testing::Agent: every helper works with it, and it refuses what a real
// guest refuses. A helper whose command in the guest was changed fails here until
// qga/testing/detail/guest_shell.hpp knows the new one.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "faults.hpp"
#include "qga/client.hpp"
#include "qga/testing/agent.hpp"

using namespace faults;
using FakeAgent = qga::testing::Agent;
using qga::testing::ProgramCall;
using qga::testing::ProgramResult;

namespace {

/// What the recording of a real agent says about an error that files have.
struct Refusal {
  std::string command;
  nlohmann::json arguments;
  std::string desc;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Bytes of all values.
std::string some_bytes(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(i * 7 % 251 + i / 65536);
  return bytes;
}

}  // namespace

TEMPLATE_TEST_CASE("fake guest: files", "[faults]", Blocking, Async) {
  FakeAgent agent;
  agent.files()["/etc/hostname"] = "web1\n";
  TestType ga(agent.path());
  CHECK(ga.read_file("/etc/hostname") == "web1\n");
  CHECK_THROWS_AS(ga.read_file("/none"), qga::AgentError);
  CHECK_FALSE(agent.files().contains("/none"));

  const std::string bytes = some_bytes(1200 << 10);
  const TemporaryDirectory host;
  std::ofstream(host.file("from"), std::ios::binary) << bytes;
  CHECK(ga.upload(host.file("from"), "/up", {.verify = true}).bytes == bytes.size());
  CHECK(agent.files()["/up"] == bytes);
  CHECK(ga.download("/up", host.file("to"), {.verify = true}).bytes == bytes.size());
  CHECK(text_of(host.file("to")) == bytes);
  agent.once("guest-file-write",
             qga::testing::in_order(qga::testing::loses_reply(), qga::testing::disconnects()));
  CHECK_THROWS_AS(ga.upload(host.file("from"), "/lost"), qga::TransferError);
  ga.connect(agent.path());

  ga.write_file("/motd", "one\n");
  qga::File file = ga.open("/motd", "a+");
  ga.write(file, "two\n");
  ga.seek(file, -4, qga::QGASeek::end);
  CHECK(ga.read(file, 100) == "two\n");
  ga.close(file);
  CHECK(agent.files()["/motd"] == "one\ntwo\n");
  agent.files().erase("/motd");
  CHECK(agent.files().paths() == std::vector<std::string>{"/etc/hostname", "/lost", "/up"});

  agent.guest().set_disk_size(bytes.size() + 100);
  agent.files().erase("/lost");
  ga.write_file("/small", std::string(50, 'x'));
  CHECK_THROWS_AS(ga.write_file("/large", std::string(100, 'x')), qga::AgentError);
}

TEST_CASE("fake guest: handles, and what cannot be done with them", "[faults]") {
  FakeAgent agent;
  agent.files()["/there"] = "text";
  qga::Client ga(agent.path(), patient());
  const auto reads = ga.file_open("/there");
  const auto writes = ga.file_open("/new", "w");
  CHECK(agent.guest().open_handles() == 2);
  const std::vector<Refusal> refusals = {
      {"guest-file-open",
       {{"path", "/no"}},
       "failed to open file '/no' (mode: 'r'): No such file or directory"},
      {"guest-file-open", {{"path", "/no"}, {"mode", "zz"}}, "invalid file open mode 'zz'"},
      {"guest-file-open", {{"path", 5}}, "Invalid parameter type for 'path', expected: string"},
      {"guest-file-open", nullptr, "Parameter 'path' is missing"},
      {"guest-file-write",
       {{"handle", writes}, {"buf-b64", "YWJj"}, {"count", 10}},
       "value '10' is invalid for argument count"},
      {"guest-file-write",
       {{"handle", writes}, {"buf-b64", "!!"}},
       "Base64 data contains invalid characters"},
      {"guest-file-write",
       {{"handle", reads}, {"buf-b64", "eA=="}},
       "failed to write to file: Bad file descriptor"},
      {"guest-file-read", {{"handle", writes}}, "failed to read file: Bad file descriptor"},
      {"guest-file-read",
       {{"handle", reads}, {"count", -1}},
       "value '-1' is invalid for argument count"},
      {"guest-file-read",
       {{"handle", reads}, {"count", 50331649}},
       "value '50331649' is invalid for argument count"},
      {"guest-file-seek",
       {{"handle", reads}, {"offset", -300}, {"whence", "set"}},
       "failed to seek file: Invalid argument"},
      {"guest-file-seek",
       {{"handle", reads}, {"offset", 0}, {"whence", "bogus"}},
       "Parameter 'whence' does not accept value 'bogus'"},
      {"guest-file-seek",
       {{"handle", reads}, {"offset", 0}, {"whence", 7}},
       "invalid whence code 7"},
      {"guest-file-close", {{"handle", 99999}}, "handle '99999' has not been found"},
      {"guest-exec-status", {{"pid", 1}}, "PID 1 does not exist"},
  };
  for (const Refusal& one : refusals) {
    INFO(one.desc);
    const auto error = error_of<qga::AgentError>([&] { ga.execute(one.command, one.arguments); });
    CHECK(error.desc() == one.desc);
  }
  CHECK(ga.file_seek(reads, 1, qga::QGASeek::set).position == 1);
  CHECK(ga.file_seek(reads, 1, qga::QGASeek::cur).position == 2);
  CHECK(ga.file_read(reads).buf_b64 == "xt");
  CHECK(ga.file_seek(writes, std::int64_t{1} << 62, qga::QGASeek::set).position == std::int64_t{1}
                                                                                       << 62);
  CHECK_THROWS_AS(ga.file_write(writes, "x"), qga::AgentError);  // the disk is not so large
  agent.guest().restart();
  CHECK_THROWS_AS(ga.file_read(reads), qga::AgentError);
}

TEMPLATE_TEST_CASE("fake guest: programs", "[faults]", Blocking, Async) {
  FakeAgent agent;
  agent.guest().add_program("/usr/bin/tr", [](const ProgramCall& call) {
    std::string out = call.args.at(0) + ":";
    for (const char c : call.input) out += static_cast<char>(c - 'a' + 'A');
    return ProgramResult{.exit_code = 7, .out = out, .err = call.path};
  });
  TestType ga(agent.path());
  const qga::RunResult result = ga.run("tr", {.args = {"up"}, .input = "abc"});
  CHECK(result.exit_code == 7);
  CHECK(result.out == "up:ABC");
  CHECK(result.err == "tr");
  CHECK(agent.guest().started_programs() == 0);

  // Input that fits into no pipe goes through a file of the guest.
  CHECK(ga.run("/usr/bin/tr", {.args = {"up"}, .input = std::string(200'000, 'a')}).out ==
        "up:" + std::string(200'000, 'A'));
  CHECK(agent.files().paths().empty());
  CHECK(ga.run("none", {.input = std::string(200'000, 'a')}).exit_code == 127);

  CHECK(ga.run("tr", {.args = {"x"}, .capture = false}).out.empty());
  CHECK(ga.run("tr", {.args = {"x"}, .capture = qga::GuestExecCaptureOutputMode::merged}).out ==
        "x:tr");
  const auto error = error_of<qga::AgentError>([&] { ga.run("/no/program"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(error.desc().find("No such file or directory") != std::string_view::npos);

  agent.guest().add_any_program(
      [](const ProgramCall&) -> ProgramResult { throw std::runtime_error("out of order"); });
  const qga::RunResult broken = ga.run("/any");
  CHECK(broken.signal == 6);
  CHECK(broken.err == "out of order");
}

TEMPLATE_TEST_CASE("fake guest: programs take their time, and can be killed", "[faults]", Blocking,
                   Async) {
  FakeAgent agent;
  agent.guest().add_program("/bin/sleep", [](const ProgramCall& call) {
    const bool for_ever = call.args.at(0) == "infinity";
    return ProgramResult{.runs_for = for_ever ? qga::Clock::duration::max() : brief};
  });
  TestType ga(agent.path());
  const auto start = qga::Clock::now();
  CHECK(ga.run("sleep", {.args = {"1"}}).exit_code == 0);
  CHECK(qga::Clock::now() - start >= brief);
  const auto error = error_of<qga::ProgramTimeoutError>(
      [&] { ga.run("sleep", {.args = {"infinity"}, .timeout = brief, .kill = true}); });
  CHECK(error.ended());
  CHECK(agent.guest().started_programs() == 0);
  CHECK_FALSE(error_of<qga::ProgramTimeoutError>([&] {
                ga.run("sleep", {.args = {"infinity"}, .timeout = brief});
              }).ended());
  CHECK(agent.guest().started_programs() == 1);
}

TEMPLATE_TEST_CASE("fake guest: freezing", "[faults]", Blocking, Async) {
  FakeAgent agent;
  TestType ga(agent.path());
  CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
  {
    qga::Frozen frozen = ga.freeze();
    CHECK(agent.guest().is_frozen());
    CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::frozen);
    CHECK_THROWS_AS(ga.get_host_name(), qga::CommandNotFoundError);
    CHECK_THROWS_AS(ga.fsfreeze_freeze(), qga::CommandNotFoundError);
    ga.ping();
    CHECK_FALSE(ga.supports("guest-exec"));
    CHECK(ga.thaw(frozen).count == 2);
  }
  CHECK_FALSE(agent.guest().is_frozen());
  CHECK(ga.fsfreeze_freeze_list(std::vector<std::string>{"/home", "/none"}) == 1);
  CHECK(ga.fsfreeze_thaw() == 1);
  agent.guest().set_frozen(true);
  CHECK_THROWS_AS(ga.get_host_name(), qga::CommandNotFoundError);
  agent.guest().restart();
  CHECK(ga.get_fsinfo().size() == 2);
}

TEMPLATE_TEST_CASE("fake guest: what it says about itself", "[faults]", Blocking, Async) {
  FakeAgent agent;
  TestType ga(agent.path());
  const auto info = ga.info();
  CHECK(info.version == "9.2.0");
  CHECK(info.supported_commands.size() > 20);
  CHECK(ga.supports("guest-exec"));
  CHECK(ga.get_host_name() == "fake-guest");
  CHECK(ga.get_osinfo().id == "debian");
  CHECK(ga.get_timezone().zone == "UTC");
  CHECK(ga.get_users().at(0).user == "root");
  CHECK(ga.addresses().at(0).address == "192.0.2.10");
  const auto real = std::chrono::system_clock::now();
  CHECK(ga.get_time() - real < 1min);
  ga.set_time(qga::GuestTime(1h));
  CHECK(ga.get_time() >= qga::GuestTime(1h));
  CHECK(ga.get_time() < qga::GuestTime(2h));
  ga.set_clock();
  CHECK(ga.get_time() >= real);
  ga.shutdown();
  ga.suspend_ram();
  CHECK(agent.count("guest-shutdown") == 1);
  CHECK(agent.count("guest-suspend-ram") == 1);
}
