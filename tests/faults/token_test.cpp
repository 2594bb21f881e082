// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A completion token that is kept serves as many calls as it can: one that can be copied any
// number, of a client and of a program; one that can only be moved a single one. And settings are
// made once: no call copies them.
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"
#include "started_guest.hpp"

namespace tokens {

using namespace faults;

/// A program that was started, on a context.
struct Started {
  StartedGuest guest;
  asio::io_context context;
  qga::Client<> ga{context, patient()};
  qga::Process process;

  Started() {
    ga.connect(guest.path());
    process = ga.start("/bin/program", {});
  }
};

template <class Handler>
auto on(asio::io_context& context, Handler handler) {
  return asio::bind_executor(context, std::move(handler));
}

TEST_CASE("token: one that can be copied serves any number of calls", "[faults]") {
  Started started;
  int heard = 0;
  int failed = 0;
  SECTION("of a client") {
    using Handler = std::function<void(std::exception_ptr)>;
    auto calls = started.ga.async(on(started.context, Handler([&](std::exception_ptr error) {
                                       ++heard;
                                       failed += error != nullptr;
                                     })));
    for (int i = 0; i < 3; ++i) calls.ping();
    run_dry(started.context);
  }
  SECTION("of a program") {
    using Handler = std::function<void(std::exception_ptr, qga::ProcessStatus)>;
    auto calls = started.process.async(
        on(started.context, Handler([&](std::exception_ptr error, qga::ProcessStatus) {
             ++heard;
             failed += error != nullptr;
           })));
    for (int i = 0; i < 3; ++i) calls.status();
    run_dry(started.context);
  }
  CHECK(heard == 3);
  CHECK(failed == 0);
}

TEST_CASE("token: one that can only be moved serves one call", "[faults]") {
  Started started;
  int heard = 0;
  const auto handler = [&heard](auto... rest) {
    return [&heard, owned = std::make_unique<int>(7)](std::exception_ptr error, decltype(rest)...) {
      CHECK_FALSE(error);
      CHECK(owned);
      ++heard;
    };
  };
  SECTION("of a client") {
    auto calls = started.ga.async(on(started.context, handler()));
    calls.ping();
    CHECK_THROWS_AS(calls.ping(), qga::RequestError);
    run_dry(started.context);
    CHECK_THROWS_AS(calls.ping(), qga::RequestError);
  }
  SECTION("of a program") {
    auto calls = started.process.async(on(started.context, handler(qga::ProcessStatus())));
    calls.status();
    CHECK_THROWS_AS(calls.status(), qga::RequestError);
    run_dry(started.context);
    CHECK_THROWS_AS(calls.wait(), qga::RequestError);
  }
  CHECK(heard == 1);
}

/// A trace that counts its copies.
struct Counted {
  explicit Counted(int& to) : copies(&to) {}
  Counted(const Counted& other) : copies(other.copies) { ++*copies; }
  Counted(Counted&& other) noexcept : copies(other.copies) {}
  Counted& operator=(const Counted&) = delete;
  ~Counted() = default;
  void operator()(qga::TraceDirection, std::string_view) const {}

  int* copies;
};

TEMPLATE_TEST_CASE("token: no call copies the settings of its client", "[faults]", Blocking,
                   Async) {
  ScriptedAgent agent;
  int copies = 0;
  qga::ClientParams params = patient();
  params.trace = Counted(copies);
  TestType ga(agent.path(), std::move(params));
  ga.ping();
  const int before = copies;
  ga.ping();
  ga.with({.timeout = 5s}).ping();
  ga.wait_ready(5s);
  ga.with({.timeout = 5s}).wait_ready(5s);
  CHECK(copies == before);
}

}  // namespace tokens
