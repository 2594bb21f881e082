// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a call costs over the floor: a raw send/recv loop, the blocking client, the asynchronous
// client and Python in turn, against one real agent.
// Usage: bench_calls [SOCKET] [--rounds N] [--json FILE]
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench.hpp"
#include "commands.hpp"
#include "raw.hpp"

namespace {

using namespace qga_bench;

/// Takes the time of each call: its median is not that of a round in which the machine paused.
class Laps {
 public:
  explicit Laps(int calls) { laps_.reserve(static_cast<std::size_t>(calls)); }

  void operator()() {
    const double now = watch_.seconds();
    laps_.push_back((now - last_) * 1e6);
    last_ = now;
  }
  std::vector<double> per_call() const {
    return {spread(laps_).median, watch_.cpu() * 1e6 / static_cast<double>(laps_.size())};
  }

 private:
  std::vector<double> laps_;
  Stopwatch watch_;
  double last_ = 0;
};

template <class Calls>
std::vector<double> library(const std::string& socket, int calls) {
  Calls loop(socket);
  loop.run(1, [] {});  // makes the handshake
  Laps laps(calls);
  loop.run(calls, [&] { laps(); });
  return laps.per_call();
}

template <class Command>
std::vector<double> raw(const std::string& socket, int calls, Waits waits) {
  RawLoop loop(socket, 4096, waits);
  const std::string line = request_line<Command>();
  loop.call(line);
  Laps laps(calls);
  for (int i = 0; i < calls; ++i) {
    loop.call(line);
    laps();
  }
  return laps.per_call();
}

std::vector<double> python(const std::string& socket, const std::string& command, int calls) {
  const std::string line = "exec python3 '" QGA_BENCH_DIRECTORY "/raw.py' '" + socket + "' " +
                           command + ' ' + std::to_string(calls);
  const auto close = [](std::FILE* pipe) { ::pclose(pipe); };
  const std::unique_ptr<std::FILE, decltype(close)> pipe(::popen(line.c_str(), "r"), close);
  if (!pipe) throw std::runtime_error("cannot run python3");
  const nlohmann::json figures = nlohmann::json::parse(pipe.get());
  return {figures.at("latency"), figures.at("cpu")};
}

template <class Command>
void compare(Report& report, const std::string& socket, int rounds, int calls) {
  const std::string name(Command::name);
  if (!answers<Command>(socket)) {
    std::printf("\n%s: left out, the agent here refuses it\n", name.c_str());
    return;
  }
  const std::vector<Contender> contenders{
      {"raw loop", [&] { return raw<Command>(socket, calls, Waits::in_recv); }},
      {"raw loop, polls", [&] { return raw<Command>(socket, calls, Waits::in_poll); }},
      {"blocking", [&] { return library<BlockingCalls<Command>>(socket, calls); }},
      {"async", [&] { return library<AsyncCalls<Command>>(socket, calls); }},
      {"Python", [&] { return python(socket, name, calls); }},
  };
  report.compare(name + ", " + std::to_string(calls) + " calls", {"latency, us", "CPU, us"},
                 contenders, rounds);
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = options_of(argc, argv, 21);
  stay_on_one_core();
  const Target target(options.socket);
  Report report;
  compare<Ping>(report, target.socket(), options.rounds, 1000);
  compare<Info>(report, target.socket(), options.rounds, 500);
  compare<GetFsinfo>(report, target.socket(), options.rounds, 100);
  compare<GetMemoryBlocks>(report, target.socket(), options.rounds, 100);
  report.write(options.json);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
