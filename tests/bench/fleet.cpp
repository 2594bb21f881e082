// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What it takes to watch many guests from one thread: four commands each with a deadline, against a
// bare epoll loop that sends and receives the same bytes, everything on one core. A sweep comes
// more than a second after the last one, so each begins with a handshake. Exits with 1 where the
// library costs more than it may.
// Usage: bench_fleet [GUESTS | --scripted GUESTS] [--rounds ROUNDS] [--json FILE]
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include <qga/client.hpp>

#include "agent.hpp"
#include "fleet_raw.hpp"
#include "fleet_scripted.hpp"
#include "fleet_watch.hpp"

using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using Paths = std::vector<std::string>;
using Agents = std::vector<std::unique_ptr<qga_test::Agent>>;

constexpr double most_ratio = 1.15;
constexpr double most_heap = 16 << 10;
constexpr double most_delay = 1.5;   ///< of healthy guests, by others that are not
constexpr double most_growth = 1.5;  ///< of the time per guest, in a fleet four times as large
/// Of a call. All guests of a large fleet are asked at once, and their agents share one core.
constexpr auto deadline = 10s;
constexpr auto slowness = 500ms;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

double cpu_microseconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

std::size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(open), end(open)));
}

/// Median and the middle half.
Json spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](std::size_t quarter) { return values[(values.size() - 1) * quarter / 4]; };
  return {{"median", at(2)}, {"low", at(1)}, {"high", at(3)}};
}

/// Guests, and who answers for them.
struct Guests {
  Paths paths;
  std::vector<pid_t> processes;

  std::size_t size() const { return paths.size(); }
  double cpu_microseconds() const {
    double sum = 0;
    for (const pid_t process : processes) {
      clockid_t clock{};
      timespec time{};
      if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
        throw std::runtime_error("a guest's process is gone");
      }
      sum += static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
    }
    return sum;
  }
};

/// One sweep that is no longer the first.
struct Sample {
  double ms;
  double cpu_us;       ///< of this process, per guest
  double both_cpu_us;  ///< with that of the guests' processes
};
template <class Fleet>
Sample sample(Fleet& fleet, const Guests& guests) {
  fleet.sweep();
  std::this_thread::sleep_for(1100ms);  // from then on a client shakes hands first
  const double guests_cpu = guests.cpu_microseconds();
  const double cpu = cpu_microseconds();
  const auto start = Clock::now();
  fleet.sweep();
  const double ms = milliseconds(Clock::now() - start);
  const double own = cpu_microseconds() - cpu;
  const double both = own + guests.cpu_microseconds() - guests_cpu;
  const auto count = static_cast<double>(guests.size());
  return {ms, own / count, both / count};
}

/// Every guest answered, or this throws.
void expect_healthy(const fleet::WatchedFleet& fleet, std::size_t guests) {
  for (std::size_t i = 0; i < guests; ++i) {
    if (const auto error = fleet.outcome(i).error) std::rethrow_exception(error);
  }
}

/// Both contenders in turn, so that a machine that gets slower does not change their ratio.
Json sweeps(const Guests& guests, const std::vector<fleet::Exchange>& exchanges, int rounds) {
  std::vector<double> raw_ms, raw_cpu, ms, cpu, both_cpu, ratio, cpu_ratio;
  std::uint64_t bytes = 0;
  for (int i = 0; i < rounds; ++i) {
    Sample raw{};
    {
      fleet::RawFleet contender(guests.paths, exchanges);
      raw = sample(contender, guests);
      bytes = contender.bytes() / 2;  // of two sweeps
    }
    fleet::WatchedFleet contender(guests.paths, {.timeout = deadline});
    const Sample own = sample(contender, guests);
    expect_healthy(contender, guests.size());
    raw_ms.push_back(raw.ms);
    raw_cpu.push_back(raw.cpu_us);
    ms.push_back(own.ms);
    cpu.push_back(own.cpu_us);
    both_cpu.push_back(own.both_cpu_us);
    ratio.push_back(own.ms / raw.ms);
    cpu_ratio.push_back(own.both_cpu_us / raw.both_cpu_us);
  }
  return {{"guests", guests.size()},
          {"bytes_per_guest", bytes / guests.size()},
          {"raw_ms", spread(raw_ms)},
          {"ms", spread(ms)},
          {"ratio", spread(ratio)},
          {"raw_cpu_us_per_guest", spread(raw_cpu)},
          {"cpu_us_per_guest", spread(cpu)},
          {"cpu_ratio", spread(cpu_ratio)},
          {"both_cpu_us_per_guest", spread(both_cpu)}};
}

