// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Escapes and lays out text for people.
#include "print.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "width.hpp"

namespace qga_tool {

namespace {

std::string escape(const char* format, unsigned value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
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
    } else if (is_visible(code) || kept.find(text.front()) != std::string_view::npos) {
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

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += separator;
    text += words[i];
  }
  return text;
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

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  }
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

void Table::append(const std::string& column, const std::string& cell, const Table& other) {
  if (rows_.empty()) {
    numbers_ = other.numbers_;
    numbers_.insert(numbers_.begin(), false);
  }
  const std::string safe = shown(cell);
  for (std::size_t i = rows_.empty() ? 0 : 1; i < other.rows_.size(); ++i) {
    rows_.push_back(other.rows_[i]);
    rows_.back().insert(rows_.back().begin(), i == 0 ? column : safe);
  }
}

bool Table::empty() const { return rows_.size() == (numbers_.empty() ? 0 : 1); }

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], width_of(cells[i]));
  }
  std::string text;
  for (const auto& cells : rows_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - width_of(cells[i]), ' ');
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

bool wants_colour() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  const bool refused = no_color != nullptr && *no_color != '\0';
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return !refused && !dumb && ::isatty(STDOUT_FILENO) != 0;
}

void complain(std::string_view line) {
  std::cout.flush();
  std::cerr << "qga: " << shown(line) << '\n';
}

}  // namespace qga_tool
