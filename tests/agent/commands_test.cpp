// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every command that does this machine no harm, and the refusal of the others. Values are compared
// with what the system says by another way.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utmpx.h>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using qga_test::Agent;
using qga_test::Async;
using qga_test::Blocking;
using qga_test::end_of;
using qga_test::error_of;

namespace {

/// Every command that the library has a method for.
constexpr std::array<std::string_view, 46> known_commands{
    "guest-sync",
    "guest-sync-delimited",
    "guest-ping",
    "guest-get-time",
    "guest-set-time",
    "guest-info",
    "guest-shutdown",
    "guest-file-open",
    "guest-file-close",
    "guest-file-read",
    "guest-file-write",
    "guest-file-seek",
    "guest-file-flush",
    "guest-fsfreeze-status",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-thaw",
    "guest-fstrim",
    "guest-suspend-disk",
    "guest-suspend-ram",
    "guest-suspend-hybrid",
    "guest-network-get-interfaces",
    "guest-network-get-route",
    "guest-get-vcpus",
    "guest-set-vcpus",
    "guest-get-disks",
    "guest-get-fsinfo",
    "guest-set-user-password",
    "guest-get-memory-blocks",
    "guest-set-memory-blocks",
    "guest-get-memory-block-info",
    "guest-exec",
    "guest-exec-status",
    "guest-get-host-name",
    "guest-get-users",
    "guest-get-timezone",
    "guest-get-osinfo",
    "guest-get-devices",
    "guest-get-driver-packages",
    "guest-get-driver-services",
    "guest-ssh-get-authorized-keys",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-remove-authorized-keys",
    "guest-get-diskstats",
    "guest-get-cpustats",
    "guest-get-load",
};

template <std::size_t size>
bool contains(const std::array<std::string_view, size>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// All 256 values of a byte, some times.
std::string every_byte(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  return bytes;
}

/// Whether this agent has a command: what is missing depends on its version.
template <class Way>
bool has(Way& ga, std::string_view command) {
  for (const auto& known : ga.info().supported_commands) {
    if (known.name == command) return known.enabled;
  }
  return false;
}

void check_not_found(const qga::GuestAgentError& error, std::string_view command) {
  CAPTURE(command, error.what());
  CHECK(error.code() == 1004);
  CHECK(error.error_class() == "CommandNotFound");
  CHECK(error.outcome() == qga::Outcome::refused);
  CHECK(error.command() == command);
  CHECK_FALSE(error.is_unreachable());
  CHECK_FALSE(error.desc().empty());
}

void check_refused(const qga::AgentError& error, std::string_view command) {
  CAPTURE(command, error.what());
  CHECK(error.code() == qga::err_from_agent);
  CHECK(error.error_class() == "GenericError");
  CHECK(error.outcome() == qga::Outcome::refused);
  CHECK(error.command() == command);
  CHECK_FALSE(error.is_unreachable());
  CHECK_FALSE(error.desc().empty());
}

}  // namespace

TEMPLATE_TEST_CASE("sync gives any id back", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  using Limits = std::numeric_limits<std::int64_t>;
  for (const std::int64_t id :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{4711},
        (std::int64_t{1} << 53) + 1, Limits::max(), Limits::min()}) {
    CHECK(ga.sync(id) == id);
    CHECK(ga.sync_delimited(id) == id);
  }
  ga.ping();
}

TEMPLATE_TEST_CASE("ping", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  for (int i = 0; i < 100; ++i) ga.ping();
  CHECK(ga.is_open());
}

