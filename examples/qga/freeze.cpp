// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommands freeze, thaw and status. One guest or many are frozen, all or none, and the tool
// thaws what it has frozen: after errors, after signals, and when the time is up. Only SIGKILL
// prevents that, and --leave turns it off.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "answer.hpp"
#include "freeze_guests.hpp"
#include "freeze_report.hpp"
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

/// Whether stdin may still end the freeze: by Enter on a terminal, or by the end of a pipe.
bool has_live_stdin() {
  struct stat info {};
  if (::fstat(STDIN_FILENO, &info) != 0) return false;
  return ::isatty(STDIN_FILENO) != 0 || S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode);
}

/// Waits for Enter, the end of a pipe on stdin, Ctrl-C, or a point in time.
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

int show_mountpoints(const Tool& tool, const std::vector<std::string>& mountpoints) {
  if (tool.json) {
    print_json(mountpoints);
  } else {
    for (const std::string& one : mountpoints) print(one);
  }
  return 0;
}

int show_many(const Tool& tool, const std::vector<GuestFreeze>& results) {
  nlohmann::json guests = nlohmann::json::array();
  Table table({"GUEST", "MOUNTPOINT"});
  for (const GuestFreeze& one : results) {
    nlohmann::json told{{"guest", one.guest.name},
                        {"socket", one.guest.address},
                        {"mountpoints", nullptr},
                        {"error", nullptr}};
    if (one.error) {
      told["error"] = text_of(one.error);
      complain(one.guest.name + ": " + text_of(one.error));
    } else {
      told["mountpoints"] = *one.mountpoints;
      for (const std::string& mountpoint : *one.mountpoints) {
        table.row({one.guest.name, mountpoint});
      }
    }
    guests.push_back(std::move(told));
  }
  tool.json ? print_json({{"guests", guests}}) : print(table);
  return tool.stop.signal() != 0 ? 128 + tool.stop.signal() : code_of(tool, results);
}

/// Shows what would be frozen.
int show_what(Tool& tool, const FreezeOptions& options) {
  const bool many = tool.guests.are_many();
  if (!many && !options.mountpoints.empty()) return show_mountpoints(tool, options.mountpoints);
  FreezeGuests guests(tool, {options.mountpoints, options.except, FreezeWhat::Listing::always});
  guests.connect();
  const std::vector<GuestFreeze> results = guests.results();
  if (!many) {
    if (results.front().error) std::rethrow_exception(results.front().error);
    return show_mountpoints(tool, results.front().mountpoints.value());
  }
  return show_many(tool, results);
}

/// Runs the program although not all guests could be frozen.
/// @param told the JSON document
int run_without(Tool& tool, const FreezeOptions& options, const std::string& why,
                const nlohmann::json& told) {
  complain(why + "; the program runs without a freeze");
  const auto limit = duration_of(options.limit.value_or(default_limit));
  const HostResult result =
      run_on_host(tool.stop, tool.program, qga::Clock::now() + limit, tool.json);
  if (tool.json) print_json(told);
  if (!result.failure.empty()) complain(result.failure);
  if (tool.stop.signal() != 0) return 128 + tool.stop.signal();
  return result.exit_code != 0 ? result.exit_code : exit_without_freeze;
}

/// Tells why there is no freeze, of which nothing is left.
int give_up(Tool& tool, const FreezeOptions& options, const FreezeGuests& guests) {
  const std::vector<GuestFreeze> results = guests.results();
  // A guest that may still be frozen is no guest to take a snapshot of.
  const bool all_thawed = std::ranges::all_of(
      results, [](const GuestFreeze& one) { return one.state == GuestFreeze::State::thawed; });
  const bool runs = options.or_without && all_thawed && tool.stop.signal() == 0;
  if (!tool.guests.are_many()) {
    const std::exception_ptr& error = results.front().error;
    if (!error) return 128 + tool.stop.signal();  // which came when it had just been frozen
    const std::string why = text_of(error);
    if (runs) return run_without(tool, options, why, {{"frozen", false}, {"error", why}});
    return tell_error(tool, results.front());
  }
  tell_each(tool, results);
  const nlohmann::json told = document_of(results, false);
  const std::string why = "not all of the guests could be frozen";
  if (runs) return run_without(tool, options, why, told);
  complain(why + (all_thawed ? ": none is frozen" : "") +
           (tool.program.empty() ? "" : ", and the program was not started"));
  if (tool.json) print_json(told);
  return tool.stop.signal() != 0 ? 128 + tool.stop.signal() : code_of(tool, results);
}

