// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tables about the guest: ls-commands, fs, net, disks, cpu, users; and trim, whose result is one.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "answer.hpp"
#include "each_guest.hpp"
#include "print.hpp"
#include "questions.hpp"
#include "tool.hpp"
#include "watch.hpp"

namespace qga_tool {

namespace {

int list_commands(Tool& tool) {
  const auto show = [](qga::GuestAgentInfo info) {
    std::ranges::sort(info.supported_commands, {}, &qga::GuestAgentCommandInfo::name);
    Table table({"COMMAND", "ENABLED"});
    for (const auto& command : info.supported_commands) {
      table.row({command.name, command.enabled ? "yes" : "no"});
    }
    return Answer{.text = table, .nothing = "no commands"};
  };
  return ask_each(tool, show, qga::GuestInfoRequest());
}

int file_systems(Tool& tool) {
  const auto show = [](const auto& all) {
    Table table({"MOUNTPOINT", "TYPE", ">SIZE", ">USED", ">USE", "DEVICE", "DISKS"});
    for (const auto& fs : all) {
      std::vector<std::string> disks;
      for (const auto& disk : fs.disk) disks.push_back(disk.dev.value_or("?"));
      const bool known = fs.total_bytes && fs.used_bytes;
      table.row({fs.mountpoint, fs.type, known ? size_text(*fs.total_bytes) : "",
                 known ? size_text(*fs.used_bytes) : "",
                 known ? percent_text(static_cast<double>(*fs.used_bytes),
                                      static_cast<double>(*fs.total_bytes))
                       : "",
                 fs.name, joined(disks, ", ")});
    }
    return Answer{.text = table, .nothing = "no file systems"};
  };
  return ask_each(tool, show, qga::GuestGetFsinfoRequest());
}

/// An address with its prefix. Guests send -1 where they do not know the prefix.
std::string address_text(const qga::GuestIpAddress& ip) {
  const int longest = ip.ip_address_type == qga::GuestIpAddressType::ipv4 ? 32 : 128;
  const bool known = ip.prefix >= 0 && ip.prefix <= longest;
  return ip.ip_address + (known ? "/" + std::to_string(ip.prefix) : "");
}

/// The sum over the devices, each once.
Answer sum_of(const std::vector<qga::GuestFilesystemInfo>& all) {
  std::set<std::string> devices;
  std::uint64_t size = 0;
  std::uint64_t used = 0;
  for (const auto& fs : all) {
    if (!is_counted(fs) || !devices.insert(fs.name).second) continue;
    size += *fs.total_bytes;
    used += *fs.used_bytes;
  }
  Table table({">DEVICES", ">SIZE", ">USED", ">USE"});
  table.row({std::to_string(devices.size()), size_text(size), size_text(used),
             percent_text(static_cast<double>(used), static_cast<double>(size))});
  return {.text = table,
          .json = {{"devices", devices.size()}, {"total-bytes", size}, {"used-bytes", used}}};
}

int total(Tool& tool) {
  return each_guest(tool, [](GuestTask& task) {
    task.ask(qga::GuestGetFsinfoRequest(), [&task](const auto& all) { task.answer(sum_of(all)); });
  });
}

int trim(Tool& tool, std::int64_t minimum) {
  const auto show = [](const qga::GuestFilesystemTrimResponse& trimmed) {
    Table table({"MOUNTPOINT", ">TRIMMED", "ERROR"});
    int status = exit_done;
    for (const auto& one : trimmed.paths) {
      const bool known = one.trimmed && *one.trimmed >= 0;
      table.row({one.path, known ? size_text(static_cast<std::uint64_t>(*one.trimmed)) : "",
                 one.error.value_or("")});
      if (one.error) status = exit_failed;
    }
    return Answer{.text = table, .nothing = "no file systems", .status = status};
  };
  return ask_each(tool, show, qga::GuestFstrimRequest(minimum));
}

int interfaces(Tool& tool) {
  const auto show = [](const auto& all) {
    Table table({"INTERFACE", "HARDWARE", "ADDRESS", ">RECEIVED", ">SENT"});
    for (const auto& interface : all) {
      std::string rx, tx;
      if (interface.statistics) {
        rx = size_text(interface.statistics->rx_bytes);
        tx = size_text(interface.statistics->tx_bytes);
      }
      std::vector<std::string> addresses;
      for (const auto& ip : interface.ip_addresses.value_or(std::vector<qga::GuestIpAddress>())) {
        addresses.push_back(address_text(ip));
      }
      if (addresses.empty()) addresses.emplace_back();
      table.row({interface.name, interface.hardware_address.value_or(""), addresses[0], rx, tx});
      for (std::size_t i = 1; i < addresses.size(); ++i) table.row({"", "", addresses[i]});
    }
    return Answer{.text = table, .nothing = "no interfaces"};
  };
  return ask_each(tool, show, qga::GuestNetworkGetInterfacesRequest());
}

int routes(Tool& tool) {
  const auto show = [](const auto& all) {
    Table table({"DESTINATION", "GATEWAY", "INTERFACE", ">METRIC"});
    for (const auto& route : all) {
      const auto prefix = route.desprefixlen ? route.desprefixlen : route.mask;
      const auto gateway = route.gateway ? route.gateway : route.nexthop;
      const bool known = prefix && !prefix->starts_with('-');
      table.row({route.destination + (known ? "/" + *prefix : ""), gateway.value_or(""),
                 route.iface, route.metric < 0 ? "" : std::to_string(route.metric)});
    }
    return Answer{.text = table, .nothing = "no routes"};
  };
  return ask_each(tool, show, qga::GuestNetworkGetRouteRequest());
}

int disks(Tool& tool) {
  const auto show = [](const auto& all) {
    Table table({"DEVICE", "KIND", "BUS", "SERIAL", "ALIAS", "MADE OF"});
    for (const auto& disk : all) {
      std::string bus, serial;
      if (disk.address) {
        bus = qga::wire_name(disk.address->bus_type);
        serial = disk.address->serial.value_or("");
      }
      table.row({disk.name, disk.partition ? "partition" : "disk", bus, serial,
                 disk.alias.value_or(""),
                 joined(disk.dependencies.value_or(std::vector<std::string>()), ", ")});
    }
    return Answer{.text = table, .nothing = "no disks"};
  };
  return ask_each(tool, show, qga::GuestGetDisksRequest());
}

/// The shares of the time since boot that a processor was busy or idle.
std::vector<std::string> share_cells(const qga::GuestLinuxCpuStats& stats) {
  const auto sum = [](auto... parts) { return (static_cast<double>(parts) + ...); };
  const double user = sum(stats.user, stats.nice);
  const double system = sum(stats.system, stats.irq.value_or(0), stats.softirq.value_or(0));
  const double idle = sum(stats.idle, stats.iowait.value_or(0));
  const double whole = user + system + idle + sum(stats.steal.value_or(0));
  return {percent_text(user, whole), percent_text(system, whole), percent_text(idle, whole)};
}

/// Either answer may be missing, or lack a processor.
Answer processors_of(const std::optional<std::vector<qga::GuestLogicalProcessor>>& all,
                     const std::optional<std::vector<qga::GuestCpuStats>>& stats) {
  std::map<std::int64_t, std::vector<std::string>> rows;  // the cells of each processor
  for (const auto& cpu : all.value_or(std::vector<qga::GuestLogicalProcessor>())) {
    rows[cpu.logical_id] = {std::to_string(cpu.logical_id), cpu.online ? "online" : "offline",
                            cpu.can_offline.value_or(false) ? "yes" : "no"};
  }
  for (const auto& cpu : stats.value_or(std::vector<qga::GuestCpuStats>())) {
    if (!cpu.linux_) continue;
    std::vector<std::string>& cells = rows[cpu.linux_->cpu];
    if (cells.empty()) cells = {std::to_string(cpu.linux_->cpu), "", ""};
    if (cells.size() > 3) continue;  // the guest has sent this processor twice
    const std::vector<std::string> shares = share_cells(*cpu.linux_);
    cells.insert(cells.end(), shares.begin(), shares.end());
  }
  Table table({">CPU", "STATE", "CAN GO OFFLINE", ">USER", ">SYSTEM", ">IDLE"});
  for (const auto& [cpu, cells] : rows) table.row(cells);
  return {.text = table, .nothing = "no processors"};
}

int processors(Tool& tool) {
  return ask_each(tool, processors_of, qga::GuestGetVcpusRequest(), qga::GuestGetCpustatsRequest());
}

int users(Tool& tool) {
  const auto show = [](const auto& all) {
    Table table({"USER", "DOMAIN", "SINCE"});
    for (const auto& user : all) {
      // A guest may send any number: only times from 1970 to 2096 are shown.
      const bool plausible = user.login_time >= 0 && user.login_time < 4e9;
      const std::chrono::duration<double> since(plausible ? user.login_time : 0);
      table.row({user.user, user.domain.value_or(""),
                 plausible ? time_text(qga::GuestTime(
                                 std::chrono::duration_cast<std::chrono::nanoseconds>(since)))
                           : "?"});
    }
    return Answer{.text = table, .nothing = "no users logged in"};
  };
  return ask_each(tool, show, qga::GuestGetUsersRequest());
}

}  // namespace

void define_lists(CLI::App& app, Tool& tool) {
  define(app, tool, "ls-commands", "Show the agent's commands, and which are enabled",
         [&tool] { return list_commands(tool); });
  const auto only_total = std::make_shared<bool>(false);
  CLI::App* const fs =
      define(app, tool, "fs", "Show the mounted file systems",
             [&tool, only_total] { return *only_total ? total(tool) : file_systems(tool); });
  fs->add_flag("--total", *only_total,
               "Show the sum instead: each device once, without loop devices, layers and images "
               "that are only read");

  const auto only_routes = std::make_shared<bool>(false);
  CLI::App* const net =
      define(app, tool, "net", "Show the network interfaces with their addresses",
             [&tool, only_routes] { return *only_routes ? routes(tool) : interfaces(tool); });
  net->add_flag("--routes", *only_routes, "Show the routes instead (QEMU 9.1 and later)");

  define(app, tool, "disks", "Show the disks and partitions", [&tool] { return disks(tool); });
  define(app, tool, "cpu", "Show the processors, and what they have done since boot",
         [&tool] { return processors(tool); });
  define(app, tool, "users", "Show who is logged in", [&tool] { return users(tool); });

  const auto minimum = std::make_shared<std::int64_t>(0);
  CLI::App* const discard = define(app, tool, "trim", "Tell the disks which blocks are not in use",
                                   [&tool, minimum] { return trim(tool, *minimum); });
  discard->add_option("--minimum", *minimum, "Leave shorter free ranges alone (0)")
      ->type_name("BYTES")
      ->check(
          CLI::Range(std::int64_t(0), std::numeric_limits<std::int64_t>::max()).description(""));
}

}  // namespace qga_tool