/// What a client takes, connected and after a sweep.
Json footprint(const Paths& paths) {
  const auto per_client = [&](std::size_t now, std::size_t before) {
    return (static_cast<double>(now) - static_cast<double>(before)) /
           static_cast<double>(paths.size());
  };
  const std::size_t heap = heap_bytes();
  const std::size_t descriptors = open_descriptors();
  const auto start = Clock::now();
  fleet::WatchedFleet fleet(paths, {.timeout = deadline});
  const double connecting = milliseconds(Clock::now() - start);
  const std::size_t connected = heap_bytes();
  fleet.sweep();
  expect_healthy(fleet, paths.size());
  return {{"connect_ms", connecting},
          {"heap_connected", per_client(connected, heap)},
          {"heap_idle", per_client(heap_bytes(), heap)},
          {"descriptors", per_client(open_descriptors(), descriptors)}};
}

/// One guest in a hundred is silent, one dead, one slow: how long until the others are done?
Json faults(const Paths& paths, Agents& agents) {
  const std::size_t some = std::max<std::size_t>(1, paths.size() / 100);
  if (paths.size() <= 3 * some) throw std::runtime_error("too few guests for faults");
  fleet::WatchedFleet fleet(paths, {.timeout = deadline});
  fleet.sweep();
  expect_healthy(fleet, paths.size());
  std::this_thread::sleep_for(1100ms);
  for (std::size_t i = 0; i < some; ++i) {
    agents[3 * i]->stop();
    agents[3 * i + 1]->kill();
    agents[3 * i + 2]->stop();
  }
  fleet.interrupt(slowness, [&] {
    for (std::size_t i = 0; i < some; ++i) agents[3 * i + 2]->resume();
  });
  fleet.sweep();

  double healthy = 0;
  double slow = 0;
  bool as_expected = true;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const fleet::Outcome& outcome = fleet.outcome(i);
    const bool faulty = i < 3 * some;
    try {
      if (outcome.error) std::rethrow_exception(outcome.error);
      as_expected &= !faulty || i % 3 == 2;
      double& latest = faulty ? slow : healthy;
      latest = std::max(latest, milliseconds(outcome.after));
    } catch (const qga::TimeoutError&) {
      as_expected &= faulty && i % 3 == 0;
    } catch (const qga::UnreachableError&) {
      as_expected &= faulty && i % 3 == 1;
    }
  }
  return {{"of_each_kind", some},
          {"as_expected", as_expected},
          {"healthy_ms", healthy},
          {"slow_ms", slow}};
}

void print_sweeps(const Json& of) {
  const auto row = [](const char* name, const Json& ms, const char* unit) {
    std::printf("  %-28s %10.3f  (%.3f to %.3f) %s\n", name, ms["median"].get<double>(),
                ms["low"].get<double>(), ms["high"].get<double>(), unit);
  };
  std::printf("%d guests, %d bytes each\n", of["guests"].get<int>(),
              of["bytes_per_guest"].get<int>());
  row("sweep, bare epoll loop", of["raw_ms"], "ms");
  row("sweep, library", of["ms"], "ms");
  row("ratio within a round", of["ratio"], "");
  row("ratio of all CPU time", of["cpu_ratio"], "");
  row("CPU per guest, bare loop", of["raw_cpu_us_per_guest"], "us");
  row("CPU per guest, library", of["cpu_us_per_guest"], "us");
  row("the same with the guest's", of["both_cpu_us_per_guest"], "us");
  const Json& client = of["client"];
  std::printf(
      "  heap per client: %.0f bytes connected, %.0f idle after a sweep; %.2f descriptors\n",
      client["heap_connected"].get<double>(), client["heap_idle"].get<double>(),
      client["descriptors"].get<double>());
}

