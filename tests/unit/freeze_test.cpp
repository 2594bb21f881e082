// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `freeze` and `thaw` send, step by step, and that a thaw follows every freeze that may have
// happened.
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "helper_harness.hpp"
#include "qga/helpers/freeze.hpp"

using namespace helper_test;
using qga::Frozen;
using qga::detail::code_of;
using Freeze = Scripted<Frozen, qga::detail::Freeze>;
using Thaw = Scripted<qga::ThawResult, qga::detail::Thaw>;
using Log = std::vector<std::string>;

namespace {

const std::string freeze_all = "guest-fsfreeze-freeze {}";
// The freeze has 10 minutes, of which one is over.
const std::string ask = "guest-fsfreeze-status {} (usually 540 s)";
const std::string look = "guest-fsfreeze-status {} (cleans up)";
const std::string undo = "guest-fsfreeze-thaw {} (at once) (cleans up)";
const std::string thaw_all = "guest-fsfreeze-thaw {} (to its end)";
const std::string thaw_clean = "guest-fsfreeze-thaw {} (cleans up)";
const std::string guard = "guest-fsfreeze-thaw (guard)";
const std::optional<std::vector<std::string>> all;

/// Whether a freeze that failed says that nothing is frozen.
bool thawed(const Freeze& freeze) { return error_of<qga::FreezeError>(freeze).thawed(); }

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
  CHECK(freeze.log == Log{freeze_all, guard});
}

TEST_CASE("freeze: some file systems") {
  Freeze freeze(std::vector<std::string>{"/a", "/b"}, 10min);
  freeze.run({{.json = 1}});
  CHECK(freeze.log == Log{R"(guest-fsfreeze-freeze-list {"mountpoints":["/a","/b"]})"});
  freeze.finished->release();
  freeze.finished.reset();
  CHECK(freeze.log.size() == 1);
}

TEST_CASE("freeze: all but some, of those that the guest lists") {
  using FreezeExcept = Scripted<Frozen, qga::detail::FreezeExcept>;
  const auto listed = [](const std::vector<std::string>& mountpoints) {
    Reply reply{.json = nlohmann::json::array()};
    for (const std::string& one : mountpoints) {
      reply.json.push_back({{"name", "sda"},
                            {"mountpoint", one},
                            {"type", "ext4"},
                            {"disk", nlohmann::json::array()}});
    }
    return reply;
  };
  FreezeExcept freeze(qga::FreezeParams{.except = {"/tmp", "/b"}});
  freeze.run({listed({"/", "/b", "/tmp", "/srv"}), {.json = 2}});
  CHECK(freeze.log ==
        Log{"guest-get-fsinfo {}", R"(guest-fsfreeze-freeze-list {"mountpoints":["/","/srv"]})"});
  CHECK(freeze.finished->count() == 2);
  freeze.finished->release();

  FreezeExcept nothing(qga::FreezeParams{});
  nothing.run({});
  CHECK(nothing.log.empty());
  error_of<qga::RequestError>(nothing);

  FreezeExcept none(qga::FreezeParams{.except = {"/"}});
  none.run({listed({"/"})});
  CHECK(none.log.size() == 1);
  error_of<qga::RequestError>(none);

  FreezeExcept unknown(qga::FreezeParams{.except = {"/elsewhere"}});
  unknown.run({listed({"/"})});
  CHECK(unknown.log.size() == 1);
  error_of<qga::RequestError>(unknown);
}

namespace {

/// Tells which algorithm a call takes.
struct Chosen : qga::FreezeHelpers<Chosen> {
  template <class Result, template <class> class Algorithm, class... Args>
  std::string perform(Args&&...) {
    using Io = Scripted<Frozen, qga::detail::Freeze>;
    const bool except = std::is_same_v<Algorithm<Io>, qga::detail::FreezeExcept<Io>>;
    return except ? "except" : "list";
  }
};

}  // namespace

TEST_CASE("freeze: a list is taken for what to freeze, and `.except` for what not to") {
  Chosen ga;
  const std::vector<std::string> list{"/a"};
  CHECK(ga.freeze({.except = list}) == "except");
  CHECK(ga.freeze({.except = {"/a"}}) == "except");
  CHECK(ga.freeze({.except = {"/a", "/b"}, .timeout = 1s}) == "except");
  CHECK(ga.freeze(qga::FreezeParams{.except = list}) == "except");
  CHECK(ga.freeze(list) == "list");
  CHECK(ga.freeze({"/a"}) == "list");
  CHECK(ga.freeze({"/a", "/b"}) == "list");
  CHECK(ga.freeze({list.begin(), list.end()}) == "list");
  CHECK(ga.freeze({"/a"}, 1s) == "list");
}

