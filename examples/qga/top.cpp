// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand top: shows how busy guests are, on a screen or as pictures one after the other.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "tool.hpp"
#include "top/pictures.hpp"
#ifdef QGA_TOOL_HAS_CURSES
#include "top/screen.hpp"
#endif

namespace qga_tool {

namespace {

struct TopOptions {
  std::optional<double> interval;
  std::uint64_t count = 0;
  bool memory = false;
};

int run_top(Tool& tool, const TopOptions& options) {
  const bool many = tool.guests.are_many();
#ifdef QGA_TOOL_HAS_CURSES
  // What --trace shows would be drawn over.
  if (!tool.json && !tool.trace && options.count == 0 && top::has_screen()) {
    constexpr double usual = 2;
    const auto interval = std::chrono::duration<double>(options.interval.value_or(usual));
    return top::show_screen(tool, std::max(std::chrono::duration_cast<top::Ui::Interval>(interval),
                                           std::chrono::milliseconds(50)));
  }
#endif
  const top::PictureParams params{duration_of(options.interval.value_or(1)), options.count,
                                  options.memory};
  return many ? top::print_pictures_of_many(tool, params) : top::print_pictures(tool, params);
}

}  // namespace

void define_top(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App* const sub =
      define(app, tool, "top", "Show how busy one guest is, or many, again and again",
             [&tool, options] { return run_top(tool, *options); });
  seconds_option(sub, "--interval", options->interval,
                 "The time between two samples (2 on a screen, else 1)");
  sub->add_option("--count", options->count,
                  "Print this number of pictures instead of a screen; without it until Ctrl-C")
      ->type_name("N")
      ->check([](const std::string& text) {
        const bool valid = text.find_first_not_of("0123456789") == text.npos &&
                           text.find_first_not_of('0') != text.npos;
        return valid ? std::string() : "'" + text + "' must be a number, more than 0";
      });
  sub->add_flag("--memory", options->memory,
                "Pictures of one guest show the memory, too: the guest logs that /proc/meminfo is "
                "opened. The screen and pictures of many guests always do");
  sub->footer(
      "On a terminal it is a screen, with help on the key '?', unless --count, --json or --trace "
      "is "
      "given. Elsewhere it prints pictures; with --json each is a document on a line of its own, "
      "for "
      "many guests a list with an object for each.");
}

}  // namespace qga_tool
