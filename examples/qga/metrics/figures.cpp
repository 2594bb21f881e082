// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes metric families of looks. prometheus-cpp writes them.
#include "figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

#include "../print.hpp"

namespace qga_tool {

namespace {

using Label = prometheus::ClientMetric::Label;
using Labels = std::vector<Label>;
using Counter = std::optional<std::uint64_t>;
using Type = prometheus::MetricType;

double seconds_of(auto duration) { return std::chrono::duration<double>(duration).count(); }

/// A guest's text as the value of a label: UTF-8 without control characters, and not too long.
std::string label_text(std::string_view text) {
  const auto cut = [](auto& value) {
    if (value.size() <= longest_label) return;
    value = value.substr(0, longest_label);
    value = value.substr(0, value.size() - cut_character(value));
  };
  cut(text);  // before it is escaped, which may take long
  std::string value = shown(text);
  cut(value);
  return value;
}

/// A metric with all of its series.
class Family {
 public:
  Family(Type type, std::string name, std::string help) {
    family_.type = type;
    family_.name = std::move(name);
    family_.help = std::move(help);
  }

  /// Adds a series, unless there is one with the same labels or the value makes no sense.
  void add(Labels labels, double value) {
    if (!std::isfinite(value) || value < 0) return;
    std::string key;
    for (const Label& label : labels) (key += label.value) += '\0';
    if (!keys_.insert(std::move(key)).second) return;
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    (family_.type == Type::Counter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
  }
  /// Adds a counter that the guest may lack. @param unit by which it is multiplied
  void add(const Labels& labels, Counter value, double unit) {
    if (value) add(labels, static_cast<double>(*value) * unit);
  }

  prometheus::MetricFamily take() { return std::move(family_); }
  bool empty() const { return family_.metric.empty(); }

 private:
  prometheus::MetricFamily family_;
  std::unordered_set<std::string> keys_;
};

constexpr double milliseconds = 1e-3;
constexpr double sectors = 512;

class Page {
 public:
  void add(const GuestFigures& figures) {
    guest_ = {"guest", shown(figures.guest)};
    dropped_elements_ = 0;
    const Look& look = figures.look;
    const bool is_up = look.state == GuestState::ready || look.state == GuestState::frozen;
    up_.add({guest_}, is_up ? 1 : 0);
    for (const GuestState state :
         {GuestState::ready, GuestState::frozen, GuestState::silent, GuestState::no_socket}) {
      state_.add({guest_, {"state", std::string(state_name(state))}}, look.state == state ? 1 : 0);
    }
    look_.add({guest_}, seconds_of(look.took));
    if (!look.version.empty()) agent_.add({guest_, {"version", label_text(look.version)}}, 1);
    if (figures.last_thawed) {
      last_thawed_.add({guest_}, seconds_of(figures.last_thawed->time_since_epoch()));
    }
    for (const std::string& command : look.missing) missing_.add({guest_, {"command", command}}, 1);
    if (look.sample.load) add_load(*look.sample.load);
    if (look.sample.cpus) add_processors(*look.sample.cpus);
    if (look.memory) {
      memory_total_.add({guest_}, static_cast<double>(look.memory->total));
      memory_available_.add({guest_}, static_cast<double>(look.memory->available));
    }
    if (look.file_systems) add_file_systems(*look.file_systems);
    if (look.sample.disks) add_disks(*look.sample.disks);
    if (look.sample.interfaces) add_interfaces(*look.sample.interfaces);
    dropped_.add({guest_}, static_cast<double>(dropped_elements_));
  }

