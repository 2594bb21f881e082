// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand top: shows how busy the guest is, once a second.
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

#include "print.hpp"
#include "tool.hpp"
#include "watch.hpp"

namespace qga_tool {

namespace {

/// Asks several questions, and collects what is missing of the answers: where the guest refuses a
/// question, or its reply makes no sense.
class Questions {
 public:
  /// Calls a function that asks, and returns its result; nothing where the answer is missing.
  template <class Ask>
  std::optional<std::invoke_result_t<Ask>> ask(Ask ask) {
    try {
      // In place, because a nlohmann::json would otherwise offer to convert itself, too.
      std::optional<std::invoke_result_t<Ask>> answer(std::in_place, ask());
      answered_ = true;
      return answer;
    } catch (const qga::AgentError& error) {
      miss(error);
    } catch (const qga::BadReplyError& error) {
      miss(error);
    }
    return std::nullopt;
  }

  /// Why answers are missing.
  const std::vector<std::string>& missing() const { return missing_; }
  bool answered() const { return answered_; }
  /// @throws the first error, where all questions failed
  void check() const {
    if (!answered_ && error_) std::rethrow_exception(error_);
  }

 private:
  /// Notes the exception that is being handled.
  void miss(const std::exception& error) {
    if (!error_) error_ = std::current_exception();
    missing_.emplace_back(error.what());
  }

  bool answered_ = false;
  std::exception_ptr error_;  ///< the first
  std::vector<std::string> missing_;
};

struct TopOptions {
  std::optional<double> interval;
  std::uint64_t count = 0;
  bool memory = false;
};

/// What one picture shows.
struct Figures {
  qga::Usage usage;
  std::optional<Memory> memory;
  std::vector<std::string> missing;  ///< commands that the guest refuses, and why where it is known
};

/// The commands of a sample that the guest refuses.
std::vector<std::string> missing_of(const qga::Sample& sample) {
  std::vector<std::string> missing;
  const auto check = [&missing](bool present, std::string_view command) {
    if (!present) missing.emplace_back(command);
  };
  check(sample.load.has_value(), qga::GuestGetLoadRequest::command);
  check(sample.cpus.has_value(), qga::GuestGetCpustatsRequest::command);
  check(sample.disks.has_value(), qga::GuestGetDiskstatsRequest::command);
  check(sample.interfaces.has_value(), qga::GuestNetworkGetInterfacesRequest::command);
  return missing;
}

bool has_answer(const qga::Sample& sample) {
  return sample.load || sample.cpus || sample.disks || sample.interfaces;
}

/// The memory of a Linux guest, from a file: the agent has no command for it. It is missing where
/// the system is another, or where files are forbidden. The file stays open, because the agent
/// writes a line into the guest's log when it opens or closes one.
class MemoryFile {
 public:
  explicit MemoryFile(Tool& tool) : tool_(tool) {}

  std::optional<Memory> read(Questions& questions) {
    constexpr std::size_t longest = 64 << 10;
    const auto text = questions.ask([&] {
      if (!file_.is_open()) file_ = tool_.ga().open("/proc/meminfo");
      tool_.ga().seek(file_, 0);
      return tool_.ga().read(file_, longest);
    });
    return text ? memory_in(*text) : std::nullopt;
  }

