// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Collects what the completions of all shells need.
#include "completion.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

namespace qga_tool {

namespace {

/// The words of a choice such as `ram|disk`; none for other types.
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  std::vector<std::string> choices;
  if (type.find('|') == std::string::npos) return choices;
  for (std::size_t begin = 0; begin <= type.size();) {
    const std::size_t end = std::min(type.find('|', begin), type.size());
    choices.push_back(type.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts{{}, option.get_description(), option.get_expected_max() != 0, {}};
  for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
  facts.choices = choices_of(option);
  return facts;
}

void add_facts(const CLI::App& app, const Tool& tool, const std::string& path,
               std::vector<CommandFacts>& all) {
  CommandFacts facts{path, app.get_description(), {}, {}, {}};
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    facts.commands.push_back(sub->get_name());
    add_facts(*sub, tool, path + " " + sub->get_name(), all);
  }
  for (const CLI::Option* option : own_options(app)) {
    if (option->get_positional()) {
      const std::vector<std::string> choices = choices_of(*option);
      facts.choices.insert(facts.choices.end(), choices.begin(), choices.end());
    } else {
      facts.options.push_back(facts_of(*option));
    }
  }
  const auto found = tool.commands.find(&app);
  if (found != tool.commands.end() && found->second.program != Program::none) {
    facts.options.push_back({{"--"}, "A program follows", false, {}});
  }
  all.push_back(std::move(facts));
}

}  // namespace

std::vector<CommandFacts> completion_facts(const CLI::App& app, const Tool& tool) {
  std::vector<CommandFacts> all;
  add_facts(app, tool, "", all);
  return all;
}

std::vector<std::string> options_with_values(const std::vector<CommandFacts>& all) {
  std::set<std::string> names;
  for (const CommandFacts& command : all) {
    for (const OptionFacts& option : command.options) {
      if (option.has_value) names.insert(option.names.begin(), option.names.end());
    }
  }
  return {names.begin(), names.end()};
}

std::string quoted(const std::string& text) {
  std::string safe = "'";
  for (const char c : text) c == '\'' ? safe += "'\\''" : safe += c;
  return safe + "'";
}

std::string completion_script(const CLI::App& app, const Tool& tool, const std::string& shell) {
  const std::vector<CommandFacts> all = completion_facts(app, tool);
  return shell == "bash"  ? bash_completion(all)
         : shell == "zsh" ? zsh_completion(all)
                          : fish_completion(all);
}

}  // namespace qga_tool
