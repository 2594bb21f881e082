// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Each guest goes through its own steps; what fails for one ends the freezing of all. The functions
// that the calls of the library complete with run on the thread that runs the tool's context.
#include "freeze_guests.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/post.hpp>

#include "failure.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

using State = GuestFreeze::State;
using namespace std::chrono_literals;

constexpr qga::Clock::duration freeze_time = 10min;  // as the library has it
constexpr qga::Clock::duration rescue_time = 30s;

template <class Function>
auto on(Tool& tool, Function function) {
  return asio::bind_executor(tool.context.get_executor(), std::move(function));
}

std::exception_ptr failure(const std::string& text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// Makes a client that is not connected yet, unless its address is a descriptor.
/// @throws qga::ConnectError the address is wrong
qga::AnyClient unconnected_client(const Tool& tool, const GuestName& guest) {
  qga::ClientParams params = tool.client_params();
  params.defer_connect = true;
  return qga::connect(guest.address, std::move(params));
}

/// What the error of a freeze tells of the guest's state.
State state_after(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const qga::FreezeError& known) {
    if (known.thawed()) return State::thawed;
    return known.outcome() == qga::Outcome::refused ? State::others : State::unknown;
  } catch (...) {
    return State::thawed;  // the freeze was not tried
  }
}

/// Whether the guest is thawed although it reports that its thaw has failed.
bool is_thawed_all_the_same(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const qga::ThawError& known) {
    return known.thawed();
  } catch (...) {
    return false;
  }
}

}  // namespace

struct FreezeGuests::Member {
  GuestFreeze result;
  std::optional<qga::AnyClient> client = {};
  qga::Frozen frozen = {};
  bool is_thawing = false;
};

FreezeGuests::FreezeGuests(Tool& tool, FreezeWhat what)
    : tool_(tool), what_(std::move(what)), timer_(tool.context) {
  for (GuestName& guest : tool.guests.all()) {
    members_.push_back(std::make_unique<Member>());
    members_.back()->result.guest = std::move(guest);
  }
}

FreezeGuests::~FreezeGuests() {
  try {
    timer_.cancel();
    end_.request_stop();
    run();  // the calls end before what they use does
    for (const auto& member : members_) {
      member->frozen = {};
      if (member->client) member->client->async_close(on(tool_, [](const std::exception_ptr&) {}));
    }
    run();
  } catch (const std::exception& error) {
    complain(error.what());
  }
}

void FreezeGuests::run() {
  tool_.context.restart();
  tool_.context.run();
}

bool FreezeGuests::all_well() const {
  return std::ranges::none_of(members_,
                              [](const auto& one) { return one->result.error != nullptr; });
}

std::vector<GuestFreeze> FreezeGuests::results() const {
  std::vector<GuestFreeze> results;
  for (const auto& member : members_) results.push_back(member->result);
  return results;
}

// ---- before anything is frozen ------------------------------------------------------------------

bool FreezeGuests::connect() {
  const std::stop_callback on_stop(tool_.stop.token(), [this] { end_.request_stop(); });
  for (const auto& owned : members_) {
    Member& member = *owned;
    try {
      member.client.emplace(unconnected_client(tool_, member.result.guest));
    } catch (const qga::GuestAgentError&) {
      member.result.error = std::current_exception();
      continue;
    }
    if (member.client->is_open()) {
      ask(member);
      continue;
    }
    const auto then = [this, &member](std::exception_ptr error) {
      error ? not_frozen(member, std::move(error)) : ask(member);
    };
    member.client->async_reconnect(on(tool_, then), options());
  }
  run();
  if (all_well() && !what_.except.empty()) choose();
  return all_well();
}

void FreezeGuests::ask(Member& member) {
  // Where there is only one guest, its freeze tells whether it can freeze.
  if (members_.size() == 1) return list(member);
  const auto then = [this, &member](std::exception_ptr error, const qga::Capabilities& can) {
    if (error) return not_frozen(member, std::move(error));
    const bool all = what_.mountpoints.empty() && what_.except.empty();
    const char* const command = all ? qga::GuestFsfreezeFreezeRequest::command.data()
                                    : qga::GuestFsfreezeFreezeListRequest::command.data();
    if (can.frozen) {
      member.result.state = State::others;
      member.result.error = failure("the guest is frozen already; this thaws it: qga " +
                                    member.result.guest.address + " thaw");
    } else if (!can.supports(command)) {
      member.result.error =
          failure(std::string("the agent lacks ") + command + ", or is forbidden to use it");
    } else {
      list(member);
    }
  };
  member.client->async(on(tool_, then), options()).capabilities();
}

void FreezeGuests::list(Member& member) {
  if (!what_.mountpoints.empty()) {
    member.result.mountpoints = what_.mountpoints;
    return;
  }
  if (what_.except.empty() && what_.listing == FreezeWhat::Listing::where_needed) return;
  const auto then = [this, &member](std::exception_ptr error,
                                    const std::vector<qga::GuestFilesystemInfo>& listed) {
    if (error) return not_frozen(member, std::move(error));
    member.result.mountpoints.emplace();
    for (const auto& one : listed) member.result.mountpoints->push_back(one.mountpoint);
  };
  member.client->async(on(tool_, then), options()).get_fsinfo();
}

/// Leaves out what is not to be frozen. A name that no guest knows is a mistake.
void FreezeGuests::choose() {
  for (const std::string& except : what_.except) {
    const auto erased = [&except](const auto& member) {
      return std::erase(*member->result.mountpoints, except);
    };
    if (std::ranges::count_if(members_, erased) == 0) {
      throw UsageError("--except must be one of the mount points that fs lists, not " + except);
    }
  }
}

