// SPDX-License-Identifier: LGPL-3.0-or-later
//
// metrics: text that Prometheus accepts, whatever a guest says; and its server, whatever a client
// sends.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.hpp"
#include "catch.hpp"
#include "scripted_agent.hpp"
#include "sockets.hpp"
#include "tool.hpp"

using namespace qga_test;
using namespace std::chrono_literals;

namespace scraping {

namespace {

/// The value of a series; nothing where it is missing.
std::optional<double> value_of(const std::string& text, const std::string& series) {
  const std::size_t at = ("\n" + text).find("\n" + series + " ");
  if (at == std::string::npos) return {};
  return std::stod(text.substr(at + series.size()));
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

/// No metric twice, and nothing else that Prometheus refuses a whole scrape for, or warns of.
void check_text(const std::string& text) {
  CHECK(text.ends_with('\n'));
  std::set<std::string> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.starts_with("# ") ? line : line.substr(0, line.rfind(' '));
    CHECK(series.insert(name).second);
    CHECK(std::ranges::none_of(line, [](char c) { return c >= 0 && c < ' '; }));
  }
  const std::string promtool = "/usr/bin/promtool";
  if (::access(promtool.c_str(), X_OK) != 0) {
    WARN("promtool is missing: install prometheus");
    return;
  }
  const TemporaryDirectory directory;
  std::ofstream(directory.file("metrics")) << text;
  const Ended checked = Running({"check", "metrics"}, directory.file("metrics"), promtool).wait();
  CHECK(checked.code == 0);
  CHECK(checked.out.empty());
  CHECK(checked.err.empty());
}

/// The figures of one guest, by a run of the tool.
std::string figures_of(const std::string& address, const std::string& timeout = "60") {
  const Ended ended = run_tool({"--timeout", timeout, address, "metrics"});
  CHECK(ended.code == 0);
  CHECK(ended.err.empty());
  check_text(ended.out);
  return ended.out;
}

/// The tool with `metrics --listen`.
class Served {
 public:
  explicit Served(const std::string& guests, const std::string& timeout = "60",
                  const std::string& where = "127.0.0.1:0", const std::string& descriptors = "hard")
      : tool_({"-c", "ulimit -n " + descriptors + " && exec \"$@\"", "sh", tool_program,
               "--timeout", timeout, guests, "metrics", "--listen", where},
              "/dev/null", "/bin/bash") {
    tool_.await("/metrics\n");
    const std::string said = tool_.err();
    const std::size_t colon = said.rfind(':');
    port_ = static_cast<std::uint16_t>(std::stoi(said.substr(colon + 1)));
    is_v6_ = said[colon - 1] == ']';
  }

  Descriptor connect() const {
    Descriptor socket(::socket(is_v6_ ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port_);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 at_v6{};
    at_v6.sin6_family = AF_INET6;
    at_v6.sin6_port = htons(port_);
    at_v6.sin6_addr = in6addr_loopback;
    const auto* const address =
        is_v6_ ? reinterpret_cast<sockaddr*>(&at_v6) : reinterpret_cast<sockaddr*>(&at);
    if (::connect(socket.get(), address, is_v6_ ? sizeof at_v6 : sizeof at) != 0) {
      throw std::system_error(errno, std::system_category(), "connect");
    }
    return socket;
  }

  /// What comes back, until the end.
  static std::string all_of(const Descriptor& socket) {
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t size = 1; size > 0;) {
      size = ::read(socket.get(), buffer.data(), buffer.size());
      if (size > 0) text.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return text;
  }

  std::string ask(std::string_view request) const {
    const Descriptor socket = connect();
    static_cast<void>(!::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL));
    return all_of(socket);
  }

