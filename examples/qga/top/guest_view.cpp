// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lays out the parts of a guest's screen, each of which is left out where nothing is known.
#include "guest_view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

#include "../print.hpp"

namespace qga_tool::top {

namespace {

using Lines = std::vector<Line>;

/// From this width on there are two columns.
constexpr int two_columns = 120;
constexpr int label_width = 8;

/// A row of numbers: a name, and cells of these widths, of which those that do not fit are left
/// out from the right.
struct Cells {
  std::string name;
  std::vector<std::pair<std::string, Style>> cells;
};

Line row_of_cells(const Cells& row, const std::vector<int>& sizes, int width, Style style) {
  int name = width;
  std::size_t count = 0;
  constexpr int least_name = 8;
  while (count < sizes.size() && name - sizes[count] >= least_name) name -= sizes[count++];
  Line line;
  line.add(fit(row.name, std::min(name, 40)), style);
  for (std::size_t i = 0; i < std::min(count, row.cells.size()); ++i) {
    const auto& [text, of_cell] = row.cells[i];
    line.add(fit_right(text, sizes[i]), style == Style::plain ? of_cell : style);
  }
  return line.limit(width);
}

Line heading(const std::string& name, const std::vector<std::string>& cells,
             const std::vector<int>& sizes, int width) {
  Cells row{name, {}};
  for (const std::string& cell : cells) row.cells.emplace_back(cell, Style::heading);
  return row_of_cells(row, sizes, width, Style::heading).fill(width, Style::heading);
}

Style of_number(double value) { return value < 0.5 ? Style::faint : Style::plain; }

// ---- processors and memory ----------------------------------------------------------------------

struct Part {
  double qga::CpuUsage::*share;
  const char* sign;
  Style style;
  std::string_view name;
};
constexpr std::array<Part, 4> cpu_parts{{{&qga::CpuUsage::user, "█", Style::good, "user"},
                                         {&qga::CpuUsage::system, "▓", Style::bad, "system"},
                                         {&qga::CpuUsage::steal, "▒", Style::frozen, "steal"},
                                         {&qga::CpuUsage::iowait, "░", Style::fair, "iowait"}}};

void add_cpu_bar(Line& line, const qga::CpuUsage& cpu, int width) {
  double sum = 0;
  int done = 0;
  for (const Part& part : cpu_parts) {
    sum += std::max(cpu.*part.share, 0.0);
    const int end = std::min(static_cast<int>(std::lround(std::min(sum, 1.0) * width)), width);
    for (; done < end; ++done) line.add(part.sign, part.style);
  }
  for (; done < width; ++done) line.add("·", Style::faint);
}

Line cpu_legend() {
  Line line;
  line.add(fit("", label_width));
  for (const Part& part : cpu_parts) {
    line.add(part.sign, part.style).add(" ").add(part.name, Style::faint).add("  ");
  }
  return line;
}

Line cpu_cell(const qga::CpuUsage& cpu, int width) {
  constexpr int number = 5;
  Line line;
  line.add(fit("CPU " + std::to_string(cpu.cpu), label_width));
  add_cpu_bar(line, cpu, std::max(width - label_width - number, 1));
  line.add(fit_right(short_share(cpu.busy), number), style_of(cpu.busy));
  return line.limit(width);
}

Lines cpus(const qga::Usage& usage, int width) {
  Lines lines;
  if (usage.cpus.empty()) return lines;
  constexpr int least = 26;
  constexpr int space = 2;
  // Few processors have a line each, many share lines.
  const int fit_beside = std::max((width + space) / (least + space), 1);
  const int wanted = (static_cast<int>(usage.cpus.size()) + 3) / 4;
  const int beside = std::min(fit_beside, wanted);
  const int cell = (width - (beside - 1) * space) / beside;
  const std::size_t rows =
      (usage.cpus.size() + static_cast<std::size_t>(beside) - 1) / static_cast<std::size_t>(beside);
  for (std::size_t i = 0; i < rows; ++i) {
    Line line;
    for (int j = 0; j < beside; ++j) {
      const std::size_t index = i + static_cast<std::size_t>(j) * rows;
      if (index >= usage.cpus.size()) break;
      line.fill(j * (cell + space));
      line.add(cpu_cell(usage.cpus[index], cell));
    }
    lines.push_back(line);
  }
  lines.push_back(cpu_legend().limit(width));
  return lines;
}

Line memory_line(const Memory& memory, int width) {
  const double share = used_share(memory).value_or(0);
  const std::string numbers = "  " +
                              size_text(memory.total - std::min(memory.available, memory.total)) +
                              " of " + size_text(memory.total);
  constexpr int number = 5;
  const int room = width - label_width - number;
  const bool has_numbers = room - width_of(numbers) >= 10;
  Line line;
  line.add(fit("memory", label_width));
  add_bar(line, share, std::max(has_numbers ? room - width_of(numbers) : room, 1));
  line.add(fit_right(short_share(share), number), style_of(share));
  if (has_numbers) line.add(numbers, Style::faint);
  return line.limit(width);
}

// ---- disks, interfaces and file systems ---------------------------------------------------------

/// Disks that no guest ever uses fill the screen on some.
bool is_dull(const qga::DiskUsage& disk) {
  const bool virtual_disk = disk.name.starts_with("loop") || disk.name.starts_with("ram");
  return virtual_disk && disk.reads == 0 && disk.writes == 0;
}

Lines disks(const qga::Usage& usage, int width) {
  Lines lines;
  const std::vector<int> sizes{8, 8, 7, 9, 10};
  for (const qga::DiskUsage& disk : usage.disks) {
    if (is_dull(disk)) continue;
    if (lines.empty()) {
      lines.push_back(
          heading("DISK", {"READ/s", "WRITE/s", "BUSY", "READS/s", "WRITES/s"}, sizes, width));
    }
    const auto count = [](double n) {
      std::string text = short_size(n);
      if (text.back() == 'B') text.pop_back();
      return text;
    };
    lines.push_back(row_of_cells({screen_text(disk.name),
                                  {{short_size(disk.read_bytes), of_number(disk.read_bytes)},
                                   {short_size(disk.written_bytes), of_number(disk.written_bytes)},
                                   {short_share(disk.busy), style_of(disk.busy)},
                                   {count(disk.reads), of_number(disk.reads)},
                                   {count(disk.writes), of_number(disk.writes)}}},
                                 sizes, width, Style::plain));
  }
  return lines;
}

Lines interfaces(const qga::Usage& usage, int width) {
  Lines lines;
  const std::vector<int> sizes{8, 8, 10};
  for (const qga::InterfaceUsage& one : usage.interfaces) {
    if (lines.empty()) {
      lines.push_back(heading("INTERFACE", {"IN/s", "OUT/s", "ERRORS/s"}, sizes, width));
    }
    lines.push_back(row_of_cells(
        {screen_text(one.name),
         {{short_size(one.received_bytes), of_number(one.received_bytes)},
          {short_size(one.sent_bytes), of_number(one.sent_bytes)},
          {number_text(std::min(one.errors, 1e6), 0), one.errors > 0 ? Style::bad : Style::faint}}},
        sizes, width, Style::plain));
  }
  return lines;
}

Lines file_systems(const std::vector<qga::GuestFilesystemInfo>& all, int width) {
  Lines lines;
  constexpr int size = 9;
  constexpr int number = 6;
  const int bar = std::clamp(width / 5, 0, 24);
  const bool has_type = width >= 60;
  for (const qga::GuestFilesystemInfo& fs : all) {
    const std::optional<double> share = used_share(fs);
    if (!share || !is_counted(fs)) continue;
    const int mount = std::max(width - bar - number - 2 * size - (has_type ? 7 : 0), 8);
    if (lines.empty()) {
      Line line;
      line.add(fit("FILE SYSTEM", mount) + (has_type ? fit("  TYPE", 7) : "") +
                   fit_right("USED", size) + fit_right("SIZE", size) + fit_right("USE", number) +
                   " ",
               Style::heading);
      lines.push_back(line.fill(width, Style::heading).limit(width));
    }
    Line line;
    line.add(fit(screen_text(fs.mountpoint), mount));
    if (has_type) line.add(fit("  " + screen_text(fs.type), 7), Style::faint);
    line.add(fit_right(short_size(static_cast<double>(*fs.used_bytes)), size));
    line.add(fit_right(short_size(static_cast<double>(*fs.total_bytes)), size));
    line.add(fit_right(short_share(*share), number), style_of(*share));
    line.add(" ");
    add_bar(line, *share, std::max(bar - 1, 0));
    lines.push_back(line.limit(width));
  }
  return lines;
}

Lines refused(const std::vector<std::string>& commands, int width) {
  Lines lines;
  if (commands.empty()) return lines;
  constexpr std::string_view title = "refused ";
  lines.push_back(Line().add(title));
  for (const std::string& command : commands) {
    const std::string text = screen_text(command);
    if (lines.back().width() + width_of(text) + 1 > width) {
      lines.push_back(Line().add(fit("", width_of(title))));
    }
    lines.back().add(text + " ", Style::faint);
  }
  for (Line& line : lines) line.limit(width);
  return lines;
}

void append(Lines& lines, const Lines& more) {
  if (more.empty()) return;
  if (!lines.empty()) lines.emplace_back();
  lines.insert(lines.end(), more.begin(), more.end());
}

Lines beside(const Lines& left, const Lines& right, int column) {
  Lines lines;
  for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    Line line = i < left.size() ? left[i] : Line();
    if (i < right.size()) line.fill(column).add(right[i]);
    lines.push_back(line);
  }
  return lines;
}

}  // namespace

