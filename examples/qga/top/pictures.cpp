// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Pictures of one guest, which is asked as little as possible.
#include "pictures.hpp"

#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../print.hpp"
#include "../watch.hpp"

namespace qga_tool::top {

namespace {

/// What one picture shows.
struct Figures {
  qga::Usage usage;
  std::optional<Memory> memory;
  std::vector<std::string> missing;  ///< commands that the guest refuses, and why where it is known
};

/// The commands of a sample that the guest refuses.
std::vector<std::string> missing_of(const qga::Sample& sample) {
  std::vector<std::string> missing;
  const auto check = [&missing](bool present, std::string_view command) {
    if (!present) missing.emplace_back(command);
  };
  check(sample.load.has_value(), qga::GuestGetLoadRequest::command);
  check(sample.cpus.has_value(), qga::GuestGetCpustatsRequest::command);
  check(sample.disks.has_value(), qga::GuestGetDiskstatsRequest::command);
  check(sample.interfaces.has_value(), qga::GuestNetworkGetInterfacesRequest::command);
  return missing;
}

bool has_answer(const qga::Sample& sample) {
  return sample.load || sample.cpus || sample.disks || sample.interfaces;
}

/// The memory of a Linux guest, from a file: the agent has no command for it. It is missing where
/// the system is another, or where files are forbidden. The file stays open, because the agent
/// writes a line into the guest's log when it opens or closes one.
class MemoryFile {
 public:
  explicit MemoryFile(Tool& tool) : tool_(tool) {}

  /// @param missing gets the reason where the guest refuses
  std::optional<Memory> read(std::vector<std::string>& missing) {
    constexpr std::size_t longest = 64 << 10;
    try {
      if (!file_.is_open()) file_ = tool_.ga().open("/proc/meminfo");
      tool_.ga().seek(file_, 0);
      return memory_in(tool_.ga().read(file_, longest));
    } catch (const qga::AgentError& error) {
      missing.emplace_back(error.what());
    } catch (const qga::BadReplyError& error) {
      missing.emplace_back(error.what());
    }
    return std::nullopt;
  }

 private:
  Tool& tool_;
  qga::File file_;
};

std::string share_text(double share) { return percent_text(share, 1); }
std::string count_text(double per_second) { return number_text(per_second, 0) + "/s"; }

std::string picture_of(const Figures& figures) {
  const auto& [usage, memory, missing] = figures;
  std::string text;
  const auto add = [&text](const Table& table) {
    text += (text.empty() ? "" : "\n") + table.text();
  };
  if (usage.load) {
    Table table;
    table.row({"load", load_text(*usage.load)});
    add(table);
  }
  if (memory) {
    const std::uint64_t used = memory->total - memory->available;
    Table table({">MEMORY", ">USED", ">AVAILABLE", ">USE"});
    table.row({size_text(memory->total), size_text(used), size_text(memory->available),
               percent_text(static_cast<double>(used), static_cast<double>(memory->total))});
    add(table);
  }
  if (!usage.cpus.empty()) {
    Table table({">CPU", ">BUSY", ">USER", ">SYSTEM", ">STEAL", ">IOWAIT"});
    for (const qga::CpuUsage& cpu : usage.cpus) {
      table.row({std::to_string(cpu.cpu), share_text(cpu.busy), share_text(cpu.user),
                 share_text(cpu.system), share_text(cpu.steal), share_text(cpu.iowait)});
    }
    add(table);
  }
  if (!usage.disks.empty()) {
    Table table({"DISK", ">READ", ">WRITTEN", ">READS", ">WRITES", ">BUSY"});
    for (const qga::DiskUsage& disk : usage.disks) {
      table.row({disk.name, rate_text(disk.read_bytes), rate_text(disk.written_bytes),
                 count_text(disk.reads), count_text(disk.writes), share_text(disk.busy)});
    }
    add(table);
  }
  if (!usage.interfaces.empty()) {
    Table table({"INTERFACE", ">RECEIVED", ">SENT", ">ERRORS"});
    for (const qga::InterfaceUsage& interface : usage.interfaces) {
      table.row({interface.name, rate_text(interface.received_bytes),
                 rate_text(interface.sent_bytes), count_text(interface.errors)});
    }
    add(table);
  }
  if (text.empty()) text = "nothing to see: the guest is frozen, or its agent has no figures\n";
  if (!missing.empty()) text += '\n';
  for (const std::string& reason : missing) text += shown(missing_line(reason)) + '\n';
  return text;
}

nlohmann::json json_of(const Figures& figures) {
  nlohmann::json all = figures.usage;
  if (const auto& memory = figures.memory) {
    all["memory"] = {{"total", memory->total}, {"available", memory->available}};
  }
  all["missing"] = figures.missing;
  return all;
}

}  // namespace

int print_pictures(Tool& tool, const PictureParams& params) {
  MemoryFile memory(tool);
  qga::Sample before = tool.ga().sample();
  bool answered = has_answer(before);
  for (std::uint64_t i = 0; (params.count == 0 || i < params.count) && std::cout; ++i) {
    if (tool.stop.wait(-1, before.time + params.interval) == Stop::Woken::stopped) {
      return 128 + tool.stop.signal();
    }
    qga::Sample after = tool.ga().sample();
    Figures figures{qga::usage_between(before, after), {}, missing_of(after)};
    if (params.memory) figures.memory = memory.read(figures.missing);
    answered = answered || has_answer(after) || figures.memory;
    if (tool.json) {
      print_json_line(json_of(figures));
    } else {
      std::cout << (i > 0 ? "\n" : "") << picture_of(figures) << std::flush;
    }
    before = std::move(after);
  }
  if (!answered) throw std::runtime_error("the guest refused every question of top");
  return exit_done;
}

}  // namespace qga_tool::top
