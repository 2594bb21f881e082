// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Looks at a guest again and again, for screens and metrics. All guests are watched from one
// thread, and each keeps its connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>
#include <qga/client.hpp>

#include "guests.hpp"
#include "tool.hpp"

namespace qga_tool {

struct Memory {
  std::uint64_t total = 0;      ///< bytes
  std::uint64_t available = 0;  ///< bytes
};

enum class GuestState {
  ready,      ///< it has answered
  frozen,     ///< it has answered that its file systems are frozen
  silent,     ///< it is connected, and has not answered in time
  no_socket,  ///< a connection cannot be made
};

/// The name of a state in JSON and metrics, such as `no-socket`.
std::string_view state_name(GuestState state);

/// What a guest has answered at one moment.
struct Look {
  GuestState state = GuestState::no_socket;
  std::string error = {};            ///< why it is not ready
  qga::Clock::time_point time = {};  ///< the host's, when the last of the answers came
  qga::Clock::duration took = {};
  std::string version = {};  ///< of the agent; empty: not known
  qga::Sample sample = {};   ///< its parts are missing where the guest refuses them
  std::optional<std::vector<qga::GuestFilesystemInfo>> file_systems = {};
  std::optional<Memory> memory = {};      ///< Linux guests whose files may be read
  std::vector<std::string> missing = {};  ///< commands that the guest refuses
};

/// Watches one guest.
///
/// Once for each connection it asks who the agent is, and opens /proc/meminfo: the guest's log has
/// a line for that. Each look then sends six commands at most, together. What the guest refuses is
/// not asked again on that connection. A frozen guest is only asked whether it still is.
class Watch {
 public:
  Watch(Tool& tool, GuestName guest)
      : Watch(tool.context, std::move(guest), tool.client_params()) {}
  /// @param params its timeout is for a look; the size of replies is bounded here
  Watch(asio::io_context& context, GuestName guest, qga::ClientParams params);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  const GuestName& guest() const;
  /// Looks at the guest within the timeout, and calls `done` on the context; not after the watch
  /// was destroyed. It connects first where there is no connection. Only one look at a time.
  void look(std::function<void(Look)> done);
  /// When it was last seen thawed; nothing: not since the watch began.
  std::optional<std::chrono::system_clock::time_point> last_thawed() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

/// What is seen of a guest that no descriptor is left for.
Look unwatched();

/// Gives the agents a moment to close what watches have opened in them, after the watches have
/// ended: an agent that answers when nobody is connected any more may end.
void close_connections(Tool& tool);

/// Whether a file system holds what the guest has written: images that are only read, and layers
/// over other file systems, are none.
bool is_counted(const qga::GuestFilesystemInfo& fs);

/// What /proc/meminfo tells; nothing where that makes no sense.
std::optional<Memory> memory_in(const std::string& meminfo);

}  // namespace qga_tool
