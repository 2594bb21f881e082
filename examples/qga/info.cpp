// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommands about the agent itself, info and ping, and raw, which sends a request that
// the user has written.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "each_guest.hpp"
#include "print.hpp"
#include "questions.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

/// What every guest is asked.
template <template <class> class Form>
using Known = Replies<Form<qga::GuestInfoRequest>, Form<qga::GuestGetHostNameRequest>,
                      Form<qga::GuestGetOsinfoRequest>, Form<qga::GuestGetTimezoneRequest>,
                      Form<qga::GuestGetTimeRequest>, Form<qga::GuestGetLoadRequest>>;
/// What is asked where a guest does not tell its system, as agents before 2.10 and some of BSD.
template <template <class> class Form>
using Instead =
    Replies<Form<qga::GuestNetworkGetInterfacesRequest>, Form<qga::GuestGetVcpusRequest>>;

template <class Request>
using AsType = Request;

/// The addresses that other machines may know.
std::string addresses_text(const std::vector<qga::GuestNetworkInterface>& interfaces) {
  std::vector<std::string> all;
  for (const auto& interface : interfaces) {
    for (const auto& ip : interface.ip_addresses.value_or(std::vector<qga::GuestIpAddress>())) {
      const std::string& text = ip.ip_address;
      const bool is_local = text.starts_with("127.") || text == "::1" ||
                            text.starts_with("169.254.") || text.starts_with("fe80:");
      if (!is_local) all.push_back(text);
    }
  }
  return joined(all, ", ");
}

Facts facts_of(const Known<AsType>& known, const Instead<AsType>& instead) {
  const auto& [agent, host, os, zone, now, load] = known.values;
  const auto& [interfaces, processors] = instead.values;
  Facts facts;
  const auto add = [&facts](std::string name, const auto& reply, auto text) {
    std::optional<std::string> value;
    if (reply) value = text(*reply);
    facts.push_back({std::move(name), std::move(value)});
  };
  add("agent", agent, [](const auto& it) { return it.version; });
  add("commands", agent, [](const auto& it) {
    const auto enabled =
        std::ranges::count_if(it.supported_commands, &qga::GuestAgentCommandInfo::enabled);
    return std::to_string(enabled) + " enabled of " + std::to_string(it.supported_commands.size());
  });
  add("host name", host, [](const auto& it) { return it.host_name; });
  add("system", os ? os->pretty_name : std::nullopt, [](const auto& name) { return name; });
  add("kernel", os, [](const auto& it) {
    return it.kernel_release.value_or("?") + " " + it.machine.value_or("");
  });
  add("addresses", interfaces, addresses_text);
  add("processors", processors, [](const auto& all) { return std::to_string(all.size()); });
  add("time zone", zone, [](const auto& it) { return it.zone.value_or("?"); });
  add("clock", now,
      [](auto it) { return time_text(qga::GuestTime(std::chrono::nanoseconds(it))); });
  add("load", load, [](const auto& it) { return load_text(it); });
  return facts;
}

Answer answer_of(const Known<AsType>& known, const Instead<AsType>& instead) {
  return {.text = facts_of(known, instead), .missing = missing_of(known.errors)};
}

Answer answer_of(const Known<AsJson>& known, const Instead<AsJson>& instead) {
  nlohmann::json document = document_of(known);
  add_members(document, instead);
  return {.json = std::move(document)};
}

/// @tparam Form how replies are wanted: AsType or AsJson
template <template <class> class Form>
void ask_who(GuestTask& task) {
  const auto then = [&task](const Known<Form>& known) {
    if (auto failure = failure_of(known.errors)) return task.fail(std::move(failure));
    if (std::get<2>(known.values)) return task.answer(answer_of(known, Instead<Form>()));
    const auto and_then = [&task, known](const Instead<Form>& instead) {
      task.answer(answer_of(known, instead));
    };
    send_together(task, and_then, Form<qga::GuestNetworkGetInterfacesRequest>(),
                  Form<qga::GuestGetVcpusRequest>());
  };
  send_together(task, then, Form<qga::GuestInfoRequest>(), Form<qga::GuestGetHostNameRequest>(),
                Form<qga::GuestGetOsinfoRequest>(), Form<qga::GuestGetTimezoneRequest>(),
                Form<qga::GuestGetTimeRequest>(), Form<qga::GuestGetLoadRequest>());
}

int info(Tool& tool) { return each_guest(tool, tool.json ? ask_who<AsJson> : ask_who<AsType>); }

int ping(Tool& tool) {
  return each_guest(tool, [](GuestTask& task) {
    // The first one makes the handshake, which must not be measured.
    task.ask(qga::GuestPingRequest(), [&task] {
      const auto start = qga::Clock::now();
      task.ask(qga::GuestPingRequest(), [&task, start] {
        const std::chrono::duration<double, std::milli> time = qga::Clock::now() - start;
        task.answer({.text = "answered in " + number_text(time.count(), 3) + " ms",
                     .json = {{"milliseconds", time.count()}}});
      });
    });
  });
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
