// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How busy a guest is: agents give counters since its boot, and only the difference of two samples
// tells what goes on now.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "qga/commands/cpu.hpp"
#include "qga/commands/disk.hpp"
#include "qga/commands/network.hpp"
#include "qga/commands/system.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {

/// A guest's counters at one moment. A part is missing where the agent has no such command, or
/// refuses it.
struct Sample {
  Clock::time_point time = {};  ///< the host's, when the last of the answers came
  std::optional<std::vector<GuestCpuStats>> cpus = {};        ///< as `get_cpustats` gives them
  std::optional<std::vector<GuestDiskStatsInfo>> disks = {};  ///< as `get_diskstats` gives them
  /// As `network_get_interfaces` gives them.
  std::optional<std::vector<GuestNetworkInterface>> interfaces = {};
  std::optional<GuestLoadAverage> load = {};  ///< as `get_load` gives it
};

/// What a processor has spent its time on, as shares from 0 to 1 whose sum is 1, without `busy`.
struct CpuUsage {
  std::int64_t cpu = 0;  ///< the processor's number
  double busy = 0;       ///< user + system + steal
  double user = 0;       ///< programs, those with a lower priority and virtual machines included
  double system = 0;     ///< the kernel, interrupts included
  double steal = 0;      ///< the processor had to wait, because the host ran something else
  double iowait = 0;     ///< idle, and something waited for a disk
  double idle = 0;       ///< anything else

  static void fields(auto& self, auto& visit) {
    visit("cpu", self.cpu);
    visit("busy", self.busy);
    visit("user", self.user);
    visit("system", self.system);
    visit("steal", self.steal);
    visit("iowait", self.iowait);
    visit("idle", self.idle);
  }
};

/// What went to and from a disk or partition. A rate is 0 where the guest does not count it.
struct DiskUsage {
  std::string name = {};     ///< any text
  double read_bytes = 0;     ///< per second
  double written_bytes = 0;  ///< per second
  double reads = 0;          ///< requests per second
  double writes = 0;         ///< requests per second
  double busy = 0;           ///< share of the time with a request under way, from 0 to 1; guests
                             ///< count in ticks of some ms, so short requests may count as none

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("read-bytes", self.read_bytes);
    visit("written-bytes", self.written_bytes);
    visit("reads", self.reads);
    visit("writes", self.writes);
    visit("busy", self.busy);
  }
};

/// What went through a network interface.
struct InterfaceUsage {
  std::string name = {};      ///< any text
  double received_bytes = 0;  ///< per second
  double sent_bytes = 0;      ///< per second
  double errors = 0;          ///< per second, of both directions

  static void fields(auto& self, auto& visit) {
    visit("name", self.name);
    visit("received-bytes", self.received_bytes);
    visit("sent-bytes", self.sent_bytes);
    visit("errors", self.errors);
  }
};

/// How busy a guest was between two samples, in the order of the later one. What the earlier one
/// does not have is left out, and what was reset between them.
struct Usage {
  Clock::duration interval = {};                ///< between the samples
  std::vector<CpuUsage> cpus = {};              ///< each processor
  std::vector<DiskUsage> disks = {};            ///< each disk and partition
  std::vector<InterfaceUsage> interfaces = {};  ///< each network interface
  std::optional<GuestLoadAverage> load = {};    ///< as in the later sample

  static void fields(auto& self, auto& visit) {
    visit("seconds", self.interval);
    visit("cpus", self.cpus);
    visit("disks", self.disks);
    visit("interfaces", self.interfaces);
    visit("load", self.load);
  }
};

namespace detail {

/// Computes how far counters have gone up, and notes one that went down. That one was reset or has
/// wrapped, and the others are not reliable then.
class Increase {
 public:
  double operator()(std::uint64_t before, std::uint64_t after) {
    if (after < before) backwards_ = true;
    return after < before ? 0 : static_cast<double>(after - before);
  }
  double operator()(std::optional<std::uint64_t> before, std::optional<std::uint64_t> after) {
    return before && after ? (*this)(*before, *after) : 0;
  }
  bool backwards() const { return backwards_; }