  std::string text(std::size_t guests, qga::Clock::duration took) {
    guests_.add({}, static_cast<double>(guests));
    duration_.add({}, seconds_of(took));
    std::vector<prometheus::MetricFamily> families;
    for (Family* const family : {&guests_,
                                 &duration_,
                                 &up_,
                                 &state_,
                                 &look_,
                                 &agent_,
                                 &last_thawed_,
                                 &missing_,
                                 &dropped_,
                                 &load1_,
                                 &load5_,
                                 &load15_,
                                 &processors_,
                                 &memory_total_,
                                 &memory_available_,
                                 &size_,
                                 &used_,
                                 &read_bytes_,
                                 &written_bytes_,
                                 &reads_,
                                 &writes_,
                                 &read_time_,
                                 &write_time_,
                                 &io_time_,
                                 &received_bytes_,
                                 &received_packets_,
                                 &received_errors_,
                                 &received_drops_,
                                 &sent_bytes_,
                                 &sent_packets_,
                                 &sent_errors_,
                                 &sent_drops_}) {
      if (!family->empty()) families.push_back(family->take());
    }
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  /// Whether a list may have one element more. Counts those that it may not.
  bool has_room(std::size_t size, std::size_t most) {
    if (size < most) return true;
    ++dropped_elements_;
    return false;
  }

  void add_load(const qga::GuestLoadAverage& load) {
    load1_.add({guest_}, load.load1m);
    load5_.add({guest_}, load.load5m);
    load15_.add({guest_}, load.load15m);
  }

  void add_processors(const std::vector<qga::GuestCpuStats>& all) {
    std::set<std::int64_t> seen;
    for (const qga::GuestCpuStats& one : all) {
      if (!one.linux_ || seen.contains(one.linux_->cpu)) continue;
      if (!has_room(seen.size(), most_processors)) continue;
      const qga::GuestLinuxCpuStats& cpu = *one.linux_;
      seen.insert(cpu.cpu);
      Labels labels{guest_, {"cpu", std::to_string(cpu.cpu)}, {"mode", ""}};
      const auto add_mode = [&](std::string_view mode, Counter time) {
        labels.back().value = mode;
        processors_.add(labels, time, milliseconds);
      };
      add_mode("user", cpu.user);  // the time of virtual machines is in `user` and `nice` already
      add_mode("nice", cpu.nice);
      add_mode("system", cpu.system);
      add_mode("idle", cpu.idle);
      add_mode("iowait", cpu.iowait);
      add_mode("irq", cpu.irq);
      add_mode("softirq", cpu.softirq);
      add_mode("steal", cpu.steal);
    }
  }

  /// Each device is there once, where its mount point is the shortest: others are parts of it.
  void add_file_systems(const std::vector<qga::GuestFilesystemInfo>& all) {
    const auto order = [](const qga::GuestFilesystemInfo* fs) {
      return std::tuple(fs->mountpoint.size(), std::string_view(fs->mountpoint));
    };
    std::map<std::string, const qga::GuestFilesystemInfo*> devices;
    for (const qga::GuestFilesystemInfo& fs : all) {
      if (!is_counted(fs)) continue;
      const std::string device = label_text(fs.name);
      const auto found = devices.find(device);
      if (found != devices.end()) {
        if (order(&fs) < order(found->second)) found->second = &fs;
      } else if (has_room(devices.size(), most_devices)) {
        devices.emplace(device, &fs);
      }
    }
    for (const auto& [device, fs] : devices) {
      const Labels labels{guest_,
                          {"device", device},
                          {"fstype", label_text(fs->type)},
                          {"mountpoint", label_text(fs->mountpoint)}};
      size_.add(labels, fs->total_bytes, 1);
      used_.add(labels, fs->used_bytes, 1);
    }
  }

  /// Calls `add` with each element whose name was not there before, and its labels.
  template <class T, class Add>
  void add_devices(const std::vector<T>& all, Add add) {
    std::set<std::string> seen;
    for (const T& one : all) {
      const std::string device = label_text(one.name);
      if (seen.contains(device) || !has_room(seen.size(), most_devices)) continue;
      seen.insert(device);
      add(one, Labels{guest_, {"device", device}});
    }
  }

  void add_disks(const std::vector<qga::GuestDiskStatsInfo>& all) {
    add_devices(all, [this](const qga::GuestDiskStatsInfo& disk, const Labels& labels) {
      // Linux has these whether they are used or not, and what they hold is on a disk or in memory.
      if (disk.name.starts_with("loop") || disk.name.starts_with("ram")) return;
      read_bytes_.add(labels, disk.stats.read_sectors, sectors);
      written_bytes_.add(labels, disk.stats.write_sectors, sectors);
      reads_.add(labels, disk.stats.read_ios, 1);
      writes_.add(labels, disk.stats.write_ios, 1);
      read_time_.add(labels, disk.stats.read_ticks, milliseconds);
      write_time_.add(labels, disk.stats.write_ticks, milliseconds);
      io_time_.add(labels, disk.stats.total_ticks, milliseconds);
    });
  }

  void add_interfaces(const std::vector<qga::GuestNetworkInterface>& all) {
    add_devices(all, [this](const qga::GuestNetworkInterface& one, const Labels& labels) {
      if (!one.statistics) return;
      const qga::GuestNetworkInterfaceStat& counted = *one.statistics;
      received_bytes_.add(labels, counted.rx_bytes, 1);
      received_packets_.add(labels, counted.rx_packets, 1);
      received_errors_.add(labels, counted.rx_errs, 1);
      received_drops_.add(labels, counted.rx_dropped, 1);
      sent_bytes_.add(labels, counted.tx_bytes, 1);
      sent_packets_.add(labels, counted.tx_packets, 1);
      sent_errors_.add(labels, counted.tx_errs, 1);
      sent_drops_.add(labels, counted.tx_dropped, 1);
    });
  }

  Label guest_;
  std::size_t dropped_elements_ = 0;

  Family guests_{Type::Gauge, "qga_guests", "Guests that were asked."};
  Family duration_{Type::Gauge, "qga_scrape_duration_seconds",
                   "How long it took to ask all guests, together."};
  Family up_{Type::Gauge, "qga_up", "Whether the guest's agent has answered."};
  Family state_{Type::Gauge, "qga_state", "The state of the guest: 1 for the one that it is in."};
  Family look_{Type::Gauge, "qga_guest_duration_seconds",
               "How long the guest took to answer, connecting included."};
  Family agent_{Type::Gauge, "qga_agent_info", "The version of the guest's agent."};
  Family last_thawed_{Type::Gauge, "qga_last_thawed_timestamp_seconds",
                      "When the guest was last seen with file systems that are not frozen."};
  Family missing_{Type::Gauge, "qga_missing_command", "A command that the guest's agent refuses."};
  Family dropped_{Type::Gauge, "qga_dropped_elements",
                  "Processors, disks, interfaces and file systems that were left out, because the "
                  "guest has too many."};
  Family load1_{Type::Gauge, "qga_load1", "Load, averaged over 1 minute."};
  Family load5_{Type::Gauge, "qga_load5", "Load, averaged over 5 minutes."};
  Family load15_{Type::Gauge, "qga_load15", "Load, averaged over 15 minutes."};
  Family processors_{Type::Counter, "qga_cpu_seconds_total",
                     "Time that the processors have spent in each mode."};
  Family memory_total_{Type::Gauge, "qga_memory_total_bytes", "Size of the memory."};
  Family memory_available_{Type::Gauge, "qga_memory_available_bytes",
                           "Memory that programs can have without swapping."};
  Family size_{Type::Gauge, "qga_filesystem_size_bytes", "Size of the file system."};
  Family used_{Type::Gauge, "qga_filesystem_used_bytes", "What is in use of the file system."};
  Family read_bytes_{Type::Counter, "qga_disk_read_bytes_total", "Bytes read from the disk."};
  Family written_bytes_{Type::Counter, "qga_disk_written_bytes_total",
                        "Bytes written to the disk."};
  Family reads_{Type::Counter, "qga_disk_reads_completed_total", "Requests to read."};
  Family writes_{Type::Counter, "qga_disk_writes_completed_total", "Requests to write."};
  Family read_time_{Type::Counter, "qga_disk_read_time_seconds_total",
                    "Time of all requests to read, together."};
  Family write_time_{Type::Counter, "qga_disk_write_time_seconds_total",
                     "Time of all requests to write, together."};
  Family io_time_{Type::Counter, "qga_disk_io_time_seconds_total",
                  "Time with a request under way."};
  Family received_bytes_{Type::Counter, "qga_network_receive_bytes_total", "Bytes received."};
  Family received_packets_{Type::Counter, "qga_network_receive_packets_total", "Packets received."};
  Family received_errors_{Type::Counter, "qga_network_receive_errs_total", "Bad packets received."};
  Family received_drops_{Type::Counter, "qga_network_receive_drop_total",
                         "Packets received and dropped."};
  Family sent_bytes_{Type::Counter, "qga_network_transmit_bytes_total", "Bytes sent."};
  Family sent_packets_{Type::Counter, "qga_network_transmit_packets_total", "Packets sent."};
  Family sent_errors_{Type::Counter, "qga_network_transmit_errs_total",
                      "Packets that could not be sent."};
  Family sent_drops_{Type::Counter, "qga_network_transmit_drop_total",
                     "Packets dropped instead of sent."};
};

}  // namespace

std::string metrics_text(const std::vector<GuestFigures>& guests, qga::Clock::duration took) {
  Page page;
  for (const GuestFigures& guest : guests) page.add(guest);
  return page.text(guests.size(), took);
}

}  // namespace qga_tool
