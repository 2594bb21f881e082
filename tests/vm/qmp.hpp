// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells QEMU what to do with a virtual machine, over its monitor socket.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

namespace vm_test {

class Qmp {
 public:
  explicit Qmp(const std::string& path) : stream_(asio::local::stream_protocol::endpoint(path)) {
    next();  // the greeting
    execute("qmp_capabilities");
  }

  /// Gives what QEMU returns; its errors are exceptions.
  nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
    nlohmann::json request{{"execute", command}};
    if (!arguments.is_null()) request["arguments"] = std::move(arguments);
    stream_ << request.dump() << std::endl;
    for (;;) {
      nlohmann::json answer = next();
      if (answer.contains("return")) return answer["return"];
      if (answer.contains("error")) throw std::runtime_error("QMP: " + answer["error"].dump());
      if (answer.contains("event")) events_.push_back(answer["event"]);
    }
  }

  /// Waits for an event, unless it has come already.
  void wait_for(std::string_view event) {
    while (std::erase(events_, event) == 0) {
      const nlohmann::json answer = next();
      if (answer.contains("event")) events_.push_back(answer["event"]);
    }
  }

  /// Such as running, paused or suspended.
  std::string status() { return execute("query-status").at("status"); }

 private:
  nlohmann::json next() {
    stream_.expires_after(std::chrono::seconds(60));
    std::string line;
    if (!std::getline(stream_, line)) throw std::runtime_error("QMP: nothing comes any more");
    return nlohmann::json::parse(line);
  }

  asio::local::stream_protocol::iostream stream_;
  std::vector<std::string> events_;
};

}  // namespace vm_test
