// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the benchmarks share. Contenders take turns, and ratios are taken within a round, so that a
// machine that gets slower, or has other work, does not change them.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent.hpp"

namespace qga_bench {

/// Median and the middle half.
struct Spread {
  double low, median, high;

  nlohmann::json json() const { return {{"low", low}, {"median", median}, {"high", high}}; }
};

inline Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](std::size_t quarter) { return values[(values.size() - 1) * quarter / 4]; };
  return {at(1), at(2), at(3)};
}

inline double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  double cpu() const { return cpu_seconds() - cpu_; }

 private:
  using Clock = std::chrono::steady_clock;
  double cpu_ = cpu_seconds();
  Clock::time_point start_ = Clock::now();
};

/// The agent inherits this. Across two cores the wake-up of an idle one takes longer than all the
/// rest of a short call, and differs from round to round.
inline void stay_on_one_core() {
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &core);
  if (::sched_setaffinity(0, sizeof core, &core) != 0) std::perror("not pinned to one core");
}

/// `NAME [SOCKET] [--rounds N] [--json FILE]`
struct Options {
  int rounds;
  std::string socket = {};  ///< of somebody's agent; empty: a real one of our own
  std::string json = {};
};

inline Options options_of(int argc, char** argv, int rounds) {
  Options options{rounds};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--rounds" && has_value) {
      options.rounds = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--json" && has_value) {
      options.json = argv[++i];
    } else if (!word.starts_with("-") && options.socket.empty()) {
      options.socket = word;
    } else {
      throw std::invalid_argument(std::string(argv[0]) + " [SOCKET] [--rounds N] [--json FILE]");
    }
  }
  return options;
}

/// Somebody's agent, or one of our own.
class Target {
 public:
  explicit Target(std::string socket) : socket_(std::move(socket)) {
    if (socket_.empty()) own_.emplace();
  }
  const std::string& socket() const { return own_ ? own_->path() : socket_; }
  /// A path in the guest, where its agent may write.
  std::string file(const std::string& name) const {
    return own_ ? own_->file(name) : "/tmp/" + name;
  }

 private:
  std::string socket_;
  std::optional<qga_test::Agent> own_;
};

/// One of those that take turns.
struct Contender {
  std::string name;
  std::function<std::vector<double>()> round;  ///< gives a figure for each of the columns
};

/// Prints tables, and writes them as JSON.
class Report {
 public:
  /// Compares contenders with the first of them, after a round to warm up.
  void compare(const std::string& title, const std::vector<std::string>& columns,
               const std::vector<Contender>& contenders, int rounds) {
    // By contender, column and round.
    using Column = std::vector<double>;
    std::vector<std::vector<Column>> figures(contenders.size(),
                                             std::vector<Column>(columns.size()));
    auto ratios = figures;
    std::vector<std::size_t> order(contenders.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::minstd_rand chance;  // the same in every run
    for (int round = -1; round < rounds; ++round) {
      // Whoever comes behind a heavy one finds cold caches: that must not always be the same.
      std::shuffle(order.begin(), order.end(), chance);
      std::vector<std::vector<double>> got(contenders.size());
      for (const std::size_t i : order) got[i] = contenders[i].round();
      if (round < 0) continue;
      for (std::size_t i = 0; i < contenders.size(); ++i) {
        for (std::size_t column = 0; column < columns.size(); ++column) {
          figures[i][column].push_back(got[i][column]);
          ratios[i][column].push_back(got[i][column] / got[0][column]);
        }
      }
    }
    std::printf("\n%s; %d rounds in turn\n%-34s %9s  %-22s %6s  %s\n", title.c_str(), rounds, "",
                "median", "middle half", "ratio", "middle half");
    nlohmann::json table{{"title", title}, {"rounds", rounds}};
    for (std::size_t column = 0; column < columns.size(); ++column) {
      std::printf("%s\n", columns[column].c_str());
      for (std::size_t i = 0; i < contenders.size(); ++i) {
        const Spread figure = spread(figures[i][column]);
        const Spread ratio = spread(ratios[i][column]);
        const std::string half = shown(figure.low) + " to " + shown(figure.high);
        std::printf("  %-32s %9s  %-22s %6.3f  %.3f to %.3f\n", contenders[i].name.c_str(),
                    shown(figure.median).c_str(), half.c_str(), ratio.median, ratio.low,
                    ratio.high);
        table["figures"][columns[column]][contenders[i].name] = {{"value", figure.json()},
                                                                 {"ratio", ratio.json()}};
      }
    }
    std::fflush(stdout);
    json_.push_back(std::move(table));
  }

  void add(nlohmann::json table) { json_.push_back(std::move(table)); }

  /// @param path empty: nowhere
  void write(const std::string& path) const {
    if (path.empty()) return;
    std::ofstream file(path);
    file << json_.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
  }

 private:
  static std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof text, value < 100 ? "%.2f" : "%.0f", value);
    return text;
  }

  nlohmann::json json_ = nlohmann::json::array();
};

}  // namespace qga_bench
