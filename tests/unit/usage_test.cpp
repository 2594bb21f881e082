// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `usage_between` makes of counters, those that cannot be among them, and how samples are
// taken.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/usage.hpp"

using namespace helper_test;
using qga::GuestLinuxCpuStats;
using qga::Sample;
using qga::Usage;
using qga::usage_between;
using Take = Scripted<Sample, qga::detail::TakeSample>;
using Measure = Scripted<Usage, qga::detail::MeasureUsage>;
using Log = std::vector<std::string>;

namespace {

constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

Sample at(std::chrono::milliseconds time) { return {.time = Clock::time_point() + time}; }

Sample with_cpus(const std::vector<GuestLinuxCpuStats>& cpus) {
  Sample sample;
  sample.cpus.emplace();
  for (const auto& one : cpus) {
    sample.cpus->push_back({qga::GuestCpuStatsType::linux_, one});
  }
  return sample;
}

GuestLinuxCpuStats cpu(std::int64_t number, std::uint64_t user, std::uint64_t idle) {
  GuestLinuxCpuStats stats;
  stats.cpu = number;
  stats.user = user;
  stats.idle = idle;
  return stats;
}

std::vector<qga::CpuUsage> cpus_between(const std::vector<GuestLinuxCpuStats>& before,
                                        const std::vector<GuestLinuxCpuStats>& after) {
  return usage_between(with_cpus(before), with_cpus(after)).cpus;
}

qga::GuestDiskStatsInfo disk(const std::string& name, std::uint64_t value) {
  qga::GuestDiskStatsInfo info;
  info.name = name;
  info.stats.read_sectors = value;
  info.stats.read_ios = 2 * value;
  info.stats.write_sectors = 3 * value;
  info.stats.write_ios = 4 * value;
  info.stats.total_ticks = 5 * value;
  return info;
}

qga::GuestNetworkInterface interface(const std::string& name, std::uint64_t received,
                                     std::uint64_t sent, std::uint64_t errors = 0) {
  qga::GuestNetworkInterface result;
  result.name = name;
  result.statistics.emplace();
  result.statistics->rx_bytes = received;
  result.statistics->tx_bytes = sent;
  result.statistics->rx_errs = errors;
  result.statistics->tx_errs = errors;
  return result;
}

}  // namespace

TEST_CASE("usage: what a processor has spent its time on") {
  GuestLinuxCpuStats before = cpu(3, 100, 1000);
  before.iowait = before.irq = before.softirq = before.steal = before.guest = 0;
  GuestLinuxCpuStats after = before;
  after.user += 10;
  after.nice += 6;
  after.system += 4;
  after.idle += 24;
  after.iowait = 8;
  after.irq = 2;
  after.softirq = 2;
  after.steal = 8;
  after.guest = 10;  // in `user` already
  const auto cpus = cpus_between({before}, {after});
  REQUIRE(cpus.size() == 1);
  CHECK(cpus[0].cpu == 3);
  CHECK(cpus[0].user == 0.25);
  CHECK(cpus[0].system == 0.125);
  CHECK(cpus[0].steal == 0.125);
  CHECK(cpus[0].iowait == 0.125);
  CHECK(cpus[0].idle == 0.375);
  CHECK(cpus[0].busy == 0.5);
}

TEST_CASE("usage: processors are matched by their number, in the later order") {
  const auto cpus = cpus_between({cpu(0, 0, 0), cpu(1, 0, 0), cpu(2, 0, 0)},
                                 {cpu(7, 9, 0), cpu(2, 1, 1), cpu(0, 1, 3), cpu(2, 1, 0)});
  REQUIRE(cpus.size() == 2);
  CHECK(cpus[0].cpu == 2);
  CHECK(cpus[0].busy == 0.5);
  CHECK(cpus[1].cpu == 0);
  CHECK(cpus[1].busy == 0.25);
}

TEST_CASE("usage: a processor that counts from the start again, or not at all, is left out") {
  CHECK(cpus_between({cpu(0, 10, 10)}, {cpu(0, 10, 10)}).empty());
  CHECK(cpus_between({cpu(0, 10, 10)}, {cpu(0, 9, 20)}).empty());
  CHECK(cpus_between({cpu(0, huge, 10)}, {cpu(0, 0, 20)}).empty());

  // Idle time that is taken back is none.
  const auto cpus = cpus_between({cpu(0, 10, 10)}, {cpu(0, 11, 9)});
  REQUIRE(cpus.size() == 1);
  CHECK(cpus[0].busy == 1);
  CHECK(cpus[0].idle == 0);
}

TEST_CASE("usage: shares of times that add up to more than a counter holds") {
  GuestLinuxCpuStats most = cpu(0, huge, huge);
  most.nice = most.system = huge;
  most.iowait = most.irq = most.softirq = most.steal = huge;
  const auto cpus = cpus_between({cpu(0, 0, 0), cpu(-1, 0, 0)}, {most, cpu(-1, 1, huge)});
  REQUIRE(cpus.size() == 2);
  // What was not there before has not gone up.
  CHECK(cpus[0].user == 0.5);
  CHECK(cpus[0].system == 0.25);
  CHECK(cpus[0].idle == 0.25);
  CHECK(cpus[1].cpu == -1);
  CHECK(cpus[1].idle == 1);
}

