// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the live tests found out, as tables for people: which command works in which way, and what a
// client reports when things happen to its guest. Test cases that begin with the names of commands
// count for these; a command that the agent knows and no test case names is an error.
//
// Where QGA_TEST_RESULTS names a file, one line for each command goes to its end, for
// tests/run.sh --agents: the command, a tab, and "passed", "FAILED", "NOT TESTED", "refused" or
// "absent".
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "qga/error.hpp"
#include "ways.hpp"

namespace vm_test {

/// The way in which a test case calls, for people.
template <class Way>
constexpr std::string_view way_name = std::is_same_v<Way, qga_test::Async>
                                          ? std::string_view("async")
                                          : "blocking";

/// The type of an error and what it says of the command.
inline std::string described(const qga::GuestAgentError& error) {
  static const std::map<int, std::string> names{
      {qga::err_no_connect, "ConnectError"},  {qga::err_cannot_read, "ReadError"},
      {qga::err_cannot_write, "WriteError"},  {qga::err_timed_out, "TimeoutError"},
      {qga::err_from_agent, "AgentError"},    {qga::err_bad_reply, "BadReplyError"},
      {qga::err_cancelled, "CancelledError"},
  };
  std::string text = names.at(error.code());
  if (error.error_class() == "CommandNotFound") text = "CommandNotFoundError";
  switch (error.outcome()) {
    case qga::Outcome::not_sent:
      return text + ", not sent";
    case qga::Outcome::unknown:
      return text + ", outcome unknown";
    case qga::Outcome::refused:
      return text + ", refused";
  }
  return text;
}

class Report {
 public:
  static Report& instance() {
    static Report report;
    return report;
  }

  // ---- commands ----------------------------------------------------------------------------

  /// What the guest's agent knows, from `guest-info`.
  void knows(std::set<std::string> commands) { known_ = std::move(commands); }
  /// A command that the guest's agent does not know and was seen to refuse.
  void lacks(const std::string& command) { absent_.insert(command); }
  /// A command that the guest's agent knows, and refuses in any guest like this.
  void skip(const std::string& command, const std::string& reason) { skipped_[command] = reason; }
  /// A finished test case: "guest-a guest-b: what of them - Blocking".
  void finished(std::string_view name, bool passed) {
    const std::string way = name.ends_with("Async") ? "async" : "blocking";
    while (name.starts_with("guest-")) {
      const std::size_t end = name.find_first_of(" :");
      Tally& tally = tested_[std::string(name.substr(0, end))][way];
      ++tally.cases;
      if (!passed) ++tally.failed;
      if (end == std::string_view::npos || name[end] == ':') break;
      name.remove_prefix(end + 1);
    }
  }

  // ---- events ------------------------------------------------------------------------------

  struct Event {
    std::string what;
    std::string_view way;
    std::string command;
    std::string reported;
    double deadline;  ///< seconds
    double took;
    std::string next;
  };
  void event(Event event) { events_.push_back(std::move(event)); }

  /// Prints the tables. False where a known command was neither tested nor skipped.
  bool print(std::ostream& out) const {
    bool complete = true;
    if (!known_.empty()) {
      out << "\nThe commands that the guest's agent knows\n";
      for (const std::string& command : known_) {
        out << "  " << padded(command, 34);
        const auto skipped = skipped_.find(command);
        if (skipped != skipped_.end()) {
          out << "skipped: " << skipped->second << '\n';
          continue;
        }
        for (const char* const way : {"blocking", "async"}) {
          const std::string result = result_of(command, way);
          complete = complete && result != "NOT TESTED";
          out << padded(std::string(way) + " " + result, 22);
        }
        out << '\n';
      }
      if (!absent_.empty()) out << "Those that it does not know, and refuses\n";
      for (const std::string& command : absent_) out << "  " << command << '\n';
      write_results();
    }
    if (!events_.empty()) {
      out << "\nWhat happens to a guest, and what its client reports\n";
      for (const Event& event : events_) {
        char times[64];
        std::snprintf(times, sizeof times, "after %.1f s (deadline %.0f s)", event.took,
                      event.deadline);
        out << "  " << event.what << " (" << event.way << ")\n      " << event.command << ": "
            << event.reported << ", " << times << "; next: " << event.next << '\n';
      }
    }
    out << std::flush;
    return complete;
  }

 private:
  struct Tally {
    int cases = 0;
    int failed = 0;
  };

  static std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
  }

  void write_results() const {
    const char* const path = std::getenv("QGA_TEST_RESULTS");
    if (path == nullptr) return;
    std::ofstream file(path, std::ios::app);
    for (const std::string& command : known_) {
      std::string result = "refused";
      if (!skipped_.contains(command)) {
        const std::set<std::string> ways{result_of(command, "blocking"),
                                         result_of(command, "async")};
        result = ways.contains("FAIL")         ? "FAILED"
                 : ways.contains("NOT TESTED") ? "NOT TESTED"
                                               : "passed";
      }
      file << command << '\t' << result << '\n';
    }
    for (const std::string& command : absent_) file << command << "\tabsent\n";
  }

  std::string result_of(const std::string& command, const std::string& way) const {
    const auto tested = tested_.find(command);
    if (tested == tested_.end() || !tested->second.contains(way)) return "NOT TESTED";
    return tested->second.at(way).failed == 0 ? "pass" : "FAIL";
  }

  std::set<std::string> known_;
  std::set<std::string> absent_;
  std::map<std::string, std::string> skipped_;
  std::map<std::string, std::map<std::string, Tally>> tested_;
  std::vector<Event> events_;
};

}  // namespace vm_test