// ---- freezing -----------------------------------------------------------------------------------

bool FreezeGuests::freeze(qga::Clock::duration limit) {
  for (const auto& member : members_) {
    const auto& mountpoints = member->result.mountpoints;
    if (mountpoints && mountpoints->empty()) {
      member->result.error = failure("--except leaves no file system to freeze");
    }
  }
  if (!all_well()) return false;
  limit_ = limit;
  freezes_ = true;
  unfrozen_ = members_.size();
  // A call that has failed, or was stopped, ends when its guest has been thawed, which may last.
  // The others are thawed before.
  const std::stop_callback on_stop(tool_.stop.token(),
                                   [this] { asio::post(tool_.context, [this] { give_up(); }); });
  const auto time = tool_.timeout ? duration_of(*tool_.timeout) : freeze_time;
  if (members_.size() > 1) {
    set_limit(qga::deadline_after(time, qga::Clock::now()),
              "not frozen within " + seconds_text(time));
  }
  for (const auto& member : members_) start(*member);
  run();
  return all_well() && !given_up_;
}

void FreezeGuests::set_limit(qga::Clock::time_point until, const std::string& text) {
  if (until >= until_) return;
  until_ = until;
  timer_.expires_at(until);
  timer_.async_wait([this, text](const std::error_code& cancelled) {
    if (cancelled || !freezes_) return;
    late_ = text;
    give_up();
  });
}

void FreezeGuests::start(Member& member) {
  const auto then = [this, &member](std::exception_ptr error, qga::Frozen frozen) {
    if (error) return not_frozen(member, std::move(error));
    member.frozen = std::move(frozen);
    is_frozen(member);
  };
  auto call = member.client->async(on(tool_, then), options());
  const auto& mountpoints = member.result.mountpoints;
  mountpoints ? call.freeze(*mountpoints) : call.freeze();
}

void FreezeGuests::is_frozen(Member& member) {
  member.result.state = State::frozen;
  member.result.frozen = member.frozen.count();
  last_frozen_ = qga::Clock::now();
  first_frozen_ = std::min(first_frozen_, last_frozen_);
  if (member.result.frozen == 0) {
    member.result.error = failure("the guest froze no file system");
    give_up();
  }
  if (given_up_) return thaw(member);
  if (--unfrozen_ == 0) {
    freezes_ = false;
    timer_.cancel();
  } else {
    set_limit(qga::deadline_after(limit_, first_frozen_),
              "not frozen within " + seconds_text(limit_) + " of the first guest");
  }
}

void FreezeGuests::not_frozen(Member& member, std::exception_ptr error) {
  const State state = state_after(error);
  member.result.state = state;
  const bool is_cancelled = has_code(error, qga::err_cancelled);
  const bool is_late = is_cancelled && !late_.empty();
  member.result.given_up = is_cancelled && !is_late && (given_up_ || tool_.stop.signal() != 0);
  if (is_late) {
    const std::string text = state == State::thawed ? late_ + "; the guest is thawed" : late_;
    error = std::make_exception_ptr(qga::TimeoutError(text, {.outcome = qga::Outcome::unknown}));
  }
  member.result.error = std::move(error);
  give_up();
  if (state == State::unknown) rescue(member);
}

/// Ends what is under way, and thaws those that are frozen. A guest that does not answer, while all
/// are asked whether they can freeze, is no reason to ask the others no more.
void FreezeGuests::give_up() {
  if (!freezes_ || std::exchange(given_up_, true)) return;
  timer_.cancel();
  end_.request_stop();
  for (const auto& member : members_) {
    if (member->result.state == State::frozen) thaw(*member);
  }
}

// ---- thawing ------------------------------------------------------------------------------------

void FreezeGuests::thaw() {
  for (const auto& member : members_) thaw(*member);
  run();
}

void FreezeGuests::release() {
  for (const auto& member : members_) member->frozen.release();
}

void FreezeGuests::thaw(Member& member) {
  if (std::exchange(member.is_thawing, true)) return;
  const auto then = [this, &member](std::exception_ptr error, const qga::ThawResult& thawed) {
    GuestFreeze& result = member.result;
    result.time = error ? member.frozen.age() : thawed.frozen_for;
    const bool is_thawed = !error || is_thawed_all_the_same(error);
    if (!error) result.thawed = thawed.count;
    if (error && !result.error) result.error = std::move(error);
    is_thawed ? void(result.state = State::thawed) : rescue(member);
  };
  member.client->async(on(tool_, then)).thaw(member.frozen);
}

/// Tries once more over a new connection, and finds out whether the guest is thawed. A guest that
/// was paused has some time to go on.
void FreezeGuests::rescue(Member& member) {
  member.result.state = State::unknown;
  const auto then = [this, &member](const std::exception_ptr& error) {
    if (!error) return rescue_connected(member);
    member.frozen = {};  // the guard tries what it can
  };
  member.client->async_reconnect(on(tool_, then));
}

void FreezeGuests::rescue_connected(Member& member) {
  const auto end = [&member](bool is_thawed) {
    if (is_thawed) member.result.state = State::thawed;
    member.result.is_rescued = is_thawed;
    member.frozen.release();
  };
  const auto then = [this, &member, end](const std::exception_ptr& error,
                                         qga::GuestFsfreezeStatus status) {
    if (error) return end(false);
    if (status == qga::GuestFsfreezeStatus::thawed) return end(true);
    const auto thawed = [end](const std::exception_ptr& refused, std::int64_t) { end(!refused); };
    member.client->async(on(tool_, thawed)).fsfreeze_thaw();
  };
  member.client->async(on(tool_, then), {.timeout = rescue_time}).fsfreeze_status();
}

}  // namespace qga_tool