std::vector<Line> guest_lines(const Watched& guest, int width) {
  Lines lines;
  const auto say = [&](std::string_view text, Style style) {
    lines.push_back(Line().add(text, style).limit(width));
  };
  if (guest.row.gone) say("The socket of this guest is not there any more.", Style::fair);
  if (!guest.look) {
    say("The guest has not answered yet.", Style::faint);
    return lines;
  }
  const Look& look = *guest.look;
  if (look.state != GuestState::ready) {
    if (!look.error.empty()) say(screen_text(look.error), Style::fair);
    return lines;
  }
  const bool wide = width >= two_columns;
  const int left_width = wide ? width / 2 - 1 : width;
  const int right_width = wide ? width - left_width - 2 : width;
  Lines left;
  Lines right;
  Lines top_part;
  if (guest.usage) append(top_part, cpus(*guest.usage, left_width));
  if (look.memory) top_part.push_back(memory_line(*look.memory, left_width));
  append(left, top_part);
  if (!guest.usage) left.push_back(Line().add("Rates come with the second sample.", Style::faint));
  if (guest.usage) append(left, disks(*guest.usage, left_width));
  Lines& second = wide ? right : left;
  if (guest.usage) append(second, interfaces(*guest.usage, right_width));
  if (look.file_systems) append(second, file_systems(*look.file_systems, right_width));
  append(second, refused(look.missing, right_width));
  append(lines, wide ? beside(left, right, left_width + 2) : left);
  return lines;
}

}  // namespace qga_tool::top