/// Tells what was frozen.
void tell_frozen(const Tool& tool, const FreezeOptions& options, const FreezeGuests& guests,
                 const std::vector<GuestFreeze>& results) {
  std::optional<std::int64_t> count = 0;
  constexpr std::int64_t most = 1'000'000;  // a guest may send any number
  for (const GuestFreeze& one : results) {
    count = count && one.frozen
                ? std::optional(*count + std::clamp<std::int64_t>(*one.frozen, 0, most))
                : std::nullopt;
  }
  std::string text = "froze " + count_text(count);
  if (tool.guests.are_many()) {
    text += " of " + std::to_string(results.size()) +
            (results.size() == 1 ? " guest within " : " guests within ") +
            seconds_text(guests.last_frozen() - guests.first_frozen());
  }
  if (!options.leave) return tool.note(text);
  if (!tool.guests.are_many()) text += "; thaw with: qga " + tool.guests.one() + " thaw";
  tool.note(text);
  if (!tool.guests.are_many()) return;
  for (const GuestFreeze& one : results) {
    tool.note(one.guest.name + ": thaw with: qga " + one.guest.address + " thaw");
  }
}

/// Tells how the thaw of one guest ended. @return the exit code
int tell_thawed(const Tool& tool, const GuestFreeze& result) {
  if (result.error) return tell_error(tool, result);
  tool.note("thawed " + count_text(result.thawed) + " after " + seconds_text(*result.time));
  if (tool.json) {
    print_json({{"frozen", result.frozen ? nlohmann::json(*result.frozen) : nullptr},
                {"thawed", *result.thawed},
                {"seconds", std::chrono::duration<double>(*result.time).count()}});
  }
  if (result.was_thawed_early()) {
    complain("the guest was thawed before its time: what was made meanwhile is not consistent");
  }
  return code_of(tool, {result});
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

/// Leaves all frozen.
int leave(Tool& tool, FreezeGuests& guests, const std::vector<GuestFreeze>& results) {
  guests.release();
  if (!tool.json) return 0;
  const std::optional<std::int64_t> count = results.front().frozen;
  print_json(tool.guests.are_many()
                 ? document_of(results, true)
                 : nlohmann::json{{"frozen", count ? nlohmann::json(*count) : nullptr}});
  return 0;
}

int freeze(Tool& tool, const FreezeOptions& options) {
  check(tool, options);
  if (options.dry_run) return show_what(tool, options);
  if (!tool.program.empty()) {
    if (const auto missing = missing_program(tool.program.front())) {
      complain(missing->failure);
      return missing->exit_code;
    }
  }
  const Stop::TidyUp tidy(tool.stop);
  const auto limit = duration_of(options.limit.value_or(default_limit));
  FreezeGuests guests(tool, {options.mountpoints, options.except});
  if (!guests.connect() || !guests.freeze(limit)) return give_up(tool, options, guests);
  tell_frozen(tool, options, guests, guests.results());
  if (options.leave) return leave(tool, guests, guests.results());

  const auto until = qga::deadline_after(limit, guests.first_frozen());
  HostResult program;
  if (tool.program.empty()) {
    hold(tool, until);
  } else {
    program = run_on_host(tool.stop, tool.program, until, tool.json);
  }

  guests.thaw();
  const std::vector<GuestFreeze> results = guests.results();
  int code = 0;
  if (tool.guests.are_many()) {
    tell_each(tool, results);
    if (tool.json) print_json(document_of(results, true));
    code = code_of(tool, results);
  } else {
    code = tell_thawed(tool, results.front());
  }
  if (!program.failure.empty()) complain(program.failure);
  if (tool.stop.signal() != 0) return 128 + tool.stop.signal();
  return program.exit_code != 0 ? program.exit_code : code;
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
                 "How long a guest may stay frozen (300); then the program is ended");
  sub->add_option("--except", options->except,
                  "A mount point that is not frozen, where a guest has it; may be repeated")
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
      "until Enter, the end of a pipe on stdin or Ctrl-C. The guest is thawed then, also where the "
      "program fails or a signal ends qga. Only "
      "SIGKILL prevents that: thaw such a guest by 'thaw'. Of many guests all are frozen or none, "
      "and all are thawed: where one is silent or refuses, it is named, and the program is not "
      "started.");

  define(app, tool, "thaw", "Thaw all file systems", [&tool] { return thaw(tool); });
  define(app, tool, "status", "Show whether file systems are frozen",
         [&tool] { return status(tool); });
}

}  // namespace qga_tool
