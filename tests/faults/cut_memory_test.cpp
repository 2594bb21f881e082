// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every fault at every byte of a session in both directions, for the bare protocol session: in
// memory, under a clock that only moves when nothing else does.
#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cut_figures.hpp"
#include "qga/detail/protocol/call.hpp"
#include "qga/detail/protocol/raw_request.hpp"
#include "qga/detail/protocol/session.hpp"

using namespace cuts;

namespace {

class MemoryEngine {
 public:
  MemoryEngine(ReplayAgent& agent, FaultyLine line, Clock::duration timeout, bool by_line)
      : agent_(agent),
        line_(std::move(line)),
        timeout_(timeout),
        by_line_(by_line),
        session_(std::in_place, qga::ClientParams()) {}

  bool struck() const { return struck_ || line_.struck(); }
  FaultyLine finish() { return std::exchange(spoilt_, {}).value_or(std::move(line_)); }

  std::vector<Result> run(std::span<const Step> steps) {
    std::deque<Call> calls;
    for (const Step& step : steps) {
      Call& call = calls.emplace_back(step, now_ + timeout_);
      session_->submit(call);
    }
    std::vector<Result> results(steps.size());
    std::size_t left = steps.size();
    while (left > 0) {
      const bool moved = move();
      if (!moved) {
        const auto next = session_->next_deadline();
        if (next == Clock::time_point::max() || next <= now_)
          throw std::logic_error("a call hangs");
        now_ = next;
        session_->expire(now_);
      }
      while (qga::detail::Call* const call = session_->finished()) {
        const auto at =
            static_cast<std::size_t>(std::find_if(calls.begin(), calls.end(),
                                                  [&](const Call& one) { return &one == call; }) -
                                     calls.begin());
        results.at(at) = result(calls[at], steps[at]);
        --left;
      }
    }
    return results;
  }

  /// After a fault: another connection, or an end of the silence.
  void go_on() {
    line_.revive();
    if (!lost_) return;
    lost_ = false;
    if (!spoilt_) spoilt_ = std::move(line_);
    struck_ = true;
    line_ = FaultyLine();
    session_.emplace(qga::ClientParams());  // of another connection
  }

 private:
  struct Call : qga::detail::TypedCall<nlohmann::json, std::identity> {
    Call(const Step& step, Clock::time_point until)
        : TypedCall(step.command,
                    qga::detail::handling_of(qga::detail::RawRequest(step.command, step.arguments)),
                    {}) {
      text = step.wire;
      deadline = until;
    }
  };

  Result result(Call& call, const Step& step) const {
    Result result;
    if (call.error()) {
      result = failure(call.error());
    } else {
      result.end = End::success;
      result.right = step.reply.empty() || call.result.value == step.result;
    }
    result.overshoot = now_ - call.deadline;
    return result;
  }

  /// What a driver and the agent do without waiting. False: nothing.
  bool move() {
    if (lost_) return false;
    bool moved = false;
    const std::string_view out = session_->output(now_).substr(0, line_.room());
    if (!out.empty()) {
      line_.carry(Way::to_agent, out);
      session_->wrote(out.size());
      moved = true;
    }
    for (std::string bytes; !(bytes = line_.take(Way::to_agent)).empty(); moved = true) {
      line_.carry(Way::to_client, agent_.hear(bytes));
    }
    while (session_->wants_input()) {
      if (unread_.empty()) unread_ = line_.take(Way::to_client);
      if (unread_.empty()) break;
      const auto space = session_->input();
      const std::size_t arrived =
          by_line_ ? std::min(unread_.find('\n'), unread_.size() - 1) + 1 : unread_.size();
      const std::size_t size = std::min(space.size(), arrived);
      std::copy_n(unread_.begin(), size, space.begin());
      unread_.erase(0, size);
      session_->received(size, now_);
      moved = true;
      if (by_line_) break;
    }
    if (line_.ended() && unread_.empty() && session_->busy()) {
      lost_ = true;
      const bool writing = !session_->output(now_).empty();
      if (writing) {
        session_->lost(qga::detail::make_error<qga::WriteError>, "the channel broke", {});
      } else {
        session_->lost(qga::detail::make_error<qga::ReadError>, "the channel ended", {});
      }
      moved = true;
    }
    return moved;
  }

