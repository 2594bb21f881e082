// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Commands without end against real agents, with deadlines that are too short, cancellations,
// connections that are cut and agents that are killed: every reply is checked against its request,
// and in the end the process has as many descriptors and as much memory as after the first tenth.
// Usage: soak [COMMANDS [THREADS]]
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <malloc.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include "agent.hpp"
#include "qga/client.hpp"
#include "sanitized.hpp"

using namespace std::chrono_literals;

namespace {

constexpr int agents = 3;
constexpr int lanes = 6;  ///< calls in flight on one client

struct Counts {
  std::atomic<std::uint64_t> started = 0;
  std::atomic<std::uint64_t> answered = 0;
  std::atomic<std::uint64_t> timed_out = 0;
  std::atomic<std::uint64_t> cancelled = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<std::uint64_t> unreachable = 0;
  std::atomic<std::uint64_t> skipped = 0;  ///< an answer was lost, and a later one came
  std::atomic<std::uint64_t> connections = 0;
  std::atomic<std::uint64_t> wrong = 0;
};

struct Soak {
  asio::io_context context;
  Counts counts;
  std::uint64_t wanted = 0;

  /// Takes a command from what is left to do.
  bool take() { return counts.started.fetch_add(1) < wanted; }
};

/// One agent and a client of it. Its lanes send one call after another; a connection is made anew
/// when all of them have stopped for it.
class Peer {
 public:
  Peer(Soak& soak, std::string path, unsigned seed)
      : soak_(soak), path_(std::move(path)), client_(soak.context), timer_(soak.context) {
    for (unsigned i = 0; i < lanes; ++i) lanes_.emplace_back(*this, seed * 100 + i);
  }
  void begin() { connect(); }

 private:
  struct Lane {
    Lane(Peer& peer_, unsigned seed) : peer(peer_), random(seed) {}

    bool one_in(unsigned n) { return random() % n == 0; }

    asio::strand<asio::io_context::executor_type>& strand() { return own; }
    template <class Function>
    auto handler(Function function) {
      return asio::bind_cancellation_slot(signal.slot(),
                                          asio::bind_executor(own, std::move(function)));
    }

    void next() {
      if (peer.leaving_ || (one_in(3000) && !peer.leaving_.exchange(true))) return peer.park();
      if (!peer.soak_.take()) return;
      qga::CallOptions options{.timeout = 10s};
      if (one_in(20)) options.timeout = std::chrono::microseconds(random() % 400);
      if (one_in(4)) {
        peer.client_
            .async(handler([this](const std::exception_ptr& error) { ended(error); }), options)
            .ping();
      } else {
        // A number as no other call has it, and the reply is that number.
        const auto id = static_cast<std::int64_t>(random() >> 1);
        peer.client_
            .async(handler([this, id](const std::exception_ptr& error, std::int64_t reply) {
                     if (!error && reply != id) ++peer.soak_.counts.wrong;
                     ended(error);
                   }),
                   options)
            .sync(id);
      }
      if (one_in(30)) {
        // On the executor that the handler has, as Asio asks for.
        asio::post(strand(), [this] { signal.emit(asio::cancellation_type::terminal); });
      }
    }

    void ended(const std::exception_ptr& error) {
      Counts& counts = peer.soak_.counts;
      try {
        if (error) std::rethrow_exception(error);
        ++counts.answered;
      } catch (const qga::TimeoutError&) {
        ++counts.timed_out;
      } catch (const qga::UnreachableError&) {
        ++counts.unreachable;
        peer.leaving_ = true;
      } catch (const qga::CancelledError&) {
        ++counts.cancelled;
      } catch (const qga::BadReplyError&) {
        ++counts.skipped;
      } catch (const qga::GuestAgentError& failed) {
        ++counts.refused;
        std::printf("%s\n", failed.what());
      }
      next();
    }

    Peer& peer;
    std::mt19937_64 random;
    asio::cancellation_signal signal = {};
    asio::strand<asio::io_context::executor_type> own{peer.soak_.context.get_executor()};
  };

  /// The last lane that stops connects again.
  void park() {
    if (++parked_ == lanes) connect();
  }