  /// The text, by a scrape that is not within a second of the last.
  std::string scrape() const {
    std::this_thread::sleep_for(1100ms);
    const std::string response = ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(response.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(response, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    return response.substr(response.find("\r\n\r\n") + 4);
  }

  std::uint16_t port() const { return port_; }
  Running& tool() { return tool_; }

 private:
  Running tool_;
  std::uint16_t port_ = 0;
  bool is_v6_ = false;
};

std::string interface_of(const std::string& name, const std::string& bytes) {
  return "{\"name\": \"" + name + "\", \"statistics\": {\"rx-bytes\": " + bytes +
         ", \"rx-packets\": 1, \"rx-errs\": 2, \"rx-dropped\": 3, \"tx-bytes\": 4, "
         "\"tx-packets\": 5, \"tx-errs\": 6, \"tx-dropped\": 7}}";
}

std::string list_of(std::size_t size, const std::function<std::string(std::size_t)>& element) {
  std::string list;
  for (std::size_t i = 0; i < size; ++i) list += (i > 0 ? ", " : "") + element(i);
  return "[" + list + "]";
}

const std::string info = R"({"version": "10.0", "supported_commands": [)" + [] {
  std::string all;
  for (const char* name :
       {"get-load", "get-cpustats", "get-diskstats", "network-get-interfaces", "get-fsinfo",
        "fsfreeze-status", "file-open", "file-read", "file-seek"}) {
    all += (all.empty() ? "" : ", ") + std::string(R"({"enabled": true, "name": "guest-)") + name +
           R"(", "success-response": true})";
  }
  return all;
}() + "]}";

}  // namespace

TEST_CASE("metrics of a real guest") {
  const qga_test::Agent agent;
  const std::string text = figures_of(agent.path());
  CHECK(value_of(text, "qga_guests") == 1.0);
  CHECK(value_of(text, R"(qga_up{guest="qga"})") == 1.0);
  CHECK(value_of(text, R"(qga_state{guest="qga",state="ready"})") == 1.0);
  CHECK(value_of(text, R"(qga_state{guest="qga",state="frozen"})") == 0.0);
  CHECK(value_of(text, R"(qga_memory_total_bytes{guest="qga"})") > 1e7);
  CHECK(value_of(text, R"(qga_last_thawed_timestamp_seconds{guest="qga"})") > 1.7e9);
  double uptime = 0;
  std::ifstream("/proc/uptime") >> uptime;
  const auto idle = value_of(text, R"(qga_cpu_seconds_total{guest="qga",cpu="0",mode="idle"})");
  REQUIRE(idle);
  CHECK(*idle > 0);
  CHECK(*idle < uptime * 1.1 + 10);
}

TEST_CASE("metrics of a Windows guest") {
  ScriptedAgent agent;
  agent.on("guest-info",
           script::returns(
               R"({"version": "108.0.2", "supported_commands": [{"enabled": true, "name": )"
               R"("guest-network-get-interfaces", "success-response": true}, {"enabled": true, )"
               R"("name": "guest-get-fsinfo", "success-response": true}, {"enabled": true, )"
               R"("name": "guest-file-open", "success-response": true}, {"enabled": true, )"
               R"("name": "guest-file-read", "success-response": true}, {"enabled": true, )"
               R"("name": "guest-file-seek", "success-response": true}]})"));
  agent.on("guest-file-open", script::fails("failed to open file '/proc/meminfo'"));
  agent.on("guest-network-get-interfaces",
           script::returns("[" + interface_of("Ethernet-Instanz 0 \xc3\xbc", "7") + "]"));
  agent.on("guest-get-fsinfo",
           script::returns(
               R"([{"name": "\\\\?\\Volume{a}\\", "mountpoint": "C:\\", "type": "NTFS", )"
               R"("total-bytes": 100, "used-bytes": 40, "disk": []}, {"name": )"
               R"("\\\\?\\Volume{b}\\", "mountpoint": "System Reserved", "type": "NTFS", )"
               R"("disk": []}, {"name": "\\\\?\\Volume{c}\\", "mountpoint": "D:\\", "type": )"
               R"("UDF", "total-bytes": 9, "used-bytes": 9, "disk": []}])"));
  const Ended ended = run_tool({agent.path(), "metrics"});
  check_text(ended.out);
  CHECK(contains(ended.out, R"(version="108.0.2"} 1)"));
  CHECK(contains(ended.out, "device=\"Ethernet-Instanz 0 \xc3\xbc\"} 7\n"));
  CHECK(contains(ended.out, R"(device="\\\\?\\Volume{a}\\",fstype="NTFS",mountpoint="C:\\"} 40)"));
  CHECK(contains(ended.out, R"(command="guest-file-open"} 1)"));
  CHECK(contains(ended.out, R"(command="guest-get-cpustats"} 1)"));
  CHECK_FALSE(contains(ended.out, "qga_cpu_seconds_total"));
}

TEST_CASE("metrics count a device once, and have each series once") {
  ScriptedAgent agent;
  const auto fs = [](const std::string& device, const std::string& mountpoint,
                     const std::string& type) {
    return R"({"name": ")" + device + R"(", "mountpoint": ")" + mountpoint + R"(", "type": ")" +
           type + R"(", "disk": [], "total-bytes": 4096, "used-bytes": 1024})";
  };
  agent.on("guest-get-fsinfo",
           script::returns("[" + fs("sda1", "/var/lib/kubelet", "ext4") + ", " +
                           fs("sda1", "/", "ext4") + ", " + fs("overlay", "/o", "overlay") + ", " +
                           fs("loop0", "/snap", "squashfs") + "]"));
  const std::string disk = R"({"name": "sda", "major": 8, "minor": 0, "stats": )";
  agent.on("guest-get-diskstats",
           script::returns("[" + disk + R"({"read-sectors": 2, "total-ticks": 1500}}, )" + disk +
                           R"({"read-sectors": 3}}])"));
  const std::string cpu = R"({"type": "linux", "cpu": 0, "user": 1500, "nice": 0, "system": 0, )"
                          R"("idle": 0})";
  agent.on("guest-get-cpustats", script::returns("[" + cpu + ", " + cpu + "]"));
  agent.on("guest-network-get-interfaces",
           script::returns("[" + interface_of("eth0", "18446744073709551615") + ", " +
                           interface_of("eth0", "1") + ", " +
                           interface_of("\\u001b[2J\\\"\\n\\u0000", "1") + ", " +
                           interface_of(std::string(1000, 'x') + "1", "1") + ", " +
                           interface_of(std::string(1000, 'x') + "2", "2") + "]"));
  const std::string text = figures_of(agent.path());
  CHECK(count_of(text, "qga_filesystem_size_bytes{") == 1);
  CHECK(contains(text, R"(device="sda1",fstype="ext4",mountpoint="/"} 4096)"));
  CHECK(contains(text, R"(device="sda"} 1024)"));
  CHECK(count_of(text, "qga_disk_read_bytes_total{") == 1);
  CHECK(contains(text, R"(device="sda"} 1.5)"));
  CHECK(contains(text, R"(cpu="0",mode="user"} 1.5)"));
  CHECK(contains(text, R"(device="eth0"} 1.84467440737095)"));
  CHECK(contains(text, R"(device="\\x1b[2J\"\\x0a\\x00"} 1)"));
  CHECK(count_of(text, "qga_network_receive_bytes_total{") == 3);
  CHECK(contains(text, "device=\"" + std::string(128, 'x') + "\"}"));
}

