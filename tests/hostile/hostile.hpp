// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The hostile corpus: what a guest may send to harm its host, by name. Small inputs are files in
// inputs/, large ones are made in large_test.cpp, behaviour is in stream_test.cpp, and what takes
// more than one reply in helpers_test.cpp. Each is served to a blocking and to an asynchronous
// client and comes to what is expected of it: a value, or one type of error; in time, in memory,
// and the next command works.
//
// What a file cannot say is tested elsewhere: hanging up after every byte in
// faults/hang_up_test.cpp, a wrong type for every member of every reply in unit/shape_test.cpp, old
// replies after connecting again in faults/hang_up_test.cpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "sanitized.hpp"
#include "scripted_agent.hpp"
#include "ways.hpp"

namespace hostile {

using namespace std::chrono_literals;
using namespace qga_test;

struct Input {
  std::string name;
  std::string command;
  nlohmann::json arguments;  ///< as on the wire
  std::string expected;      ///< "value", or the error: "bad reply", "agent error", "timeout"
  nlohmann::json value;      ///< the reply, as on the wire; null: any
  script::Action action;     ///< what the agent does about the command
  std::string when = {};     ///< or about this one
  /// What it leaves on the channel may cost the next command too, but no third one.
  bool spoils_next = false;
};

/// How long a call may take that is to time out, and any other.
inline constexpr auto brief = 300ms;
inline constexpr auto patience = 20s;
/// For a slow machine, and a sanitizer: five times as slow where strings of 24 MiB are parsed.
inline constexpr auto tolerance = sanitized ? 30s : 5s;

/// What the command of an input came to, in words as `expected` has them.
std::string ask(Blocking& ga, const Input& input);
std::string ask(Async& ga, const Input& input);

/// The longest reply that the command takes, where the client does not say less.
std::size_t reply_limit(const Input& input);

/// The most memory that was in use since it was made, beyond what was in use then.
class Peak {
 public:
  Peak() {
    // Else it would depend on what was freed before, and come in pages of 2 MiB.
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
    ::malloc_trim(0);
    before_ = kilobytes("VmRSS:");
    std::ofstream("/proc/self/clear_refs") << '5' << std::flush;
    can_measure_ = !sanitized && kilobytes("VmHWM:") <= before_ + 1024;
  }
  bool can_measure() const { return can_measure_; }
  std::size_t bytes() const {
    const std::size_t most = kilobytes("VmHWM:");
    return most > before_ ? (most - before_) * 1024 : 0;
  }

 private:
  static std::size_t kilobytes(std::string_view name) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      std::size_t found = 0;
      if (word == name && status >> found) return found;
    }
    return 0;
  }

  std::size_t before_ = 0;
  bool can_measure_ = false;
};

/// Figures of many inputs.
class Tally {
 public:
  explicit Tally(std::string what) : what_(std::move(what)) {}
  ~Tally() {
    std::printf(
        "hostile inputs tried (%s): %d, wrong replies: %d, slowest: %.0f ms, largest share of the "
        "memory allowed: %.0f %% (%s)\n",
        what_.c_str(), tried_, wrong_, 1000 * slowest_, 100 * largest_, largest_name_.c_str());
    if (!measured_) std::printf("skipped: the memory of hostile inputs, under a sanitizer\n");
  }
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  /// @param share of the memory that it may take
  void add(const std::string& name, bool is_right, std::chrono::duration<double> time,
           double share) {
    ++tried_;
    wrong_ += is_right ? 0 : 1;
    slowest_ = std::max(slowest_, time.count());
    if (share <= largest_) return;
    largest_ = share;
    largest_name_ = name;
  }
  void not_measured() { measured_ = false; }

 private:
  std::string what_;
  int tried_ = 0;
  int wrong_ = 0;
  double slowest_ = 0;
  double largest_ = 0;
  std::string largest_name_ = "none";
  bool measured_ = true;
};

template <class Way>
void check_works_again(Way& ga, const Input& input) {
  if (input.spoils_next) {
    try {
      ga.ping();
    } catch (const qga::BadReplyError&) {
    }
  }
  REQUIRE_NOTHROW(ga.ping());
}

/// Beside what replies take: the agent's own buffers, what the allocator keeps, and pages of the
/// program that were not there.
inline constexpr std::size_t overhead = 6 << 20;

template <class Way>
void try_input(const Input& input, Tally& tally, qga::ClientParams params = {.timeout = patience}) {
  INFO(input.name);
  ScriptedAgent agent;
  Way ga(agent.path(), params);
  ga.ping();
  if (!input.when.empty()) agent.on(input.command, script::returns(R"({"name": "x"})"));
  agent.once(input.when.empty() ? input.command : input.when, input.action);
  if (input.when == "guest-sync-delimited") std::this_thread::sleep_for(1100ms);  // due again

  const Peak peak;
  const auto start = std::chrono::steady_clock::now();
  const std::string came = ask(ga, input);
  const auto time = std::chrono::steady_clock::now() - start;
  const std::size_t limit = std::min(reply_limit(input), params.max_reply_size);
  const double share =
      static_cast<double>(peak.bytes()) / static_cast<double>(3 * limit + overhead);

  CHECK(came == input.expected);
  CHECK(time < (input.expected == "timeout" ? brief : patience) + tolerance);
  if (peak.can_measure()) {
    CHECK(share < 1);
  } else {
    tally.not_measured();
  }
  tally.add(input.name, came == input.expected, time, peak.can_measure() ? share : 0);
  agent.calm();
  check_works_again(ga, input);
}

template <class Way>
void try_inputs(const std::vector<Input>& inputs, Tally& tally) {
  for (const Input& input : inputs) try_input<Way>(input, tally);
}

}  // namespace hostile
