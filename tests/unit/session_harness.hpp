// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the session tests share: a session that is moved by hand, byte by byte where need be, under
// a clock that stands still until it is told.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "qga/commands.hpp"
#include "qga/detail/protocol/operation.hpp"
#include "qga/detail/protocol/session.hpp"

namespace session_test {

using namespace std::chrono_literals;
using qga::Clock;
using qga::Outcome;

/// What agents do with an `id`: 4.0 and later, 2.12, all others.
enum class Ids { echoed, ignored, rejected };

template <class R>
struct Call : qga::detail::TypedCall<typename R::Reply, std::identity> {
  using Base = qga::detail::TypedCall<typename R::Reply, std::identity>;

  explicit Call(const R& request = R(), Clock::time_point until = Clock::time_point::max())
      : Base(request.command, qga::detail::handling_of(request), {}) {
    qga::detail::encode_into(this->text, request);
    this->deadline = until;
  }
};
/// An operation that is no more than the owner of a call.
struct Owner final : qga::detail::Operation {
  Owner() : Operation({}, {}, Clock::time_point()) {}
  void start() override {}
  void deliver(qga::detail::Call&) override {}
  Clock::time_point next_deadline() const override { return Clock::time_point::max(); }
};
using Ping = Call<qga::GuestPingRequest>;
using Open = Call<qga::GuestFileOpenRequest>;
using Shutdown = Call<qga::GuestShutdownRequest>;

/// A call that ended well.
inline bool succeeded(const qga::detail::Call& call) { return call.finished() && !call.error(); }

/// The error of a call, which has to be of exactly this type.
template <class Error>
Error error_of(const qga::detail::Call& call) {
  REQUIRE(call.finished());
  REQUIRE(call.error());
  try {
    std::rethrow_exception(call.error());
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(typeid(error) == typeid(Error));
    return error;
  } catch (const std::exception& error) {
    FAIL("another error: " << error.what());
    throw;
  }
}

template <class Error>
bool failed(const qga::detail::Call& call, Outcome outcome) {
  return error_of<Error>(call).outcome() == outcome;
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

struct Request {
  std::string command;
  nlohmann::json arguments;
  std::optional<std::uint64_t> id;
};

/// Takes what was written apart, one request a line.
inline std::vector<Request> requests(std::string_view text) {
  std::vector<Request> found;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == 0 || text.front() == '\xFF') {  // in front of a handshake
      text.remove_prefix(end + 1);
      continue;
    }
    REQUIRE(end != std::string_view::npos);
    const auto json = nlohmann::json::parse(text.substr(0, end));
    Request request{json.at("execute"), json.value("arguments", nlohmann::json()), {}};
    if (json.contains("id")) request.id = json.at("id").get<std::uint64_t>();
    found.push_back(std::move(request));
    text.remove_prefix(end + 1);
  }
  return found;
}

/// The line that every 0xFF provokes.
inline const std::string stray =
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray '\\uFFFD'\"}}\n";
inline const std::string id_rejected =
    "{\"error\": {\"class\": \"GenericError\", "
    "\"desc\": \"QMP input object member 'id' is unexpected\"}}\n";

inline std::string with_id(std::string_view member, std::optional<std::uint64_t> id) {
  std::string line = "{" + std::string(member);
  if (id) line += ", \"id\": " + std::to_string(*id);
  return line + "}\n";
}
inline std::string reply(std::optional<std::uint64_t> id, std::string_view result = "{}") {
  return with_id("\"return\": " + std::string(result), id);
}
inline std::string refusal(std::optional<std::uint64_t> id, std::string_view desc = "no",
                           std::string_view error_class = "GenericError") {
  return with_id("\"error\": {\"class\": \"" + std::string(error_class) + "\", \"desc\": \"" +
                     std::string(desc) + "\"}",
                 id);
}
inline std::string sync_reply(std::uint64_t sync, std::optional<std::uint64_t> id = {}) {
  return "\xFF" + reply(id, std::to_string(sync));
}

struct Handshake {
  std::uint64_t sync = 0;
  std::uint64_t second = 0;

  std::string answer(Ids ids) const { return stray + sync_reply(sync) + second_answer(ids); }
  std::string second_answer(Ids ids) const {
    if (ids == Ids::rejected) return id_rejected;
    return reply(ids == Ids::echoed ? std::optional(second) : std::nullopt, std::to_string(second));
  }
};

class Driven {
 public:
  explicit Driven(const qga::ClientParams& params = {}) : session(params) {}

  qga::detail::Session session;
  Clock::time_point now = Clock::time_point() + 24h;
  std::vector<qga::detail::Call*> finished;  ///< in the order in which the session gave them back

  template <class... Calls>
  void submit(Calls&... calls) {
    (session.submit(calls), ...);
  }

  /// Takes one output, of which no more than `at_most` bytes reach the channel.
  std::string write(std::size_t at_most = std::string::npos) {
    const std::string out(session.output(now).substr(0, at_most));
    session.wrote(out.size());
    return out;
  }

  /// Input arrives, in pieces of this size.
  void read(std::string_view bytes, std::size_t piece = std::string::npos) {
    while (!bytes.empty()) {
      const auto space = session.input();
      const std::size_t size = std::min({piece, space.size(), bytes.size()});
      std::copy_n(bytes.begin(), size, space.begin());
      session.received(size, now);
      bytes.remove_prefix(size);
    }
    take_finished();
  }

  /// The next output has to be a handshake, whole and nothing else.
  Handshake handshake() { return handshake_in(write()); }

  static Handshake handshake_in(const std::string& out) {
    INFO(out);
    REQUIRE(out.starts_with("\n\xFF\n"));
    const auto sent = requests(std::string_view(out).substr(3));
    REQUIRE(sent.size() == 2);
    const Handshake shake{sent[0].arguments.at("id"), sent[1].id.value_or(0)};
    const std::string second = std::to_string(shake.second);
    REQUIRE(out == "\n\xFF\n{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":" +
                       std::to_string(shake.sync) +
                       "}}\n{\"execute\":\"guest-sync\",\"arguments\":{\"id\":" + second +
                       "},\"id\":" + second + "}\n");
    return shake;
  }

  void sync(Ids ids = Ids::echoed) { read(handshake().answer(ids)); }

  /// The requests that go out next; none where nothing does.
  std::vector<Request> sent() { return requests(write()); }

  /// The one request that goes out next.
  Request sent_one() {
    auto all = sent();
    REQUIRE(all.size() == 1);
    return all.front();
  }

  /// The handshake is due and no call is harmed by it: a call of its own shows that.
  void check_works_again(Ids ids = Ids::echoed) {
    Ping probe;
    session.submit(probe);
    sync(ids);
    read(reply(sent_one().id));
    CHECK(succeeded(probe));
  }

  void pass(Clock::duration time) {
    now += time;
    session.expire(now);
    take_finished();
  }

  /// Whether nothing of a call has reached the channel.
  bool unsent(qga::detail::Call& call) {
    Owner owner;
    call.operation = &owner;
    const bool result = session.unsent(owner);
    call.operation = nullptr;
    return result;
  }

  void cancel(qga::detail::Call& call) {
    Owner owner;
    call.operation = &owner;
    session.request_stop(owner);
    take_finished();
  }

  template <class Error>
  void lose(std::error_code err = {}) {
    session.lost(qga::detail::make_error<Error>, "the channel broke", err);
    take_finished();
  }

 private:
  void take_finished() {
    while (qga::detail::Call* const call = session.finished()) finished.push_back(call);
  }
};

}  // namespace session_test