TEMPLATE_TEST_CASE("info knows the agent and its commands", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::GuestAgentInfo info = ga.info();

  const std::unique_ptr<FILE, int (*)(FILE*)> output(
      ::popen((Agent::program() + " --version").c_str(), "r"), ::pclose);
  char line[256] = "";
  REQUIRE(std::fgets(line, sizeof line, output.get()) != nullptr);
  CAPTURE(line, info.version);
  CHECK_FALSE(info.version.empty());
  CHECK(std::string_view(line).find(info.version) != std::string_view::npos);

  std::set<std::string> names;
  for (const auto& command : info.supported_commands) {
    CAPTURE(command.name);
    CHECK(contains(known_commands, command.name));
    if (contains(qga_test::blocked_commands, command.name)) CHECK_FALSE(command.enabled);
    const bool silent =
        command.name == "guest-shutdown" || command.name.starts_with("guest-suspend-");
    CHECK(command.success_response == !silent);
    names.insert(command.name);
  }
  CHECK(names.size() == info.supported_commands.size());
  for (const char* const name : {"guest-ping", "guest-info", "guest-exec", "guest-file-read"}) {
    CHECK(names.count(name) == 1);
    CHECK(has(ga, name));
  }
}

TEMPLATE_TEST_CASE("get_time is the time of this machine", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto before =
      std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  const qga::GuestTime time = ga.get_time();
  const auto after = std::chrono::system_clock::now();
  CHECK(time >= before);
  CHECK(time <= after);
}

// ---- files ---------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("files hold any bytes", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string path = agent.file("bytes");
  const std::string bytes = every_byte(5000);

  const std::int64_t handle = ga.file_open(path, "w+");
  const qga::GuestFileWrite written = ga.file_write(handle, bytes);
  CHECK(written.count == 5000);
  CHECK_FALSE(written.eof);
  ga.file_flush(handle);
  CHECK(agent.get("bytes") == bytes);

  const qga::GuestFileSeek start = ga.file_seek(handle, 0, qga::QGASeek::set);
  CHECK(start.position == 0);
  CHECK_FALSE(start.eof);
  const qga::GuestFileRead first = ga.file_read(handle);
  CHECK(first.count == 4096);
  CHECK_FALSE(first.eof);
  CHECK(first.buf_b64 == bytes.substr(0, 4096));
  const qga::GuestFileRead rest = ga.file_read(handle, 10'000);
  CHECK(rest.count == 904);
  CHECK(rest.eof);
  CHECK(rest.buf_b64 == bytes.substr(4096));
  ga.file_close(handle);

  check_refused(error_of<qga::AgentError>([&] { ga.file_read(handle); }), "guest-file-read");
}

TEMPLATE_TEST_CASE("file_write takes base64 and a count", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string path = agent.file("file");
  const std::int64_t handle = ga.file_open(path, "w");
  CHECK(ga.file_write(handle, "aGVsbG8AIQ==", {.is_encoded = true}).count == 7);
  CHECK(ga.file_write(handle, "abcdef", {.count = 3}).count == 3);
  CHECK(ga.file_write(handle, "Z2hp", {.is_encoded = true, .count = 2}).count == 2);
  CHECK(ga.file_write(handle, "").count == 0);
  check_refused(error_of<qga::AgentError>([&] { ga.file_write(handle, "abc", {.count = 4}); }),
                "guest-file-write");
  check_refused(
      error_of<qga::AgentError>([&] { ga.file_write(handle, "!!", {.is_encoded = true}); }),
      "guest-file-write");
  ga.file_close(handle);
  CHECK(agent.get("file") == "hello\0!abcgh"s);
}