  ReplayAgent& agent_;
  FaultyLine line_;
  std::optional<FaultyLine> spoilt_;  ///< the first line, once there is another
  bool struck_ = false;
  bool lost_ = false;
  std::string unread_;
  Clock::duration timeout_;
  bool by_line_;  ///< what is said arrives line by line, and the session may write in between
  Clock::time_point now_ = Clock::time_point() + 24h;
  std::optional<qga::detail::Session> session_;
};

/// One way in which the whole session is tried.
struct Trial {
  std::string_view title;
  Ids ids = Ids::echoed;
  Clock::duration timeout = 500ms;  ///< so short that no pause asks for a handshake anyway
  bool by_line = false;
  bool is_plain = false;  ///< the agent ends at a byte 0xFF, so that handshakes are plain
};

Judged play_in_memory(const Script& script, const Trial& trial, const std::optional<Fault>& fault) {
  ReplayAgent agent(script, trial.ids, trial.is_plain);
  MemoryEngine engine(agent, fault ? FaultyLine(*fault) : FaultyLine(), trial.timeout,
                      trial.by_line);
  try {
    return Oracle(script, 0s, trial.is_plain)
        .judge(play(engine, script, script.batches), fault, &agent);
  } catch (const std::exception& error) {
    return {{}, {error.what()}, true};
  }
}

/// Every fault at every position.
void cut_everywhere(const Trial& trial, const std::function<bool(const Fault&)>& applies) {
  const Script script = recorded_session();
  const Judged clean = play_in_memory(script, trial, std::nullopt);
  for (const std::string& complaint : clean.complaints) UNSCOPED_INFO(complaint);
  REQUIRE(clean.complaints.empty());
  REQUIRE(clean.played.results.size() == script.steps.size());
  Figures figures(trial.title, clean.played.line);
  for_each_fault(clean.played.line, [&](const Fault& fault, const Kind& kind) {
    // Another fifth for each fault under a sanitizer.
    if ((fault.at + static_cast<std::size_t>(fault.effect)) % slower != 0 || !applies(fault))
      return;
    figures.add(fault, kind, play_in_memory(script, trial, fault));
  });
  figures.print();
  CHECK(figures.wrong() == 0);
}

}  // namespace

TEST_CASE("cut: every fault at every byte, in memory", "[faults]") {
  cut_everywhere({"in memory, replies at once"}, [](const Fault&) { return true; });
}

TEST_CASE("cut: every fault at every byte, replies line by line", "[faults]") {
  cut_everywhere({"in memory, replies line by line", Ids::echoed, 10s, true},
                 [](const Fault&) { return true; });
}

// Without ids, order is all there is: what adds, drops or alters an answer may shift it.
static bool keeps_order(const Fault& fault) {
  switch (fault.effect) {
    case Effect::eof:
    case Effect::reset:
    case Effect::stall:
    case Effect::loss:
    case Effect::choke:
    case Effect::drip:
      return true;
    default:
      return false;
  }
}

TEST_CASE("cut: an agent without ids, every fault that keeps the order", "[faults]") {
  for (const Ids ids : {Ids::ignored, Ids::rejected}) {
    cut_everywhere({"in memory, without ids", ids, 500ms, true}, &keeps_order);
  }
}

TEST_CASE("cut: plain handshakes, every fault at every byte", "[faults]") {
  cut_everywhere({"in memory, plain handshakes", Ids::echoed, 20s, false, true},
                 [](const Fault&) { return true; });
}

TEST_CASE("cut: plain handshakes without ids, every fault that keeps the order", "[faults]") {
  cut_everywhere({"in memory, plain and without ids", Ids::ignored, 20s, false, true},
                 &keeps_order);
}