 private:
  bool backwards_ = false;
};

// These are templates, so that only programs that compare samples compile them.

template <class Stats>  // GuestLinuxCpuStats
std::optional<CpuUsage> cpu_usage(const Stats& before, const Stats& after) {
  Increase idling;  // Linux takes back some idle time and waiting now and then
  Increase running;
  const double iowait = idling(before.iowait, after.iowait);
  const double idle = idling(before.idle, after.idle);
  // The time of virtual machines is in `user` and `nice` already.
  const double user = running(before.user, after.user) + running(before.nice, after.nice);
  const double system = running(before.system, after.system) + running(before.irq, after.irq) +
                        running(before.softirq, after.softirq);
  const double steal = running(before.steal, after.steal);
  const double all = user + system + steal + iowait + idle;
  if (running.backwards() || all == 0) return {};
  return CpuUsage{.cpu = after.cpu,
                  .busy = (user + system + steal) / all,
                  .user = user / all,
                  .system = system / all,
                  .steal = steal / all,
                  .iowait = iowait / all,
                  .idle = idle / all};
}

template <class Stats>  // GuestDiskStatsInfo
std::optional<DiskUsage> disk_usage(const Stats& before, const Stats& after, double seconds) {
  constexpr double sector = 512;
  Increase increase;
  const auto rate = [&](std::optional<std::uint64_t> GuestDiskStats::*counter) {
    return increase(before.stats.*counter, after.stats.*counter) / seconds;
  };
  DiskUsage usage{.name = after.name,
                  .read_bytes = rate(&GuestDiskStats::read_sectors) * sector,
                  .written_bytes = rate(&GuestDiskStats::write_sectors) * sector,
                  .reads = rate(&GuestDiskStats::read_ios),
                  .writes = rate(&GuestDiskStats::write_ios),
                  .busy = std::min(rate(&GuestDiskStats::total_ticks) / 1000, 1.0)};
  if (increase.backwards()) return {};
  return usage;
}

template <class Interface>  // GuestNetworkInterface
std::optional<InterfaceUsage> interface_usage(const Interface& before, const Interface& after,
                                              double seconds) {
  if (!before.statistics || !after.statistics) return {};
  Increase increase;
  const auto rate = [&](std::uint64_t GuestNetworkInterfaceStat::*counter) {
    return increase((*before.statistics).*counter, (*after.statistics).*counter) / seconds;
  };
  InterfaceUsage usage{.name = after.name,
                       .received_bytes = rate(&GuestNetworkInterfaceStat::rx_bytes),
                       .sent_bytes = rate(&GuestNetworkInterfaceStat::tx_bytes),
                       .errors = rate(&GuestNetworkInterfaceStat::rx_errs) +
                                 rate(&GuestNetworkInterfaceStat::tx_errs)};
  if (increase.backwards()) return {};
  return usage;
}

/// Calls `compare` with each thing that both lists have, once, in the order of the later list.
template <class T, class Key, class Compare>
void match(const std::optional<std::vector<T>>& before, const std::optional<std::vector<T>>& after,
           Key key, Compare compare) {
  if (!before || !after) return;
  std::map<decltype(key(before->front())), const T*> earlier;
  for (const T& one : *before) earlier.emplace(key(one), &one);
  for (const T& one : *after) {
    const auto found = earlier.find(key(one));
    if (found == earlier.end()) continue;
    compare(*found->second, one);
    earlier.erase(found);
  }
}

template <class T>
void add(std::vector<T>& list, std::optional<T> one) {
  if (one) list.push_back(std::move(*one));
}

}  // namespace detail