TEMPLATE_TEST_CASE("eof comes as the agent has it", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  agent.put("empty", "");
  agent.put("eight", "01234567");

  const std::int64_t empty = ga.file_open(agent.file("empty"));
  CHECK(ga.file_read(empty) == qga::GuestFileRead{0, "", true});
  ga.file_close(empty);

  const std::int64_t eight = ga.file_open(agent.file("eight"));
  CHECK(ga.file_read(eight, 0) == qga::GuestFileRead{0, "", false});
  CHECK(ga.file_read(eight, 4) == qga::GuestFileRead{4, "0123", false});
  CHECK(ga.file_read(eight, 4) == qga::GuestFileRead{4, "4567", false});
  CHECK(ga.file_read(eight, 4) == qga::GuestFileRead{0, "", true});
  CHECK(ga.file_seek(eight, 6, qga::QGASeek::set) == qga::GuestFileSeek{6, false});
  CHECK(ga.file_read(eight, 4) == qga::GuestFileRead{2, "67", true});
  for (const std::int64_t count : {std::int64_t{-1}, (std::int64_t{48} << 20) + 1}) {
    check_refused(error_of<qga::AgentError>([&] { ga.file_read(eight, count); }),
                  "guest-file-read");
  }
  ga.file_close(eight);
}

TEMPLATE_TEST_CASE("file_seek counts from start, here and end", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  agent.put("ten", "0123456789");
  const std::int64_t handle = ga.file_open(agent.file("ten"), "rb");
  CHECK(ga.file_seek(handle, 4, qga::QGASeek::set).position == 4);
  CHECK(ga.file_seek(handle, -1, qga::QGASeek::cur).position == 3);
  CHECK(ga.file_seek(handle, -2, qga::QGASeek::end).position == 8);
  CHECK(ga.file_read(handle).buf_b64 == "89");
  CHECK(ga.file_seek(handle, 1, 0).position == 1);
  CHECK(ga.file_seek(handle, 1, 1).position == 2);
  CHECK(ga.file_seek(handle, -1, 2).position == 9);
  CHECK(ga.file_seek(handle, std::int64_t{5} << 30, qga::QGASeek::set).position == std::int64_t{5}
                                                                                       << 30);
  check_refused(error_of<qga::AgentError>([&] { ga.file_seek(handle, -1, qga::QGASeek::set); }),
                "guest-file-seek");
  check_refused(error_of<qga::AgentError>([&] { ga.file_seek(handle, 0, 7); }), "guest-file-seek");
  ga.file_close(handle);
}

TEMPLATE_TEST_CASE("file_open has modes and any name", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string name = "ü € 😀 \"quoted\" \\ \n\t";
  const std::string path = agent.file(name);
  std::int64_t handle = ga.file_open(path, "w");
  ga.file_write(handle, "one ");
  ga.file_close(handle);
  handle = ga.file_open(path, "a");
  ga.file_write(handle, "two");
  ga.file_close(handle);
  CHECK(agent.get(name) == "one two");

  handle = ga.file_open(path);
  CHECK(ga.file_read(handle).buf_b64 == "one two");
  const auto error = error_of<qga::AgentError>([&] {
    ga.file_write(handle, "x");
    ga.file_flush(handle);
  });
  CHECK(error.code() == qga::err_from_agent);
  ga.file_close(handle);

  check_refused(error_of<qga::AgentError>([&] { ga.file_open(agent.file("none")); }),
                "guest-file-open");
  check_refused(error_of<qga::AgentError>([&] { ga.file_open(path, "zz"); }), "guest-file-open");
}

TEMPLATE_TEST_CASE("a full disk shows when flushing", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::int64_t handle = ga.file_open("/dev/full", "w");
  CHECK(ga.file_write(handle, "hello").count == 5);
  const auto error = error_of<qga::AgentError>([&] { ga.file_flush(handle); });
  check_refused(error, "guest-file-flush");
  CHECK(error.desc().find("No space left") != std::string_view::npos);
  ga.file_close(handle);
}

TEMPLATE_TEST_CASE("a handle that is none", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  for (const std::int64_t handle : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{99999},
                                    std::numeric_limits<std::int64_t>::max()}) {
    check_refused(error_of<qga::AgentError>([&] { ga.file_read(handle); }), "guest-file-read");
    check_refused(error_of<qga::AgentError>([&] { ga.file_write(handle, "x"); }),
                  "guest-file-write");
    check_refused(error_of<qga::AgentError>([&] { ga.file_seek(handle, 0, 0); }),
                  "guest-file-seek");
    check_refused(error_of<qga::AgentError>([&] { ga.file_flush(handle); }), "guest-file-flush");
    check_refused(error_of<qga::AgentError>([&] { ga.file_close(handle); }), "guest-file-close");
  }
  ga.ping();
}

