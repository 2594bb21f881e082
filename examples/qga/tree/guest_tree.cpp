// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Decides what `cp -r` copies, and tells how it ended.
#include "guest_tree.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "../print.hpp"

namespace qga_tool {

namespace {

qga::CallOptions limits_of(const Tool& tool, const TreeOptions& options) {
  qga::CallOptions limits;
  limits.stop = tool.stop.token();
  if (options.limit) {
    limits.deadline = qga::deadline_after(duration_of(*options.limit), qga::Clock::now());
  }
  return limits;
}

/// Whether the guest has a directory there, and the programs that --verify needs.
bool is_guest_directory(const TreeCopy& copy, const std::string& path) {
  const qga::RunResult found = copy.run("[ -d \"$1\" ] || exit 3", {path});
  if (found.exit_code == 3) return false;
  if (found.exit_code != 0) throw std::runtime_error("no shell in the guest: " + found.err);
  return true;
}

void check_guest_path(const std::string& path) {
  if (!path.starts_with('/')) {
    throw UsageError("cp -r needs an absolute path of the guest, such as :/" + path);
  }
}

void check_verify(const TreeCopy& copy) {
  const auto found = copy.run("command -v find && command -v sha256sum", {});
  if (found.exit_code != 0) {
    throw std::runtime_error("--verify needs find and sha256sum in the guest; nothing was copied");
  }
}

}  // namespace

TreeCopy::TreeCopy(Tool& its_tool, const TreeOptions& its_options)
    : tool(its_tool),
      options(its_options),
      limits(limits_of(its_tool, its_options)),
      shown_(!its_tool.quiet && !its_tool.json) {}

qga::RunResult TreeCopy::run(const std::string& script,
                             const std::vector<std::string>& args) const {
  qga::RunParams params;
  params.args = {"-c", script, "sh"};
  params.args.insert(params.args.end(), args.begin(), args.end());
  return ga().run("/bin/sh", std::move(params));
}

void TreeCopy::check_limits() const {
  if (tool.stop.signal() != 0) throw InterruptedError();
  if (qga::Clock::now() >= limits.deadline) throw std::runtime_error("the time is over");
}

TreeProgress TreeCopy::progress() {
  return [this](const TreeCount& now) { shown_.show_files(now.files, now.bytes); };
}

TreeRefusal TreeCopy::refusal() {
  return [this](const std::string& reason) { refuse(reason); };
}

void TreeCopy::refuse(const std::string& reason) {
  end_progress();
  if (++refused_ <= most_reasons) complain(reason);
}

int TreeCopy::finish(std::optional<std::uint64_t> compared) {
  if (tool.json) {
    nlohmann::json told{{"files", count.files}, {"bytes", count.bytes}};
    if (compared) told["verified"] = *compared;
    print_json(told);
  } else {
    shown_.remark(files_text(count.files) + ", " + size_text(count.bytes) + " in " +
                  seconds_text(qga::Clock::now() - start_) +
                  (compared ? ", " + std::to_string(*compared) + " verified" : ""));
  }
  if (refused_ == 0) return exit_done;
  complain("not copied: " + files_text(refused_));
  return exit_failed;
}

std::string_view GuestOutput::next() {
  for (;;) {
    qga::ProcessOutput output = process_.with(limits_).read();
    if (output && output.stream == qga::ProcessStream::err) {
      errors_ += output.bytes.substr(0, most_errors - errors_.size());
      continue;
    }
    piece_ = std::move(output.bytes);
    return piece_;
  }
}

void show_errors(TreeCopy& copy, const std::string& errors, bool is_error) {
  copy.end_progress();
  std::istringstream lines(errors);
  for (std::string line; std::getline(lines, line);) {
    is_error ? complain("guest: " + line) : copy.tool.note("guest: " + line);
  }
}

namespace {

/// Whether each line is a warning. An exit code of 1 does not tell, because that of busybox means
/// an error. The texts are those of LC_ALL=C.
bool are_warnings(const std::string& errors) {
  std::istringstream lines(errors);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("file changed as we read it") == std::string::npos &&
        line.find("File removed before we read it") == std::string::npos) {
      return false;
    }
  }
  return !errors.empty();
}

}  // namespace

void report_tar(TreeCopy& copy, const qga::ProcessStatus& status, const std::string& errors) {
  const bool failed = status.exit_code != 0 && !(status.exit_code == 1 && are_warnings(errors));
  show_errors(copy, errors, failed);
  if (!failed) return;
  throw std::runtime_error(
      status.exit_code
          ? "tar in the guest ended with exit code " + std::to_string(*status.exit_code)
      : status.signal ? "tar in the guest ended by signal " + std::to_string(*status.signal)
                      : "the guest does not say how tar ended");
}

std::string files_text(std::uint64_t number) {
  return std::to_string(number) + (number == 1 ? " file" : " files");
}

std::string name_in_path(const std::string& path) {
  const std::string cut = path.substr(0, path.find_last_not_of('/') + 1);
  const std::string name = cut.substr(cut.rfind('/') + 1);
  return name == "." || name == ".." ? "" : name;
}

std::optional<int> copy_tree(Tool& tool, const TreeOptions& options) {
  TreeCopy copy(tool, options);
  try {
    if (options.to_host) {
      check_guest_path(options.from);
      if (!is_guest_directory(copy, options.from)) return std::nullopt;
    } else {
      if (!std::filesystem::is_directory(options.from)) return std::nullopt;
      check_guest_path(options.to);
    }
    if (options.verify) check_verify(copy);
    return options.to_host ? copy_from_guest(copy) : copy_to_guest(copy);
  } catch (const std::exception&) {
    copy.end_progress();
    if (copy.count.files > 0) {
      complain((options.to_host ? "written before the error, and still here: "
                                : "sent before the error, and perhaps in the guest: ") +
               files_text(copy.count.files) + ", " + size_text(copy.count.bytes));
    }
    if (tool.stop.signal() != 0 || qga::Clock::now() < copy.limits.deadline) throw;
    complain("the copy took longer than --for");
    return exit_too_long;
  }
}

}  // namespace qga_tool
