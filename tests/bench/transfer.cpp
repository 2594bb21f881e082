// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What moving a file costs over the floor: a raw loop, and the library's transfers by the size of
// their chunks and how many of them are in flight. What a program's output costs beside a download.
// Each in a process of its own, because the peak of a process's memory never falls.
// Usage: bench_transfer [SOCKET] [--rounds N] [--json FILE]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <istream>
#include <ostream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <qga/client.hpp>

#include "bench.hpp"
#include "raw.hpp"

using namespace std::chrono_literals;

namespace {

using namespace qga_bench;

constexpr std::size_t mebibyte = 1 << 20;

/// Of this process, ever.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  throw std::runtime_error("no VmHWM in /proc/self/status");
}

/// Throughput, CPU and memory of `work` in a child, of which the agent's owner knows nothing.
std::vector<double> in_child(std::size_t bytes, const std::function<void()>& work) {
  using Figures = std::array<double, 3>;
  std::array<int, 2> ends;
  if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    try {
      const double idle = peak_memory();
      const Stopwatch watch;
      work();
      const Figures figures{static_cast<double>(bytes / mebibyte) / watch.seconds(),
                            watch.cpu() * 1e3, peak_memory() - idle};
      ::_exit(::write(ends[1], figures.data(), sizeof figures) == sizeof figures ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  Figures figures;
  const bool whole = ::read(ends[0], figures.data(), sizeof figures) == sizeof figures;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!whole || status != 0) throw std::runtime_error("a contender failed");
  return {figures.begin(), figures.end()};
}

/// Counts bytes, and drops them.
class Nowhere : public std::streambuf {
 public:
  std::size_t count = 0;

 protected:
  std::streamsize xsputn(const char*, std::streamsize size) override {
    count += static_cast<std::size_t>(size);
    return size;
  }
};

/// So many bytes, out of nothing.
class Bytes : public std::streambuf {
 public:
  explicit Bytes(std::size_t count) : left_(count) {}

 protected:
  std::streamsize xsgetn(char* to, std::streamsize size) override {
    const std::size_t bytes = std::min(static_cast<std::size_t>(size), left_);
    std::memset(to, 'q', bytes);
    left_ -= bytes;
    return static_cast<std::streamsize>(bytes);
  }

 private:
  std::size_t left_;
};

/// How a contender moves a file.
struct Way {
  std::string socket;
  std::string path;
  std::size_t size;
  std::size_t chunk;
};

void expect_size(std::size_t got, std::size_t size) {
  if (got != size) throw std::runtime_error("moved " + std::to_string(got) + " bytes");
}

/// What stands behind `before`, up to the next quotation mark.
std::string_view behind(std::string_view reply, std::string_view before) {
  const std::size_t at = reply.find(before);
  if (at == reply.npos) throw std::runtime_error(std::string(reply.substr(0, 200)));
  reply.remove_prefix(at + before.size());
  return reply.substr(0, reply.find('"'));
}

// The floor has the library's base64, than which no table-driven codec was found to be faster.

class RawFile {
 public:
  /// @param replies how long they get
  RawFile(const Way& way, const char* mode, std::size_t replies) : loop_(way.socket, replies) {
    const std::string_view reply =
        loop_.call(R"({"execute":"guest-file-open","arguments":{"path":")" + way.path +
                   R"(","mode":")" + mode + "\"}}\n");
    handle_ = std::to_string(std::stoll(std::string(behind(reply, "\"return\": "))));
  }
  ~RawFile() { call("close"); }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  std::string request(const std::string& command) const {
    return R"({"execute":"guest-file-)" + command + R"(","arguments":{"handle":)" + handle_;
  }
  std::string_view send(std::string_view line) { return loop_.call(line); }
  std::string_view call(const std::string& command, const std::string& arguments = "") {
    return loop_.call(request(command) + arguments + "}}\n");
  }

 private:
  RawLoop loop_;
  std::string handle_;
};

void read_raw(const Way& way) {
  RawFile file(way, "r", qga::detail::base64_encoded_size(way.chunk) + 4096);
  const std::string line =
      file.request("read") + ",\"count\":" + std::to_string(way.chunk) + "}}\n";
  std::string bytes;
  std::size_t size = 0;
  do {
    const std::string_view text = behind(file.send(line), "\"buf-b64\": \"");
    if (!qga::detail::base64_decode(text, bytes)) throw std::runtime_error("no base64");
    size += bytes.size();
  } while (!bytes.empty());
  expect_size(size, way.size);
}