TEST_CASE("usage: processors of a kind that is not known") {
  Sample unknown;
  unknown.cpus = {{qga::GuestCpuStatsType::unknown, {}}, {qga::GuestCpuStatsType::unknown, {}}};
  CHECK(usage_between(unknown, unknown).cpus.empty());
  CHECK(usage_between(unknown, with_cpus({cpu(0, 1, 1)})).cpus.empty());
  CHECK(usage_between(with_cpus({cpu(0, 1, 1)}), unknown).cpus.empty());
}

TEST_CASE("usage: rates of a disk, per second") {
  Sample before = at(1000ms);
  before.disks = {disk("sda", 0), disk("sda1", 100)};
  Sample after = at(3000ms);
  after.disks = {disk("sda", 200), disk("sda1", 100), disk("new", 1)};
  const Usage usage = usage_between(before, after);
  CHECK(usage.interval == 2s);
  REQUIRE(usage.disks.size() == 2);
  CHECK(usage.disks[0].name == "sda");
  CHECK(usage.disks[0].read_bytes == 100 * 512);
  CHECK(usage.disks[0].reads == 200);
  CHECK(usage.disks[0].written_bytes == 300 * 512);
  CHECK(usage.disks[0].writes == 400);
  CHECK(usage.disks[0].busy == 0.5);
  CHECK(usage.disks[1].name == "sda1");
  CHECK(usage.disks[1].read_bytes == 0);
  CHECK(usage.disks[1].busy == 0);
}

TEST_CASE("usage: a disk that counts from the start again, or is another, is left out") {
  const auto disks = [](const qga::GuestDiskStatsInfo& before,
                        const qga::GuestDiskStatsInfo& after) {
    Sample first = at(0ms), second = at(1000ms);
    first.disks = {before};
    second.disks = {after};
    return usage_between(first, second).disks;
  };
  const auto before = disk("sda", 10);
  CHECK(disks(before, before).size() == 1);
  using qga::GuestDiskStats;
  for (const auto counter :
       {&GuestDiskStats::read_sectors, &GuestDiskStats::read_ios, &GuestDiskStats::write_sectors,
        &GuestDiskStats::write_ios, &GuestDiskStats::total_ticks}) {
    auto after = disk("sda", 20);
    after.stats.*counter = 0;
    CHECK(disks(before, after).empty());
  }
  auto renumbered = before;
  renumbered.minor = 1;
  CHECK(disks(before, renumbered).empty());
  CHECK(disks(before, disk("sdb", 20)).empty());
}

TEST_CASE("usage: disks whose counters are missing or cannot be") {
  Sample before = at(0ms), after = at(1ms);
  before.disks = {disk("none", 0), disk("much", 0), disk("twice", 0), disk("twice", 5)};
  after.disks = {disk("none", 1), disk("much", 0), disk("twice", 1), disk("twice", 9)};
  after.disks->at(0).stats = {};
  auto& much = after.disks->at(1).stats;
  much.read_sectors = much.read_ios = much.write_sectors = much.write_ios = much.total_ticks = huge;
  const auto disks = usage_between(before, after).disks;
  REQUIRE(disks.size() == 3);
  CHECK(disks[0].read_bytes == 0);
  CHECK(disks[0].busy == 0);
  CHECK(std::isfinite(disks[1].written_bytes));
  CHECK(disks[1].busy == 1);
  CHECK(disks[2].reads == 2000);
}

TEST_CASE("usage: rates of an interface, per second") {
  Sample before = at(0ms), after = at(500ms);
  before.interfaces = {interface("lo", 5, 5), interface("eth0", 100, 10, 1),
                       interface("reset", 10, 10), interface("gone", 1, 1)};
  after.interfaces = {interface("eth0", 200, 60, 3), interface("lo", 5, 5),
                      interface("reset", 20, 9), interface("new", 9, 9)};
  const auto interfaces = usage_between(before, after).interfaces;
  REQUIRE(interfaces.size() == 2);
  CHECK(interfaces[0].name == "eth0");
  CHECK(interfaces[0].received_bytes == 200);
  CHECK(interfaces[0].sent_bytes == 100);
  CHECK(interfaces[0].errors == 8);
  CHECK(interfaces[1].name == "lo");
  CHECK(interfaces[1].received_bytes == 0);
}

TEST_CASE("usage: an interface without statistics is left out") {
  Sample before = at(0ms), after = at(1000ms);
  before.interfaces = {interface("a", 1, 1), interface("b", 1, 1)};
  after.interfaces = before.interfaces;
  before.interfaces->at(0).statistics.reset();
  after.interfaces->at(1).statistics.reset();
  CHECK(usage_between(before, after).interfaces.empty());
}