// ---- programs ------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("exec passes arguments and captures both outputs", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::vector<std::string> args{"%s|", "plain", "two words", "", "\"'$x`", "ü😀", "a\nb"};
  const qga::GuestExecStatus printed =
      end_of(ga, ga.exec("/usr/bin/printf", {.args = args, .capture_output = true}));
  CHECK(printed.exited);
  CHECK(printed.exitcode == 0);
  CHECK_FALSE(printed.signal.has_value());
  CHECK(printed.out_data == "plain|two words||\"'$x`|ü😀|a\nb|");
  CHECK_FALSE(printed.err_data.has_value());

  const qga::GuestExecStatus both = end_of(
      ga, ga.exec("/bin/sh", {.args = {"-c", "printf 'o\\000t'; printf 'e\\377r' >&2; exit 3"},
                              .capture_output = true}));
  CHECK(both.exitcode == 3);
  CHECK(both.out_data == "o\0t"s);
  CHECK(both.err_data == "e\377r");
  CHECK_FALSE(both.out_truncated.value_or(false));
  CHECK_FALSE(both.err_truncated.value_or(false));
}

TEMPLATE_TEST_CASE("exec without more than a path", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::GuestExecStatus status = end_of(ga, ga.exec("true"));  // looked for in PATH
  CHECK(status.exitcode == 0);
  CHECK_FALSE(status.out_data.has_value());
  CHECK_FALSE(status.err_data.has_value());
  CHECK(end_of(ga, ga.exec("/bin/false")).exitcode == 1);
}

TEMPLATE_TEST_CASE("exec captures nothing unless asked", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::GuestExecStatus status = end_of(ga, ga.exec("/bin/echo", {.args = {"unheard"}}));
  CHECK(status.exitcode == 0);
  CHECK_FALSE(status.out_data.has_value());
}

TEMPLATE_TEST_CASE("exec sets the environment", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::vector<std::string> env{"A=1", "B=x y=z", "C=ü"};
  CHECK(end_of(ga, ga.exec("/usr/bin/env", {.env = env, .capture_output = true})).out_data ==
        "A=1\nB=x y=z\nC=ü\n");
  const std::string own =
      end_of(ga, ga.exec("/usr/bin/env", {.capture_output = true})).out_data.value_or("");
  CHECK(own.find("PATH=") != std::string::npos);
}

TEMPLATE_TEST_CASE("exec feeds standard input", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{60'000}}) {
    const std::string bytes = every_byte(size);
    const auto status =
        end_of(ga, ga.exec("/bin/cat", {.input_data = bytes, .capture_output = true}));
    CHECK(status.exitcode == 0);
    CHECK((status.out_data == bytes));
  }
}

TEMPLATE_TEST_CASE("exec_status tells a signal", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto status = end_of(ga, ga.exec("/bin/sh", {.args = {"-c", "kill -9 $$"}}));
  CHECK(status.signal == 9);
  CHECK_FALSE(status.exitcode.has_value());
}

TEMPLATE_TEST_CASE("exec_status tells whether it runs, and its end once", "[agent]", Blocking,
                   Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::string go = agent.file("go");
  const std::int64_t pid = ga.exec(
      "/bin/sh", {.args = {"-c", "while [ ! -e \"$0\" ]; do sleep 0.02; done; exit 5", go}});
  const qga::GuestExecStatus running = ga.exec_status(pid);
  CHECK_FALSE(running.exited);
  CHECK_FALSE(running.exitcode.has_value());
  CHECK(std::filesystem::exists("/proc/" + std::to_string(pid)));

  agent.put("go", "");
  CHECK(end_of(ga, pid).exitcode == 5);
  check_refused(error_of<qga::AgentError>([&] { ga.exec_status(pid); }), "guest-exec-status");
  check_refused(error_of<qga::AgentError>([&] { ga.exec_status(-1); }), "guest-exec-status");
}