 private:
  Tool& tool_;
  qga::File file_;
};

std::string share_text(double share) { return percent_text(share, 1); }
std::string count_text(double per_second) { return number_text(per_second, 0) + "/s"; }

std::string picture_of(const Figures& figures) {
  const auto& [usage, memory, missing] = figures;
  std::string text;
  const auto add = [&text](const Table& table) {
    text += (text.empty() ? "" : "\n") + table.text();
  };
  if (usage.load) {
    Table table;
    table.row({"load", load_text(*usage.load)});
    add(table);
  }
  if (memory) {
    const std::uint64_t used = memory->total - memory->available;
    Table table({">MEMORY", ">USED", ">AVAILABLE", ">USE"});
    table.row({size_text(memory->total), size_text(used), size_text(memory->available),
               percent_text(static_cast<double>(used), static_cast<double>(memory->total))});
    add(table);
  }
  if (!usage.cpus.empty()) {
    Table table({">CPU", ">BUSY", ">USER", ">SYSTEM", ">STEAL", ">IOWAIT"});
    for (const qga::CpuUsage& cpu : usage.cpus) {
      table.row({std::to_string(cpu.cpu), share_text(cpu.busy), share_text(cpu.user),
                 share_text(cpu.system), share_text(cpu.steal), share_text(cpu.iowait)});
    }
    add(table);
  }
  if (!usage.disks.empty()) {
    Table table({"DISK", ">READ", ">WRITTEN", ">READS", ">WRITES", ">BUSY"});
    for (const qga::DiskUsage& disk : usage.disks) {
      table.row({disk.name, rate_text(disk.read_bytes), rate_text(disk.written_bytes),
                 count_text(disk.reads), count_text(disk.writes), share_text(disk.busy)});
    }
    add(table);
  }
  if (!usage.interfaces.empty()) {
    Table table({"INTERFACE", ">RECEIVED", ">SENT", ">ERRORS"});
    for (const qga::InterfaceUsage& interface : usage.interfaces) {
      table.row({interface.name, rate_text(interface.received_bytes),
                 rate_text(interface.sent_bytes), count_text(interface.errors)});
    }
    add(table);
  }
  if (text.empty()) text = "nothing to see: the guest is frozen, or its agent has no figures\n";
  if (!missing.empty()) text += '\n';
  for (const std::string& reason : missing) text += shown(missing_line(reason)) + '\n';
  return text;
}

nlohmann::json json_of(const Figures& figures) {
  nlohmann::json all = figures.usage;
  if (const auto& memory = figures.memory) {
    all["memory"] = {{"total", memory->total}, {"available", memory->available}};
  }
  all["missing"] = figures.missing;
  return all;
}

/// Draws each picture over the one before on a terminal. Elsewhere it prints one after the other.
class Screen {
 public:
  Screen() : terminal_(::isatty(STDOUT_FILENO) != 0) {
    if (terminal_) std::cout << "\x1b[2J\x1b[?7l";  // clears the screen; turns wrapping off
  }
  ~Screen() {
    if (terminal_) std::cout << "\x1b[?7h" << std::flush;
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void show(const std::string& picture) {
    if (!terminal_) {
      std::cout << (shown_++ > 0 ? "\n" : "") << picture << std::flush;
      return;
    }
    winsize size{};
    ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    std::cout << "\x1b[H";  // moves the cursor to the first line
    std::istringstream lines(picture);
    std::string line;
    // The last line is kept free for the cursor.
    for (int i = 1; (size.ws_row == 0 || i < size.ws_row) && std::getline(lines, line); ++i) {
      std::cout << line << "\x1b[K\n";  // clears the rest of the line
    }
    std::cout << "\x1b[J" << std::flush;
  }

 private:
  bool terminal_;
  int shown_ = 0;
};

int top(Tool& tool, const TopOptions& options) {
  const auto interval = duration_of(options.interval.value_or(1));
  std::optional<Screen> screen;
  if (!tool.json) screen.emplace();
  MemoryFile memory(tool);
  qga::Sample before = tool.ga().sample();
  bool answered = has_answer(before);
  for (std::uint64_t i = 0; (options.count == 0 || i < options.count) && std::cout; ++i) {
    if (tool.stop.wait(-1, before.time + interval) == Stop::Woken::stopped) {
      return 128 + tool.stop.signal();
    }
    qga::Sample after = tool.ga().sample();
    Questions questions;
    Figures figures{qga::usage_between(before, after), {}, missing_of(after)};
    if (options.memory) figures.memory = memory.read(questions);
    figures.missing.insert(figures.missing.end(), questions.missing().begin(),
                           questions.missing().end());
    answered = answered || has_answer(after) || questions.answered();
    screen ? screen->show(picture_of(figures)) : print_json_line(json_of(figures));
    before = std::move(after);
  }
  if (!answered) throw std::runtime_error("the guest refused every question of top");
  return 0;
}

}  // namespace

void define_top(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App* const sub = define(app, tool, "top", "Show how busy the guest is, once a second",
                               [&tool, options] { return top(tool, *options); });
  seconds_option(sub, "--interval", options->interval, "The time between two pictures (1)");
  sub->add_option("--count", options->count, "How many pictures to show; without this until Ctrl-C")
      ->type_name("N");
  sub->add_flag("--memory", options->memory,
                "Show the memory, too: the guest logs that /proc/meminfo is opened");
  sub->footer("With --json each picture is a document on a line of its own.");
}

}  // namespace qga_tool
