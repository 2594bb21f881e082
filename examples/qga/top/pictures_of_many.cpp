// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Pictures of many guests: each has a row with sums, as on the screen.
#include <iostream>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <asio/post.hpp>

#include "../print.hpp"
#include "pictures.hpp"
#include "watchers.hpp"

namespace qga_tool::top {

namespace {

template <class Text>
std::string or_dash(const std::optional<double>& value, Text text) {
  return value ? text(*value) : "-";
}

void add_row(Table& table, const Row& row) {
  const auto share = [](double value) { return percent_text(value, 1); };
  const auto load = [](double value) { return number_text(value, 2); };
  table.row({row.name, state_text(row), or_dash(row.cpu, share), or_dash(row.load, load),
             or_dash(row.memory, share), or_dash(row.read, rate_text),
             or_dash(row.written, rate_text), or_dash(row.received, rate_text),
             or_dash(row.sent, rate_text), row.fullest ? share(row.fullest->share) : "-",
             row.fullest ? row.fullest->mountpoint : "-", row.version});
}

std::string picture_of(const std::vector<const Watched*>& guests) {
  Table table({"GUEST", "STATE", ">CPU", ">LOAD", ">MEMORY", ">READ", ">WRITTEN", ">RECEIVED",
               ">SENT", ">FULLEST", "MOUNTPOINT", "AGENT"});
  for (const Watched* guest : guests) add_row(table, guest->row);
  std::string text = table.text();
  for (const Watched* guest : guests) {
    const Row& row = guest->row;
    if (row.gone || row.error.empty() || row.state == GuestState::frozen) continue;
    text += shown(row.name + ": " + row.error) + '\n';
  }
  return text;
}

nlohmann::json json_of(const Watched& guest) {
  nlohmann::json all = nlohmann::json::object();
  if (guest.usage) all = *guest.usage;
  all["guest"] = guest.guest.name;
  all["socket"] = guest.guest.address;
  all["state"] = guest.row.gone ? "gone" : guest.look ? state_name(guest.look->state) : "asking";
  if (!guest.row.error.empty()) all["error"] = guest.row.error;
  if (!guest.look) return all;
  if (!guest.look->version.empty()) all["version"] = guest.look->version;
  if (guest.look->state != GuestState::ready) return all;
  if (guest.look->sample.load) all["load"] = *guest.look->sample.load;
  if (const auto& memory = guest.look->memory) {
    all["memory"] = {{"total", memory->total}, {"available", memory->available}};
  }
  if (const auto& fullest = guest.row.fullest) {
    all["fullest"] = {{"mountpoint", fullest->mountpoint}, {"used", fullest->share}};
  }
  all["missing"] = guest.look->missing;
  return all;
}

/// Samples all guests, and waits until each has answered, but not longer than until a point in
/// time: a silent guest does not delay the others.
void sample(Tool& tool, Watchers& watchers, qga::Clock::time_point until) {
  watchers.sample();
  while (watchers.unanswered() > 0 && tool.stop.signal() == 0) {
    tool.context.restart();
    if (tool.context.run_one_until(until) == 0) break;
  }
}

int print_until_end(Tool& tool, const PictureParams& params) {
  Watchers watchers(tool, [] {});
  const std::stop_callback wake(tool.stop.token(), [&tool] { asio::post(tool.context, [] {}); });
  bool answered = false;
  auto time = qga::Clock::now();
  sample(tool, watchers, time + params.interval);
  for (std::uint64_t i = 0; (params.count == 0 || i < params.count) && std::cout; ++i) {
    time = std::max(time + params.interval, qga::Clock::now());
    if (tool.stop.wait(-1, time) == Stop::Woken::stopped) return 128 + tool.stop.signal();
    sample(tool, watchers, time + params.interval);
    if (tool.stop.signal() != 0) return 128 + tool.stop.signal();
    const std::vector<const Watched*> guests = watchers.guests();
    nlohmann::json documents = nlohmann::json::array();
    for (const Watched* guest : guests) {
      answered = answered || guest->row.state == GuestState::ready ||
                 guest->row.state == GuestState::frozen;
      if (tool.json) documents.push_back(json_of(*guest));
    }
    if (tool.json) {
      print_json_line(documents);
    } else {
      std::cout << (i > 0 ? "\n" : "") << picture_of(guests) << std::flush;
    }
  }
  if (!answered) {
    complain("no guest has answered");
    return exit_unreachable;
  }
  return exit_done;
}

}  // namespace

int print_pictures_of_many(Tool& tool, const PictureParams& params) {
  tool.guests.now();  // where there is none, that is an error
  const int status = print_until_end(tool, params);
  close_connections(tool);
  return status;
}

}  // namespace qga_tool::top
