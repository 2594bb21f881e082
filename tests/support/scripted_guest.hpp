// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A scripted agent that has a guest behind it: files and their handles, programs, keys, a clock,
// and file systems that freeze. It runs nothing and freezes nothing. Handles begin at 1000 and
// process ids at 5000 in every boot, as those of qemu-ga may.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "scripted_agent.hpp"

namespace qga_test {

inline constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string to_base64(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
    };
    const std::uint32_t bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (std::size_t digit = 0; digit < 4; ++digit) {
      text += i + digit > bytes.size() ? '=' : base64_digits[bits >> (18 - 6 * digit) & 63];
    }
  }
  return text;
}

inline std::string from_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char digit : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<std::uint32_t>(base64_digits.find(digit));
    if ((count += 6) < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 255);
  }
  return bytes;
}

class ScriptedGuest : public ScriptedAgent {
  struct Handle {
    std::string path;
    std::size_t position = 0;
  };

  struct State {
    std::mutex mutex;
    std::map<std::string, std::string> files;
    std::map<std::int64_t, Handle> handles;
    std::int64_t next_handle = 1000;
    std::map<std::int64_t, int> programs;  ///< how often each is still found running
    std::int64_t next_pid = 5000;
    nlohmann::json keys = nlohmann::json::array();
    bool frozen = false;

    /// @return the member of the reply that tells what came of it
    std::string carry_out(const Heard& heard) {
      const std::lock_guard lock(mutex);
      const nlohmann::json& given = heard.arguments;
      const std::string& command = heard.command;
      if (frozen && command != "guest-info" && command != "guest-fsfreeze-status" &&
          command != "guest-fsfreeze-thaw") {
        return error("the command is disabled while frozen", "CommandNotFound");
      }
      if (command.starts_with("guest-file-")) return file(command, given);
      if (command == "guest-exec") return start(given);
      if (command == "guest-exec-status") return status(given.at("pid"));
      if (command.starts_with("guest-fsfreeze-")) return freeze(command);
      if (command == "guest-get-time") return value(1'700'000'000'000'000'000);
      if (command == "guest-ssh-get-authorized-keys") return value({{"keys", keys}});
      if (command == "guest-ssh-add-authorized-keys") {
        keys.insert(keys.end(), given.at("keys").begin(), given.at("keys").end());
      }
      if (command == "guest-get-host-name") return value({{"host-name", "scripted"}});
      if (command == "guest-get-load") return value({{"load1m", 1}, {"load5m", 1}, {"load15m", 1}});
      if (command == "guest-info") {
        return value({{"version", "9.0"}, {"supported_commands", nlohmann::json::array()}});
      }
      if (command.ends_with("stats") || command.ends_with("interfaces")) {
        return value(nlohmann::json::array());
      }
      return value(nlohmann::json::object());
    }

   private:
    static std::string value(const nlohmann::json& json) { return "\"return\": " + json.dump(); }
    static std::string error(const std::string& desc, const std::string& kind = "GenericError") {
      return "\"error\": " + nlohmann::json{{"class", kind}, {"desc", desc}}.dump();
    }

    std::string file(const std::string& command, const nlohmann::json& given) {
      if (command == "guest-file-open") {
        const std::string path = given.at("path");
        const std::string mode = given.value("mode", "r");
        if (mode.front() == 'r' && !files.contains(path)) return error("No such file");
        std::string& bytes = files[path];
        if (mode.front() == 'w') bytes.clear();
        handles[next_handle] = {path, mode.front() == 'a' ? bytes.size() : 0};
        return value(next_handle++);
      }
      const auto found = handles.find(given.at("handle"));
      if (found == handles.end()) return error("handle has not been found");
      Handle& handle = found->second;
      std::string& bytes = files[handle.path];
      if (command == "guest-file-close") {
        handles.erase(found);
      } else if (command == "guest-file-read") {
        const std::size_t count = given.value("count", std::size_t{4096});
        handle.position = std::min(handle.position, bytes.size());
        const std::string piece = bytes.substr(handle.position, count);
        handle.position += piece.size();
        return value({{"count", piece.size()},
                      {"buf-b64", to_base64(piece)},
                      {"eof", piece.size() < count}});
      } else if (command == "guest-file-write") {
        const std::string piece = from_base64(given.at("buf-b64").get<std::string>());
        bytes.resize(std::max(bytes.size(), handle.position + piece.size()));
        bytes.replace(handle.position, piece.size(), piece);
        handle.position += piece.size();
        return value({{"count", piece.size()}, {"eof", false}});
      } else if (command == "guest-file-seek") {
        const bool from_end = given.at("whence") == "end" || given.at("whence") == 2;
        handle.position = (from_end ? bytes.size() : 0) + given.at("offset").get<std::size_t>();
        return value({{"position", handle.position}, {"eof", false}});
      }
      return value(nlohmann::json::object());
    }