/// Prints what was found, and whether it may be.
bool check(const char* what, double found, double most) {
  std::printf("%-52s %10.3f, at most %.3f: %s\n", what, found, most,
              found <= most ? "good" : "TOO MUCH");
  return found <= most;
}

Json real(std::size_t count, int rounds) {
  Agents agents;
  Guests guests;
  for (std::size_t i = 0; i < count; ++i) {
    agents.push_back(std::make_unique<qga_test::Agent>());
    guests.paths.push_back(agents.back()->path());
    guests.processes.push_back(agents.back()->pid());
  }
  const auto exchanges = fleet::exchanges_of_a_client(guests.paths.front());
  const Json client = footprint(guests.paths);
  Json report = sweeps(guests, exchanges, rounds);
  report["client"] = client;
  report["faults"] = faults(guests.paths, agents);
  print_sweeps(report);
  const Json& faulty = report["faults"];
  std::printf(
      "  with %d silent, %d dead and %d slow guests: the others done after %.1f ms, the slow "
      "after %.1f\n",
      faulty["of_each_kind"].get<int>(), faulty["of_each_kind"].get<int>(),
      faulty["of_each_kind"].get<int>(), faulty["healthy_ms"].get<double>(),
      faulty["slow_ms"].get<double>());

  bool good = check("time to that of a bare loop", report["ratio"]["median"], most_ratio);
  good &= check("heap per idle client", report["client"]["heap_idle"], most_heap);
  good &=
      check("time of healthy guests among faulty ones to without",
            faulty["healthy_ms"].get<double>() / report["ms"]["median"].get<double>(), most_delay);
  if (!faulty["as_expected"]) {
    std::puts("a guest did not fail as it should, or should not have failed");
    good = false;
  }
  report["good"] = good;
  return report;
}

Json scripted(std::size_t count, int rounds) {
  std::optional<qga_test::Agent> agent(std::in_place);
  const auto exchanges = fleet::exchanges_of_a_client(agent->path());
  agent.reset();
  const fleet::ScriptedGuests responder(exchanges);
  Json report{{"fleets", Json::array()}};
  for (const std::size_t size : {count / 4, count / 2, count}) {
    const Guests guests{Paths(size, responder.path()), {responder.pid()}};
    const Json client = footprint(guests.paths);
    report["fleets"].push_back(sweeps(guests, exchanges, rounds));
    report["fleets"].back()["client"] = client;
    print_sweeps(report["fleets"].back());
  }
  // CPU time, which is all that a sweep takes on one core: where other work shares the core, a long
  // sweep is interrupted more than a short one.
  const auto per_guest = [](const Json& of) {
    return of["both_cpu_us_per_guest"]["median"].get<double>();
  };
  const Json& largest = report["fleets"].back();
  bool good = check("heap per idle client", largest["client"]["heap_idle"], most_heap);
  good &= check("CPU time per guest to that in a quarter of the fleet",
                per_guest(largest) / per_guest(report["fleets"].front()), most_growth);
  report["good"] = good;
  return report;
}

/// The agents inherit this. With a core for itself the client's work would hide behind theirs.
void stay_on_one_core() {
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &core);
  if (::sched_setaffinity(0, sizeof core, &core) != 0) std::perror("not pinned to one core");
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) std::perror("descriptor limit not raised");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::size_t guests = 100;
    int rounds = 7;
    bool is_scripted = false;
    std::string json_file;
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == "--scripted") {
        is_scripted = true;
      } else if (words[i] == "--rounds") {
        rounds = std::stoi(words.at(++i));
      } else if (words[i] == "--json") {
        json_file = words.at(++i);
      } else {
        guests = std::stoul(words[i]);
      }
    }
    raise_descriptor_limit();
    stay_on_one_core();
    std::printf("%s agents, one thread, one core, %d rounds in turn; medians and middle half\n",
                is_scripted ? "Scripted" : "Real", rounds);
    const Json report = is_scripted ? scripted(guests, rounds) : real(guests, rounds);
    if (!json_file.empty()) std::ofstream(json_file) << report.dump(2) << '\n';
    return report["good"] ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