// ---- the system ----------------------------------------------------------------------------

TEMPLATE_TEST_CASE("the names of this machine and its system", "[agent][native]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  char name[256] = "";
  REQUIRE(::gethostname(name, sizeof name - 1) == 0);
  CHECK(ga.get_host_name() == name);

  const qga::GuestOSInfo os = ga.get_osinfo();
  utsname system{};
  REQUIRE(::uname(&system) == 0);
  CHECK(os.kernel_release == system.release);
  CHECK(os.kernel_version == system.version);
  CHECK(os.machine == system.machine);

  std::map<std::string, std::string> release;
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    std::string value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    release[line.substr(0, equals)] = value;
  }
  const auto same = [&](const std::optional<std::string>& member, const char* key) {
    CAPTURE(key);
    CHECK(member.has_value() == (release.count(key) == 1));
    if (member && release.count(key) == 1) CHECK(*member == release[key]);
  };
  same(os.id, "ID");
  same(os.name, "NAME");
  same(os.pretty_name, "PRETTY_NAME");
  same(os.version, "VERSION");
  same(os.version_id, "VERSION_ID");
  same(os.variant, "VARIANT");
  same(os.variant_id, "VARIANT_ID");
}

TEMPLATE_TEST_CASE("get_timezone", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const qga::GuestTimezone zone = ga.get_timezone();
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  REQUIRE(::localtime_r(&now, &local) != nullptr);
  CHECK(zone.offset == local.tm_gmtoff);
  if (zone.zone) CHECK(*zone.zone == local.tm_zone);
}

TEMPLATE_TEST_CASE("get_users", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::set<std::string> logged_in;
  ::setutxent();
  while (const utmpx* const entry = ::getutxent()) {
    if (entry->ut_type == USER_PROCESS) logged_in.insert(entry->ut_user);
  }
  ::endutxent();
  std::set<std::string> users;
  for (const qga::GuestUser& user : ga.get_users()) {
    users.insert(user.user);
    CHECK(user.login_time > 0);
    CHECK_FALSE(user.domain.has_value());
  }
  CHECK(users == logged_in);
}

TEMPLATE_TEST_CASE("fsfreeze_status", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  CHECK(ga.fsfreeze_status() == qga::GuestFsfreezeStatus::thawed);
}

TEMPLATE_TEST_CASE("get_vcpus and get_cpustats", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::set<std::int64_t> online;
  for (const qga::GuestLogicalProcessor& vcpu : ga.get_vcpus()) {
    if (vcpu.online) online.insert(vcpu.logical_id);
  }
  CHECK(static_cast<long>(online.size()) == ::sysconf(_SC_NPROCESSORS_ONLN));

  if (!has(ga, "guest-get-cpustats")) {
    check_not_found(error_of<qga::CommandNotFoundError>([&] { ga.get_cpustats(); }),
                    "guest-get-cpustats");
    return;
  }
  std::set<std::int64_t> counted;
  std::uint64_t idle = 0;
  for (const qga::GuestCpuStats& stats : ga.get_cpustats()) {
    CHECK(stats.type == qga::GuestCpuStatsType::linux_);
    REQUIRE(stats.linux_.has_value());
    counted.insert(stats.linux_->cpu);
    idle += stats.linux_->idle;
    CHECK(stats.linux_->iowait.has_value());
  }
  CHECK(counted == online);

  std::ifstream file("/proc/stat");
  std::string word;
  std::uint64_t user = 0, nice = 0, system = 0, idle_ticks = 0;
  file >> word >> user >> nice >> system >> idle_ticks;
  const auto tick = 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  CHECK(idle > 0);
  CHECK(idle <= (idle_ticks + online.size()) * tick);
}

