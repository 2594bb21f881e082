// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Two ways to call an agent, blocking and asynchronous, with the same face: a check is written once
// and run for both.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>

#include "qga/client.hpp"

namespace qga_test {

/// For a slow machine that others use too.
inline constexpr auto long_enough = std::chrono::seconds(60);

/// Also for what has a longer default: some tests are about what is slow.
inline qga::ClientParams patient() { return {.timeout = long_enough}; }

/// What an asynchronous call came to. It must outlive the call; declare it before the context.
template <class Result>
struct Answer {
  int times = 0;
  std::exception_ptr error = {};
  std::optional<Result> value = {};

  bool done() const { return times == 1; }
  Result get() {
    if (times != 1) throw std::logic_error("completed " + std::to_string(times) + " times");
    if (error) std::rethrow_exception(error);
    return std::move(*value);
  }
};
template <>
struct Answer<void> {
  int times = 0;
  std::exception_ptr error = {};

  bool done() const { return times == 1; }
  void get() const {
    if (times != 1) throw std::logic_error("completed " + std::to_string(times) + " times");
    if (error) std::rethrow_exception(error);
  }
};

/// A handler that fills an answer in.
template <class Result>
auto to(Answer<Result>& answer) {
  return [&answer](std::exception_ptr error, Result value) {
    ++answer.times;
    answer.error = std::move(error);
    answer.value = std::move(value);
  };
}
inline auto to(Answer<void>& answer) {
  return [&answer](std::exception_ptr error) {
    ++answer.times;
    answer.error = std::move(error);
  };
}

/// Runs a context until nothing is left to do, which a finished call must allow.
inline void run_dry(asio::io_context& context) {
  context.restart();
  context.run_for(3 * long_enough);
  if (!context.stopped()) throw std::runtime_error("the context does not run out of work");
}

/// Runs a context until `done()`; work may be left.
template <class Done>
void run_until(asio::io_context& context, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + 3 * long_enough;
  context.restart();
  while (!done()) {
    if (context.run_one_until(deadline) == 0) throw std::runtime_error("nothing more happens");
  }
}

/// Runs an asynchronous operation to its end.
template <class Result = void, class Start>
Result get(asio::io_context& context, Start start) {
  Answer<Result> answer;
  start(asio::bind_executor(context, to(answer)));
  run_until(context, [&] { return answer.times > 0; });
  return answer.get();
}

/// The calls of a program that was started. A way gives `call`, which makes one of them.
template <class Program>
class ProgramCalls {
 public:
  auto read(qga::CallOptions options = {}) {
    return call([](auto on) { return on.read(); }, std::move(options));
  }
  auto write(std::string bytes, qga::CallOptions options = {}) {
    return call([&](auto on) { return on.write(std::move(bytes)); }, std::move(options));
  }
  auto close_input() {
    return call([](auto on) { return on.close_input(); });
  }
  auto status() {
    return call([](auto on) { return on.status(); });
  }
  auto wait(qga::CallOptions options = {}) {
    return call([](auto on) { return on.wait(); }, std::move(options));
  }
  auto signal(int number) {
    return call([&](auto on) { return on.signal(number); });
  }
  auto kill() {
    return call([](auto on) { return on.kill(); });
  }
  auto resize(unsigned rows, unsigned columns) {
    return call([&](auto on) { return on.resize(rows, columns); });
  }

 private:
  template <class Use>
  auto call(Use use, qga::CallOptions options = {}) {
    return static_cast<Program&>(*this).call(std::move(use), std::move(options));
  }
};

/// Calls that block.
class Blocking : public qga::Client<> {
 public:
  explicit Blocking(const std::string& path, qga::ClientParams params = patient())
      : qga::Client<>(path, std::move(params)) {}

  /// A program whose calls block.
  class Program : public ProgramCalls<Program> {
   public:
    Program(Blocking&, qga::Process started) : process(std::move(started)) {}
    template <class Use>
    auto call(Use use, qga::CallOptions options) {
      return use(process.with(std::move(options)));
    }
    qga::Process process;
  };

  /// Nothing is left to run in the background.
  void settle() {}
  /// Destroys the client.
  void end() { const qga::Client<> gone(std::move(static_cast<qga::Client<>&>(*this))); }
};

/// Asynchronous calls, each run to its end.
class Async : public qga::Commands<Async>, public qga::Helpers<Async> {
 public:
  explicit Async(const std::string& path, qga::ClientParams params = patient())
      : client_(context_, std::move(params)) {
    connect(path);
  }

