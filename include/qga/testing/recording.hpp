// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Requests and replies of a real guest, for an `Agent` to replay.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <fstream>
#include <istream>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/params.hpp"

namespace qga::inline v0_1::testing {

/// A recorded session: what was asked, and what the agent replied. It is a file of lines such as
///
///     {"request": "{\"execute\": \"guest-get-host-name\"}", "reply": "{\"return\": {...}}"}
///
/// or comes from a client's trace. Handshakes are left out: an agent makes its own. Not for several
/// threads at once.
class Recording {
 public:
  /// A request and its reply.
  struct Exchange {
    std::string command;                 ///< the wire name
    nlohmann::json arguments = nullptr;  ///< an object; null where the request has none
    nlohmann::json reply = nullptr;      ///< an object with `return` or `error`, without an `id`
  };

  /// Reads lines as above. Members other than `request` and `reply` are ignored, and so are lines
  /// whose request or reply is no JSON object, as those of broken sessions.
  /// @throws std::runtime_error a line is no JSON object
  static Recording read(std::istream& from) {
    Recording recording;
    std::size_t number = 0;
    for (std::string line; std::getline(from, line);) {
      ++number;
      if (line.empty()) continue;
      const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
      if (!entry.is_object()) {
        throw std::runtime_error("line " + std::to_string(number) +
                                 " of a recording must be a JSON object");
      }
      const nlohmann::json request = parsed(entry, "request");
      nlohmann::json reply = parsed(entry, "reply");
      if (is_request(request) && is_reply(reply)) recording.add(request, std::move(reply));
    }
    return recording;
  }

  /// Reads a file of such lines.
  /// @throws std::runtime_error it cannot be opened, or a line is no JSON object
  static Recording load(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path.string());
    return read(file);
  }

  /// Writes such lines.
  void write(std::ostream& to) const {
    for (const Exchange& one : exchanges_) {
      nlohmann::json request{{"execute", one.command}};
      if (!one.arguments.is_null()) request["arguments"] = one.arguments;
      to << nlohmann::json{{"request", request.dump()}, {"reply", one.reply.dump()}}.dump() << '\n';
    }
  }

  /// Adds what a client sends and receives, for `ClientParams::trace`. A trace leaves passwords,
  /// the contents of files and what goes into and comes out of programs out, and cuts lines of more
  /// than 1 KiB: such requests and replies are not recorded. This must outlive the client.
  Trace trace() {
    return [this](TraceDirection direction, std::string_view line) { hear(direction, line); };
  }

  /// What was recorded, in order.
  const std::vector<Exchange>& exchanges() const { return exchanges_; }

 private:
  /// A request in a trace whose reply has not come yet.
  struct Sent {
    nlohmann::json request;  ///< discarded: the trace has not shown all of it
    nlohmann::json id;
  };

  static nlohmann::json parsed(const nlohmann::json& entry, const char* member) {
    const auto found = entry.find(member);
    if (found == entry.end() || !found->is_string()) return nullptr;
    return nlohmann::json::parse(found->get_ref<const std::string&>(), nullptr, false);
  }
  static bool is_request(const nlohmann::json& json) {
    return json.is_object() && json.contains("execute") && json["execute"].is_string();
  }
  static bool is_reply(const nlohmann::json& json) {
    return json.is_object() && (json.contains("return") || json.contains("error"));
  }
  static nlohmann::json sync_id(const nlohmann::json& request) {
    const auto arguments = request.find("arguments");
    if (arguments == request.end() || !arguments->is_object()) return nullptr;
    return arguments->value("id", nlohmann::json());
  }
  static bool is_handshake(const nlohmann::json& request) {
    return is_request(request) &&
           request["execute"].get_ref<const std::string&>().starts_with("guest-sync");
  }

  void add(const nlohmann::json& request, nlohmann::json reply) {
    if (is_handshake(request)) return;
    reply.erase("id");
    exchanges_.push_back({request["execute"].get<std::string>(),
                          request.value("arguments", nlohmann::json()), std::move(reply)});
  }

  void hear(TraceDirection direction, std::string_view line) {
    if (line.empty()) return;
    nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (direction == TraceDirection::sent && line.front() == '{') {
      nlohmann::json id = json.is_object() ? json.value("id", nlohmann::json()) : nlohmann::json();
      sent_.push_back({std::move(json), std::move(id)});
    } else if (direction == TraceDirection::received) {
      hear_reply(std::move(json));
    }
  }

  /// Replies come in the order of the requests. Where the reply to a handshake, or an id, tells
  /// which request is answered, those ahead of it have got no reply.
  void hear_reply(nlohmann::json reply) {
    const bool is_shown = is_reply(reply);
    if (is_shown) {
      const auto answered = std::find_if(sent_.begin(), sent_.end(), [&](const Sent& sent) {
        if (is_handshake(sent.request))
          return sync_id(sent.request) == reply.value("return", nlohmann::json());
        return reply.contains("id") && sent.id == reply["id"];
      });
      if (answered != sent_.end()) sent_.erase(sent_.begin(), answered);
    }
    if (sent_.empty()) return;
    const Sent answered = std::move(sent_.front());
    sent_.pop_front();
    if (is_shown && is_request(answered.request)) add(answered.request, std::move(reply));
  }

  std::vector<Exchange> exchanges_;
  std::deque<Sent> sent_;
};

}  // namespace qga::inline v0_1::testing