TEMPLATE_TEST_CASE("get_memory_blocks and get_memory_block_info", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const std::filesystem::path memory = "/sys/devices/system/memory";
  if (!std::filesystem::exists(memory / "block_size_bytes")) {
    check_refused(error_of<qga::AgentError>([&] { ga.get_memory_block_info(); }),
                  "guest-get-memory-block-info");
    return;
  }
  std::uint64_t size = 0;
  std::ifstream(memory / "block_size_bytes") >> std::hex >> size;
  CHECK(ga.get_memory_block_info().size == size);

  std::map<std::uint64_t, bool> blocks;
  for (const auto& entry : std::filesystem::directory_iterator(memory)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("memory")) continue;
    std::string state;
    std::ifstream(entry.path() / "state") >> state;
    blocks[std::stoull(name.substr(6))] = state == "online";
  }
  std::map<std::uint64_t, bool> from_agent;
  for (const qga::GuestMemoryBlock& block : ga.get_memory_blocks()) {
    from_agent[block.phys_index] = block.online;
    CHECK(block.can_offline.has_value());
  }
  CHECK(from_agent == blocks);
}

TEMPLATE_TEST_CASE("network_get_interfaces", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  ifaddrs* list = nullptr;
  REQUIRE(::getifaddrs(&list) == 0);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, ::freeifaddrs);
  std::set<std::string> names;
  std::set<std::pair<std::string, std::string>> addresses;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    names.insert(at->ifa_name);
    if (at->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (at->ifa_addr->sa_family == AF_INET) {
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, text,
                  sizeof text);
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr, text,
                  sizeof text);
    } else {
      continue;
    }
    addresses.emplace(at->ifa_name, text);
  }

  std::set<std::string> seen_names;
  std::set<std::pair<std::string, std::string>> seen_addresses;
  for (const qga::GuestNetworkInterface& interface : ga.network_get_interfaces()) {
    CAPTURE(interface.name);
    seen_names.insert(interface.name);
    for (const auto& address :
         interface.ip_addresses.value_or(std::vector<qga::GuestIpAddress>())) {
      seen_addresses.emplace(interface.name, address.ip_address);
      const bool is_ipv6 = address.ip_address.find(':') != std::string::npos;
      CHECK(address.ip_address_type ==
            (is_ipv6 ? qga::GuestIpAddressType::ipv6 : qga::GuestIpAddressType::ipv4));
      CHECK(address.prefix >= 0);
      CHECK(address.prefix <= (is_ipv6 ? 128 : 32));
      if (address.ip_address == "127.0.0.1") CHECK(address.prefix == 8);
    }
    if (interface.name == "lo") {
      CHECK(interface.hardware_address.value_or("00:00:00:00:00:00") == "00:00:00:00:00:00");
    }
  }
  CHECK(seen_names.count("lo") == 1);
  CHECK(seen_names == names);
  CHECK(seen_addresses == addresses);
}