TEST_CASE("freeze: where nothing was frozen a thaw is for the hook, which was run") {
  for (const int count : {0, -1}) {
    Freeze freeze(all, 10min);
    freeze.run({{.json = count}});
    CHECK(freeze.finished->count() == 0);
    CHECK(freeze.log == Log{freeze_all});
    freeze.finished.reset();
    CHECK(freeze.log == Log{freeze_all, guard});
  }
}

TEST_CASE("freeze: one that fails is followed by a thaw for the hook, unless the guest is frozen") {
  const Reply fails{.error = error<qga::AgentError>(Outcome::refused)};
  struct {
    std::vector<Reply> rest;
    bool thawed;
    bool undone;
  } const cases[]{{{{.json = "thawed"}, {.json = 0}}, true, true},
                  {{{.json = "thawed"}, fails}, true, true},
                  {{{.json = "thawed"}, {.error = error<qga::TimeoutError>()}}, true, true},
                  {{{.json = "frozen"}}, false, false},
                  {{fails}, true, false},
                  {{{.error = error<qga::TimeoutError>()}}, false, false}};
  for (const auto& one : cases) {
    Freeze freeze(all, 10min);
    std::deque<Reply> replies(one.rest.begin(), one.rest.end());
    replies.push_front(fails);
    freeze.run(std::move(replies));
    CHECK(error_of<qga::AgentError>(freeze).outcome() == Outcome::refused);
    CHECK(thawed(freeze) == one.thawed);
    CHECK(freeze.log == (one.undone ? Log{freeze_all, look, thaw_clean} : Log{freeze_all, look}));
  }
}

TEST_CASE("freeze: what was not sent needs no thaw") {
  for (const auto& why :
       {error<qga::TimeoutError>(Outcome::not_sent), error<qga::CancelledError>(Outcome::not_sent),
        error<qga::ConnectError>(Outcome::not_sent)}) {
    Freeze freeze(all, 10min);
    freeze.run({{.error = why}});
    CHECK(code_of(freeze.failed) == code_of(why));
    CHECK(thawed(freeze));
    CHECK(freeze.log == Log{freeze_all});
  }
}

TEST_CASE("freeze: a refusal needs no thaw, but a look: the guest may be frozen by others") {
  struct {
    Reply status;
    bool thawed;
  } const cases[]{{{.json = "thawed"}, true},
                  {{.json = "frozen"}, false},
                  {{.error = error<qga::TimeoutError>()}, false},
                  {{.error = error<qga::CommandNotFoundError>(Outcome::refused)}, true}};
  for (const auto& one : cases) {
    Freeze freeze(all, 10min);
    freeze.run({{.error = error<qga::CommandNotFoundError>(Outcome::refused)}, one.status});
    CHECK(error_of<qga::CommandNotFoundError>(freeze).outcome() == Outcome::refused);
    CHECK(thawed(freeze) == one.thawed);
    CHECK(freeze.log == Log{freeze_all, look});
  }
}

TEST_CASE("freeze: what may have happened is undone") {
  for (const auto& why :
       {error<qga::CancelledError>(), error<qga::ReadError>(), error<qga::BadReplyError>()}) {
    Freeze freeze(all, 10min);
    freeze.run({{.error = why}, {.json = 2}});
    CHECK(code_of(freeze.failed) == code_of(why));
    CHECK(thawed(freeze));
    CHECK(freeze.log == Log{freeze_all, undo});

    Freeze silent(all, 10min);
    silent.run({{.error = why}, {.error = error<qga::TimeoutError>()}});
    CHECK(code_of(silent.failed) == code_of(why));
    CHECK_FALSE(thawed(silent));
    CHECK(silent.log == Log{freeze_all, undo});
  }
}

TEST_CASE("freeze: where the thaw cannot be sent the guard connects once more") {
  Freeze freeze(all, 10min);
  freeze.run(
      {{.error = error<qga::ReadError>()}, {.error = error<qga::ConnectError>(Outcome::not_sent)}});
  CHECK(code_of(freeze.failed) == qga::err_cannot_read);
  CHECK(thawed(freeze));
  CHECK(freeze.log == Log{freeze_all, undo, guard});
}

