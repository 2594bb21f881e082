// What calls in flight together are worth in a virtual machine, where a round trip costs most: a
// ping, twelve read-only commands, and reads of 64 KiB. Medians over the rounds; the ways take
// turns, so that a machine that gets slower does not change their ratio.
// Usage: tests/vm/run.sh -- build/default/tests/bench_vm [ROUNDS]
#include <algorithm>
#include <chrono>
#include <cstddef>
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

using namespace std::chrono_literals;

namespace {

constexpr int pings = 200;
constexpr std::int64_t chunk = 64 << 10;
constexpr int chunks = 64;

double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Median and the middle half.
struct Spread {
  double low, median, high;
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](std::size_t quarter) { return values[(values.size() - 1) * quarter / 4]; };
  return {at(1), at(2), at(3)};
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

int main(int argc, char** argv) {
  try {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
    const char* const directory = std::getenv("QGA_VM");
    if (directory == nullptr) throw std::runtime_error("QGA_VM is not set: see tests/vm/run.sh -h");
    qga::Client ga(std::string(directory) + "/agent.sock", {.timeout = 120s});
    ga.ping();  // the guest may be booting

    struct Way {
      const char* name;
      std::function<void()> run;
      double per;  ///< what a result is divided by
      std::vector<double> milliseconds = {};
    };
    std::vector<Way> ways{
        {"ping, blocking",
         [&] {
           for (int i = 0; i < pings; ++i) ga.ping();
         },
         pings},
        {"ping, async",
         [&] {
           Together calls(ga);
           for (int i = 0; i < pings; ++i) calls.add().ping(), calls.run_until(0);
         },
         pings},
        {"12 commands, one after another", [&] { twelve([&]() -> auto& { return ga; }); }, 1},
        {"12 commands, in flight together",
         [&] {
           Together calls(ga);
           twelve([&] { return calls.add(); });
           calls.run_until(0);
         },
         1},
        {"64 reads of 64 KiB, 1 in flight", [&] { read_chunks(ga, 1); }, 1},
        {"64 reads of 64 KiB, 4 in flight", [&] { read_chunks(ga, 4); }, 1},
    };
    for (int i = -1; i < rounds; ++i) {
      for (Way& way : ways) {
        const double took = milliseconds_of(way.run) / way.per;
        if (i >= 0) way.milliseconds.push_back(took);  // the first round warms up
      }
    }

    std::printf("A live VM, %d rounds in turn; milliseconds: median and middle half\n", rounds);
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const Spread took = spread(ways[i].milliseconds);
      std::printf("%-32s %9.3f  (%.3f to %.3f)", ways[i].name, took.median, took.low, took.high);
      if (i >= 4) std::printf("  %.1f MiB/s", chunks * chunk / 1048.576 / took.median);
      if (i % 2 == 1) {
        std::vector<double> ratios;
        for (std::size_t round = 0; round < ways[i].milliseconds.size(); ++round) {
          ratios.push_back(ways[i - 1].milliseconds[round] / ways[i].milliseconds[round]);
        }
        std::printf("  %.2f times as fast", spread(ratios).median);
      }
      std::puts("");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