TEMPLATE_TEST_CASE("get_disks and get_diskstats", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::size_t disks = 0;
  for (const qga::GuestDiskInfo& disk : ga.get_disks()) {
    CAPTURE(disk.name);
    REQUIRE(disk.name.starts_with("/dev/"));
    CHECK(std::filesystem::exists("/sys/class/block/" + disk.name.substr(5)));
    if (!disk.partition) ++disks;
  }
  CHECK((disks > 0 || !std::filesystem::exists("/sys/block/vda")));

  if (!has(ga, "guest-get-diskstats")) {
    check_not_found(error_of<qga::CommandNotFoundError>([&] { ga.get_diskstats(); }),
                    "guest-get-diskstats");
    return;
  }
  const std::vector<qga::GuestDiskStatsInfo> stats = ga.get_diskstats();
  struct Line {
    std::uint64_t major = 0, minor = 0, read_ios = 0;
  };
  std::map<std::string, Line> lines;
  std::ifstream file("/proc/diskstats");
  for (std::string text; std::getline(file, text);) {
    std::istringstream words(text);
    Line line;
    std::string name;
    words >> line.major >> line.minor >> name >> line.read_ios;
    lines[name] = line;
  }
  CHECK(stats.empty() == lines.empty());
  for (const qga::GuestDiskStatsInfo& disk : stats) {
    CAPTURE(disk.name);
    REQUIRE(lines.count(disk.name) == 1);
    CHECK(disk.major == lines[disk.name].major);
    CHECK(disk.minor == lines[disk.name].minor);
    REQUIRE(disk.stats.read_ios.has_value());
    CHECK(*disk.stats.read_ios <= lines[disk.name].read_ios);
  }
}

TEMPLATE_TEST_CASE("get_fsinfo", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  std::ifstream mounts("/proc/self/mounts");
  const std::string mounted{std::istreambuf_iterator<char>(mounts), {}};
  for (const qga::GuestFilesystemInfo& filesystem : ga.get_fsinfo()) {
    CAPTURE(filesystem.mountpoint);
    CHECK(mounted.find(' ' + filesystem.mountpoint + ' ' + filesystem.type + ' ') !=
          std::string::npos);
    struct statvfs numbers {};
    if (::statvfs(filesystem.mountpoint.c_str(), &numbers) != 0) continue;
    if (!filesystem.total_bytes) continue;
    REQUIRE(filesystem.used_bytes.has_value());
    CHECK(*filesystem.used_bytes <= *filesystem.total_bytes);
    const auto total = static_cast<double>(numbers.f_blocks - numbers.f_bfree + numbers.f_bavail) *
                       static_cast<double>(numbers.f_frsize);
    CHECK(std::abs(static_cast<double>(*filesystem.total_bytes) - total) <= 0.02 * total);
  }
}

TEMPLATE_TEST_CASE("what this agent does not know", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto not_found_unless_there = [&](std::string_view command, auto call) {
    if (has(ga, command)) {
      call();
    } else {
      check_not_found(error_of<qga::CommandNotFoundError>(call), command);
    }
  };
  not_found_unless_there("guest-get-devices", [&] { ga.get_devices(); });
  not_found_unless_there("guest-get-driver-packages", [&] { ga.get_driver_packages(); });
  not_found_unless_there("guest-get-driver-services", [&] { ga.get_driver_services(); });
  not_found_unless_there("guest-get-load", [&] { ga.get_load(); });
  not_found_unless_there("guest-network-get-route", [&] { ga.network_get_route(); });
  ga.ping();
}

// ---- by hand -------------------------------------------------------------------------------

TEMPLATE_TEST_CASE("raw and typed requests", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  CHECK(ga.execute("guest-ping") == nlohmann::json::object());
  CHECK(ga.execute("guest-ping", nlohmann::json::object()) == nlohmann::json::object());
  CHECK(ga.execute("guest-sync", {{"id", -17}}) == -17);
  CHECK(ga.execute("guest-sync-delimited", {{"id", 18}}) == 18);
  utsname system{};
  REQUIRE(::uname(&system) == 0);
  CHECK(ga.execute("guest-get-osinfo")["kernel-release"] == system.release);
  CHECK(ga.execute(qga::GuestGetOsinfoRequest{}) == ga.get_osinfo());
  CHECK(ga.execute(qga::GuestSyncRequest(19)) == 19);

  const std::int64_t handle = ga.execute("guest-file-open", {{"path", "/etc/os-release"}});
  const nlohmann::json read = ga.execute("guest-file-read", {{"handle", handle}, {"count", 3}});
  CHECK(read["count"] == 3);
  CHECK(read["buf-b64"].template get<std::string>().size() == 4);
  CHECK(ga.execute("guest-file-close", {{"handle", handle}}) == nlohmann::json::object());
}

