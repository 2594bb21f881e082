// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the two ways of copying a directory have in common: the settings of their calls, what is
// shown meanwhile, and what is told in the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../progress.hpp"
#include "../tool.hpp"
#include "../tree.hpp"
#include "archive.hpp"

namespace qga_tool {

class TreeCopy {
 public:
  TreeCopy(Tool& tool, const TreeOptions& options);

  Tool& tool;
  const TreeOptions& options;
  TreeCount count;
  /// Where --for ends the copy. A signal ends it, too.
  const qga::CallOptions limits;

  qga::AnyClient::WithOptions ga() const { return tool.client().with(limits); }
  /// Runs a small script of a shell in the guest.
  /// @param args `$1` and so on
  qga::RunResult run(const std::string& script, const std::vector<std::string>& args) const;
  /// Throws where the copy must end: for work that makes no calls.
  void check_limits() const;

  TreeProgress progress();
  /// Shows a reason why something was not copied; the first ones, because a guest has any number.
  void refuse(const std::string& reason);
  TreeRefusal refusal();
  /// Ends the line of the progress.
  void end_progress() { shown_.end(); }
  /// Tells what was copied, and how long it took.
  /// @return the exit code
  int finish(std::optional<std::uint64_t> compared);

 private:
  static constexpr std::uint64_t most_reasons = 10;

  const qga::Clock::time_point start_ = qga::Clock::now();
  Progress shown_;
  std::uint64_t refused_ = 0;
};

/// A program of the guest whose output is read piece by piece.
class GuestOutput {
 public:
  /// @param process must live as long as this
  GuestOutput(qga::Process& process, const qga::CallOptions& limits)
      : process_(process), limits_(limits) {}

  /// What it has written next on its standard output, which stays until the next call; none: it has
  /// ended.
  std::string_view next();
  /// How it has ended.
  qga::ProcessStatus status() { return process_.with(limits_).wait(); }
  /// What it has written on its standard error: the first of it.
  const std::string& errors() const { return errors_; }

 private:
  static constexpr std::size_t most_errors = 16 << 10;

  qga::Process& process_;
  const qga::CallOptions& limits_;
  std::string piece_;
  std::string errors_;
};

/// Shows what a program of the guest has written on its standard error.
/// @param is_error false: --quiet hides it
void show_errors(TreeCopy& copy, const std::string& errors, bool is_error);
/// Shows what `tar` has complained of, and how it ended.
/// @param errors what it has written on its standard error
/// @throws std::runtime_error it failed. That a file changed while it was read is only a warning
void report_tar(TreeCopy& copy, const qga::ProcessStatus& status, const std::string& errors);

int copy_from_guest(TreeCopy& copy);
int copy_to_guest(TreeCopy& copy);

/// Compares the regular files of a directory of the guest with those of this machine, by SHA-256.
/// @param names the files that must be there, such as `./a/b`; nothing: all that the guest has
/// @return how many are equal
/// @throws std::runtime_error some differ; the first are shown
std::uint64_t compare_trees(TreeCopy& copy, const std::string& guest,
                            const std::filesystem::path& host,
                            std::optional<std::set<std::string>> names);

/// A number of files, such as `2 files`.
std::string files_text(std::uint64_t number);

/// The last part of a path, which a copy within another directory gets as its name. Empty where the
/// path ends with `.` or `..`, or is the root: then what the directory holds is copied.
std::string name_in_path(const std::string& path);

}  // namespace qga_tool
