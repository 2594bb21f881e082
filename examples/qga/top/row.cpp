// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Sums up what a guest has answered, and compares guests.
#include "row.hpp"

#include <algorithm>
#include <cctype>
#include <compare>
#include <cstddef>
#include <utility>

#include "../print.hpp"

namespace qga_tool::top {

namespace {

/// Whether a disk's bytes are counted for another one, too: partitions, and devices over others.
bool is_part(const qga::DiskUsage& disk, const std::vector<qga::DiskUsage>& disks) {
  for (const char* over : {"dm-", "md", "loop", "ram", "zram"}) {
    if (disk.name.starts_with(over)) return true;
  }
  return std::ranges::any_of(disks, [&](const qga::DiskUsage& whole) {
    if (whole.name.empty() || whole.name.size() >= disk.name.size()) return false;
    if (!disk.name.starts_with(whole.name)) return false;
    std::string_view rest = std::string_view(disk.name).substr(whole.name.size());
    // nvme0n1p2 is a part of nvme0n1, and sda2 of sda; nvme0n10 is none of nvme0n1.
    const bool ends_in_digit = whole.name.back() >= '0' && whole.name.back() <= '9';
    if (ends_in_digit && rest.front() != 'p') return false;
    if (ends_in_digit) rest.remove_prefix(1);
    return !rest.empty() && rest.find_first_not_of("0123456789") == std::string_view::npos;
  });
}

std::optional<Fullest> fullest_of(const std::vector<qga::GuestFilesystemInfo>& all) {
  std::optional<Fullest> fullest;
  for (const qga::GuestFilesystemInfo& fs : all) {
    const std::optional<double> share = is_counted(fs) ? used_share(fs) : std::nullopt;
    if (share && (!fullest || *share > fullest->share)) fullest = {fs.mountpoint, *share};
  }
  return fullest;
}

void add_usage(Row& row, const qga::Usage& usage) {
  if (!usage.cpus.empty()) {
    double busy = 0;
    for (const qga::CpuUsage& cpu : usage.cpus) busy += cpu.busy;
    row.cpu = busy / static_cast<double>(usage.cpus.size());
  }
  for (const qga::DiskUsage& disk : usage.disks) {
    if (is_part(disk, usage.disks)) continue;
    row.read = row.read.value_or(0) + disk.read_bytes;
    row.written = row.written.value_or(0) + disk.written_bytes;
  }
  for (const qga::InterfaceUsage& interface : usage.interfaces) {
    if (interface.name == "lo") continue;
    row.received = row.received.value_or(0) + interface.received_bytes;
    row.sent = row.sent.value_or(0) + interface.sent_bytes;
  }
}

/// What a column is sorted by, where it is a number.
std::optional<double> number_in(const Row& row, Column column) {
  switch (column) {
    case Column::cpu:
      return row.cpu;
    case Column::load:
      return row.load;
    case Column::memory:
      return row.memory;
    case Column::read:
      return row.read;
    case Column::written:
      return row.written;
    case Column::received:
      return row.received;
    case Column::sent:
      return row.sent;
    case Column::fullest:
      return row.fullest ? std::optional(row.fullest->share) : std::nullopt;
    case Column::state:
      return row.state ? std::optional(static_cast<double>(*row.state)) : std::nullopt;
    default:
      return std::nullopt;
  }
}

bool is_text(Column column) { return column == Column::name || column == Column::agent; }

/// Compares texts as people number things: vm9 is before vm10.
std::strong_ordering natural(std::string_view a, std::string_view b) {
  const auto number = [](std::string_view& text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return digits;
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const std::string_view left = number(a);
      const std::string_view right = number(b);
      if (const auto by_size = left.size() <=> right.size(); by_size != 0) return by_size;
      if (const auto by_digits = left.compare(right) <=> 0; by_digits != 0) return by_digits;
    } else {
      if (a.front() != b.front()) {
        return static_cast<unsigned char>(a.front()) <=> static_cast<unsigned char>(b.front());
      }
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() <=> b.size();
}

bool is_before(const Row& a, const Row& b, const Order& order) {
  std::strong_ordering result = std::strong_ordering::equal;
  if (is_text(order.by)) {
    const std::string Row::*text = order.by == Column::name ? &Row::name : &Row::version;
    if ((a.*text).empty() != (b.*text).empty()) return (b.*text).empty();
    result = natural(a.*text, b.*text);
  } else {
    const std::optional<double> left = number_in(a, order.by);
    const std::optional<double> right = number_in(b, order.by);
    if (left.has_value() != right.has_value()) return left.has_value();
    if (left && *left < *right) result = std::strong_ordering::less;
    if (left && *left > *right) result = std::strong_ordering::greater;
  }
  if (result != 0) return order.descending ? result > 0 : result < 0;
  const std::strong_ordering by_name = natural(a.name, b.name);
  return by_name != 0 ? by_name < 0 : a.name < b.name;
}

}  // namespace

Row row_of(std::string name, const Look& look, const std::optional<qga::Usage>& usage) {
  Row row{.name = std::move(name), .state = look.state, .error = look.error};
  row.version = look.version;
  if (look.state != GuestState::ready) return row;
  if (look.sample.load) row.load = look.sample.load->load1m;
  if (look.memory) row.memory = used_share(*look.memory);
  if (look.file_systems) row.fullest = fullest_of(*look.file_systems);
  if (usage) add_usage(row, *usage);
  return row;
}

std::optional<double> used_share(const Memory& memory) {
  if (memory.total == 0 || memory.available > memory.total) return std::nullopt;
  return static_cast<double>(memory.total - memory.available) / static_cast<double>(memory.total);
}

std::optional<double> used_share(const qga::GuestFilesystemInfo& fs) {
  if (!fs.used_bytes || fs.total_bytes.value_or(0) == 0) return std::nullopt;
  return static_cast<double>(*fs.used_bytes) / static_cast<double>(*fs.total_bytes);
}

std::string state_text(const Row& row) {
  if (row.gone) return "gone";
  if (!row.state) return "asking";
  if (*row.state == GuestState::no_socket) return "no channel";
  return std::string(state_name(*row.state));
}

void Order::choose(Column column) {
  const bool again = by == column;
  descending = again ? !descending : !is_text(column);
  by = column;
}

void sort(std::vector<Row>& rows, const Order& order) {
  std::ranges::sort(rows, [&order](const Row& a, const Row& b) { return is_before(a, b, order); });
}

bool matches(const Row& row, std::string_view filter) {
  const auto same = [](unsigned char one, unsigned char other) {
    return std::tolower(one) == std::tolower(other);
  };
  const std::string& name = row.name;
  return filter.empty() ||
         std::search(name.begin(), name.end(), filter.begin(), filter.end(), same) != name.end();
}

std::string short_share(double share) {
  const double percent = std::clamp(share, 0.0, 9.99) * 100;
  return number_text(percent, percent < 9.95 ? 1 : 0) + "%";
}

std::string short_size(double bytes) {
  constexpr std::string_view units = "BKMGTPE";
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  if (bytes >= 999.5) return ">999E";
  return number_text(bytes, unit == 0 || bytes >= 99.95 ? 0 : 1) + units[unit];
}

}  // namespace qga_tool::top
