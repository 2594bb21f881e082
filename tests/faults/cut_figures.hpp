// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The cut test over a whole session: which positions and faults are tried, and the table of what
// came of them, which is printed.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cut_oracle.hpp"
#include "sanitized.hpp"

namespace cuts {

inline constexpr std::size_t slower = qga_test::sanitized ? 5 : 1;

/// Every position of what went one way, but only some within lines that are longer than this.
inline std::vector<std::size_t> positions(std::string_view sent) {
  constexpr std::size_t long_line = 2000, edge = 200, within = 61;
  std::vector<std::size_t> found;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= sent.size(); ++at) {
    if (at > 0 && sent[at - 1] == '\n') begin = at;
    const std::size_t end = std::min(sent.find('\n', at), sent.size());
    const bool inside = end - begin > long_line && at > begin + edge && at + edge < end;
    if (!inside || at % within == 0) found.push_back(at);
  }
  return found;
}

/// Ids are random, and now and then a digit shorter: positions move by a byte or two.
template <class Try>
void for_each_fault(const FaultyLine& clean, Try attempt) {
  for (const Kind& kind : kinds) {
    for (const Way way : {Way::to_agent, Way::to_client}) {
      for (const std::size_t at :
           positions(way == Way::to_agent ? clean.written() : clean.arrived())) {
        const bool costly = kind.effect == Effect::flood && at % 16 != 0;
        // A client that is not told anything does not know whether that is taken or not.
        const bool same = kind.effect == Effect::choke && way == Way::to_client;
        if (!costly && !same) attempt(Fault{kind.effect, way, at}, kind);
      }
    }
  }
}

/// One position in so many, another one for each fault; fewer of what lasts until a deadline. All
/// of them with QGA_TEST_EVERY_BYTE in the environment, which takes many minutes.
struct Sample {
  std::size_t one_in;
  std::size_t one_in_of_the_lasting;

  static bool is_whole() { return std::getenv("QGA_TEST_EVERY_BYTE") != nullptr; }
  bool has(const Fault& fault) const {
    const bool lasts = fault.effect == Effect::stall || fault.effect == Effect::loss ||
                       fault.effect == Effect::reorder;
    const std::size_t step = is_whole() ? 1 : lasts ? one_in_of_the_lasting : one_in;
    return (fault.at + static_cast<std::size_t>(fault.effect)) % (step * slower) == 0;
  }
  std::string name() const {
    return is_whole() ? "every byte" : "one byte in " + std::to_string(one_in);
  }
};

class Figures {
 public:
  Figures(std::string_view title, const FaultyLine& clean)
      : title_(std::string(title) + ": " + std::to_string(positions(clean.written()).size()) +
               " positions to the agent, " + std::to_string(positions(clean.arrived()).size()) +
               " to the client") {}
  Figures(const Figures&) = delete;
  Figures& operator=(const Figures&) = delete;

  void add(const Fault& fault, const Kind& kind, const Judged& judged) {
    Row& row = rows_[kind.name];
    ++row.sessions;
    for (const Result& result : judged.played.results) {
      ++row.ends[static_cast<std::size_t>(result.end)];
      if (result.end == End::timeout) overshoots_.push_back(result.overshoot);
    }
    if (judged.complaints.empty()) return;
    ++wrong_;
    if (++noted_[{fault.effect, fault.way}] > 3) return;
    for (const std::string& complaint : judged.complaints) {
      std::cout << kind.name << (fault.way == Way::to_agent ? " to the agent" : " to the client")
                << " at " << fault.at << ": " << complaint << '\n';
    }
  }
  void repeated() { ++repeated_; }
  std::size_t wrong() const { return wrong_; }

  void print() {
    using std::setw;
    std::size_t sessions = 0, calls = 0;
    std::cout << title_ << "\n  " << std::left << setw(22) << "fault" << std::right;
    for (const char* const head :
         {"sessions", "success", "refused", "timeout", "bad reply", "lost", "closed", "other"}) {
      std::cout << setw(10) << head;
    }
    std::cout << '\n';
    for (const auto& [name, row] : rows_) {
      std::cout << "  " << std::left << setw(22) << name << std::right << setw(10) << row.sessions;
      for (const std::size_t ended : row.ends) std::cout << setw(10) << ended, calls += ended;
      std::cout << '\n';
      sessions += row.sessions;
    }
    const auto took = std::chrono::duration<double>(Clock::now() - start_).count();
    if (slower > 1) std::cout << "  under a sanitizer: one position in " << slower << '\n';
    std::cout << "  cut at positions x faults (" << title_ << "): " << sessions << " sessions, "
              << calls << " calls, wrong: " << wrong_
              << ", repeated with longer deadlines: " << repeated_ << ", " << std::fixed
              << std::setprecision(1) << took << " s\n";
    if (overshoots_.empty()) return;
    std::sort(overshoots_.begin(), overshoots_.end());
    std::cout << "  deadlines overrun, in ms (" << title_ << "):";
    for (const double part : {0.0, 0.5, 0.9, 0.99, 1.0}) {
      const auto at = static_cast<std::size_t>(part * static_cast<double>(overshoots_.size() - 1));
      std::cout << (part == 0 ? " least " : part == 1 ? ", most " : ", ");
      if (part > 0 && part < 1) std::cout << static_cast<int>(part * 100) << " % ";
      std::cout << std::setprecision(2)
                << std::chrono::duration<double, std::milli>(overshoots_[at]).count();
    }
    std::cout << std::endl;
  }

 private:
  struct Row {
    std::size_t sessions = 0;
    std::array<std::size_t, 7> ends{};
  };

  std::string title_;
  std::map<std::string_view, Row> rows_;
  std::vector<Clock::duration> overshoots_;
  std::size_t wrong_ = 0;
  std::map<std::pair<Effect, Way>, int> noted_;
  std::size_t repeated_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace cuts
