// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The engines of the cut test that use a whole client, blocking or asynchronous, behind a proxy.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>

#include "cut_figures.hpp"
#include "proxy.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

namespace cuts {

using qga_test::AgentEnd;

/// An agent in memory, behind a proxy.
class Replaying final : public AgentEnd {
 public:
  explicit Replaying(ReplayAgent& agent) : agent_(agent) {}
  std::string hear(std::string_view bytes) override { return agent_.hear(bytes); }

 private:
  ReplayAgent& agent_;
};

inline Result result_of(const std::exception_ptr& error, const nlohmann::json& value,
                        const Step& step) {
  if (error) return failure(error);
  Result result;
  result.end = End::success;
  result.right = step.reply.empty() || value == step.result;
  return result;
}

/// One call after the other.
struct BlockingCalls {
  template <class Client>
  std::vector<Result> run(Client& client, std::span<const Step> steps, Clock::duration timeout) {
    std::vector<Result> results;
    for (const Step& step : steps) {
      const auto start = Clock::now();
      std::exception_ptr error;
      nlohmann::json value;
      try {
        value = client.execute(step.command, step.arguments);
      } catch (...) {
        error = std::current_exception();
      }
      const auto took = Clock::now() - start;
      results.push_back(result_of(error, value, step));
      results.back().overshoot = took - timeout;
    }
    return results;
  }
  /// How many are in flight together.
  static std::vector<std::size_t> batches(const Script& script) {
    return std::vector<std::size_t>(script.steps.size(), 1);
  }
  static constexpr std::string_view name = "blocking";
};

/// All together.
struct AsyncCalls {
  template <class Client>
  std::vector<Result> run(Client& client, std::span<const Step> steps, Clock::duration timeout) {
    std::vector<Result> results(steps.size());
    std::size_t ended = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto start = Clock::now();
      client
          .async(asio::bind_executor(
              context,
              [&, i, start](const std::exception_ptr& error, const nlohmann::json& value) {
                const auto took = Clock::now() - start;
                results[i] = result_of(error, value, steps[i]);
                results[i].overshoot = took - timeout;
                ++ended;
              }))
          .execute(steps[i].command, steps[i].arguments);
    }
    qga_test::run_dry(context);
    if (ended != steps.size()) throw std::logic_error("a handler was not invoked once");
    return results;
  }
  static std::vector<std::size_t> batches(const Script& script) { return script.batches; }
  static constexpr std::string_view name = "asynchronous";

  asio::io_context context;
};

/// A client whose first connection is spoilt.
template <class Calls>
class SocketEngine {
 public:
  SocketEngine(Calls& calls, AgentEnd& agent, qga_test::TcpPairs& tcp, bool over_tcp,
               FaultyLine line, Clock::duration timeout)
      : calls_(calls), agent_(agent), tcp_(tcp), over_tcp_(over_tcp), timeout_(timeout) {
    connect(std::move(line));
  }

  bool struck() { return spoilt_ || proxy_->struck(); }

  std::vector<Result> run(std::span<const Step> steps) {
    return calls_.run(*client_, steps, timeout_);
  }

  void go_on() {
    if (client_->is_open()) return proxy_->revive();
    const Step probe{"guest-ping", nullptr, "", {}, ""};
    for (const Result& result : calls_.run(*client_, std::span(&probe, 1), timeout_)) {
      const bool told = result.end == End::closed && result.outcome == Outcome::not_sent;
      if (!told) throw std::logic_error("a closed client did not say so");
    }
    if (!spoilt_) spoilt_ = proxy_->finish();
    connect(FaultyLine());
  }

  FaultyLine finish() {
    FaultyLine last = proxy_->finish();
    return spoilt_ ? std::move(*spoilt_) : std::move(last);
  }

 private:
  using Client = qga::Client<asio::generic::stream_protocol::socket>;

  void connect(FaultyLine line) {
    auto [mine, other] = over_tcp_ ? tcp_.next() : qga_test::unix_pair();
    client_.reset();
    proxy_.reset();
    proxy_.emplace(std::move(other), agent_, std::move(line));
    client_.emplace(Client::from_handle(mine.release(), {.timeout = timeout_}));
  }

  Calls& calls_;
  AgentEnd& agent_;
  qga_test::TcpPairs& tcp_;
  bool over_tcp_;
  Clock::duration timeout_;
  std::optional<FaultyLine> spoilt_;  ///< the first line, once there is another
  std::optional<Client> client_;
  std::optional<qga_test::Proxy> proxy_;  // gone before the client, which then has nothing to read
};

/// Runs a judged session with a short deadline; again with a longer one where time alone may be
/// to blame, on a machine that was busy with something else.
template <class Judge>
auto patiently(Figures& figures, Judge judge) {
  for (const auto timeout : {30ms, 300ms, 3000ms}) {
    auto judged = judge(timeout);
    if (judged.complaints.empty() || timeout == 3000ms) return judged;
    const bool late = std::any_of(judged.played.results.begin(), judged.played.results.end(),
                                  [](const Result& result) { return result.end == End::timeout; });
    if (!late || judged.damage) return judged;
    figures.repeated();
  }
  throw std::logic_error("not reached");
}

}  // namespace cuts
