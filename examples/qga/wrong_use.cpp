// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The parser knows what it cannot parse, and this knows what users mean by it.
#include "wrong_use.hpp"

#include <string_view>
#include <vector>

namespace qga_tool {

namespace {

bool has_commands(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

/// About a word that has no place.
std::string extra_text(const CLI::App& command, const Tool& tool, const std::string& word) {
  const std::string name = words_of(command);
  const std::string help = "qga " + name + (name.empty() ? "" : " ") + "--help";
  if (word.starts_with('-')) {
    return "'" + word + "' is no option" + (name.empty() ? "" : " of " + name) + ": see " + help;
  }
  if (has_commands(command)) return "'" + word + "' is no command: " + help + " lists them";
  const auto found = tool.commands.find(&command);
  if (found != tool.commands.end() && found->second.program != Program::none) {
    return "'" + word + "' has no place here: a program must stand behind --, as in -- " + word;
  }
  return "'" + word + "' has no place here: see " + help;
}

}  // namespace

const CLI::App* chosen(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

std::string words_of(const CLI::App& app) {
  std::string words;
  for (const CLI::App* at = &app; at->get_parent() != nullptr; at = at->get_parent()) {
    words = at->get_name() + (words.empty() ? "" : " ") + words;
  }
  return words;
}

std::string wrong_use_text(const CLI::App& app, const Tool& tool, const CLI::ParseError& error) {
  const CLI::App& command = *chosen(app);
  const bool lacks_command =
      dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && has_commands(command);
  if (lacks_command || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extra = app.remaining(true);
    if (!extra.empty()) return extra_text(command, tool, extra.front());
  }
  if (lacks_command) {
    return "a command must follow " + words_of(command) + ": qga " + words_of(command) +
           " --help lists them";
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::string text = error.what();  // Could not convert: --count = x
    const std::size_t name = text.find(": ");
    const std::size_t value = text.find(" = ");
    if (name < value && value != text.npos) {
      return text.substr(name + 2, value - name - 2) + ": '" + text.substr(value + 3) +
             "' must be a number";
    }
  }
  if (dynamic_cast<const CLI::RequiresError*>(&error) != nullptr) {
    const std::string text = error.what();  // --for requires --recursive
    constexpr std::string_view between = " requires ";
    const std::size_t at = text.find(between);
    if (at != text.npos) {
      return text.substr(0, at) + " must be used with " + text.substr(at + between.size());
    }
  }
  return error.what();
}

}  // namespace qga_tool