  void connect() {
    client_.close();
    client_.async_connect(asio::local::stream_protocol::endpoint(path_),
                          [this](const std::exception_ptr& error) {
                            if (error) return retry();
                            ++soak_.counts.connections;
                            parked_ = 0;
                            leaving_ = false;
                            for (Lane& lane : lanes_) {
                              asio::post(lane.strand(), [&lane] { lane.next(); });
                            }
                          });
  }

  void retry() {
    if (soak_.counts.started >= soak_.wanted) return;
    timer_.expires_after(20ms);
    timer_.async_wait([this](std::error_code) { connect(); });
  }

  Soak& soak_;
  std::string path_;
  qga::Client<> client_;
  asio::steady_timer timer_;
  std::deque<Lane> lanes_;
  std::atomic<bool> leaving_ = false;
  std::atomic<int> parked_ = 0;
};

std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::uint64_t resident_kib() {
  ::malloc_trim(0);
  std::ifstream status("/proc/self/status");
  std::uint64_t size = 0;
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") status >> size;
  }
  return size;
}

/// Some commands; kills an agent now and then. Agents are children of this thread.
void run(Soak& soak, std::deque<qga_test::Agent>& real, std::uint64_t commands, unsigned threads,
         std::mt19937& random) {
  soak.counts.started = 0;
  soak.wanted = commands;
  soak.context.restart();
  std::deque<Peer> peers;
  for (qga_test::Agent& agent : real) {
    if (!agent.alive()) agent.restart();
    peers.emplace_back(soak, agent.path(), random()).begin();
  }
  std::vector<std::thread> workers;
  std::atomic<unsigned> running = threads;
  for (unsigned i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      soak.context.run();
      --running;
    });
  }
  while (running > 0) {
    std::this_thread::sleep_for(10ms);
    for (qga_test::Agent& agent : real) {
      if (random() % 100 == 0 || !agent.alive()) agent.restart();
    }
  }
  for (std::thread& worker : workers) worker.join();
  peers.clear();  // each client reads to the end what its agent still sends
  soak.context.restart();
  soak.context.run();
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t commands = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20'000;
  const auto threads = static_cast<unsigned>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 3);
  std::deque<qga_test::Agent> real(agents);
  std::mt19937 random(1);
  Soak soak;

  const auto begun = std::chrono::steady_clock::now();
  run(soak, real, commands / 10, threads, random);
  const std::size_t descriptors_before = descriptors();
  const std::uint64_t memory_before = resident_kib();
  run(soak, real, commands - commands / 10, threads, random);
  const std::size_t descriptors_after = descriptors();
  const std::uint64_t memory_after = resident_kib();
  const auto seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();

  const Counts& counts = soak.counts;
  const auto line = [](const char* what, std::uint64_t count) {
    std::printf("  %-22s %llu\n", what, static_cast<unsigned long long>(count));
  };
  line("timed out", counts.timed_out);
  line("cancelled", counts.cancelled);
  line("answer lost", counts.skipped);
  line("unreachable", counts.unreachable);
  line("refused", counts.refused);
  line("connections", counts.connections);
  std::printf(
      "soak: %" PRIu64 " commands on %d agents from %u threads in %.1f s, answered: %" PRIu64
      ", wrong: %" PRIu64 ", descriptors: %zu -> %zu, memory: %" PRIu64 " -> %" PRIu64 " KiB\n",
      commands, agents, threads, seconds, counts.answered.load(), counts.wrong.load(),
      descriptors_before, descriptors_after, memory_before, memory_after);

  const std::uint64_t ended = counts.answered + counts.timed_out + counts.cancelled +
                              counts.skipped + counts.unreachable + counts.refused;
  bool good = true;
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) std::printf("FAILED: %s\n", what);
    good = good && holds;
  };
  expect(counts.wrong == 0, "a reply reached the wrong request");
  expect(ended == commands, "a call did not end, or ended twice");
  expect(counts.refused == 0, "an agent refused");
  expect(counts.answered > commands / 2, "most are answered");
  expect(counts.timed_out > 0 && counts.cancelled > 0 && counts.unreachable > 0 &&
             counts.connections > agents,
         "trouble was made");
  expect(descriptors_after == descriptors_before, "descriptors were lost");
  if (qga_test::sanitized) {
    std::printf("  memory is not that of the library under sanitizers: not checked\n");
  } else {
    expect(memory_after < memory_before + 2048, "memory grows");
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