TEST_CASE("metrics have a bound for each guest") {
  ScriptedAgent agent;
  agent.on("guest-network-get-interfaces", script::returns(list_of(300, [](std::size_t i) {
             return interface_of("eth" + std::to_string(i), "1");
           })));
  agent.on("guest-get-cpustats", script::returns(list_of(300, [](std::size_t i) {
             return R"({"type": "linux", "cpu": )" + std::to_string(i) +
                    R"(, "user": 1, "nice": 1, "system": 1, "idle": 1})";
           })));
  const std::string text = figures_of(agent.path());
  CHECK(count_of(text, "qga_network_receive_bytes_total{") == 128);
  CHECK(count_of(text, "qga_cpu_seconds_total{") == 4 * 256);
  CHECK(contains(text, "\"} 216\n"));  // qga_dropped_elements
}

TEST_CASE("metrics of an agent that lies") {
  std::mt19937 random(4711);
  const auto one_of = [&random](const std::vector<std::string>& all) {
    return all[random() % all.size()];
  };
  const std::vector<std::string> numbers{"0",       "-1",   "18446744073709551615", "1e308",
                                         "-1e-300", "0.5",  "9007199254740993",     "null",
                                         "\"1\"",   "1e999"};
  const std::vector<std::string> names{
      "a",       "a",        "",        "\\u0000", "\\n# TYPE x counter\\n", "\\\"} 1\\n", "\\\\",
      "\\ud800", "\xff\xfe", "\\u202e", "{",       std::string(5000, 'y'),   "\xe2\x82"};
  const auto element = [&](std::size_t) {
    std::string members = R"("name": ")" + one_of(names) + R"(", "mountpoint": ")" + one_of(names) +
                          R"(", "disk": [], "type": ")" + one_of({"linux", "ext4", one_of(names)}) +
                          "\"";
    for (const char* member : {"total-bytes", "used-bytes", "cpu", "user", "nice", "system", "idle",
                               "steal", "major", "minor"}) {
      members += ", \"" + std::string(member) + "\": " + one_of({"7", "7", one_of(numbers)});
    }
    return "{" + members + R"(, "stats": {"read-sectors": )" + one_of(numbers) +
           R"(}, "statistics": {"rx-bytes": )" + one_of({"7", one_of(numbers)}) +
           R"(, "rx-packets": 1, "rx-errs": 2, "rx-dropped": 3, "tx-bytes": 4, "tx-packets": 5, )" +
           R"("tx-errs": 6, "tx-dropped": 7}})";
  };
  for (int round = 0; round < 12; ++round) {
    ScriptedAgent agent;
    agent.before_all([&](const Heard& heard) -> std::optional<ScriptedAgent::Action> {
      const std::string& command = heard.command;
      if (command.starts_with("guest-sync") || command == "guest-ping") return {};
      if (command == "guest-info" && random() % 4 != 0) return script::returns(info);
      switch (random() % 8) {
        case 0:
          return script::returns(one_of(numbers));
        case 1:
          return script::says("{\"return\": [\n");
        case 2:
          return script::fails(one_of(names));
        case 3:
          return script::returns("\"frozen\"");
        case 4:
          return script::returns(R"({"load1m": )" + one_of(numbers) + R"(, "load5m": )" +
                                 one_of(numbers) + R"(, "load15m": 1})");
        default:
          return script::returns(list_of(random() % 20, element));
      }
    });
    const std::string text = figures_of(agent.path(), "2");
    CHECK(contains(text, "qga_up{"));
  }
}

