// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What calls in flight together are worth in a virtual machine, where a round trip costs most:
// pings, twelve read-only commands, and reads of 64 KiB. Beside each, how much there is to gain:
// the same bytes from a raw socket, one request after another and several in one write.
//
// Usage: tests/vm/run.sh -- build/bench/tests/bench_vm [--rounds N] [--json FILE]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <qga/client.hpp>

#include "bench.hpp"
#include "raw.hpp"

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

void read_chunks(qga::Client<>& ga, std::int64_t file, int in_flight) {
  Together calls(ga);
  for (int i = 0; i < chunks; ++i) {
    calls.run_until(in_flight - 1);
    calls.add().file_read(file, chunk);
  }
  calls.run_until(0);
}

/// What the client sends for `work`, a line for each request.
std::vector<std::string> lines_of(const std::string& socket,
                                  const std::function<void(qga::Client<>&)>& work) {
  bool wanted = false;
  std::vector<std::string> lines;
  qga::ClientParams params{.timeout = 120s};
  params.trace = [&](qga::TraceDirection direction, std::string_view line) {
    if (wanted && direction == qga::TraceDirection::sent) lines.push_back(std::string(line) + '\n');
  };
  qga::Client ga(socket, params);
  ga.ping();  // and the handshake
  wanted = true;
  work(ga);
  return lines;
}

/// Gives way on the channel, which takes one client, to a raw socket that sends the lines.
std::vector<double> raw(qga::Client<>& ga, const std::string& socket,
                        const std::vector<std::string>& lines, std::size_t in_one_write) {
  std::vector<std::string> writes;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i % in_one_write == 0) writes.emplace_back();
    writes.back() += lines[i];
  }
  ga.close();
  std::vector<double> figures;
  {
    RawLoop loop(socket, 1 << 20);
    loop.call(lines.front());  // as the client, which has talked to the agent before
    figures = milliseconds_of([&] {
      for (const std::string& write : writes) {
        loop.call(write, static_cast<int>(std::count(write.begin(), write.end(), '\n')));
      }
    });
  }
  ga.connect(socket);
  ga.ping();
  return figures;
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = options_of(argc, argv, 15);
  const char* const directory = std::getenv("QGA_VM");
  if (directory == nullptr) throw std::runtime_error("QGA_VM is not set: see tests/vm/run.sh -h");
  const std::string socket = std::string(directory) + "/agent.sock";
  const auto in_turn = [](qga::Client<>& client) { twelve([&]() -> auto& { return client; }); };
  const auto pings_in_turn = [](qga::Client<>& client) {
    for (int i = 0; i < 12; ++i) client.ping();
  };
  const std::vector<std::string> ping_lines = lines_of(socket, pings_in_turn);
  const std::vector<std::string> lines = lines_of(socket, in_turn);

  const std::int64_t zeros = qga::Client(socket, {.timeout = 120s}).file_open("/dev/zero");
  const auto read_one = [&](qga::Client<>& client) { client.file_read(zeros, chunk); };
  const std::vector<std::string> read_lines(chunks, lines_of(socket, read_one).at(0));

  qga::Client ga(socket, {.timeout = 120s});
  ga.ping();  // and the handshake

  Report report;
  const auto compare = [&](const char* title, const std::vector<Contender>& contenders) {
    report.compare(std::string("a live VM: ") + title, {"milliseconds"}, contenders,
                   options.rounds);
  };
  const auto raw_socket = [&](const char* name, const std::vector<std::string>& sent,
                              std::size_t in_one_write) {
    return Contender{std::string("raw socket, ") + name,
                     [&, in_one_write] { return raw(ga, socket, sent, in_one_write); }};
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
  compare("12 pings",
          {{"one after another", [&] { return milliseconds_of([&] { pings_in_turn(ga); }); }},
           {"in flight together", [&] { return milliseconds_of(pings_together); }},
           raw_socket("one after another", ping_lines, 1),
           raw_socket("in one write", ping_lines, ping_lines.size())});
  const auto together = [&] {
    Together calls(ga);
    twelve([&] { return calls.add(); });
    calls.run_until(0);
  };
  compare("12 commands",
          {{"one after another", [&] { return milliseconds_of([&] { in_turn(ga); }); }},
           {"in flight together", [&] { return milliseconds_of(together); }},
           raw_socket("one after another", lines, 1),
           raw_socket("in one write", lines, lines.size())});
  const auto reading = [&](int in_flight) {
    return milliseconds_of([&] { read_chunks(ga, zeros, in_flight); });
  };
  compare("64 reads of 64 KiB", {{"1 in flight", [&] { return reading(1); }},
                                 {"4 in flight", [&] { return reading(4); }},
                                 raw_socket("one after another", read_lines, 1),
                                 raw_socket("4 in one write", read_lines, 4)});
  ga.file_close(zeros);
  report.write(options.json);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
