// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guests that the command line names: one by its socket, or many by patterns, by options and in
// a file. Many have names, which are what is different in their addresses.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace qga_tool {

struct GuestName {
  std::string name;     ///< what people are shown; unique among the guests of a command
  std::string address;  ///< where its agent is, as `qga::connect` has it
};

class Guests {
 public:
  std::string socket;                ///< SOCKET: an address or a pattern
  std::vector<std::string> sockets;  ///< of `-s`: addresses or patterns
  std::string file;                  ///< of `--sockets-from`; "-" is stdin

  /// Whether any guest was named.
  bool are_named() const { return !socket.empty() || are_listed(); }
  /// Whether the command line speaks of many guests, which the output shows even where it finds
  /// only one.
  bool are_many() const;
  /// The address of the only guest.
  /// @throws UsageError many guests were named
  const std::string& one() const;
  /// The guests that are there now: patterns are looked up anew.
  /// @throws UsageError there is none, or the file cannot be read
  std::vector<GuestName> now();
  /// The same, where a pattern must not be in vain: a guest that is missing may be the one that
  /// matters.
  /// @throws UsageError a pattern matches nothing, too
  std::vector<GuestName> all();

 private:
  bool are_listed() const { return !sockets.empty() || !file.empty(); }
  void read_file();
  std::vector<GuestName> find(bool each_pattern);
  const std::vector<std::string>& matches_of(const std::string& pattern);

  bool file_is_read_ = false;
  std::vector<std::string> lines_;  ///< of the file
  /// What each pattern has matched; it stays while there is no descriptor left to look.
  std::map<std::string, std::vector<std::string>> matches_;
};

/// How many guests can be connected at a time. This process is allowed as many descriptors as it
/// may have, and keeps some for other things.
std::size_t most_connected();

}  // namespace qga_tool