TEST_CASE("metrics name a guest that is silent, and one that is gone") {
  const TemporaryDirectory directory;
  std::vector<std::unique_ptr<qga::testing::Agent>> agents;
  for (const char* name : {"web.sock", "db.sock", "old.sock"}) {
    agents.push_back(std::make_unique<qga::testing::Agent>(
        qga::testing::AgentParams{.path = directory.file(name)}));
  }
  agents[1]->pause();
  agents[2]->on("guest-info", script::fails("disabled"));
  const std::string text = figures_of(directory.file("*.sock"), "2");
  CHECK(value_of(text, "qga_guests") == 3.0);
  CHECK(value_of(text, R"(qga_up{guest="web"})") == 1.0);
  CHECK(value_of(text, R"(qga_up{guest="db"})") == 0.0);
  CHECK(value_of(text, R"(qga_state{guest="db",state="silent"})") == 1.0);
  CHECK(value_of(text, R"(qga_up{guest="old"})") == 1.0);
  const std::string gone = figures_of(directory.file("gone.sock"));
  CHECK(value_of(gone, R"(qga_state{guest="gone",state="no-socket"})") == 1.0);
  CHECK(value_of(gone, R"(qga_up{guest="gone"})") == 0.0);
}

TEST_CASE("metrics --output replaces a file when it is whole, or not at all") {
  const TemporaryDirectory directory;
  const std::string file = directory.file("qga.prom");
  std::ofstream(file) << "before\n";
  const Ended none = run_tool({directory.file("*.sock"), "metrics", "--output", file});
  CHECK(none.code == 2);
  CHECK(contains(none.err, "no socket matches"));
  CHECK(contents(file) == "before\n");

  ScriptedAgent agent;
  agent.on("guest-info", script::returns(info));
  CHECK(run_tool({agent.path(), "metrics", "-o", file}).code == 0);
  check_text(contents(file));
  CHECK(contains(contents(file), "version=\"10.0\""));
  CHECK(run_tool({agent.path(), "--json", "metrics"}).code == 2);
  const Ended nowhere = run_tool({agent.path(), "metrics", "-o", directory.file("a/b")});
  CHECK(nowhere.code == 1);
  CHECK(contains(nowhere.err, "cannot create"));

  const std::string link = directory.file("link");
  std::filesystem::create_symlink(file, link);
  CHECK(run_tool({agent.path(), "metrics", "-o", link}).code == 0);
  CHECK(std::filesystem::is_symlink(link));
  std::filesystem::remove(link);
  const Ended device = run_tool({agent.path(), "metrics", "-o", "/dev/null"});
  CHECK(device.code == 2);
  CHECK(contains(device.err, "must name a regular file"));
  CHECK(std::filesystem::is_character_file("/dev/null"));
  check_text(run_tool({agent.path(), "metrics", "-o", "-"}).out);

  agent.mute();
  const std::size_t received = agent.received().size();
  Running interrupted({agent.path(), "metrics", "-o", file});
  while (agent.received().size() == received) std::this_thread::sleep_for(1ms);
  interrupted.signal(SIGINT);
  CHECK(interrupted.wait().code == 130);
  CHECK(contains(contents(file), "version=\"10.0\""));
  CHECK(std::distance(std::filesystem::directory_iterator(directory.file("")), {}) == 1);
}

