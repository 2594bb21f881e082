// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommands freeze, thaw and status. The tool thaws a guest that it has frozen: after errors,
// after signals, and when the time is up. Only SIGKILL prevents that, and --leave turns it off.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "answer.hpp"
#include "host_program.hpp"
#include "print.hpp"
#include "questions.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

struct FreezeOptions {
  std::vector<std::string> mountpoints;
  std::vector<std::string> except;
  std::optional<double> limit;
  bool leave = false;
  bool dry_run = false;
  bool or_without = false;
};

constexpr double default_limit = 300;

std::string count_text(std::optional<std::int64_t> count) {
  if (!count) return "file systems";
  return std::to_string(*count) + (*count == 1 ? " file system" : " file systems");
}

/// Whether stdin may still end the freeze: by Enter on a terminal, or by the end of a pipe.
bool has_live_stdin() {
  struct stat info {};
  if (::fstat(STDIN_FILENO, &info) != 0) return false;
  return ::isatty(STDIN_FILENO) != 0 || S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode);
}

/// Waits for Enter, the end of stdin, Ctrl-C, or a point in time.
void hold(const Tool& tool, qga::Clock::time_point until) {
  int fd = has_live_stdin() ? STDIN_FILENO : -1;
  tool.note(fd < 0 ? "Ctrl-C thaws" : "Enter or Ctrl-C thaws");
  while (tool.stop.wait(fd, until) == Stop::Woken::readable) {
    char typed = 0;
    const ssize_t size = ::read(fd, &typed, 1);
    if (size == 0 || typed == '\n') return;
    if (size < 0) fd = -1;  // a program in the background cannot read from a terminal
  }
}

qga::Frozen start_freeze(Tool& tool, const FreezeOptions& options) {
  auto ga = tool.ga();
  qga::Frozen frozen = !options.except.empty()       ? ga.freeze({.except = options.except})
                       : options.mountpoints.empty() ? ga.freeze()
                                                     : ga.freeze(options.mountpoints);
  if (frozen.count() == 0) throw std::runtime_error("the guest froze no file system");
  return frozen;
}

/// Shows what would be frozen.
int show_what(Tool& tool, const FreezeOptions& options) {
  std::vector<std::string> mountpoints = options.mountpoints;
  if (mountpoints.empty()) {
    for (const auto& one : tool.ga().get_fsinfo()) mountpoints.push_back(one.mountpoint);
    for (const std::string& except : options.except) {
      if (std::erase(mountpoints, except) == 0) {
        throw UsageError("--except must be one of the mount points that fs lists, not " + except);
      }
    }
  }
  if (tool.json) {
    print_json(mountpoints);
  } else {
    for (const std::string& one : mountpoints) print(one);
  }
  return 0;
}

/// Runs the program although the guest could not be frozen.
int run_without(Tool& tool, const FreezeOptions& options, const std::string& why) {
  complain(why + "; the program runs without a freeze");
  const auto limit = duration_of(options.limit.value_or(default_limit));
  const HostResult result =
      run_on_host(tool.stop, tool.program, qga::Clock::now() + limit, tool.json);
  if (tool.json) print_json({{"frozen", false}, {"error", why}});
  if (!result.failure.empty()) complain(result.failure);
  if (tool.stop.signal() != 0) return 128 + tool.stop.signal();
  return result.exit_code != 0 ? result.exit_code : exit_without_freeze;
}

void check(const Tool& tool, const FreezeOptions& options) {
  if (options.leave && (!tool.program.empty() || options.limit)) {
    throw UsageError("--leave must be used without a program and without --for");
  }
  if (!options.except.empty() && !options.mountpoints.empty()) {
    throw UsageError("--except must be used without mount points");
  }
  if (options.or_without && tool.program.empty()) {
    throw UsageError("--or-without must be used with a program behind --");
  }
}

