// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Prints answers of guests.
#include "report.hpp"

#include <algorithm>
#include <cctype>
#include <iostream>
#include <variant>

#include <CLI/CLI.hpp>
#include <qga/client.hpp>

#include "print.hpp"

namespace qga_tool {

namespace {

constexpr const char* guest_column = "GUEST";

std::string list_of(const SharedTexts::Names& names) {
  constexpr std::size_t most = 8;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), most));
  std::string list = CLI::detail::join(SharedTexts::Names(names.begin(), end), ", ");
  if (names.size() > most) list += " and " + std::to_string(names.size() - most) + " more";
  return list;
}

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

void SharedTexts::add(const std::string& text, const std::string& guest) {
  const auto [known, is_new] = index_.try_emplace(text, all_.size());
  if (is_new) all_.emplace_back(text, Names());
  all_[known->second].second.push_back(guest);
}

Report::Report(const Tool& tool, const std::vector<GuestName>& guests)
    : tool_(tool), guests_(guests), many_(tool.guests.are_many()) {}

void Report::answer(std::size_t guest, Answer answer) {
  ++done_;
  if (answer.status != exit_done) codes_.insert(answer.status);
  if (!answer.complaint.empty()) complaints_.add(answer.complaint, guests_[guest].name);
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
  for (const std::string& reason : answer.missing) missing_.add(reason, from.name);
  if (const auto* line = std::get_if<std::string>(&answer.text)) {
    if (line->empty()) return;
    print(from.name + ": " + *line);
    std::cout.flush();
  } else if (auto* facts = std::get_if<Facts>(&answer.text)) {
    facts_.emplace(guest, std::move(*facts));
  } else if (auto& table = std::get<Table>(answer.text); !table.empty()) {
    tables_.emplace(guest, std::move(table));
  } else if (answer.missing.empty()) {
    nothing_.add(answer.nothing, from.name);
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
  } catch (const std::exception& known) {
    codes_.insert(code_of_error());
    const std::string_view kind = kind_of_error();
    if (tool_.json) {
      print_json_line({{"guest", from.name},
                       {"socket", from.address},
                       {"error", known.what()},
                       {"kind", kind}});
    }
    if (kind == "interrupted" && tool_.stop.signal() != 0) {
      return;
    }
    ++done_;
    if (kind == "refused") {
      complaints_.add(known.what(), from.name);
    } else {
      complain(from.name + ": " + known.what());
    }
  }
}

std::string Report::line_about(const std::string& text, const SharedTexts::Names& names) const {
  if (names.size() == 1) return names.front() + ": " + text;
  const std::string count = std::to_string(names.size()) + " guests: " + text;
  return names.size() == guests_.size() ? "all " + count : count + " (" + list_of(names) + ")";
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
    heading.push_back(upper(first[i].name));
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
  if (many_) {
    print_tables();
    print_facts();
    for (const auto& [text, names] : nothing_.all()) print(line_about(text, names));
    for (const auto& [text, names] : missing_.all()) {
      print(missing_line(line_about(text, names)));
    }
    for (const auto& [text, names] : complaints_.all()) complain(line_about(text, names));
    if (done_ < guests_.size()) {
      complain("interrupted: " + std::to_string(done_) + " of " + std::to_string(guests_.size()) +
               " guests were done");
      return 128 + tool_.stop.signal();
    }
  } else {
    for (const auto& [text, names] : complaints_.all()) complain(text);
  }
  if (codes_.empty()) return exit_done;
  return codes_.size() == 1 ? *codes_.begin() : exit_failed;
}

}  // namespace qga_tool
