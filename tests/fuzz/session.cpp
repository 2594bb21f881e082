// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The session between any driver and any agent. An input is a list of steps: calls, writes and
// reads cut anywhere, time, cancellations, lost connections and restarts of the agent; and, in a
// hostile run, bytes that no agent sends. What must hold however they follow each other:
//
//   a call is finished once, at its deadline and by `lost()` at the latest
//   what is reported as not sent has not run and never will
//   after a call was given up nothing runs before a handshake behind it is answered
//   a reply comes to its own call: always if the agent is honest, and by its id if it is not
//   what is traced can be shown; memory stays within the limits; nothing is thrown
//   in the end, with the agent in its senses again, a call succeeds
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.hpp"
#include "qga/commands/file.hpp"
#include "qga/detail/protocol/operation.hpp"
#include "qga/detail/protocol/raw_request.hpp"
#include "qga/detail/protocol/session.hpp"
#include "session_agent.hpp"

namespace {

using namespace std::chrono_literals;
using fuzz::Agent;
using fuzz::Bytes;
using fuzz::Ids;
using fuzz::require;
using qga::Clock;
using qga::Outcome;
using qga::detail::Call;
using qga::detail::RawRequest;
using qga::detail::TypedCall;

/// A call, and the number by which the agent knows it.
struct Asked {
  std::uint64_t number;
  std::unique_ptr<Call> call;
  std::function<bool()> is_own;  ///< whether its value is the one for it
  bool is_silent = false;        ///< the agent does not answer success
  bool done = false;
  bool not_sent = false;
};

/// An operation that is no more than the owner of a call.
struct Owner final : qga::detail::Operation {
  Owner() : Operation({}, {}, Clock::time_point()) {}
  void start() override {}
  void deliver(qga::detail::Call&) override {}
  Clock::time_point next_deadline() const override { return Clock::time_point::max(); }
};

template <class Request>
Asked ask(std::uint64_t number, const Request& request, Clock::time_point deadline, auto is_own) {
  using Typed = TypedCall<typename Request::Reply, std::identity>;
  const auto handling = qga::detail::handling_of(request);
  auto call = std::make_unique<Typed>("a command", handling, std::identity());
  qga::detail::encode_into(call->text, request);
  call->deadline = deadline;
  const Typed* const at = call.get();
  return {number, std::move(call), [=] { return at->result.value && is_own(*at->result.value); },
          !handling.success_response};
}

void check_shown(std::string_view line) {
  require(line.size() < 8 * qga::detail::max_shown_text, "what is shown is short");
  for (const char c : line) require(c < 0 || (c >= ' ' && c != '\x7F'), "no control characters");
}

class Run {
 public:
  explicit Run(Bytes bytes)
      : bytes_(bytes),
        is_hostile_(bytes_.number() % 2 == 1),
        agent_(static_cast<Ids>(bytes_.number() % 3)),
        params_(params(bytes_.number())),
        session_(std::in_place, params_) {}

  void go() {
    while (!bytes_.empty()) {
      step(bytes_.number());
      settle();
    }
    check_works_again();
    lose();
    require(!session_->busy() && !session_->replies_due(), "a lost session owes nothing");
    for (const Asked& asked : asked_) require(asked.done, "every call is finished in the end");
  }