TEST_CASE("metrics --listen looks when it is scraped, by six commands, and shares a look") {
  ScriptedAgent agent;
  agent.on("guest-info", script::returns(info));
  agent.on("guest-get-load", script::returns(R"({"load1m": 1, "load5m": 2, "load15m": 3})"));
  agent.on("guest-get-fsinfo", script::fails("no"));
  agent.on("guest-file-open", script::returns("1"));
  Served served(agent.path());
  CHECK(agent.commands().empty());
  check_text(served.scrape());
  CHECK(agent.executed("guest-get-fsinfo") == 1);
  for (int i = 0; i < 2; ++i) {
    agent.clear_requests();
    const std::string text = served.scrape();
    check_text(text);
    CHECK(contains(text, "qga_load5{"));
    CHECK(agent.executed("guest-get-load") == 1);
    CHECK(agent.executed("guest-get-fsinfo") == 0);
    CHECK(agent.commands().size() <= 6);
  }
  std::this_thread::sleep_for(1100ms);
  agent.clear_requests();
  std::vector<Descriptor> scrapers;
  for (int i = 0; i < 5; ++i) {
    scrapers.push_back(served.connect());
    constexpr std::string_view request = "GET /metrics HTTP/1.1\r\n\r\n";
    CHECK(::send(scrapers.back().get(), request.data(), request.size(), 0) > 0);
  }
  for (const Descriptor& scraper : scrapers) {
    CHECK(contains(Served::all_of(scraper), "qga_load1{"));
  }
  CHECK(agent.executed("guest-get-load") == 1);
  served.tool().signal(SIGINT);
  CHECK(served.tool().wait().code == 130);
}

