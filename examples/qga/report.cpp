// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Prints answers of guests.
#include "report.hpp"

#include <algorithm>
#include <cctype>
#include <iostream>
#include <utility>
#include <variant>

#include <qga/client.hpp>

#include "print.hpp"

namespace qga_tool {

namespace {

constexpr const char* guest_column = "GUEST";

std::string upper(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

/// The facts of one guest, a row each.
Table table_of(const Facts& facts) {
  Table table;
  for (const Fact& fact : facts) {
    if (fact.value) table.row({fact.name, *fact.value});
  }
  return table;
}

void print_with_missing(const Table& table, const Answer& answer) {
  if (!table.empty() || answer.missing.empty()) print(table, answer.nothing);
}

}  // namespace

Report::Report(const Tool& tool, const std::vector<GuestName>& guests)
    : tool_(tool), guests_(guests), many_(tool.guests.are_many()) {}

void Report::answer(std::size_t guest, Answer answer) {
  ++done_;
  if (answer.status != exit_done) codes_.insert(answer.status);
  if (!answer.complaint.empty()) complaints_[answer.complaint].insert(guest);
  many_ ? answer_of_many(guest, std::move(answer)) : answer_of_one(answer);
}

void Report::answer_of_one(const Answer& answer) {
  if (tool_.json) return print_json(answer.json);
  if (const auto* line = std::get_if<std::string>(&answer.text)) {
    if (!line->empty()) print(*line);
  } else if (const auto* table = std::get_if<Table>(&answer.text)) {
    print_with_missing(*table, answer);
  } else {
    print_with_missing(table_of(std::get<Facts>(answer.text)), answer);
  }
  for (const std::string& reason : answer.missing) print(missing_line(reason));
}

void Report::answer_of_many(std::size_t guest, Answer answer) {
  const GuestName& from = guests_[guest];
  if (tool_.json) {
    return print_json_line(
        {{"guest", from.name}, {"socket", from.address}, {"result", std::move(answer.json)}});
  }
  for (const std::string& reason : answer.missing) missing_[reason].insert(guest);
  if (const auto* line = std::get_if<std::string>(&answer.text)) {
    if (line->empty()) return;
    print(from.name + ": " + *line);
    std::cout.flush();
  } else if (auto* facts = std::get_if<Facts>(&answer.text)) {
    facts_.emplace(guest, std::move(*facts));
  } else if (auto& table = std::get<Table>(answer.text); !table.empty()) {
    tables_.emplace(guest, std::move(table));
  } else if (answer.missing.empty()) {
    nothing_[answer.nothing].insert(guest);
  }
}

void Report::fail(std::size_t guest, std::exception_ptr error) {
  if (!many_) {
    error_ = std::move(error);
    return;
  }
  const GuestName& from = guests_[guest];
  try {
    std::rethrow_exception(error);
  } catch (const ClosedPipeError&) {
    ++done_;
    codes_.insert(exit_closed_pipe);
  } catch (const std::exception& known) {
    codes_.insert(code_of_error(tool_));
    const std::string_view kind = kind_of_error();
    if (tool_.json) {
      print_json_line({{"guest", from.name},
                       {"socket", from.address},
                       {"error", known.what()},
                       {"kind", kind}});
    }
    if (kind == "interrupted" && tool_.stop.signal() != 0) return;
    ++done_;
    if (kind == "refused") {
      complaints_[known.what()].insert(guest);
    } else {
      complain(from.name + ": " + known.what());
    }
  }
}

/// A line for each text, in the order of the first guest of each.
std::vector<std::string> Report::lines_of(const SharedTexts& texts) const {
  constexpr std::size_t most_names = 8;
  std::map<std::size_t, std::vector<std::string>> lines;  // by the first guest
  for (const auto& [text, guests] : texts) {
    std::vector<std::string> names;
    for (const std::size_t guest : guests) {
      if (names.size() < most_names) names.push_back(guests_[guest].name);
    }
    std::string line = names.front() + ": " + text;
    if (guests.size() > 1) {
      line = std::to_string(guests.size()) + " guests: " + text;
      if (guests.size() == guests_.size()) {
        line = "all " + line;
      } else {
        line += " (" + joined(names, ", ");
        if (guests.size() > names.size()) {
          line += " and " + std::to_string(guests.size() - names.size()) + " more";
        }
        line += ")";
      }
    }
    lines[*guests.begin()].push_back(std::move(line));
  }
  std::vector<std::string> all;
  for (const auto& [guest, some] : lines) all.insert(all.end(), some.begin(), some.end());
  return all;
}

void Report::print_tables() const {
  Table all;
  for (const auto& [guest, table] : tables_) all.append(guest_column, guests_[guest].name, table);
  if (!tables_.empty()) print(all);
}

/// A fact that no guest has is no column.
void Report::print_facts() const {
  if (facts_.empty()) return;
  std::vector<std::size_t> columns;
  std::vector<std::string> heading{guest_column};
  const Facts& first = facts_.begin()->second;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const bool is_known = std::ranges::any_of(
        facts_, [i](const auto& one) { return one.second[i].value.has_value(); });
    if (!is_known) continue;
    columns.push_back(i);
    heading.push_back(first[i].column.empty() ? upper(first[i].name) : first[i].column);
  }
  Table table(std::move(heading));
  for (const auto& [guest, facts] : facts_) {
    std::vector<std::string> cells{guests_[guest].name};
    for (const std::size_t i : columns) cells.push_back(facts[i].value.value_or(""));
    table.row(std::move(cells));
  }
  print(table);
}

int Report::finish() {
  if (error_) std::rethrow_exception(error_);
  if (!many_) {
    for (const auto& [text, guests] : complaints_) complain(text);
    return codes_.empty() ? exit_done : *codes_.begin();
  }
  print_tables();
  print_facts();
  for (const std::string& line : lines_of(nothing_)) print(line);
  for (const std::string& line : lines_of(missing_)) print(missing_line(line));
  for (const std::string& line : lines_of(complaints_)) complain(line);
  if (done_ < guests_.size()) {
    complain("interrupted: " + std::to_string(done_) + " of " + std::to_string(guests_.size()) +
             " guests were done");
  }
  if (done_ == guests_.size() && codes_.empty()) return exit_done;
  if (tool_.stop.signal() != 0) return 128 + tool_.stop.signal();
  return codes_.size() == 1 ? *codes_.begin() : exit_failed;
}

}  // namespace qga_tool
