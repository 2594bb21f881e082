// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A forked child has copies of its parent's guards and clients over the same connection. Destroying
// them there sends nothing and breaks nothing: the parent goes on as if there had been no child.
#include <chrono>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

/// Runs `work` in a forked child, which then is over without any other destructor.
/// @throws std::runtime_error where it does not end
template <class Work>
void in_child(Work work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    ::_exit(0);
  }
  const auto deadline = qga::Clock::now() + long_enough;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (qga::Clock::now() > deadline) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      throw std::runtime_error("the child does not end");
    }
    std::this_thread::sleep_for(1ms);
  }
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

/// What a program may have when it forks.
struct Owned {
  std::optional<qga::Client<>> ga;
  std::optional<qga::File> file;
  std::optional<qga::Frozen> frozen;
};

/// Destroys some of it, in an order that a program may have.
void destroy(Owned& owned, const std::string& what) {
  if (what == "guards" || what == "guards, then the client") {
    owned.file.reset();
    owned.frozen.reset();
  }
  if (what != "guards") owned.ga.reset();
  if (what == "the client, then guards") {
    owned.file.reset();
    owned.frozen.reset();
  }
}

}  // namespace

TEST_CASE("fork: a child does nothing to the connection of a blocking client", "[faults]") {
  const std::string what =
      GENERATE("guards", "the client", "guards, then the client", "the client, then guards");
  CAPTURE(what);
  ScriptedGuest guest;
  guest.put("/there", "text");
  Owned owned;
  owned.ga.emplace(guest.path(), patient());
  owned.file = owned.ga->open("/there");
  owned.frozen = owned.ga->freeze();
  const std::string received = guest.received();
  in_child([&] { destroy(owned, what); });
  CHECK(guest.received() == received);

  owned.ga->ping();
  CHECK(guest.frozen());
  CHECK(guest.thaws() == 0);
  CHECK(guest.executed("guest-file-close") == 0);
  CHECK(owned.ga->thaw(*owned.frozen).count == 2);
  CHECK(owned.ga->read(*owned.file, 4) == "text");
  owned.file.reset();
  CHECK(guest.handles() == 0);
  CHECK(guest.connections() == 1);
}

TEST_CASE("fork: a child does nothing to the connection of an asynchronous client", "[faults]") {
  const std::string what =
      GENERATE("guards", "the client", "guards, then the client", "the client, then guards");
  CAPTURE(what);
  ScriptedGuest guest;
  guest.put("/there", "text");
  asio::io_context context;
  Owned owned;
  owned.ga.emplace(context, patient());
  owned.ga->connect(guest.path());
  const auto get = [&]<class Result>(Answer<Result> answer, auto start) {
    start(owned.ga->async(asio::bind_executor(context, to(answer))));
    run_until(context, [&] { return answer.times > 0; });
    return answer.get();
  };
  owned.file = get(Answer<qga::File>(), [](auto ga) { ga.open("/there"); });
  owned.frozen = get(Answer<qga::Frozen>(), [](auto ga) { ga.freeze(); });
  const std::string received = guest.received();
  context.notify_fork(asio::io_context::fork_prepare);
  in_child([&] {
    context.notify_fork(asio::io_context::fork_child);
    destroy(owned, what);
    context.restart();
    context.run_for(100ms);
  });
  context.notify_fork(asio::io_context::fork_parent);
  CHECK(guest.received() == received);

  get(Answer<void>(), [](auto ga) { ga.ping(); });
  CHECK(guest.frozen());
  CHECK(guest.thaws() == 0);
  CHECK(guest.executed("guest-file-close") == 0);
  CHECK(get(Answer<qga::ThawResult>(), [&](auto ga) { ga.thaw(*owned.frozen); }).count == 2);
  CHECK(get(Answer<std::string>(), [&](auto ga) { ga.read(*owned.file, 4); }) == "text");
  CHECK(guest.connections() == 1);
}