TEST_CASE("usage: no rates without time between the samples") {
  Sample sample = with_cpus({cpu(0, 0, 0)});
  sample.disks = {disk("sda", 1)};
  sample.interfaces = {interface("eth0", 1, 1)};
  Sample later = sample;
  later.cpus->at(0).linux_->user = 1;
  for (const auto time : {0ms, -1000ms}) {
    later.time = sample.time + time;
    const Usage usage = usage_between(sample, later);
    CHECK(usage.interval == time);
    CHECK(usage.cpus.size() == 1);
    CHECK(usage.disks.empty());
    CHECK(usage.interfaces.empty());
  }
}

TEST_CASE("usage: what one sample does not have") {
  Sample full = with_cpus({cpu(0, 1, 1)});
  full.disks = {disk("sda", 1)};
  full.interfaces = {interface("eth0", 1, 1)};
  full.load = {1, 2, 3};
  for (const bool first : {true, false}) {
    const Usage usage = usage_between(first ? full : at(-1000ms), first ? at(1000ms) : full);
    CHECK(usage.cpus.empty());
    CHECK(usage.disks.empty());
    CHECK(usage.interfaces.empty());
    CHECK(usage.load.has_value() == !first);  // that of the later one
  }
}

TEST_CASE("sample: four commands at once, and the time when all are answered") {
  Take take;
  take.run({{.json = nlohmann::json::array(), .takes = 1s},
            {.json = nlohmann::json::array(), .takes = 1s},
            {.json = nlohmann::json::array(), .takes = 1s},
            {.json = {{"load1m", 0.5}, {"load5m", 0.25}, {"load15m", 0}}, .takes = 1s}});
  CHECK(take.log == Log{"guest-get-cpustats {}", "guest-get-diskstats {}",
                        "guest-network-get-interfaces {}", "guest-get-load {}"});
  REQUIRE(take.finished);
  CHECK(take.finished->time == Clock::time_point() + 1h + 4s);
  CHECK(take.finished->cpus);
  CHECK(take.finished->disks);
  CHECK(take.finished->interfaces);
  CHECK(take.finished->load == qga::GuestLoadAverage{0.5, 0.25, 0});
}

TEST_CASE("sample: what an agent refuses is not there") {
  Take take;
  take.run({{.error = error<qga::CommandNotFoundError>(Outcome::refused)},
            {.error = error<qga::AgentError>(Outcome::refused)},
            {.json = nlohmann::json::array()},
            {.error = error<qga::CommandNotFoundError>(Outcome::refused)}});
  REQUIRE(take.finished);
  CHECK_FALSE(take.finished->cpus);
  CHECK_FALSE(take.finished->disks);
  CHECK(take.finished->interfaces);
  CHECK_FALSE(take.finished->load);
}

TEST_CASE("sample: fails with the first error, when all are answered") {
  const auto why = error<qga::TimeoutError>();
  Take take;
  take.run({{.error = error<qga::AgentError>(Outcome::refused)},
            {.error = why},
            {.error = error<qga::ReadError>()},
            {.error = error<qga::ReadError>()}});
  CHECK(take.failed == why);
}

namespace {

const Reply empty_list{.json = nlohmann::json::array()};
const Reply not_found{.error = error<qga::CommandNotFoundError>(Outcome::refused)};

Reply counted(std::uint64_t user, std::uint64_t idle) {
  const nlohmann::json one{{"type", "linux"}, {"cpu", 0},    {"user", user},
                           {"nice", 0},       {"system", 0}, {"idle", idle}};
  return {.json = nlohmann::json::array({one})};
}

}  // namespace

TEST_CASE("usage: two samples with a pause between them") {
  Measure measure(1500ms);
  measure.run({counted(0, 0), empty_list, empty_list, not_found,  //
               counted(1, 3), empty_list, empty_list, not_found});
  REQUIRE(measure.log.size() == 9);
  CHECK(measure.log[0] == "guest-get-cpustats {}");
  CHECK(measure.log[4] == "pause 1500");
  CHECK(measure.log[5] == "guest-get-cpustats {}");
  REQUIRE(measure.finished);
  CHECK(measure.finished->interval == 1500ms);
  REQUIRE(measure.finished->cpus.size() == 1);
  CHECK(measure.finished->cpus[0].busy == 0.25);
}

TEST_CASE("usage: ends with the error of either sample, and of the pause") {
  const auto why = error<qga::ReadError>();
  Measure first(1s);
  first.run({empty_list, empty_list, {.error = why}, not_found});
  CHECK(first.failed == why);
  CHECK(first.log.size() == 4);

  Measure second(1s);
  second.run({empty_list,
              empty_list,
              empty_list,
              not_found,
              {.error = why},
              empty_list,
              empty_list,
              not_found});
  CHECK(second.failed == why);
  CHECK(second.log.size() == 9);

  Measure pausing(1s);
  pausing.cancelled = error<qga::CancelledError>();
  const auto cancelled = pausing.cancelled;
  pausing.run({empty_list, empty_list, empty_list, not_found});
  CHECK(pausing.failed == cancelled);
  CHECK(pausing.log.size() == 5);
}