TEMPLATE_TEST_CASE("raw requests that are wrong", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  const auto unknown =
      error_of<qga::CommandNotFoundError>([&] { ga.execute("guest-no-such-thing"); });
  check_not_found(unknown, "guest-no-such-thing");

  const auto bogus = error_of<qga::AgentError>([&] { ga.execute("guest-ping", {{"bogus", 1}}); });
  check_refused(bogus, "guest-ping");
  CHECK(bogus.desc().find("bogus") != std::string_view::npos);

  const auto not_an_object =
      error_of<qga::RequestError>([&] { ga.execute("guest-ping", nlohmann::json::array({1})); });
  CHECK(not_an_object.outcome() == qga::Outcome::not_sent);
  CHECK(not_an_object.err() == std::errc::invalid_argument);
  ga.ping();
}

// ---- what would harm -----------------------------------------------------------------------

TEMPLATE_TEST_CASE("what is blocked is refused", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path());
  // Before any of them is sent.
  for (const auto& command : ga.info().supported_commands) {
    if (contains(qga_test::blocked_commands, command.name)) REQUIRE_FALSE(command.enabled);
  }
  const auto refused = [&](std::string_view command, auto call) {
    check_not_found(error_of<qga::CommandNotFoundError>(call), command);
    ga.ping();
  };
  const std::vector<qga::GuestLogicalProcessor> vcpus{{.logical_id = 0, .online = true}};
  const std::vector<qga::GuestMemoryBlock> blocks{{.phys_index = 0, .online = true}};
  using Mode = qga::GuestShutdownMode;
  refused("guest-shutdown", [&] { ga.shutdown(); });
  refused("guest-shutdown", [&] { ga.shutdown(Mode::halt); });
  refused("guest-shutdown", [&] { ga.shutdown(Mode::reboot); });
  refused("guest-suspend-disk", [&] { ga.suspend_disk(); });
  refused("guest-suspend-ram", [&] { ga.suspend_ram(); });
  refused("guest-suspend-hybrid", [&] { ga.suspend_hybrid(); });
  refused("guest-fsfreeze-freeze", [&] { ga.fsfreeze_freeze(); });
  refused("guest-fsfreeze-freeze-list", [&] { ga.fsfreeze_freeze_list(); });
  refused("guest-fsfreeze-freeze-list", [&] { ga.fsfreeze_freeze_list({"/none"}); });
  refused("guest-fsfreeze-thaw", [&] { ga.fsfreeze_thaw(); });
  refused("guest-fstrim", [&] { ga.fstrim(); });
  refused("guest-fstrim", [&] { ga.fstrim(1 << 20); });
  refused("guest-set-time", [&] { ga.set_time(ga.get_time()); });
  refused("guest-set-time", [&] { ga.set_time(); });
  refused("guest-set-vcpus", [&] { ga.set_vcpus(vcpus); });
  refused("guest-set-memory-blocks", [&] { ga.set_memory_blocks(blocks); });
  refused("guest-set-user-password", [&] { ga.set_user_password("nobody-here", "x"); });
  refused("guest-ssh-get-authorized-keys", [&] { ga.ssh_get_authorized_keys("nobody-here"); });
  refused("guest-ssh-add-authorized-keys",
          [&] { ga.ssh_add_authorized_keys("nobody-here", {"ssh-rsa AAAA"}); });
  refused("guest-ssh-remove-authorized-keys",
          [&] { ga.ssh_remove_authorized_keys("nobody-here", {"ssh-rsa AAAA"}); });
  // By hand they are treated alike.
  for (const char* const command :
       {"guest-shutdown", "guest-suspend-ram", "guest-fsfreeze-freeze"}) {
    refused(command, [&] { ga.execute(command); });
  }
}