 private:
  static qga::ClientParams params(unsigned choice) {
    constexpr std::array<std::size_t, 4> reply_sizes{100, 1000, 100'000, 1 << 20};
    constexpr std::array<std::size_t, 4> read_sizes{1, 16, 4096, 100'000};
    qga::ClientParams params;
    params.max_reply_size = reply_sizes[choice % 4];
    params.read_buffer_size = read_sizes[choice / 4 % 4];
    if (choice / 16 % 4 == 0) {  // it takes as long as all the rest
      params.trace = [](qga::TraceDirection, std::string_view line) { check_shown(line); };
    }
    return params;
  }

  // ---- steps -------------------------------------------------------------------------------

  void step(unsigned choice) {
    switch (choice % (is_hostile_ ? 16 : 11)) {
      case 0:
      case 1:
        return submit(bytes_.number());
      case 2:
        return write(std::string::npos);
      case 3:
        return write(bytes_.number());
      case 4:
        return read(std::string::npos, 1 + bytes_.number());
      case 5:
        return read(bytes_.number(), 1 + bytes_.number() % 8);
      case 6:
        return pass(std::chrono::milliseconds(20) * bytes_.number());
      case 7:
        return pass(std::chrono::seconds(bytes_.number() % 64));
      case 8:
        if (!asked_.empty()) cancel(asked_[bytes_.number() % asked_.size()]);
        return;
      case 9:
        return bytes_.number() % 4 == 0 ? lose() : restart(bytes_.number());
      case 10:
        agent_.is_down = bytes_.number() % 4 == 0;
        return;
      case 11:
        return agent_.say(bytes_.take(bytes_.number() % 64));
      case 12:
        return tell_id(bytes_.number());
      case 13:
        return agent_.say("{\"return\": " + std::to_string(agent_.sync_id) + "}\n");
      case 14:
        return flood(bytes_.number());
      default:
        return reply(bytes_.number(), bytes_.number());
    }
  }

  void submit(unsigned choice) {
    if (asked_.size() == 200) return;
    const std::uint64_t number = 10 + asked_.size();
    constexpr std::array<Clock::duration, 4> times{Clock::duration::zero(), 100ms, 5s, 100s};
    const auto deadline = choice % 8 < 4 ? now_ + times[choice % 4] : Clock::time_point::max();
    const auto raw = [&](const char* command, std::size_t padding = 0) {
      nlohmann::json arguments{{"n", number}};
      if (padding > 0) arguments["padding"] = std::string(padding, 'x');
      return ask(number, RawRequest(command, arguments), deadline,
                 [=](const nlohmann::json& value) {
                   return value == nlohmann::json{{"n", number}};
                 });
    };
    switch (choice / 8 % 6) {
      case 0:
        asked_.push_back(raw("guest-x"));
        break;
      case 1:
        asked_.push_back(raw("guest-x", 1500));  // some of them fill the window
        break;
      case 2:
        asked_.push_back(raw("guest-shutdown"));
        break;
      case 3:
        asked_.push_back(raw("guest-fsfreeze-freeze"));
        break;
      default:
        const auto handle = static_cast<std::int64_t>(number);
        asked_.push_back(ask(number, qga::GuestFileReadRequest(handle, 64), deadline,
                             [=](const qga::GuestFileRead& value) {
                               return value.count == handle &&
                                      value.buf_b64 == std::to_string(number);
                             }));
    }
    session_->submit(*asked_.back().call);
  }

  void write(std::size_t at_most) {
    const std::string out(session_->output(now_).substr(0, at_most));
    const std::size_t before = agent_.runs;
    agent_.hear(out);
    session_->wrote(out.size());
    for (const auto& [number, ran] : agent_.ran) {
      if (ran.at <= before) continue;
      require(is_hostile_ || agent_.answered_sync > settled_from_, "nothing is sent into silence");
      require(!asked_[number - 10].done, "what is over is not sent");
    }
  }

  void read(std::size_t bytes, std::size_t piece) {
    const std::string said = agent_.take(bytes);
    piece =
        std::max(piece, said.size() / 64);  // a flood in small pieces takes long and shows nothing
    for (std::string_view left = said; !left.empty();) {
      const auto space = session_->input();
      require(!space.empty(), "there is always room");
      require(space.size() <= most_memory(), "memory stays within the limits");
      const std::size_t size = std::min({piece, space.size(), left.size()});
      std::copy_n(left.begin(), size, space.begin());
      session_->received(size, now_);
      left.remove_prefix(size);
    }
  }

  std::size_t most_memory() const {
    return 2 * std::max({qga::simple_reply_limits.bytes, params_.max_reply_size,
                         params_.read_buffer_size}) +
           2;
  }

  void pass(Clock::duration time) {
    now_ += time;
    session_->expire(now_);
    settle();
    for (const Asked& asked : asked_) {
      require(asked.done || asked.call->deadline > now_, "a call ends at its deadline");
      require(asked.done || asked.call->deadline >= session_->next_deadline(), "it is waited for");
    }
  }

  void cancel(Asked& asked) {
    if (asked.done) return;
    Owner owner;
    asked.call->operation = &owner;
    session_->withdraw(&owner);
    settle();
    require(asked.done, "a call that is cancelled is finished");
  }

  void lose() {
    session_->lost(qga::detail::make_error<qga::ReadError>, "lost", {});
    agent_.disconnect();
    settled_from_ = agent_.runs;
    settle();
    for (const Asked& asked : asked_) require(asked.done, "no call outlives its connection");
    require(session_->output(now_).empty(), "nothing is left to write");
    session_.emplace(params_);  // of the next connection
  }

  void restart(std::size_t keep) { agent_.restart(keep); }

  // ---- hostile steps -----------------------------------------------------------------------

  std::string id_of(unsigned choice) {
    if (agent_.ran.empty()) return "0";
    auto at = agent_.ran.begin();
    std::advance(at, choice % agent_.ran.size());
    if (!at->second.id) return "0";
    at->second.id_was_told = true;
    return std::to_string(*at->second.id);
  }
  void tell_id(unsigned choice) { agent_.say(id_of(choice)); }
  void reply(unsigned choice, unsigned kind) {
    constexpr std::array<const char*, 8> members{
        "\"return\": {}",
        "\"return\": {\"n\": 1}",
        "\"return\": null",
        "\"return\": {\"count\": 1, \"buf-b64\": \"eA==\", \"eof\": true}",
        "\"error\": {\"class\": \"\\u001b\", \"desc\": \"\\n\"}",
        "\"error\": {}",
        "\"return\": {}, \"error\": {\"class\": \"A\", \"desc\": \"b\"}",
        "\"return\": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"};
    agent_.say(std::string(kind / 8 % 4 == 0 ? "\xFF" : "") + "{" + members[kind % 8] +
               (kind / 32 % 2 == 0 ? ", \"id\": " + id_of(choice) : "") + "}\n");
  }
  void flood(unsigned choice) {
    constexpr std::array<char, 6> bytes{'\n', '\xFF', 'x', '[', '"', '\0'};
    agent_.say(std::string(std::size_t{1} << (choice / 8 % 13), bytes[choice % bytes.size()]));
  }

  // ---- what must hold ----------------------------------------------------------------------

  void settle() {
    while (Call* const call = session_->finished()) {
      const auto asked = std::find_if(asked_.begin(), asked_.end(),
                                      [&](const Asked& any) { return any.call.get() == call; });
      require(asked != asked_.end() && !asked->done, "a call is finished once");
      require(call->finished(), "a call that is given back is finished");
      asked->done = true;
      check(*asked);
    }
    for (const Asked& asked : asked_) {
      require(!asked.call->finished() || asked.done, "a finished call is given back");
      require(!asked.not_sent || !agent_.ran.contains(asked.number),
              "what was not sent never runs");
    }
  }

  void check(Asked& asked) {
    const auto found = agent_.ran.find(asked.number);
    const auto* const ran = found != agent_.ran.end() ? &found->second : nullptr;
    const auto check_answered = [&](bool well) {
      require(is_hostile_ || ran != nullptr, "what is answered has run");
      require(ran == nullptr || !ran->id || ran->id_was_told, "an answer has the id of its call");
      if (is_hostile_) return;
      require(well != Agent::refuses(asked.number), "an answer is the one for its call");
      require(!well || asked.is_silent || asked.is_own(), "a value is the one for its call");
    };
    if (!asked.call->error()) return check_answered(true);
    try {
      std::rethrow_exception(asked.call->error());
    } catch (const qga::AgentError& error) {
      check_shown(error.what());
      const bool is_own = error.desc() == std::to_string(asked.number);
      if (is_own || is_hostile_) return check_answered(false);
      // The agent was down while a part of the request was written, and understood nothing.
      require(error.desc() == Agent::not_understood, "an error is the one for its call");
      require(ran == nullptr, "what has run is not called refused");
      asked.not_sent = true;
    } catch (const qga::GuestAgentError& error) {
      check_shown(error.what());
      asked.not_sent = error.outcome() == Outcome::not_sent;
      require(ran == nullptr || !asked.not_sent, "what has run is not called unsent");
      // What is still to come of it would be taken for an answer to the next.
      const bool given_up = dynamic_cast<const qga::TimeoutError*>(&error) != nullptr ||
                            dynamic_cast<const qga::CancelledError*>(&error) != nullptr;
      if (given_up && ran != nullptr) settled_from_ = std::max(settled_from_, ran->at);
    }
  }

  /// The guest is in its senses again, and after some tries at most so is the session.
  void check_works_again() {
    is_hostile_ = true;  // what it said before is still on its way
    agent_.is_down = false;
    for (Asked& asked : asked_) cancel(asked);
    for (int tries = 0; tries < 4; ++tries) {
      const std::uint64_t number = 10 + asked_.size();
      const auto until = now_ + 100s;
      asked_.push_back(ask(number, RawRequest("guest-x", {{"n", number}}), until,
                           [](const nlohmann::json&) { return true; }));
      Asked& probe = asked_.back();
      session_->submit(*probe.call);
      for (int rounds = 0; rounds < 8 && !probe.done; ++rounds) {
        write(std::string::npos);
        read(std::string::npos, std::string::npos);
        settle();
      }
      if (!probe.done) pass(100s);
      if (!probe.call->error() || Agent::refuses(number)) return;
    }
    require(false, "the next command works");
  }

  Bytes bytes_;
  bool is_hostile_;
  Agent agent_;
  qga::ClientParams params_;
  std::optional<qga::detail::Session> session_;
  Clock::time_point now_ = Clock::time_point() + 24h;
  std::vector<Asked> asked_;
  std::size_t settled_from_ = 0;  ///< a handshake behind this has to be answered first
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Run(Bytes(data, size)).go();
  return 0;
}
