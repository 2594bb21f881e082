// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Prints all text for people, and escapes it: a guest must not drive the terminal. The tool's own
// text is escaped, too, so that the rest of the tool need not tell its texts from the guest's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

namespace qga_tool {

/// Escapes what could drive a terminal or deceive its user: control characters, characters that
/// change the direction of writing or cannot be seen, and bytes that are not UTF-8.
/// @param kept control characters that are not escaped
std::string shown(std::string_view text, std::string_view kept = "");

/// Escapes a text of several lines, such as a program's output: line ends and tabs stay.
inline std::string shown_text(std::string_view text) { return shown(text, "\n\t"); }

/// How many bytes at the end are the beginning of a character that may go on: 0 to 3.
std::size_t cut_character(std::string_view text);

/// Words with a separator between them.
std::string joined(const std::vector<std::string>& words, std::string_view separator);

/// A size, such as `1.5 GiB`.
std::string size_text(std::uint64_t bytes);
/// A rate, such as `1.5 GiB/s`.
std::string rate_text(double bytes_per_second);
/// A time, such as `2026-01-31 23:59:59 UTC`.
std::string time_text(qga::GuestTime time);
/// A number with this many decimals.
std::string number_text(double value, int decimals);
/// A duration, such as `0.31 s`.
std::string seconds_text(qga::Clock::duration time);
/// The load, averaged over 1, 5 and 15 minutes.
std::string load_text(const qga::GuestLoadAverage& load);
/// A share, such as `12.3 %`; 0 where `whole` is 0.
std::string percent_text(double part, double whole);

/// The text of an error.
std::string text_of(const std::exception_ptr& error);

/// The line of an overview about an answer that it does not have.
inline std::string missing_line(const std::string& reason) { return "missing: " + reason; }

/// Rows of text with aligned columns, also where characters are wide or combining. Numbers are
/// aligned to the right.
class Table {
 public:
  /// @param heading the name of each column, with '>' before it where the column holds numbers;
  ///        empty: the table has no heading
  explicit Table(std::vector<std::string> heading = {});
  void row(std::vector<std::string> cells);
  /// Adds the rows of another table, which has a heading, with a cell before each. All tables that
  /// are added have the same heading, which becomes the heading of this one.
  /// @param column the heading of the new cells
  void append(const std::string& column, const std::string& cell, const Table& other);
  /// Whether it has no row but the heading.
  bool empty() const;
  std::string text() const;

 private:
  std::vector<bool> numbers_;
  std::vector<std::vector<std::string>> rows_;
};

/// Prints a line, or a table, on stdout.
void print(std::string_view line);
void print(const Table& table);
/// Prints a table, or where it is empty a line that says so.
void print(const Table& table, std::string_view nothing);
/// Prints a JSON document on stdout, in which all that is not ASCII is escaped.
void print_json(const nlohmann::json& json);
/// Prints a JSON document on one line, and flushes it: for one of many documents.
void print_json_line(const nlohmann::json& json);

/// Prints bytes on stdout. They are escaped on a terminal, unless `raw` is true.
void print_bytes(std::string_view bytes, bool raw);

/// Nobody reads what is written any more. The tool ends without a word, as SIGPIPE ends a program.
class ClosedPipeError : public std::runtime_error {
 public:
  ClosedPipeError() : std::runtime_error("stdout is a closed pipe") {}
};

/// Whether stdout has failed because it is a closed pipe.
bool stdout_is_closed();
/// Whether an error of writing says so.
bool is_closed_pipe(const std::exception_ptr& error);
/// Flushes stdout.
/// @throws ClosedPipeError, std::runtime_error what was written has not arrived
void check_stdout();

/// Whether what is printed on stdout is to have colours: it is a terminal that has them, and the
/// user has not set NO_COLOR.
bool wants_colour();

/// Prints `qga: <line>` on stderr.
void complain(std::string_view line);

}  // namespace qga_tool
