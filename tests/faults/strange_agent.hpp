// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Agents that are not qemu-ga, as people run them in macOS, gokrazy, Windows and Linux guests. A
// table says in what each of them differs; all of them read lines.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "sockets.hpp"

namespace faults {

/// What a byte 0xFF does to an agent.
enum class Sentinel {
  spoils_line,      ///< the line that it is in is no request
  strips_at_start,  ///< nothing at the start of a line
  ends_agent,       ///< the agent ends, and is started again
};

struct StrangeKind {
  std::string_view name;
  Sentinel sentinel = Sentinel::spoils_line;
  bool echoes_ids = true;
  bool has_plain_sync = true;
  bool has_info = true;
  bool answers_unknown = true;     ///< false: an unknown command has no answer at all
  bool writes_doubles = false;     ///< numbers are doubles, of 15 digits
  bool writes_null_lists = false;  ///< an empty list is null
  bool one_a_read = false;         ///< what comes in the same read behind a request is lost
  bool only_generic_errors = false;
  bool answers_shutdown = false;
  std::size_t longest_request = 1 << 20;
  bool too_long_closes = false;  ///< such a request closes the connection; false: it is dropped
};

inline constexpr std::array<StrangeKind, 6> strange_kinds{{
    {.name = "mac-guest-agent",
     .sentinel = Sentinel::strips_at_start,
     .writes_doubles = true,
     .answers_shutdown = true,
     .longest_request = 4096},
    {.name = "osx-qemu-guest-agent", .writes_null_lists = true},
    {.name = "qemu-guest-kragent",
     .sentinel = Sentinel::ends_agent,
     .echoes_ids = false,
     .has_plain_sync = false,
     .has_info = false,
     .answers_unknown = false,
     .writes_null_lists = true},
    {.name = "guestkit", .one_a_read = true, .only_generic_errors = true},
    {.name = "qeminga", .only_generic_errors = true},
    {.name = "virtainer-guest-agent", .longest_request = 65536, .too_long_closes = true},
}};

/// Serves one client after another on a UNIX socket.
class StrangeAgent {
 public:
  explicit StrangeAgent(const StrangeKind& kind)
      : kind_(kind), listener_(qga_test::listening_on(path())), thread_([this] { run(); }) {}
  StrangeAgent(const StrangeAgent&) = delete;
  StrangeAgent& operator=(const StrangeAgent&) = delete;
  ~StrangeAgent() {
    stopping_ = true;
    thread_.join();
  }

  std::string path() const { return directory_.file("qga.sock"); }
  /// Commands without an answer from now on.
  void be_silent_about(const std::string& command) {
    const std::lock_guard lock(mutex_);
    silent_about_.insert(command);
  }
  int executed(const std::string& command) {
    const std::lock_guard lock(mutex_);
    return executed_[command];
  }

 private:
  void run() {
    while (!stopping_) {
      if (!readable(listener_.get())) continue;
      const qga_test::Descriptor peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      input_.clear();
      while (!stopping_ && (!readable(peer.get()) || serve(peer))) {
      }
    }
  }
  static bool readable(int fd) {
    pollfd polled{fd, POLLIN, 0};
    return ::poll(&polled, 1, 20) > 0;
  }

  /// False: the connection has ended.
  bool serve(const qga_test::Descriptor& peer) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(peer.get(), buffer.data(), buffer.size());
    if (got <= 0) return false;
    input_.append(buffer.data(), static_cast<std::size_t>(got));
    if (kind_.sentinel == Sentinel::ends_agent && input_.find('\xFF') != std::string::npos) {
      input_.clear();
      return true;
    }
    for (auto end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      if (kind_.sentinel == Sentinel::strips_at_start && line.starts_with('\xFF')) line.erase(0, 1);
      if (line.empty()) continue;
      if (line.size() > kind_.longest_request) {
        if (kind_.too_long_closes) return false;
        continue;
      }
      if (const std::string answer = obey(line); !answer.empty()) {
        qga_test::write_all(peer, answer);
      }
      if (kind_.one_a_read) input_.clear();
    }
    return true;
  }