void write_raw(const Way& way) {
  RawFile file(way, "w", 4096);
  const std::string before = file.request("write") + ",\"buf-b64\":\"";
  std::string bytes(way.chunk, '\0');
  std::string line;
  line.reserve(qga::detail::base64_encoded_size(way.chunk) + 4096);
  for (std::size_t size = 0; size < way.size; size += bytes.size()) {
    std::memset(bytes.data(), 'q', bytes.size());
    line = before;
    qga::detail::base64_encode(bytes, line);
    line += "\"}}\n";
    behind(file.send(line), "\"count\": " + std::to_string(way.chunk));
  }
  file.call("flush");
}

void read_by_library(const Way& way, std::size_t in_flight) {
  Nowhere nowhere;
  std::ostream stream(&nowhere);
  qga::Client ga(way.socket, {.timeout = 120s});
  ga.download(way.path, stream, {.chunk = way.chunk, .in_flight = in_flight});
  expect_size(nowhere.count, way.size);
}

void write_by_library(const Way& way, std::size_t in_flight) {
  Bytes bytes(way.size);
  std::istream stream(&bytes);
  qga::Client ga(way.socket, {.timeout = 120s});
  expect_size(ga.upload(stream, way.path, {.chunk = way.chunk, .in_flight = in_flight}).bytes,
              way.size);
}

/// A file whose bytes a program writes as they are.
void read_file(const std::string& socket, const std::string& path, std::size_t size) {
  read_by_library({socket, path, size, qga::TransferParams().chunk},
                  qga::TransferParams().in_flight);
}

void read_output_by_run(const std::string& socket, const std::string& path, std::size_t size) {
  std::size_t count = 0;
  qga::Client ga(socket, {.timeout = 120s});
  qga::RunParams params{.args = {path}};
  params.output = [&](qga::ProcessStream, std::string_view bytes) { count += bytes.size(); };
  ga.run("cat", std::move(params));
  expect_size(count, size);
}

void read_output_by_process(const std::string& socket, const std::string& path, std::size_t size) {
  std::size_t count = 0;
  qga::Client ga(socket, {.timeout = 120s});
  qga::Process process = ga.start("cat", {.args = {path}});
  while (const qga::ProcessOutput output = process.read()) count += output.bytes.size();
  expect_size(count, size);
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = options_of(argc, argv, 5);
  const Target target(options.socket);
  // Somebody else's agent may be in an emulated guest, which writes 1 MiB a second.
  const std::size_t size = (options.socket.empty() ? 64 : 8) * mebibyte;
  const std::string file = target.file("qga-bench-transfer");
  Report report;
  struct Direction {
    const char* name;
    void (*raw)(const Way&);
    void (*library)(const Way&, std::size_t);
  };
  // Written first, and so there to be read.
  for (const Direction& direction : {Direction{"writing", write_raw, write_by_library},
                                     Direction{"reading", read_raw, read_by_library}}) {
    for (const std::size_t chunk :
         {mebibyte / 16, qga::TransferParams().chunk, mebibyte, 4 * mebibyte}) {
      const Way way{target.socket(), file, size, chunk};
      std::vector<Contender> contenders{
          {"raw loop", [&] { return in_child(size, [&] { direction.raw(way); }); }}};
      for (const std::size_t in_flight : {std::size_t{1}, std::size_t{4}}) {
        contenders.push_back(
            {"library, " + std::to_string(in_flight) + " in flight", [&, in_flight] {
               return in_child(size, [&] { direction.library(way, in_flight); });
             }});
      }
      report.compare(std::string(direction.name) + ' ' + std::to_string(size / mebibyte) +
                         " MiB by " + std::to_string(chunk / 1024) + " KiB",
                     {"throughput, MiB/s", "CPU, ms", "peak memory, MiB"}, contenders,
                     options.rounds);
    }
  }
  // A program's output, against a download of the file that it writes.
  const std::size_t long_size = (options.socket.empty() ? 300 : 8) * mebibyte;
  write_by_library({target.socket(), file, long_size, mebibyte}, 4);
  std::vector<Contender> outputs;
  using Reader = void (*)(const std::string&, const std::string&, std::size_t);
  for (const auto& [name, reader] :
       {std::pair<const char*, Reader>{"download of the file", read_file},
        {"run with output", read_output_by_run},
        {"start and read", read_output_by_process}}) {
    outputs.push_back({name, [&, reader = reader] {
                         return in_child(long_size,
                                         [&] { reader(target.socket(), file, long_size); });
                       }});
  }
  report.compare("output of " + std::to_string(long_size / mebibyte) + " MiB",
                 {"throughput, MiB/s", "CPU, ms", "peak memory, MiB"}, outputs, options.rounds);
  qga::Client(target.socket(), {.timeout = 120s}).write_file(file, "");  // agents remove nothing
  report.write(options.json);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