  void connect(const std::string& path) {
    Answer<void> answer;
    client_.async_connect(asio::local::stream_protocol::endpoint(path),
                          asio::bind_executor(context_, to(answer)));
    run_all();
    answer.get();
  }
  bool is_open() const { return client_.is_open(); }
  using qga::FileHelpers<Async>::close;  // of a file
  void close() {
    client_.close();
    run_all();
  }

  /// A program with asynchronous calls, each run to its end.
  class Program : public ProgramCalls<Program> {
   public:
    Program(Async& way, qga::Process started) : process(std::move(started)), way_(way) {}
    template <class Use>
    auto call(Use use, qga::CallOptions options) {
      Answer<decltype(use(process.with({})))> answer;
      use(process.async(asio::bind_executor(way_.context_, to(answer)), std::move(options)));
      way_.run_all();
      return answer.get();
    }
    qga::Process process;

   private:
    Async& way_;
  };

  /// Runs what goes on in the background to its end.
  void settle() { run_all(); }
  /// Destroys the client, and runs what goes on after it to its end.
  void end() {
    { const qga::Client<> gone(std::move(client_)); }
    run_all();
  }

  template <qga::Request Request, class Project = std::identity>
  auto execute(const Request& request, Project project = {}) {
    return run_call(request, std::move(project), {});
  }
  nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
    return execute(qga::detail::RawRequest(command, std::move(arguments)));
  }

  template <class Result, template <class> class Algorithm, class... Args>
  Result perform(Args&&... args) {
    return run_helper<Result, Algorithm>({}, std::forward<Args>(args)...);
  }

  class WithOptions : public qga::Commands<WithOptions>, public qga::Helpers<WithOptions> {
   public:
    WithOptions(Async& way, qga::CallOptions options) : way_(way), options_(std::move(options)) {}
    template <qga::Request Request, class Project = std::identity>
    auto execute(const Request& request, Project project = {}) {
      return way_.run_call(request, std::move(project), options_);
    }
    template <class Result, template <class> class Algorithm, class... Args>
    Result perform(Args&&... args) {
      return way_.template run_helper<Result, Algorithm>(options_, std::forward<Args>(args)...);
    }

   private:
    Async& way_;
    qga::CallOptions options_;
  };
  WithOptions with(qga::CallOptions options) { return WithOptions(*this, std::move(options)); }

 private:
  template <class Request, class Project>
  using ResultOf = typename qga::detail::Projected<typename Request::Reply, Project>::type;

  template <class Request, class Project>
  ResultOf<Request, Project> run_call(const Request& request, Project project,
                                      const qga::CallOptions& options) {
    Answer<ResultOf<Request, Project>> answer;
    client_.async(asio::bind_executor(context_, to(answer)), options)
        .execute(request, std::move(project));
    run_all();
    return answer.get();
  }

  template <class Result, template <class> class Algorithm, class... Args>
  Result run_helper(const qga::CallOptions& options, Args&&... args) {
    Answer<Result> answer;
    client_.async(asio::bind_executor(context_, to(answer)), options)
        .template perform<Result, Algorithm>(std::forward<Args>(args)...);
    run_all();
    return answer.get();
  }

  /// On as many threads as QGA_TEST_THREADS says: for the thread sanitizer.
  void run_all() {
    static const char* const set = std::getenv("QGA_TEST_THREADS");
    static const int threads = set != nullptr ? std::atoi(set) : 1;
    context_.restart();
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back([this] { context_.run(); });
    context_.run_for(3 * long_enough);
    if (!context_.stopped()) throw std::runtime_error("the context does not run out of work");
  }

  asio::io_context context_;
  qga::Client<> client_;
};

/// The error that `call` throws. Anything else goes on to Catch2.
template <class Error, class Call>
Error error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("no error was thrown");
}

/// Asks until a program has ended.
template <class Way>
qga::GuestExecStatus end_of(Way& ga, std::int64_t pid) {
  const auto deadline = std::chrono::steady_clock::now() + long_enough;
  for (;;) {
    auto status = ga.exec_status(pid);
    if (status.exited) return status;
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("it does not end");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace qga_test
