// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Prints what a command has learnt from one guest or from many, and makes one exit code of it.
//
// Of many guests, lines and JSON are printed as each guest is done, and tables at the end, because
// all rows share their columns. What several guests refuse or lack is said once.
#pragma once

#include <cstddef>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "answer.hpp"
#include "guests.hpp"
#include "tool.hpp"

namespace qga_tool {

/// Texts, and the numbers of the guests that each is about.
using SharedTexts = std::map<std::string, std::set<std::size_t>>;

class Report {
 public:
  /// @param guests outlive this
  Report(const Tool& tool, const std::vector<GuestName>& guests);

  /// A guest has answered. To be called once for each guest, or `fail`.
  /// @param guest its number in the list
  void answer(std::size_t guest, Answer answer);
  /// A guest has not answered.
  void fail(std::size_t guest, std::exception_ptr error);

  /// Prints what is left to be printed. To be called in the end.
  /// @return the exit code: 0 where all succeeded, the code of those that failed where they have
  ///         the same, and 1 otherwise
  /// @throws the error of the only guest
  int finish();

 private:
  void answer_of_one(const Answer& answer);
  void answer_of_many(std::size_t guest, Answer answer);
  void print_tables() const;
  void print_facts() const;
  std::vector<std::string> lines_of(const SharedTexts& texts) const;

  const Tool& tool_;
  const std::vector<GuestName>& guests_;
  const bool many_;
  std::size_t done_ = 0;  ///< guests; those that a signal has interrupted are not
  std::set<int> codes_;   ///< of those that failed
  std::exception_ptr error_;
  std::map<std::size_t, Table> tables_;
  std::map<std::size_t, Facts> facts_;
  SharedTexts nothing_;
  SharedTexts missing_;
  SharedTexts complaints_;
};

}  // namespace qga_tool
