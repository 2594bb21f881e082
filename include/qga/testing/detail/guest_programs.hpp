// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The programs of a faked guest, and those of them that were started. Not for several threads at
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/params.hpp"
#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/program.hpp"

namespace qga::inline v0_1::testing::detail {

/// Which outputs of a program the agent keeps.
struct Capture {
  bool out = false;
  bool err = false;
  bool merged = false;  ///< what goes to standard error is kept as standard output

  static Capture of(const Arguments& given) {
    const nlohmann::json* const value = given.find("capture-output");
    if (value == nullptr) return {};
    if (value->is_boolean()) return {value->get<bool>(), value->get<bool>(), false};
    const std::string mode = given.text("capture-output");
    if (mode == "none") return {};
    if (mode == "stdout") return {true, false, false};
    if (mode == "stderr") return {false, true, false};
    if (mode == "separated") return {true, true, false};
    if (mode == "merged") return {true, true, true};
    throw CommandFailed("Parameter 'capture-output' does not accept value '" + mode + "'");
  }
};

class GuestPrograms {
 public:
  std::map<std::string, Program> functions;
  Program any;  ///< of every program that has no function of its own

  /// The function of a program, by its path or, as in the agent's PATH, by its name alone.
  /// @return empty: there is no such program
  Program find(const std::string& path) const {
    const auto exact = functions.find(path);
    if (exact != functions.end()) return exact->second;
    if (path.find('/') == std::string::npos) {
      for (const auto& [known, function] : functions) {
        if (known.ends_with("/" + path)) return function;
      }
    }
    return any;
  }

  /// @return the process id
  std::int64_t start(ProgramResult result, const Capture& capture) {
    if (capture.merged) result.out += std::exchange(result.err, std::string());
    if (!capture.out) result.out.clear();
    if (!capture.err) result.err.clear();
    const auto end = deadline_after(result.runs_for, Clock::now());
    processes_[next_pid_] = {std::move(result), end};
    return next_pid_++;
  }

  /// The status of a program, which is forgotten once it is told that it has ended.
  nlohmann::json status(std::int64_t pid) {
    const auto found = processes_.find(pid);
    if (found == processes_.end()) {
      throw CommandFailed("PID " + std::to_string(pid) + " does not exist");
    }
    if (Clock::now() < found->second.end) return {{"exited", false}};
    const ProgramResult& result = found->second.result;
    nlohmann::json status{{"exited", true}};
    if (result.signal) {
      status["signal"] = *result.signal;
    } else {
      status["exitcode"] = result.exit_code;
    }
    if (!result.out.empty()) status["out-data"] = to_base64(result.out);
    if (!result.err.empty()) status["err-data"] = to_base64(result.err);
    processes_.erase(found);
    return status;
  }

  /// @return false: no such program runs
  bool kill(std::int64_t pid) {
    const auto found = processes_.find(pid);
    if (found == processes_.end() || Clock::now() >= found->second.end) return false;
    found->second.result.signal = 9;
    found->second.end = Clock::now();
    return true;
  }

  /// How many programs were started whose end no client has heard of.
  std::size_t started() const { return processes_.size(); }
  void restart() { processes_.clear(); }

 private:
  struct Process {
    ProgramResult result;
    Clock::time_point end;
  };

  std::map<std::int64_t, Process> processes_;
  std::int64_t next_pid_ = 5000;
};

}  // namespace qga::inline v0_1::testing::detail
