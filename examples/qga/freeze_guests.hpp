// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guests that are frozen and thawed together: all of them, or none. They are served from one
// thread, and none of them waits for another one's thaw.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <asio/steady_timer.hpp>
#include <qga/client.hpp>

#include "guests.hpp"
#include "tool.hpp"

namespace qga_tool {

/// Which file systems of each guest are frozen.
struct FreezeWhat {
  std::vector<std::string> mountpoints = {};  ///< only these; empty: all
  /// All but these. A guest where one of them is not mounted has nothing to leave out.
  std::vector<std::string> except = {};
  /// Whether the guests are asked for their mount points although all are frozen.
  enum class Listing { where_needed, always } listing = Listing::where_needed;
};

/// What became of one guest.
struct GuestFreeze {
  enum class State {
    thawed,  ///< it is not frozen, as far as is known
    frozen,  ///< by us
    others,  ///< it was frozen already, or may have been: a thaw of ours would end another's freeze
    unknown  ///< it may be frozen by us, and does not thaw
  };

  GuestName guest = {};
  State state = State::thawed;
  std::optional<std::int64_t> frozen = 0;   ///< how many file systems; none: its answer was lost
  std::optional<std::int64_t> thawed = {};  ///< how many file systems; none: not told
  std::optional<qga::Clock::duration> time = {};  ///< for how long it was frozen
  std::exception_ptr error = {};                  ///< the first one
  /// The error is only that another guest has failed, or that a signal has come.
  bool given_up = false;
  bool is_rescued = false;  ///< it was found thawed, or was thawed, after the error
  /// The mount points that are frozen; none: all.
  std::optional<std::vector<std::string>> mountpoints = {};

  /// Whether it was thawed by somebody else while it was to be frozen.
  bool was_thawed_early() const { return thawed == 0 && frozen != 0; }
};

class FreezeGuests {
 public:
  /// Takes the guests that the command line names.
  FreezeGuests(Tool& tool, FreezeWhat what);
  /// Thaws what is still frozen. That is over when this returns.
  ~FreezeGuests();
  FreezeGuests(const FreezeGuests&) = delete;
  FreezeGuests& operator=(const FreezeGuests&) = delete;

  /// Connects to all, and finds out what there is to freeze. Where there are many, asks each of
  /// them whether it can freeze: so nothing is frozen where one of them cannot.
  /// @return whether each of them answered that it can
  /// @throws UsageError no guest has a mount point that is to be left out
  bool connect();
  /// Freezes all. Where one fails, or is not frozen within the time, all are thawed again.
  /// @param limit counts from the moment when the first one is frozen
  /// @return whether all are frozen
  bool freeze(qga::Clock::duration limit);
  /// Thaws all.
  void thaw();
  /// Leaves all frozen.
  void release();

  /// In the order of the command line.
  std::vector<GuestFreeze> results() const;
  /// When the first one was frozen, and the last one.
  qga::Clock::time_point first_frozen() const { return first_frozen_; }
  qga::Clock::time_point last_frozen() const { return last_frozen_; }

 private:
  struct Member;

  void ask(Member& member);
  void list(Member& member);
  void choose();
  void set_limit(qga::Clock::time_point until, const std::string& text);
  void start(Member& member);
  void is_frozen(Member& member);
  void not_frozen(Member& member, std::exception_ptr error);
  void give_up();
  void thaw(Member& member);
  void rescue(Member& member);
  void rescue_connected(Member& member);
  void run();
  bool all_well() const;
  qga::CallOptions options() const { return {.stop = end_.get_token()}; }

  Tool& tool_;
  FreezeWhat what_;
  std::vector<std::unique_ptr<Member>> members_;
  std::stop_source end_;  ///< of the calls that may be ended: not of those that thaw
  asio::steady_timer timer_;
  qga::Clock::duration limit_ = {};
  std::size_t unfrozen_ = 0;  ///< how many are still to be frozen
  bool freezes_ = false;      ///< they are not only asked any more
  bool given_up_ = false;
  std::string late_ = {};  ///< what was too late, if that is why it was given up
  qga::Clock::time_point until_ = qga::Clock::time_point::max();  ///< when it is given up
  qga::Clock::time_point first_frozen_ = qga::Clock::time_point::max();
  qga::Clock::time_point last_frozen_ = {};
};

}  // namespace qga_tool