TEST_CASE("freeze: a slow one is asked after, and undone at its deadline") {
  const auto late = error<qga::TimeoutError>();
  Freeze slow(all, 10min);
  slow.run({{.error = late, .takes = 60s}, {.json = "frozen", .takes = 100s}});
  CHECK(slow.finished->count() == std::nullopt);
  slow.finished.reset();
  CHECK(slow.log == Log{freeze_all, ask, guard});

  Freeze lost(all, 10min);  // the agent was restarted, and has never seen it
  lost.run({{.error = late, .takes = 60s}, {.json = "thawed"}});
  CHECK(code_of(lost.failed) == qga::err_timed_out);
  CHECK(thawed(lost));
  CHECK(lost.log == Log{freeze_all, ask});

  Freeze strange(all, 10min);
  strange.run({{.error = late, .takes = 60s}, {.json = "half frozen"}, {.json = 2}});
  CHECK(strange.log == Log{freeze_all, ask, undo});

  Freeze hanging(all, 10min);
  hanging.run({{.error = late, .takes = 60s},
               {.error = error<qga::TimeoutError>(), .takes = 9min},
               {.json = 2}});
  CHECK(code_of(hanging.failed) == qga::err_timed_out);
  CHECK(hanging.log == Log{freeze_all, ask, undo});

  Freeze brief(all, 2s);
  brief.run({{.error = late, .takes = 2s}, {.json = 0}});
  CHECK(code_of(brief.failed) == qga::err_timed_out);
  CHECK(brief.log == Log{freeze_all, undo});
}

TEST_CASE("freeze: a deadline of the whole call holds, and not for the thaw") {
  Freeze freeze(all, 10min);
  freeze.until_ = freeze.now_ + 2s;
  freeze.run({{.error = error<qga::TimeoutError>(), .takes = 2s}, {.json = 2}});
  CHECK(freeze.latest == Clock::time_point() + 1h + 2s);
  CHECK(freeze.log == Log{freeze_all, undo});
}

TEST_CASE("freeze: an empty list is refused") {
  Freeze freeze(std::vector<std::string>{}, 10min);
  freeze.run({});
  CHECK(error_of<qga::RequestError>(freeze).outcome() == Outcome::not_sent);
  CHECK(freeze.log.empty());
}

TEST_CASE("while frozen: thaws on every way out, and tells of both failures") {
  using WhileFrozen = Scripted<qga::ThawResult, qga::detail::WhileFrozen>;
  const auto fails = qga::detail::work_of([] { throw std::runtime_error("no space"); });
  const Reply refused{.error = error<qga::AgentError>(Outcome::refused)};

  WhileFrozen works(all, qga::detail::work_of([] {}));
  works.run({{.json = 2}, {.json = 2}});
  CHECK(works.finished->count == 2);
  CHECK(works.log == Log{freeze_all, "work", thaw_clean});

  WhileFrozen not_frozen(all, fails);
  not_frozen.run({refused, {.json = "thawed"}, {.json = 0}});
  CHECK(error_of<qga::FreezeError>(not_frozen).thawed());
  CHECK(not_frozen.log == Log{freeze_all, look, thaw_clean});

  WhileFrozen work_fails(all, fails);
  work_fails.run({{.json = 2}, {.json = 2}});
  CHECK_THROWS_AS(std::rethrow_exception(work_fails.failed), std::runtime_error);
  CHECK(qga::error_of(work_fails.failed) == nullptr);
  CHECK(work_fails.log == Log{freeze_all, "work", thaw_clean});

  WhileFrozen both_fail(all, fails);
  both_fail.run({{.json = 2}, refused, {.json = "frozen"}});
  try {
    std::rethrow_exception(both_fail.failed);
  } catch (const qga::AgentError& error) {
    CHECK(std::string(error.what()).find("the work while the guest was frozen") !=
          std::string::npos);
    CHECK_THROWS_WITH(std::rethrow_if_nested(error), "no space");
  }
  CHECK(both_fail.log == Log{freeze_all, "work", thaw_clean, look});
}

TEST_CASE("thaw: disarms the guard, and says how many and for how long") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  Frozen& frozen = *freeze.finished;
  Thaw thaw(&frozen);
  thaw.run({{.json = 2}});
  CHECK(thaw.log == Log{thaw_all});
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
    CHECK(thaw.log == Log{thaw_all, "guest-fsfreeze-status {} (to its end)"});
    freeze.finished.reset();
    CHECK(freeze.log.size() == (one.thawed ? 1 : 2));  // the guard tries again where it has to
  }
}

TEST_CASE("thaw: a guard of another client is refused, and stays armed") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  Thaw thaw(&*freeze.finished);
  thaw.wrong_guard = error<qga::RequestError>(Outcome::not_sent);
  thaw.run({});
  CHECK(thaw.failed == thaw.wrong_guard);
  CHECK(thaw.log.empty());
  freeze.finished.reset();
  CHECK(freeze.log == Log{freeze_all, guard});
}

TEST_CASE("thaw: no answer leaves the guard armed") {
  Freeze freeze(all, 10min);
  freeze.run({{.json = 2}});
  Thaw thaw(&*freeze.finished);
  const auto silent = error<qga::TimeoutError>();
  thaw.run({{.error = silent}});
  CHECK(thaw.failed == silent);
  freeze.finished.reset();
  CHECK(freeze.log == Log{freeze_all, guard});
}