int freeze(Tool& tool, const FreezeOptions& options) {
  check(tool, options);
  if (options.dry_run) return show_what(tool, options);
  const Stop::TidyUp tidy(tool.stop);
  qga::Frozen frozen;
  try {
    frozen = start_freeze(tool, options);
  } catch (const qga::FreezeError& error) {
    // A guest that may still be frozen is no guest to take a snapshot of.
    if (!options.or_without || !error.thawed() || tool.stop.signal() != 0) throw;
    return run_without(tool, options, error.what());
  } catch (const qga::UnreachableError& error) {
    if (!options.or_without || tool.stop.signal() != 0) throw;
    return run_without(tool, options, error.what());
  }
  const std::string note = "froze " + count_text(frozen.count());
  nlohmann::json told{{"frozen", frozen.count() ? nlohmann::json(*frozen.count()) : nullptr}};
  if (options.leave) {
    frozen.release();
    tool.note(note + "; thaw with: qga " + tool.guests.one() + " thaw");
    if (tool.json) print_json(told);
    return 0;
  }
  tool.note(note);

  const auto limit = duration_of(options.limit.value_or(default_limit));
  const auto until = qga::Clock::now() + limit;
  int status = 0;
  std::string failure;
  if (tool.program.empty()) {
    hold(tool, until);
  } else {
    const HostResult result = run_on_host(tool.stop, tool.program, until, tool.json);
    status = result.exit_code;
    failure = result.failure;
  }

  const qga::ThawResult thawed = tool.unstoppable().thaw(frozen);
  tool.note("thawed " + count_text(thawed.count) + " after " + seconds_text(thawed.frozen_for));
  if (tool.json) {
    told["thawed"] = thawed.count;
    told["seconds"] = std::chrono::duration<double>(thawed.frozen_for).count();
    print_json(told);
  }
  if (thawed.count == 0) {
    // The count of a thaw is 0 where the guest was thawed already.
    complain("the guest was thawed before its time: what was made meanwhile is not consistent");
    if (status == 0) status = tool.program.empty() ? exit_failed : exit_own_failure;
  }
  if (!failure.empty()) complain(failure);
  return tool.stop.signal() != 0 ? 128 + tool.stop.signal() : status;
}

int thaw(Tool& tool) {
  const auto show = [](std::int64_t count) {
    return Answer{.text = "thawed " + count_text(count)};
  };
  return ask_each(tool, show, qga::GuestFsfreezeThawRequest());
}

int status(Tool& tool) {
  const auto show = [](qga::GuestFsfreezeStatus now) {
    return Answer{.text = now == qga::GuestFsfreezeStatus::frozen ? "frozen" : "thawed"};
  };
  return ask_each(tool, show, qga::GuestFsfreezeStatusRequest());
}

}  // namespace

void define_freeze(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<FreezeOptions>();
  CLI::App* const sub = define(
      app, tool, "freeze", "Freeze file systems while a program runs here",
      [&tool, options] { return freeze(tool, *options); }, Program::optional,
      ExitsAsProgram::where_given);
  sub->add_option("MOUNTPOINT", options->mountpoints, "What to freeze; by default all");
  seconds_option(sub, "--for", options->limit,
                 "How long the guest may stay frozen (300); then the program is ended");
  sub->add_option("--except", options->except, "A mount point that is not frozen; may be repeated")
      ->type_name("MOUNTPOINT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub->add_flag("--dry-run", options->dry_run, "Show what would be frozen, and freeze nothing");
  sub->add_flag("--or-without", options->or_without,
                "Run the program also where the guest cannot be frozen; then the exit code is 123");
  sub->add_flag("--leave", options->leave, "Leave the guest frozen, until 'thaw'");
  sub->footer(
      "The program runs on this machine, and takes a snapshot, for example; qga exits with its "
      "exit code, and where it fails itself with 125. Without a program the guest stays frozen "
      "until Enter, the end of stdin or "
      "Ctrl-C. The guest is thawed then, also where the program fails or a signal ends qga. Only "
      "SIGKILL prevents that: thaw such a guest by 'thaw'.");

  define(app, tool, "thaw", "Thaw all file systems", [&tool] { return thaw(tool); });
  define(app, tool, "status", "Show whether file systems are frozen",
         [&tool] { return status(tool); });
}

}  // namespace qga_tool