TEST_CASE("metrics --listen sees guests that come and go") {
  const TemporaryDirectory directory;
  Served served(directory.file("*.sock"));
  CHECK(contains(served.tool().err(), "no socket matches"));
  CHECK(value_of(served.scrape(), "qga_guests") == 0.0);
  {
    const qga::testing::Agent agent({.path = directory.file("web.sock")});
    std::string text = served.scrape();
    check_text(text);
    CHECK(value_of(text, R"(qga_up{guest="web"})") == 1.0);
    const qga::testing::Agent other({.path = directory.file("db.sock")});
    text = served.scrape();
    CHECK(value_of(text, R"(qga_up{guest="db"})") == 1.0);
    CHECK(value_of(text, R"(qga_up{guest="web"})") == 1.0);
  }
  const std::string text = served.scrape();
  CHECK_FALSE(value_of(text, R"(qga_up{guest="web"})") == 1.0);
}

TEST_CASE("metrics --listen shows as many guests as there are descriptors, and names the others") {
  const TemporaryDirectory directory;
  ScriptedAgent agent;
  constexpr std::size_t number = 100;
  for (std::size_t i = 0; i < number; ++i) {
    std::filesystem::create_symlink(agent.path(), directory.file(std::to_string(i) + ".sock"));
  }
  Served served(directory.file("*.sock"), "2", "127.0.0.1:0", "64");
  for (int i = 0; i < 3; ++i) {
    const std::string text = served.scrape();
    check_text(text);
    CHECK(value_of(text, "qga_guests") == double(number));
    const std::size_t up = count_of(text, "\"} 1\n");
    CHECK(up > 20);
    std::this_thread::sleep_for(1100ms);
  }
}

TEST_CASE("metrics --listen answers whatever a client sends, and other clients meanwhile") {
  ScriptedAgent agent;
  Served served(agent.path(), "60", "[::1]:0");
  CHECK(served.ask("POST /metrics HTTP/1.1\r\n\r\nbody").starts_with("HTTP/1.1 405 "));
  CHECK(served.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  CHECK(served.ask("hello\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(served.ask(" HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(served.ask("GET /metrics?a HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
  const std::string head = served.ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  CHECK(head.starts_with("HTTP/1.1 200 "));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(served.ask(std::string(100'000, 'x')).empty());
  std::vector<Descriptor> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(served.connect());
    CHECK(::send(slow.back().get(), "GET", 3, MSG_NOSIGNAL) == 3);
  }
  CHECK(contains(served.scrape(), "qga_up{"));
  served.tool().signal(SIGTERM);
  CHECK(served.tool().wait().code == 143);
}

TEST_CASE("metrics --listen says what is wrong with an address") {
  ScriptedAgent agent;
  Served served(agent.path());
  const Ended used =
      run_tool({agent.path(), "metrics", "--listen", "127.0.0.1:" + std::to_string(served.port())});
  CHECK(used.code == 2);
  CHECK(contains(used.err, "in use"));
  CHECK(contains(used.err, "must name another port"));
  for (const char* wrong : {"9547", "::1:9547", "127.0.0.1:", "127.0.0.1:65536", "[::1]", ":x"}) {
    const Ended ended = run_tool({agent.path(), "metrics", "--listen", wrong});
    CHECK(ended.code == 2);
    CHECK(contains(ended.err, "must be HOST:PORT"));
  }
  CHECK(run_tool({agent.path(), "metrics", "--listen", "192.0.2.1:9547"}).code == 2);
  CHECK(run_tool({agent.path(), "metrics", "--listen", ":0", "--output", "x"}).code == 2);
}

}  // namespace scraping