    /// Makes and removes the files that a shell or rm is told to. All else only takes its time.
    std::string start(const nlohmann::json& given) {
      const auto args = given.value("arg", std::vector<std::string>());
      const std::string script = args.size() > 1 && args[0] == "-c" ? args[1] : "";
      const bool removes = given.at("path") == "/bin/rm" || script.find("rm ") != script.npos;
      for (const std::string& arg : args) {
        if (arg.starts_with("/tmp/qga-") && removes) files.erase(arg);
        if (arg.starts_with("/tmp/qga-") && script.find(": >") != script.npos) files[arg];
      }
      if (script.starts_with("kill ")) {
        for (auto& [pid, left] : programs) left = 0;
      }
      programs[next_pid] = given.at("path") == "/forever" ? 1'000'000 : 1;
      return value({{"pid", next_pid++}});
    }
    std::string status(std::int64_t pid) {
      const auto found = programs.find(pid);
      if (found == programs.end()) return error("PID does not exist");
      if (found->second-- > 0) return value({{"exited", false}});
      programs.erase(found);
      return value({{"exited", true}, {"exitcode", 0}, {"out-data", to_base64("out")}});
    }

    std::string freeze(const std::string& command) {
      if (command == "guest-fsfreeze-status") return value(frozen ? "frozen" : "thawed");
      const bool was = std::exchange(frozen, command != "guest-fsfreeze-thaw");
      return value(frozen || was ? 2 : 0);
    }
  };

  template <class Look>
  auto locked(Look look) const {
    const std::lock_guard lock(state_->mutex);
    return look(*state_);
  }

 public:
  explicit ScriptedGuest(Ids ids = Ids::echoed) : ScriptedAgent(ids) {
    for (const char* const command : {"guest-info",
                                      "guest-file-open",
                                      "guest-file-read",
                                      "guest-file-write",
                                      "guest-file-seek",
                                      "guest-file-flush",
                                      "guest-file-close",
                                      "guest-exec",
                                      "guest-exec-status",
                                      "guest-fsfreeze-freeze",
                                      "guest-fsfreeze-freeze-list",
                                      "guest-fsfreeze-thaw",
                                      "guest-fsfreeze-status",
                                      "guest-get-time",
                                      "guest-set-time",
                                      "guest-ssh-get-authorized-keys",
                                      "guest-ssh-add-authorized-keys",
                                      "guest-get-cpustats",
                                      "guest-get-diskstats",
                                      "guest-network-get-interfaces",
                                      "guest-get-load",
                                      "guest-get-host-name"}) {
      on(command, behaves());
    }
  }

  /// Carries a request out and answers.
  Action behaves() const {
    return [state = state_](ScriptedAgent& agent, const Heard& heard) {
      agent.answer(heard, state->carry_out(heard));
    };
  }
  /// Carries a request out and does not answer.
  Action loses_its_answer() const {
    return [state = state_](ScriptedAgent&, const Heard& heard) { state->carry_out(heard); };
  }

  // ---- what it is like inside ----------------------------------------------------------------

  bool frozen() const {
    return locked([](State& in) { return in.frozen; });
  }
  /// Thaws it as an administrator within the guest does.
  void thaw_inside() {
    locked([](State& in) { return in.frozen = false; });
  }
  std::size_t thaws() const { return executed("guest-fsfreeze-thaw"); }
  /// How many handles are open.
  std::size_t handles() const {
    return locked([](State& in) { return in.handles.size(); });
  }
  void put(const std::string& path, std::string bytes) {
    locked([&](State& in) { return (in.files[path] = std::move(bytes), true); });
  }
  std::string get(const std::string& path) const {
    return locked([&](State& in) { return in.files[path]; });
  }
  std::size_t files() const {
    return locked([](State& in) { return in.files.size(); });
  }
  /// The handles are gone; the next ones begin from the start.
  void restart_agent() {
    locked([](State& in) {
      in.handles.clear();
      return in.next_handle = 1000;
    });
  }

 private:
  // Shared with the actions: the agent's thread may still run one when this is destroyed.
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace qga_test