  std::string obey(const std::string& line) {
    const auto request = nlohmann::json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("execute")) {
      return error("GenericError", "invalid request", {});
    }
    const std::string command = request.at("execute");
    nlohmann::json id;
    if (kind_.echoes_ids && request.contains("id")) id = request.at("id");
    const auto arguments = request.value("arguments", nlohmann::json::object());
    {
      const std::lock_guard lock(mutex_);
      ++executed_[command];
      if (silent_about_.contains(command)) return {};
    }
    const bool delimited = command == "guest-sync-delimited";
    if (delimited || (command == "guest-sync" && kind_.has_plain_sync)) {
      return (delimited ? "\xFF" : "") + text({{"return", arguments.at("id")}}, id);
    }
    if (command == "guest-shutdown") {
      return kind_.answers_shutdown ? text({{"return", nlohmann::json::object()}}, id) : "";
    }
    const auto known = values().find(command);
    if (known == values().end() || (command == "guest-info" && !kind_.has_info)) {
      if (!kind_.answers_unknown) return {};
      return error(kind_.only_generic_errors ? "GenericError" : "CommandNotFound",
                   "unknown command " + command, id);
    }
    auto value = nlohmann::json::parse(known->second);
    if (kind_.writes_null_lists) make_null(value);
    return text({{"return", std::move(value)}}, id);
  }

  static const std::map<std::string, std::string>& values() {
    static const std::map<std::string, std::string> all{
        {"guest-ping", "{}"},
        {"guest-info", R"({"version": "1", "supported_commands": [
            {"name": "guest-ping", "enabled": true}, {"name": "guest-exec", "enabled": true}]})"},
        {"guest-get-osinfo", R"({"id": "strange", "name": "Strange", "version": "1"})"},
        {"guest-get-host-name", R"({"host-name": "strange"})"},
        {"guest-get-time", "1764324123456789000"},
        {"guest-get-timezone", R"({"offset": 3600, "zone": "CET"})"},
        {"guest-get-users", "[]"},
        {"guest-get-fsinfo", "[]"},
        {"guest-network-get-interfaces", R"([{"name": "lo", "ip-addresses": []}])"},
        {"guest-fsfreeze-status", R"("thawed")"},
        {"guest-exec", R"({"pid": 42})"},
        {"guest-exec-status", R"({"exited": true, "exitcode": 0, "out-data": "aGkK"})"},
        {"guest-file-open", "1000"},
        {"guest-file-seek", R"({"position": 0, "eof": false})"},
        {"guest-file-read", R"({"count": 2, "buf-b64": "aGk=", "eof": true})"},
        {"guest-file-write", R"({"count": 2, "eof": false})"},
        {"guest-file-close", "{}"}};
    return all;
  }

  static void make_null(nlohmann::json& value) {
    if (value.is_array() && value.empty()) value = nullptr;
    if (value.is_structured()) {
      for (auto& element : value) make_null(element);
    }
  }

  std::string error(const char* error_class, const std::string& desc, const nlohmann::json& id) {
    return text({{"error", {{"class", error_class}, {"desc", desc}}}}, id);
  }

  std::string text(nlohmann::json reply, const nlohmann::json& id) {
    if (!id.is_null()) reply["id"] = id;
    return (kind_.writes_doubles ? with_doubles(reply) : reply.dump()) + "\n";
  }

  static std::string with_doubles(const nlohmann::json& value) {
    if (value.is_number()) {
      std::array<char, 40> digits{};
      std::snprintf(digits.data(), digits.size(), "%.15g", value.get<double>());
      return digits.data();
    }
    if (!value.is_structured()) return value.dump();
    std::string members;
    for (const auto& [key, element] : value.items()) {
      if (!members.empty()) members += ',';
      if (value.is_object()) members += nlohmann::json(key).dump() + ":";
      members += with_doubles(element);
    }
    return value.is_object() ? "{" + members + "}" : "[" + members + "]";
  }

  const StrangeKind kind_;
  qga_test::TemporaryDirectory directory_;
  qga_test::Descriptor listener_;
  std::string input_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::set<std::string> silent_about_;
  std::map<std::string, int> executed_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace faults
