// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The programs of a faked guest, and those of them that were started. Not for several threads at
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/params.hpp"
#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/detail/guest_process.hpp"
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

  Outputs outputs() const {
    Outputs kept;
    if (out) kept.out = std::make_shared<std::string>();
    if (err) kept.err = merged ? kept.out : std::make_shared<std::string>();
    return kept;
  }
};

class GuestPrograms {
 public:
  std::map<std::string, std::shared_ptr<LiveProgram>> functions;
  std::shared_ptr<LiveProgram> any;  ///< of every program that has no function of its own

  /// The function of a program, by its path or, as in the agent's PATH, by its name alone.
  /// @return null: there is no such program
  std::shared_ptr<LiveProgram> find(const std::string& path) const {
    const auto exact = functions.find(path);
    if (exact != functions.end()) return exact->second;
    if (path.find('/') == std::string::npos) {
      for (const auto& [known, function] : functions) {
        if (known.ends_with("/" + path)) return function;
      }
    }
    return any;
  }

  /// Starts a program, which does nothing yet.
  /// @param is_captured whether its status is to tell what it has written
  std::shared_ptr<GuestProcess> start(std::mutex& mutex, ProgramCall call, Outputs outputs,
                                      bool is_captured, std::shared_ptr<Pipe> input,
                                      std::optional<GuestTerminal> terminal = {}) {
    auto process =
        std::make_shared<GuestProcess>(mutex, next_pid_++, std::move(call), std::move(outputs),
                                       std::move(input), std::move(terminal));
    processes_[process->pid] = {process, is_captured};
    return process;
  }

  /// The status of a program, which is forgotten once it is told that it has ended.
  nlohmann::json status(std::int64_t pid) {
    const auto found = processes_.find(pid);
    if (found == processes_.end()) {
      throw CommandFailed("PID " + std::to_string(pid) + " does not exist");
    }
    const auto [process, is_captured] = found->second;
    const std::optional<ProgramEnd>& end = process->ended();
    if (!end) return {{"exited", false}};
    nlohmann::json status{{"exited", true}};
    if (end->signal) status["signal"] = *end->signal;
    if (end->exit_code) status["exitcode"] = *end->exit_code;
    const auto tell = [&, captured = is_captured](const char* name,
                                                  const std::shared_ptr<std::string>& bytes) {
      if (captured && bytes && !bytes->empty()) status[name] = to_base64(*bytes);
    };
    const auto& [out, err] = process->outputs();
    tell("out-data", out);
    if (err != out) tell("err-data", err);
    processes_.erase(found);
    return status;
  }

  /// @return null: no such program runs
  std::shared_ptr<GuestProcess> running(std::int64_t pid) const {
    const auto found = processes_.find(pid);
    if (found == processes_.end() || found->second.process->ended()) return nullptr;
    return found->second.process;
  }
  /// @return null: no program runs in such a terminal
  std::shared_ptr<GuestProcess> in_terminal(std::string_view name) const {
    for (const auto& [pid, entry] : processes_) {
      if (entry.process->has_terminal(name)) return entry.process;
    }
    return nullptr;
  }
  /// The programs that were started and not forgotten.
  std::vector<std::shared_ptr<GuestProcess>> all() const {
    std::vector<std::shared_ptr<GuestProcess>> list;
    for (const auto& [pid, entry] : processes_) list.push_back(entry.process);
    return list;
  }

  /// How many programs were started whose end no client has heard of.
  std::size_t started() const { return processes_.size(); }
  void restart() { processes_.clear(); }

 private:
  struct Entry {
    std::shared_ptr<GuestProcess> process;
    bool is_captured = false;
  };

  std::map<std::int64_t, Entry> processes_;
  std::int64_t next_pid_ = 5000;
};

}  // namespace qga::inline v0_1::testing::detail
