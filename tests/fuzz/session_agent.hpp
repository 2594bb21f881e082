// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The other end of a session that is fuzzed: an agent in memory that hears as qemu-ga hears (a
// stream of objects, 0xFF resets the parser, one answer after the other), and knows of every
// request whether it ran, and when.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "fuzz.hpp"
#include "qga/detail/protocol/base64.hpp"

namespace fuzz {

/// What agents do with an `id`: 4.0 and later, 2.12, all others.
enum class Ids { echoed, ignored, rejected };

/// A request that ran. Requests are told apart by a number in their arguments.
struct Ran {
  std::size_t at = 0;                    ///< how many ran before, handshakes included
  std::optional<std::uint64_t> id = {};  ///< where it came with one
  bool id_was_told = false;              ///< its id stands in what the client was sent since
};

class Agent {
 public:
  explicit Agent(Ids ids) : ids_(ids) {}

  static constexpr std::string_view not_understood = "Invalid JSON syntax";

  /// Some are refused, always the same.
  static bool refuses(std::uint64_t number) { return number % 4 == 3; }

  void hear(std::string_view bytes) {
    if (is_down) return;
    for (const char c : bytes) {
      heard_ += c;
      if (c == '\xFF') {
        forget();
        say(R"({"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}})"
            "\n");
      } else if (quoted_) {
        quoted_ = c != '"' || escaped_;
        escaped_ = c == '\\' && !escaped_;
      } else if (c == '"') {
        quoted_ = true;
      } else if (c == '{') {
        ++depth_;
      } else if (c == '}' && depth_ > 0 && --depth_ == 0) {
        const auto request = nlohmann::json::parse(heard_, nullptr, false);
        if (request.is_object() && request.contains("execute")) {
          run(request);
        } else {  // some of it came while the agent was down
          say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"" +
              std::string(not_understood) + "\"}}\n");
        }
        forget();
      }
    }
  }

  /// For the client, sooner or later.
  void say(std::string_view bytes) { said_ += bytes; }
  bool has_said() const { return !said_.empty(); }
  std::string take(std::size_t bytes) {
    std::string taken = said_.substr(0, bytes);
    said_.erase(0, taken.size());
    taken_ += taken.size();
    while (!syncs_.empty() && syncs_.begin()->first <= taken_) {
      answered_sync = syncs_.begin()->second;
      syncs_.erase(syncs_.begin());
    }
    return taken;
  }

  /// It is started again: what it heard is forgotten, and what it said breaks off.
  void restart(std::size_t keep) {
    forget();
    said_.resize(std::min(keep, said_.size()));
    syncs_.erase(syncs_.upper_bound(taken_ + said_.size()), syncs_.end());
  }
  /// What it said goes with the connection, but not what it heard: its parser is not reset.
  void disconnect() {
    said_.clear();
    syncs_.clear();
  }

  std::map<std::uint64_t, Ran> ran;  ///< by number
  std::size_t runs = 0;              ///< requests in all
  std::size_t answered_sync = 0;     ///< `runs` at the latest sync whose answer was taken
  std::uint64_t sync_id = 0;         ///< of the latest one
  bool is_down = false;              ///< hears nothing

 private:
  void forget() {
    heard_.clear();
    depth_ = 0;
    quoted_ = escaped_ = false;
  }

  void run(const nlohmann::json& request) {
    ++runs;
    const bool has_id = request.contains("id");
    const std::string echo =
        has_id && ids_ == Ids::echoed ? ", \"id\": " + request["id"].dump() : "";
    if (has_id && ids_ == Ids::rejected) {
      return say(
          "{\"error\": {\"class\": \"GenericError\", "
          "\"desc\": \"QMP input object member 'id' is unexpected\"}}\n");
    }
    const std::string command = request.at("execute");
    const auto& arguments = request.at("arguments");
    if (command == "guest-sync") {
      return say("{\"return\": " + arguments.at("id").dump() + echo + "}\n");
    }
    if (command == "guest-sync-delimited") {
      sync_id = arguments.at("id");
      say("\xFF{\"return\": " + std::to_string(sync_id) + echo + "}\n");
      syncs_[taken_ + said_.size()] = runs;
      return;
    }

    const std::uint64_t number = arguments.contains("n") ? arguments["n"] : arguments.at("handle");
    require(!ran.contains(number), "a request is sent once");
    Ran& now = ran[number];
    now.at = runs;
    if (has_id) now.id = request["id"].get<std::uint64_t>();
    now.id_was_told = !echo.empty();
    if (refuses(number)) {
      say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + std::to_string(number) +
          "\"}" + echo + "}\n");
    } else if (command == "guest-file-read") {
      std::string payload;
      qga::detail::base64_encode(std::to_string(number), payload);
      say("{\"return\": {\"count\": " + std::to_string(number) + ", \"buf-b64\": \"" + payload +
          "\", \"eof\": false}" + echo + "}\n");
    } else if (command != "guest-shutdown") {
      say("{\"return\": {\"n\": " + std::to_string(number) + "}" + echo + "}\n");
    }
  }

  Ids ids_;
  std::string heard_;
  int depth_ = 0;
  bool quoted_ = false;
  bool escaped_ = false;
  std::string said_;
  std::size_t taken_ = 0;                     ///< bytes of what was said, in all
  std::map<std::size_t, std::size_t> syncs_;  ///< `runs` by where their answers end
};

}  // namespace fuzz
