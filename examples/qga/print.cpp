// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Escapes and lays out text for people.
#include "print.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qga_tool {

namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  ///< 0: these bytes are not UTF-8
};

/// The first character. Overlong forms, surrogates and codes beyond Unicode are not UTF-8.
Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  char32_t code = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  if (code < least[bytes] || surrogate || code > 0x10FFFF) return {};
  return {code, bytes};
}

bool harmless(char32_t code) {
  constexpr std::array<std::pair<char32_t, char32_t>, 9> harmful{{
      {0x00, 0x1F},        // C0
      {0x7F, 0x9F},        // DEL, C1
      {0x61C, 0x61C},      // Arabic letter mark
      {0x200E, 0x200F},    // marks of direction
      {0x2028, 0x202E},    // separators of lines; embeddings and overrides of direction
      {0x2066, 0x2069},    // isolates of direction
      {0xFEFF, 0xFEFF},    // byte order mark
      {0xFFF9, 0xFFFB},    // interlinear annotations
      {0xE0000, 0xE007F},  // tags, which are invisible
  }};
  return std::ranges::none_of(
      harmful, [code](const auto& range) { return range.first <= code && code <= range.second; });
}

std::string escape(const char* format, unsigned value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::size_t width(std::string_view text) {
  // Continuation bytes are a part of the character before them.
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

std::string scaled(double bytes) {
  constexpr std::array<const char*, 7> units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  while (bytes >= 1023.95 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return number_text(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string dumped(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string shown(std::string_view text, std::string_view kept) {
  std::string safe;
  while (!text.empty()) {
    const auto [code, bytes] = first_character(text);
    if (bytes == 0) {
      safe += escape("\\x%02x", static_cast<unsigned char>(text.front()));
    } else if (harmless(code) || kept.find(text.front()) != std::string_view::npos) {
      safe += text.substr(0, bytes);
    } else {
      safe += escape(code < 0x80 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(code));
    }
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return safe;
}

std::size_t cut_character(std::string_view text) {
  for (std::size_t cut = 1; cut <= std::min<std::size_t>(3, text.size()); ++cut) {
    const auto byte = static_cast<unsigned char>(text[text.size() - cut]);
    if (byte < 0x80 || byte > 0xF4) return 0;
    if (byte < 0xC0) continue;
    const std::size_t whole = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return cut < whole ? cut : 0;
  }
  return 0;
}

std::string size_text(std::uint64_t bytes) { return scaled(static_cast<double>(bytes)); }

std::string rate_text(double bytes_per_second) { return scaled(bytes_per_second) + "/s"; }

std::string time_text(qga::GuestTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  const auto since_epoch = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 64> text{};
  ::gmtime_r(&since_epoch, &parts);
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

std::string number_text(double value, int decimals) {
  std::array<char, 400> text{};  // the largest double has 309 digits
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string seconds_text(qga::Clock::duration time) {
  return number_text(std::chrono::duration<double>(time).count(), 2) + " s";
}

std::string load_text(const qga::GuestLoadAverage& load) {
  return number_text(load.load1m, 2) + " " + number_text(load.load5m, 2) + " " +
         number_text(load.load15m, 2);
}

std::string percent_text(double part, double whole) {
  return number_text(whole > 0 ? 100 * part / whole : 0.0, 1) + " %";
}

Table::Table(std::vector<std::string> heading) {
  for (std::string& name : heading) {
    numbers_.push_back(name.starts_with('>'));
    if (numbers_.back()) name.erase(0, 1);
  }
  if (!heading.empty()) row(std::move(heading));
}

void Table::row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = shown(cell);
  rows_.push_back(std::move(cells));
}

bool Table::empty() const { return rows_.size() == (numbers_.empty() ? 0 : 1); }

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width(cells[i]));
  }
  std::string text;
  for (const auto& cells : rows_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - width(cells[i]), ' ');
      const bool number = i < numbers_.size() && numbers_[i];
      line += number ? padding + cells[i] : cells[i] + padding;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

void print(std::string_view line) { std::cout << shown(line) << '\n'; }
void print(const Table& table) { std::cout << table.text(); }
void print(const Table& table, std::string_view nothing) {
  table.empty() ? print(nothing) : print(table);
}
void print_json(const nlohmann::json& json) { std::cout << dumped(json, 2) << '\n'; }
void print_json_line(const nlohmann::json& json) { std::cout << dumped(json, -1) << std::endl; }

void print_bytes(std::string_view bytes, bool raw) {
  const bool escaped = !raw && ::isatty(STDOUT_FILENO) != 0;
  std::cout << (escaped ? shown_text(bytes) : std::string(bytes)) << std::flush;
}

bool stdout_is_closed() {
  if (std::cout) return false;
  pollfd fds{STDOUT_FILENO, 0, 0};
  const bool failed = ::poll(&fds, 1, 0) > 0;
  struct stat info {};
  return failed && ::fstat(STDOUT_FILENO, &info) == 0 &&
         (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

bool is_closed_pipe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& known) {
    return known.code() == std::errc::broken_pipe;
  } catch (...) {
    return false;
  }
}

void check_stdout() {
  std::cout.flush();
  if (stdout_is_closed()) throw ClosedPipeError();
  if (!std::cout) throw std::runtime_error("cannot write to stdout");
}

void complain(std::string_view line) {
  std::cout.flush();
  std::cerr << "qga: " << shown(line) << '\n';
}

}  // namespace qga_tool