/// How busy a guest was between two samples of it. Never fails, whatever they hold.
/// @param before the earlier one
/// @param after the later one; where it is not later, disks and interfaces are left out
/// @tparam S always `Sample`; a template, so that only callers compile it
template <std::same_as<Sample> S = Sample>
Usage usage_between(const S& before, const S& after) {
  Usage usage;
  usage.load = after.load;
  detail::match(
      before.cpus, after.cpus,
      [](const GuestCpuStats& one) {
        return one.linux_ ? std::optional(one.linux_->cpu) : std::nullopt;
      },
      [&](const GuestCpuStats& earlier, const GuestCpuStats& later) {
        if (later.linux_) {
          detail::add(usage.cpus, detail::cpu_usage(*earlier.linux_, *later.linux_));
        }
      });
  usage.interval = after.time - before.time;
  if (usage.interval <= Clock::duration::zero()) return usage;
  const double seconds = std::chrono::duration<double>(usage.interval).count();
  detail::match(
      before.disks, after.disks,
      [](const GuestDiskStatsInfo& one) { return std::tie(one.name, one.major, one.minor); },
      [&](const GuestDiskStatsInfo& earlier, const GuestDiskStatsInfo& later) {
        detail::add(usage.disks, detail::disk_usage(earlier, later, seconds));
      });
  detail::match(
      before.interfaces, after.interfaces,
      [](const GuestNetworkInterface& one) { return std::tie(one.name); },
      [&](const GuestNetworkInterface& earlier, const GuestNetworkInterface& later) {
        detail::add(usage.interfaces, detail::interface_usage(earlier, later, seconds));
      });
  return usage;
}

namespace detail {

template <class Io>
class TakeSample {
 public:
  explicit TakeSample(Io& io) : io_(io) {}

  void start() {
    ask<GuestGetCpustatsRequest>(&Sample::cpus);
    ask<GuestGetDiskstatsRequest>(&Sample::disks);
    ask<GuestNetworkGetInterfacesRequest>(&Sample::interfaces);
    ask<GuestGetLoadRequest>(&Sample::load);
  }

 private:
  template <class Request>
  void ask(std::optional<typename Request::Reply> Sample::*part) {
    ++unanswered_;
    io_.call(Request(), [this, part](std::exception_ptr error, typename Request::Reply reply) {
      if (!error) {
        sample_.*part = std::move(reply);
      } else if (code_of(error) != err_from_agent && !error_) {
        error_ = std::move(error);
      }
      if (--unanswered_ > 0) return;
      if (error_) return io_.fail(std::move(error_));
      sample_.time = io_.now();
      io_.finish(std::move(sample_));
    });
  }

  Io& io_;
  Sample sample_;
  std::exception_ptr error_;
  int unanswered_ = 0;
};

template <class Io>
class MeasureUsage {
 public:
  MeasureUsage(Io& io, Clock::duration interval) : io_(io), interval_(interval) {}

  void start() {
    sample_.emplace(io_, Step(), [this](std::exception_ptr error, Sample sample) {
      if (error) return io_.fail(std::move(error));
      if (before_) return io_.finish(usage_between(*before_, sample));
      before_ = std::move(sample);
      io_.pause(interval_, [this](std::exception_ptr cancelled) {
        cancelled ? io_.fail(std::move(cancelled)) : start();
      });
    });
    sample_->start();
  }

 private:
  Io& io_;
  Clock::duration interval_;
  std::optional<Sample> before_;
  std::optional<SubAlgorithm<Io, Sample, TakeSample>> sample_;
};

}  // namespace detail

/// How busy the guest is; see `Helpers`.
template <class Carrier>
class UsageHelpers {
 public:
  /// The guest's counters of now; `usage_between` compares two samples.
  /// @return `Sample`, without what the agent does not give: all of it while file systems are
  ///         frozen, load averages before QEMU 10.0, all but network and load on Windows
  /// @throws UnreachableError no agent answers
  /// @throws BadReplyError a reply is malformed
  /// @timeout 5 s for each of four requests. Nothing changes in the guest.
  /// @since QEMU 1.1, POSIX and Windows guests; processors and disks 7.1, Linux guests
  auto sample() { return detail::carrier_of(*this).template perform<Sample, detail::TakeSample>(); }

  /// How busy the guest is: two samples with a pause between them.
  /// @param interval of the pause. The shorter, the coarser: Linux counts in steps of 10 ms
  /// @return `Usage`; empty while file systems are frozen
  /// @throws UnreachableError no agent answers
  /// @throws BadReplyError a reply is malformed
  /// @throws CancelledError also from within the pause
  ///         changes in the guest, also after a timeout
  /// @timeout 5 s for each request, and the pause. Nothing changes in the guest.
  /// @since QEMU 1.1, POSIX and Windows guests; processors and disks 7.1, Linux guests
  auto usage(Clock::duration interval = std::chrono::seconds(1)) {
    return detail::carrier_of(*this).template perform<Usage, detail::MeasureUsage>(interval);
  }
};

}  // namespace qga::inline v0_1
