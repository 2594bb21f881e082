// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `freeze` and `thaw` send, step by step, and that a thaw follows every freeze that may have
// happened.
#include <optional>
#include <string>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/freeze.hpp"

using namespace helper_test;
using qga::Frozen;
using Freeze = Scripted<Frozen, qga::helpers::Freeze>;
using Thaw = Scripted<qga::ThawResult, qga::helpers::Thaw>;
using Log = std::vector<std::string>;

namespace {

const std::string freeze_all = "guest-fsfreeze-freeze {}";
const std::string ask = "guest-fsfreeze-status {}";
const std::string undo = "guest-fsfreeze-thaw {} (cleans up)";
const std::string last_resort = "guest-fsfreeze-thaw (last resort)";
const std::vector<std::string> all;

}  // namespace

TEST_CASE("freeze: the guard thaws when it goes, and only then") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  CHECK(freeze.log == Log{freeze_all});
  CHECK(freeze.finished->count() == 2);
  Frozen kept = std::move(*freeze.finished);
  freeze.finished.reset();
  CHECK(freeze.log == Log{freeze_all});
  kept = Frozen();
  CHECK(freeze.log == Log{freeze_all, last_resort});
}

TEST_CASE("freeze: some file systems") {
  Freeze freeze(std::vector<std::string>{"/a", "/b"}, 10min);
  freeze.run({{.json = 1}});
  CHECK(freeze.log == Log{R"(guest-fsfreeze-freeze-list {"mountpoints":["/a","/b"]})"});
  freeze.finished->release();
  freeze.finished.reset();
  CHECK(freeze.log.size() == 1);
}

TEST_CASE("freeze: where nothing was frozen nothing is thawed") {
  for (const int count : {0, -1}) {
    Freeze freeze(all, 10min);
    freeze.run({{.json = count}});
    CHECK(freeze.finished->count() == 0);
    freeze.finished.reset();
    CHECK(freeze.log == Log{freeze_all});
  }
}

TEST_CASE("freeze: a refusal, and what was not sent, need no thaw") {
  for (const auto& why :
       {error<qga::AgentError>(Outcome::refused),
        error<qga::CommandNotFoundError>(Outcome::refused),
        error<qga::TimeoutError>(Outcome::not_sent), error<qga::CancelledError>(Outcome::not_sent),
        error<qga::ConnectError>(Outcome::not_sent)}) {
    Freeze freeze(all, 10min);
    freeze.run({{.error = why}});
    CHECK(freeze.failed == why);
    CHECK(freeze.log == Log{freeze_all});
  }
}

TEST_CASE("freeze: what may have happened is undone") {
  for (const auto& why :
       {error<qga::CancelledError>(), error<qga::ReadError>(), error<qga::BadReplyError>()}) {
    for (const auto& thawing : {Reply{.json = 2}, Reply{.error = error<qga::TimeoutError>()}}) {
      Freeze freeze(all, 10min);
      freeze.run({{.error = why}, thawing});
      CHECK(freeze.failed == why);
      CHECK(freeze.log == Log{freeze_all, undo});
    }
  }
}

TEST_CASE("freeze: a slow one is asked after, and undone at its deadline") {
  const auto late = error<qga::TimeoutError>();
  Freeze slow(all, 10min);
  slow.run({{.error = late, .takes = 60s}, {.json = "frozen", .takes = 100s}});
  CHECK(slow.finished->count() == std::nullopt);
  slow.finished.reset();
  CHECK(slow.log == Log{freeze_all, ask, last_resort});

  Freeze lost(all, 10min);  // the agent was restarted, and has never seen it
  lost.run({{.error = late, .takes = 60s}, {.json = "thawed"}});
  CHECK(lost.failed == late);
  CHECK(lost.log == Log{freeze_all, ask});

  Freeze hanging(all, 10min);
  hanging.run({{.error = late, .takes = 60s},
               {.error = error<qga::TimeoutError>(), .takes = 9min},
               {.json = 2}});
  CHECK(hanging.failed == late);
  CHECK(hanging.log == Log{freeze_all, ask, undo});

  Freeze brief(all, 2s);
  brief.run({{.error = late, .takes = 2s}, {.json = 0}});
  CHECK(brief.failed == late);
  CHECK(brief.log == Log{freeze_all, undo});
}

TEST_CASE("thaw: disarms the guard, and says how many and for how long") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  Frozen& frozen = *freeze.finished;
  Thaw thaw(&frozen);
  thaw.run({{.json = 2}});
  CHECK(thaw.log == Log{undo});
  CHECK(thaw.finished->count == 2);
  CHECK(thaw.finished->frozen_for >= 0s);
  freeze.finished.reset();
  CHECK(freeze.log == Log{freeze_all});
}

TEST_CASE("thaw: an error, and yet thawed, is told from still frozen") {
  struct {
    Reply status;
    bool thawed;
  } const cases[]{{{.json = "thawed"}, true},
                  {{.json = "frozen"}, false},
                  {{.error = error<qga::TimeoutError>()}, false}};
  for (const auto& one : cases) {
    Freeze freeze(all, 10min);
    freeze.run({{.json = 2}});
    Thaw thaw(&*freeze.finished);
    thaw.run({{.error = error<qga::AgentError>(Outcome::refused)}, one.status});
    CHECK(error_of<qga::ThawError>(thaw).thawed() == one.thawed);
    CHECK(thaw.log == Log{undo, ask + " (cleans up)"});
    freeze.finished.reset();
    CHECK(freeze.log.size() == (one.thawed ? 1 : 2));  // the guard tries again where it has to
  }
}

TEST_CASE("thaw: no answer leaves the guard armed") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  Thaw thaw(&*freeze.finished);
  const auto silent = error<qga::TimeoutError>();
  thaw.run({{.error = silent}});
  CHECK(thaw.failed == silent);
  freeze.finished.reset();
  CHECK(freeze.log == Log{freeze_all, last_resort});
}
