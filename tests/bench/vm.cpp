// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What calls in flight together are worth in a virtual machine, where a round trip costs most:
// pings, twelve read-only commands, and reads of 64 KiB.
// Usage: tests/vm/run.sh -- build/bench/tests/bench_vm [--rounds N] [--json FILE]
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <qga/client.hpp>

#include "bench.hpp"

using namespace std::chrono_literals;

namespace {

using namespace qga_bench;

constexpr int pings = 200;
constexpr std::int64_t chunk = 64 << 10;
constexpr int chunks = 64;

/// @param per what the result is divided by
std::vector<double> milliseconds_of(const std::function<void()>& work, int per = 1) {
  const Stopwatch watch;
  work();
  return {watch.seconds() * 1e3 / per};
}

/// Calls that are in flight together on one client, run to their end.
class Together {
 public:
  explicit Together(qga::Client<>& ga) : ga_(ga) {}

  /// The client's face, for a call that is to be added.
  auto add() {
    ++left_;
    return ga_.async(asio::bind_executor(context_, [this](std::exception_ptr error, auto&&...) {
      --left_;
      if (error) std::rethrow_exception(error);
    }));
  }
  void run_until(int left) {
    context_.restart();
    while (left_ > left) {
      if (context_.run_one() == 0) throw std::logic_error("nothing is under way");
    }
  }

 private:
  qga::Client<>& ga_;
  asio::io_context context_;
  int left_ = 0;
};

/// Twelve commands that change nothing, on anything that has the client's face.
template <class Face>
void twelve(Face face) {
  face().info();
  face().get_time();
  face().get_host_name();
  face().get_osinfo();
  face().get_timezone();
  face().get_users();
  face().get_vcpus();
  face().get_cpustats();
  face().get_fsinfo();
  face().get_disks();
  face().get_diskstats();
  face().network_get_interfaces();
}

void read_chunks(qga::Client<>& ga, int in_flight) {
  const std::int64_t zeros = ga.file_open("/dev/zero");
  Together calls(ga);
  for (int i = 0; i < chunks; ++i) {
    calls.run_until(in_flight - 1);
    calls.add().file_read(zeros, chunk);
  }
  calls.run_until(0);
  ga.file_close(zeros);
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = options_of(argc, argv, 15);
  const char* const directory = std::getenv("QGA_VM");
  if (directory == nullptr) throw std::runtime_error("QGA_VM is not set: see tests/vm/run.sh -h");
  qga::Client ga(std::string(directory) + "/agent.sock", {.timeout = 120s});
  ga.ping();  // the guest may be booting

  Report report;
  const auto compare = [&](const char* title, const std::vector<Contender>& contenders) {
    report.compare(std::string("a live VM: ") + title, {"milliseconds"}, contenders,
                   options.rounds);
  };
  const auto blocking = [&] {
    for (int i = 0; i < pings; ++i) ga.ping();
  };
  const auto async = [&] {
    Together calls(ga);
    for (int i = 0; i < pings; ++i) calls.add().ping(), calls.run_until(0);
  };
  compare("ping", {{"blocking", [&] { return milliseconds_of(blocking, pings); }},
                   {"async", [&] { return milliseconds_of(async, pings); }}});
  // Nothing but round trips: what is left of twelve commands beside what they cost the guest.
  const auto pings_together = [&] {
    Together calls(ga);
    for (int i = 0; i < 12; ++i) calls.add().ping();
    calls.run_until(0);
  };
  const auto pings_in_turn = [&] {
    for (int i = 0; i < 12; ++i) ga.ping();
  };
  compare("12 pings", {{"one after another", [&] { return milliseconds_of(pings_in_turn); }},
                       {"in flight together", [&] { return milliseconds_of(pings_together); }}});
  const auto in_turn = [&] { twelve([&]() -> auto& { return ga; }); };
  const auto together = [&] {
    Together calls(ga);
    twelve([&] { return calls.add(); });
    calls.run_until(0);
  };
  compare("12 commands", {{"one after another", [&] { return milliseconds_of(in_turn); }},
                          {"in flight together", [&] { return milliseconds_of(together); }}});
  const auto reading = [&](int in_flight) {
    return milliseconds_of([&] { read_chunks(ga, in_flight); });
  };
  compare("64 reads of 64 KiB", {{"1 in flight", [&] { return reading(1); }},
                                 {"4 in flight", [&] { return reading(4); }}});
  report.write(options.json);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
