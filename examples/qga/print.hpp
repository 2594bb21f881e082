// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Everything that people read goes through here, and is escaped here: a guest must not drive the
// terminal. What the tool itself says is no exception, so nobody has to know which text is whose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

namespace qga_tool {

/// Escapes what could drive or deceive a terminal: control characters, what turns the direction of
/// writing, what is no UTF-8. @param kept control characters that stay
std::string shown(std::string_view text, std::string_view kept = "");

/// For whole texts, such as what a program wrote: lines and tabs stay.
inline std::string shown_text(std::string_view text) { return shown(text, "\n\t"); }

/// 1.5 GiB
std::string size_text(std::uint64_t bytes);
/// 1.5 GiB/s
std::string rate_text(double bytes_per_second);
/// 2026-01-31 23:59:59 UTC
std::string time_text(qga::GuestTime time);
/// With so many decimals.
std::string number_text(double value, int decimals);
/// 0.31 s
std::string seconds_text(qga::Clock::duration time);
/// Averages over 1, 5 and 15 minutes.
std::string load_text(const qga::GuestLoadAverage& load);
/// 12.3 %; nothing of nothing is 0
std::string percent_text(double part, double whole);

/// Columns that line up. The heading is in capitals; numbers go to the right.
class Table {
 public:
  /// @param heading one for each column; one that begins with '>' is for numbers. None: no heading
  explicit Table(std::vector<std::string> heading = {});
  void row(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<bool> numbers_;
  std::vector<std::vector<std::string>> rows_;
};

/// A line on stdout.
void print(std::string_view line);
void print(const Table& table);
/// A document on stdout. JSON escapes all that is not ASCII.
void print_json(const nlohmann::json& json);
/// The same on one line, and at once: one of many.
void print_json_line(const nlohmann::json& json);

/// Bytes on stdout as they are; on a terminal escaped, unless `raw`.
void print_bytes(std::string_view bytes, bool raw);
/// The same on stderr.
void print_error_bytes(std::string_view bytes, bool raw);

/// `qga: <line>` on stderr.
void complain(std::string_view line);

}  // namespace qga_tool
