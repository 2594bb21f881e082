// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Ends calls from outside, each on a thread of its own, and tells how they ended, when, and how
// much processor time that took. There are three ways: a stop request to a blocking call, a stop
// request to an asynchronous call, and the cancellation of an asynchronous call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include <time.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "faults.hpp"

namespace faults {

using Client = qga::Client<>;

/// What `call` returns, which is given something with the commands of a client.
template <class Call>
using ResultOf = decltype(std::declval<Call&>()(std::declval<Client&>()));

/// The processor time that the calling thread has used.
inline qga::Clock::duration processor_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// Runs an asynchronous call until it has completed, and gives its result or throws its error.
template <class Call, class Token>
auto run_to_end(asio::io_context& context, Answer<ResultOf<Call>>& answer, Client& client,
                Call& call, Token token, qga::CallOptions options) {
  call(client.async(std::move(token), std::move(options)));
  run_until(context, [&] { return answer.times > 0; });
  return answer.get();
}

/// A stop request ends a blocking call.
struct StopBlocking {
  template <class Call>
  void call(Client& client, qga::CallOptions options, Call call) {
    options.stop = stop.get_token();
    static_cast<void>(call(client.with(std::move(options))));
  }
  void end() { stop.request_stop(); }
  /// What is called from now on is not ended yet.
  void renew() { stop = std::stop_source(); }
  /// A call that nothing ends.
  template <class Call>
  auto plain(Client& client, Call call) {
    return call(client);
  }

  std::stop_source stop;
};

/// What the two asynchronous ways share.
struct Asynchronous {
  template <class Call>
  auto plain(Client& client, Call call) {
    Answer<ResultOf<Call>> answer;
    return run_to_end(context, answer, client, call, asio::bind_executor(context, to(answer)), {});
  }

  asio::io_context context;
};

/// A stop request ends an asynchronous call.
struct StopAsync : Asynchronous {
  template <class Call>
  void call(Client& client, qga::CallOptions options, Call call) {
    options.stop = stop.get_token();
    Answer<ResultOf<Call>> answer;
    static_cast<void>(run_to_end(context, answer, client, call,
                                 asio::bind_executor(context, to(answer)), std::move(options)));
  }
  void end() { stop.request_stop(); }
  void renew() { stop = std::stop_source(); }

  std::stop_source stop;
};

/// The slot of its handler cancels an asynchronous call.
struct CancelAsync : Asynchronous {
  template <class Call>
  void call(Client& client, qga::CallOptions options, Call call) {
    Answer<ResultOf<Call>> answer;
    auto token =
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, to(answer)));
    static_cast<void>(
        run_to_end(context, answer, client, call, std::move(token), std::move(options)));
  }
  /// Signals must be emitted where the operation runs.
  void end() {
    asio::post(context, [this] { signal.emit(asio::cancellation_type::terminal); });
  }

  void renew() {}

  asio::cancellation_signal signal;
};

/// How a call ended.
struct Ending {
  std::exception_ptr error = {};
  bool hung = false;
  qga::Clock::duration took = {};       ///< from the start of the call
  qga::Clock::duration since_end = {};  ///< from the moment at which it was to end
  qga::Clock::duration processor = {};

  template <class Error>
  bool is() const {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const Error&) {
      return true;
    } catch (...) {
    }
    return false;
  }
  /// For messages.
  std::string text() const {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& known) {
      return known.what();
    }
    return "no error";
  }
};

/// A call that does not end by itself within this time hangs.
inline constexpr auto hang = std::chrono::seconds(20);

/// Runs `call` on a thread of its own.
/// @param moment tells when the time has come to end it
/// @param end ends it
/// @param rescue ends a call that hangs; where this does not help, the process is aborted, because
///        a thread cannot be ended
template <class Call, class Moment, class End, class Rescue>
Ending ending_of(Call call, Moment moment, End end, Rescue rescue) {
  Ending ending;
  std::atomic<bool> done = false;
  qga::Clock::time_point returned{};
  const auto begun = qga::Clock::now();
  std::thread caller([&] {
    const auto processor = processor_time();
    try {
      call();
    } catch (...) {
      ending.error = std::current_exception();
    }
    ending.processor = processor_time() - processor;
    returned = qga::Clock::now();
    done = true;
  });
  const auto done_within = [&](qga::Clock::duration time) {
    const auto until = qga::Clock::now() + time;
    while (!done && qga::Clock::now() < until) std::this_thread::sleep_for(1ms);
    return done.load();
  };
  for (const auto until = begun + hang; !done && !moment() && qga::Clock::now() < until;) {
    std::this_thread::sleep_for(1ms);
  }
  const auto ended = qga::Clock::now();
  end();
  if (!done_within(hang)) {
    ending.hung = true;
    rescue();
    if (!done_within(hang)) {
      std::fputs("a call that should have ended hangs for ever\n", stderr);
      std::abort();
    }
  }
  caller.join();
  ending.took = returned - begun;
  ending.since_end = returned - ended;
  return ending;
}

/// Whoever waits uses next to no processor time.
inline bool idles(const Ending& ending) { return ending.processor < 300ms + ending.took / 4; }

}  // namespace faults
