// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommands about the agent itself, info, ping and wait, and raw, which sends a request that
// the user has written.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "answer.hpp"
#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

int info(Tool& tool) {
  Overview overview(tool);
  if (tool.json) {
    overview.print_json<qga::GuestInfoRequest, qga::GuestGetHostNameRequest,
                        qga::GuestGetOsinfoRequest, qga::GuestGetTimezoneRequest,
                        qga::GuestGetTimeRequest, qga::GuestGetLoadRequest>();
    return 0;
  }
  Table table;
  if (const auto agent = overview.ask(qga::GuestInfoRequest())) {
    const auto enabled =
        std::ranges::count_if(agent->supported_commands, &qga::GuestAgentCommandInfo::enabled);
    table.row({"agent", agent->version});
    table.row({"commands", std::to_string(enabled) + " enabled of " +
                               std::to_string(agent->supported_commands.size())});
  }
  if (const auto host = overview.ask(qga::GuestGetHostNameRequest())) {
    table.row({"host name", host->host_name});
  }
  if (const auto os = overview.ask(qga::GuestGetOsinfoRequest())) {
    if (os->pretty_name) table.row({"system", *os->pretty_name});
    table.row({"kernel", os->kernel_release.value_or("?") + " " + os->machine.value_or("")});
  }
  if (const auto zone = overview.ask(qga::GuestGetTimezoneRequest())) {
    table.row({"time zone", zone->zone.value_or("?")});
  }
  if (const auto now = overview.ask(qga::GuestGetTimeRequest())) {
    table.row({"clock", time_text(qga::GuestTime(std::chrono::nanoseconds(*now)))});
  }
  if (const auto load = overview.ask(qga::GuestGetLoadRequest())) {
    table.row({"load", load_text(*load)});
  }
  overview.print(table);
  return 0;
}

int ping(Tool& tool) {
  tool.ga().ping();  // makes the handshake, which must not be measured
  const auto start = qga::Clock::now();
  tool.ga().ping();
  const std::chrono::duration<double, std::milli> time = qga::Clock::now() - start;
  if (tool.json) {
    print_json(nlohmann::json{{"milliseconds", time.count()}});
  } else {
    print("answered in " + number_text(time.count(), 3) + " ms");
  }
  return 0;
}

int raw(Tool& tool, const std::string& text) {
  const auto request = nlohmann::json::parse(text, nullptr, false);
  if (!request.is_object() || !request.contains("execute") || !request["execute"].is_string()) {
    throw UsageError("raw takes {\"execute\": \"guest-...\", \"arguments\": {...}}");
  }
  for (const auto& [key, value] : request.items()) {
    if (key != "execute" && key != "arguments") {
      throw UsageError("raw: unexpected member '" + key + "'");
    }
  }
  const nlohmann::json arguments = request.value("arguments", nlohmann::json());
  print_json(tool.ga().execute(request["execute"].get<std::string>(), arguments));
  return 0;
}

}  // namespace

void define_info(CLI::App& app, Tool& tool) {
  define(app, tool, "info", "Show who the guest is, and what its agent can do",
         [&tool] { return info(tool); });
  define(app, tool, "ping", "Ask whether the agent answers, and how long it takes",
         [&tool] { return ping(tool); });
}

void define_raw(CLI::App& app, Tool& tool) {
  const auto request = std::make_shared<std::string>();
  CLI::App* const sub = define(app, tool, "raw", "Send a request of your own and print the reply",
                               [&tool, request] { return raw(tool, *request); });
  sub->add_option("JSON", *request, "{\"execute\": \"guest-...\", \"arguments\": {...}}")
      ->required();
  sub->footer("The list of processes of this machine shows the request, with all secrets in it.");
}

}  // namespace qga_tool
