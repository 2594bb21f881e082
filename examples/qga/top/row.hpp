// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a list of guests says about each of them, and in which order.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <qga/client.hpp>

#include "../watch.hpp"

namespace qga_tool::top {

struct Fullest {
  std::string mountpoint;
  double share = 0;  ///< from 0 to 1
};

/// One guest. What is not known is missing: rates before the second sample, and what a guest
/// refuses.
struct Row {
  std::string name = {};
  std::optional<GuestState> state = {};  ///< nothing: it has not been looked at yet
  bool gone = false;                     ///< its socket is not there any more
  std::string error = {};                ///< why it is not ready
  std::optional<double> cpu = {};        ///< busy share of all processors, from 0 to 1
  std::optional<double> load = {};       ///< of the last minute
  std::optional<double> memory = {};     ///< used share, from 0 to 1
  std::optional<double> read = {};       ///< bytes per second, of all disks
  std::optional<double> written = {};
  std::optional<double> received = {};  ///< bytes per second, of all interfaces but lo
  std::optional<double> sent = {};
  std::optional<Fullest> fullest = {};
  std::string version = {};  ///< of the agent
};

/// @param usage between the look before and this one; nothing: there is none before
Row row_of(std::string name, const Look& look, const std::optional<qga::Usage>& usage);

/// The used share of the memory; nothing where the guest says what cannot be.
std::optional<double> used_share(const Memory& memory);
/// The used share of a file system, where the guest tells.
std::optional<double> used_share(const qga::GuestFilesystemInfo& fs);

/// The state for people, such as `no channel`.
std::string state_text(const Row& row);

enum class Column { name, state, cpu, load, memory, read, written, received, sent, fullest, agent };

struct ColumnInfo {
  Column column = Column::name;
  char key = 0;  ///< the key that sorts by it
  std::string_view heading = {};
  std::string_view meaning = {};
};

/// In the order in which they are shown.
inline constexpr std::array<ColumnInfo, 11> columns{{
    {Column::name, 'n', "NAME", "name of the guest"},
    {Column::state, 's', "STATE", "state"},
    {Column::cpu, 'c', "CPU", "processors: busy share of all"},
    {Column::load, 'l', "LOAD", "load of the last minute"},
    {Column::memory, 'm', "MEM", "memory: used share"},
    {Column::read, 'r', "READ", "bytes read from disks a second"},
    {Column::written, 'w', "WRITE", "bytes written to disks a second"},
    {Column::received, 'i', "IN", "bytes from the network a second"},
    {Column::sent, 'o', "OUT", "bytes to the network a second"},
    {Column::fullest, 'f', "FULL", "fullest file system"},
    {Column::agent, 'a', "AGENT", "version of the agent"},
}};

struct Order {
  Column by = Column::cpu;
  bool descending = true;

  /// Chooses a column; the one that is chosen already is reversed.
  void choose(Column column);
};

/// Sorts rows. What is not known comes last, and equal ones are in the order of their names.
void sort(std::vector<Row>& rows, const Order& order);

/// Whether the guest's name has this text in it, in capital letters or small ones.
bool matches(const Row& row, std::string_view filter);

/// A share of at most four characters, such as `0.4%` and `12%`.
std::string short_share(double share);
/// A number of bytes of at most five characters, such as `12.5M`.
std::string short_size(double bytes);

}  // namespace qga_tool::top
