// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A scripted agent on which every helper succeeds. Programs never end, but for shells, which
// helpers run for themselves. A test then changes the one command that it is about.
#pragma once

#include <cstddef>
#include <string>

#include "faults.hpp"

namespace faults {

/// The process id of every program that the agent starts, and that of every shell.
inline constexpr int good_pid = 77;
inline constexpr int shell_pid = 78;

/// Starts a shell or another program.
inline script::Action starts_program() {
  return [](const Heard& heard) {
    const bool is_shell = heard.arguments.value("path", "") == "/bin/sh";
    return script::returns("{\"pid\": " + std::to_string(is_shell ? shell_pid : good_pid) + "}");
  };
}

/// A shell has ended.
inline script::Action tells_status() {
  return [](const Heard& heard) {
    const bool is_shell = heard.arguments.value("pid", 0) == shell_pid;
    return script::returns(is_shell ? R"({"exited": true, "exitcode": 0})"
                                    : R"({"exited": false})");
  };
}

/// Answers a seek with the position that was asked for; the end of every file is at `size`.
inline script::Action seeks(std::size_t size) {
  return [size](const Heard& heard) {
    const auto whence = heard.arguments.value("whence", nlohmann::json());
    const bool from_end = whence == "end" || whence == 2;
    const auto offset = from_end ? size : heard.arguments.at("offset").get<std::size_t>();
    return script::returns("{\"position\": " + std::to_string(offset) + ", \"eof\": false}");
  };
}

/// Answers a write with the number of bytes that were sent.
inline script::Action counts_bytes() {
  return [](const Heard& heard) {
    const auto& text = heard.arguments.at("buf-b64").get_ref<const std::string&>();
    std::size_t bytes = text.size() / 4 * 3;
    for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) --bytes;
    return script::returns("{\"count\": " + std::to_string(bytes) + ", \"eof\": false}");
  };
}

/// A reply to `guest-file-read` with three bytes.
inline constexpr const char* three_bytes = R"({"count": 3, "buf-b64": "YWJj", "eof": false})";
/// The last reply to `guest-file-read`.
inline constexpr const char* end_of_file = R"({"count": 0, "buf-b64": "", "eof": true})";

/// Gives an agent its good behaviour, for the first time or again.
inline void behave(ScriptedAgent& agent) {
  agent.on("guest-info", script::returns(R"({"version": "9.9", "supported_commands": []})"));
  agent.on("guest-get-host-name", script::returns(R"({"host-name": "good"})"));
  agent.on("guest-exec", starts_program());
  agent.on("guest-exec-status", tells_status());
  agent.on("guest-file-open", script::returns("1000"));
  agent.on("guest-file-seek", seeks(3));
  agent.on("guest-file-read", script::returns(three_bytes));
  agent.on("guest-file-write", counts_bytes());
  agent.on("guest-file-flush", script::returns("{}"));
  agent.on("guest-file-close", script::returns("{}"));
  agent.on("guest-fsfreeze-freeze", script::returns("2"));
  agent.on("guest-fsfreeze-status", script::returns("\"thawed\""));
  agent.on("guest-fsfreeze-thaw", script::returns("2"));
  agent.on("guest-get-cpustats", script::returns("[]"));
  agent.on("guest-get-diskstats", script::returns("[]"));
  agent.on("guest-network-get-interfaces", script::returns("[]"));
  agent.on("guest-get-load", script::returns(R"({"load1m": 0, "load5m": 0, "load15m": 0})"));
}

}  // namespace faults
