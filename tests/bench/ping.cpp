// What a ping costs over the floor: a raw send/recv loop, the blocking client and the asynchronous
// client in turn, against one real agent. Latencies and CPU are medians over the rounds, ratios are
// taken within a round, so that a machine that gets slower does not change them.
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qga/client.hpp>

#include "agent.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr int pings_in_a_round = 1000;

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

double cpu_microseconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// What one round of one contender measured, per ping.
struct Round {
  double latency;
  double cpu;
};

class Stopwatch {
 public:
  void lap() {
    const auto now = Clock::now();
    laps_.push_back(microseconds(now - last_));
    last_ = now;
  }
  Round round() const {
    return {median(laps_), (cpu_microseconds() - cpu_) / static_cast<double>(laps_.size())};
  }

 private:
  std::vector<double> laps_ = [] {
    std::vector<double> laps;
    laps.reserve(pings_in_a_round);
    return laps;
  }();
  double cpu_ = cpu_microseconds();
  Clock::time_point last_ = Clock::now();
};

/// The floor: what must be sent and received, and the search for the end of the line.
Round raw(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect");
  }
  std::array<char, 4096> buffer;
  const auto ping = [&] {
    // The client's own bytes: an id costs the agent time too.
    constexpr std::string_view request = "{\"execute\":\"guest-ping\",\"id\":1738137421}\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      throw std::runtime_error("cannot send");
    }
    std::size_t size = 0;
    do {
      const ssize_t got = ::recv(fd, buffer.data() + size, buffer.size() - size, 0);
      if (got <= 0) throw std::runtime_error("cannot receive");
      size += static_cast<std::size_t>(got);
    } while (std::memchr(buffer.data(), '\n', size) == nullptr);
  };
  ping();
  Stopwatch watch;
  for (int i = 0; i < pings_in_a_round; ++i) {
    ping();
    watch.lap();
  }
  const Round round = watch.round();
  ::close(fd);
  return round;
}

Round blocking(const std::string& path) {
  qga::Client ga(path);
  ga.ping();
  Stopwatch watch;
  for (int i = 0; i < pings_in_a_round; ++i) {
    ga.ping();
    watch.lap();
  }
  return watch.round();
}

Round asynchronous(const std::string& path) {
  asio::io_context context;
  asio::local::stream_protocol::socket socket(context);
  socket.connect(asio::local::stream_protocol::endpoint(path));
  qga::Client ga(std::move(socket));
  std::optional<Stopwatch> watch;
  int left = pings_in_a_round + 1;  // the first makes the handshake
  std::function<void(std::exception_ptr)> next = [&](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
    if (watch) {
      watch->lap();
    } else {
      watch.emplace();
    }
    if (--left > 0) ga.async(std::ref(next)).ping();
  };
  ga.async(std::ref(next)).ping();
  context.run();
  return watch->round();
}

/// The agent inherits this. Across two cores the wake-up of an idle one takes longer than all the
/// rest, and differs from round to round.
void stay_on_one_core() {
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &core);
  if (::sched_setaffinity(0, sizeof core, &core) != 0) std::perror("not pinned to one core");
}

}  // namespace

int main(int argc, char** argv) {
  stay_on_one_core();
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 31;
  qga_test::Agent agent;
  struct Contender {
    const char* name;
    Round (*run)(const std::string&);
    std::vector<double> latency = {}, cpu = {}, latency_ratio = {}, cpu_ratio = {};
  };
  std::array<Contender, 3> contenders{
      {{"raw loop", raw}, {"blocking", blocking}, {"async", asynchronous}}};
  for (int i = -1; i < rounds; ++i) {
    Round floor{};
    for (auto& contender : contenders) {
      const Round round = contender.run(agent.path());
      if (contender.run == raw) floor = round;
      if (i < 0) continue;  // the first round warms up
      contender.latency.push_back(round.latency);
      contender.cpu.push_back(round.cpu);
      contender.latency_ratio.push_back(round.latency / floor.latency);
      contender.cpu_ratio.push_back(round.cpu / floor.cpu);
    }
  }
  std::printf("guest-ping, real agent, %d rounds of %d in turn, one core; medians\n", rounds,
              pings_in_a_round);
  std::printf("%-10s %14s %14s %14s %14s\n", "", "latency us", "ratio to raw", "CPU us",
              "ratio to raw");
  for (const auto& contender : contenders) {
    std::printf("%-10s %14.2f %14.3f %14.2f %14.3f\n", contender.name, median(contender.latency),
                median(contender.latency_ratio), median(contender.cpu),
                median(contender.cpu_ratio));
  }
}
