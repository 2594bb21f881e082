// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a call takes that does not depend on the machine: heap allocations and system calls, and,
// run under callgrind by instructions.sh, instructions. With --check, more than the limits is an
// error: a regression is found where times could not tell.
// Usage: bench_counts [--check] [--json FILE]
//        bench_counts --calls N ping|info blocking|async SOCKET
#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "bench.hpp"
#include "commands.hpp"

namespace {

struct Counts {
  long allocations = 0;
  long system_calls = 0;
};
Counts counts;

}  // namespace

// glibc lets a program define these, and calls them itself.
extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  ++counts.allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++counts.allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  ++counts.allocations;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++counts.allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = aligned_alloc(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"

/// Counts a call, and hands it on to the C library.
#define QGA_COUNT(result, name, parameters, arguments, ...)                                   \
  extern "C" result name parameters __VA_ARGS__ {                                             \
    static const auto real = reinterpret_cast<result(*) parameters>(dlsym(RTLD_NEXT, #name)); \
    ++counts.system_calls;                                                                    \
    return real arguments;                                                                    \
  }

// Whatever an I/O library might use; strace finds no others in these calls.
QGA_COUNT(ssize_t, send, (int fd, const void* from, size_t size, int flags),
          (fd, from, size, flags))
QGA_COUNT(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
QGA_COUNT(ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size))
QGA_COUNT(ssize_t, writev, (int fd, const iovec* from, int count), (fd, from, count))
QGA_COUNT(ssize_t, recv, (int fd, void* to, size_t size, int flags), (fd, to, size, flags))
QGA_COUNT(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))
QGA_COUNT(ssize_t, read, (int fd, void* to, size_t size), (fd, to, size))
QGA_COUNT(ssize_t, readv, (int fd, const iovec* to, int count), (fd, to, count))
QGA_COUNT(int, poll, (pollfd * polled, nfds_t count, int timeout), (polled, count, timeout))
QGA_COUNT(int, ppoll,
          (pollfd * polled, nfds_t count, const timespec* timeout, const sigset_t* signals),
          (polled, count, timeout, signals))
QGA_COUNT(int, epoll_wait, (int epoll, epoll_event* events, int count, int timeout),
          (epoll, events, count, timeout))
QGA_COUNT(int, epoll_ctl, (int epoll, int operation, int fd, epoll_event* event),
          (epoll, operation, fd, event), noexcept)
QGA_COUNT(int, timerfd_settime, (int fd, int flags, const itimerspec* set, itimerspec* old),
          (fd, flags, set, old), noexcept)

namespace {

using namespace qga_bench;

/// Per call, as g++ 12 and Asio 1.22 have them.
struct Limits {
  double allocations;
  std::optional<double> system_calls;
};
constexpr Limits ping_blocking{0, 3};  // send, poll, read
constexpr Limits ping_async{3, 4};     // send, epoll_ctl, epoll_wait, read
// For each command that the agent lists. A long list takes more reads.
constexpr Limits info_blocking{0.70, {}};
constexpr Limits info_async{0.77, {}};
constexpr double slack = 1.10;

/// How many elements the reply has, of which there are more from agent to agent.
template <class Command>
double elements_of(const std::string& socket) {
  qga::Client ga(socket);
  if constexpr (std::is_void_v<decltype(Command::call(ga))>) {
    return 1;
  } else if constexpr (std::is_same_v<Command, Info>) {
    return static_cast<double>(Command::call(ga).supported_commands.size());
  } else {
    return static_cast<double>(Command::call(ga).size());
  }
}

class Counter {
 public:
  Counter(std::string socket, bool check) : socket_(std::move(socket)), check_(check) {
    std::printf("%-26s %-10s %9s %14s %14s %14s\n", "per call", "", "elements", "allocations",
                "an element", "system calls");
  }

  template <class Command>
  void both(const std::optional<Limits>& blocking = {}, const std::optional<Limits>& async = {}) {
    if (!answers<Command>(socket_)) {
      std::printf("%-26s left out, the agent here refuses it\n",
                  std::string(Command::name).c_str());
      return;
    }
    count<Command, BlockingCalls<Command>>("blocking", blocking);
    count<Command, AsyncCalls<Command>>("async", async);
  }

  bool exceeded() const { return exceeded_; }
  const nlohmann::json& json() const { return json_; }

 private:
  template <class Command, class Calls>
  void count(const char* how, const std::optional<Limits>& limits) {
    constexpr int calls = 500;
    const std::string name(Command::name);
    const double elements = elements_of<Command>(socket_);
    Calls loop(socket_);
    loop.run(20, [] {});  // the handshake, and buffers that grow once
    const Counts before = counts;
    loop.run(calls, [] {});
    const Counts after = counts;
    const double allocations = static_cast<double>(after.allocations - before.allocations) / calls;
    const double system_calls =
        static_cast<double>(after.system_calls - before.system_calls) / calls;
    std::printf("%-26s %-10s %9.0f %14.2f %14.2f %14.2f\n", name.c_str(), how, elements,
                allocations, allocations / elements, system_calls);
    json_[name][how] = {
        {"elements", elements}, {"allocations", allocations}, {"system calls", system_calls}};
    if (!limits) return;
    check("allocations for each element", allocations / elements, limits->allocations);
    if (limits->system_calls) check("system calls", system_calls, *limits->system_calls);
  }

  void check(const char* what, double counted, double limit) {
    if (!check_ || counted <= limit * slack) return;
    std::printf("  too many %s: %.3f, the limit is %.3f and a tenth\n", what, counted, limit);
    exceeded_ = true;
  }

  std::string socket_;
  bool check_;
  bool exceeded_ = false;
  nlohmann::json json_;
};

/// For callgrind: nothing but calls. Says how many elements the reply has.
template <class Command>
void call(int calls, const std::string& how, const std::string& socket) {
  std::printf("%.0f\n", elements_of<Command>(socket));
  how == "async" ? AsyncCalls<Command>(socket).run(calls, [] {})
                 : BlockingCalls<Command>(socket).run(calls, [] {});
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 6 && argv[1] == std::string_view("--calls")) {
    (argv[3] == std::string_view("info") ? call<Info> : call<Ping>)(std::atoi(argv[2]), argv[4],
                                                                    argv[5]);
    return 0;
  }
  const bool check = argc > 1 && argv[1] == std::string_view("--check");
  const Options options = options_of(argc - check, argv + check, 1);
  stay_on_one_core();
  const Target target(options.socket);
  Counter counter(target.socket(), check);
  counter.both<Ping>(ping_blocking, ping_async);
  counter.both<Info>(info_blocking, info_async);
  counter.both<GetFsinfo>();
  counter.both<GetMemoryBlocks>();
  Report report;
  report.add({{"title", "counts, per call"}, {"figures", counter.json()}});
  report.write(options.json);
  return counter.exceeded() ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
