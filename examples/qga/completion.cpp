// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes a script for bash that completes commands, options and choices. Bash completes everything
// else as file names: sockets, files to copy, files with keys.
#include "completion.hpp"

#include <algorithm>
#include <set>
#include <string>

namespace qga_tool {

namespace {

/// The words of a choice such as `ram|disk`, with spaces between them; empty for other types.
std::string choices_of(const CLI::Option& option) {
  std::string type = option.get_type_name();
  const bool closed = type.find('|') != std::string::npos;
  std::ranges::replace(type, '|', ' ');
  return closed ? type : "";
}

std::string option_names(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : own_options(app)) {
    for (const std::string& name : option->get_snames()) names += " -" + name;
    for (const std::string& name : option->get_lnames()) names += " --" + name;
  }
  return names;
}

/// The branches of a `case`, one for each command: the words and options that may follow it.
std::string branches(const CLI::App& app, const std::string& path, const Tool& tool) {
  std::string words;
  std::string text;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    words += " " + sub->get_name();
    text += branches(*sub, path + " " + sub->get_name(), tool);
  }
  for (const CLI::Option* option : own_options(app)) {
    const std::string choices = option->get_positional() ? choices_of(*option) : "";
    if (!choices.empty()) words += " " + choices;
  }
  const auto found = tool.commands.find(&app);
  const bool program = found != tool.commands.end() && found->second.program != Program::none;
  return text + "    '" + path + "') words='" + words + "' options='" + option_names(app) +
         (program ? " --" : "") + "' ;;\n";
}

/// Adds the options that need a value.
void add_with_values(const CLI::App& app, std::set<std::string>& names) {
  for (const CLI::Option* option : own_options(app)) {
    if (option->get_positional() || option->get_expected_max() == 0) continue;
    for (const std::string& name : option->get_snames()) names.insert("-" + name);
    for (const std::string& name : option->get_lnames()) names.insert("--" + name);
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    add_with_values(*sub, names);
  }
}

}  // namespace

std::string bash_completion(const CLI::App& app, const Tool& tool) {
  std::set<std::string> with_values;
  add_with_values(app, with_values);
  return R"(# bash completion for qga; made by "qga --completion bash".
_qga() {
  local current=${COMP_WORDS[COMP_CWORD]}
  local path='' socket='' words='' options='' skip='' word
  COMPREPLY=()
  _qga_words() {
    case $1 in
)" + branches(app, "", tool) +
         R"(    *) return 1 ;;
    esac
  }
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $skip ]]; then
      skip=''
      continue
    fi
    case $word in
      --) return ;; # a program follows: for run in the guest, for freeze on this machine
)" + "      " +
         CLI::detail::join(with_values, " | ") +
         R"() skip=yes ;;
      -*) ;;
      *)
        if [[ ! $socket ]]; then
          socket=$word
        elif _qga_words "$path $word"; then
          path+=" $word"
        fi
        ;;
    esac
  done
  [[ ! $skip ]] || return
  _qga_words "$path"
  if [[ $current == -* ]]; then
    local own=$options
    _qga_words ''
    mapfile -t COMPREPLY < <(compgen -W "$own $options" -- "$current" | sort -u)
  elif [[ $socket && $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -o bashdefault -o default -F _qga qga
)";
}

}  // namespace qga_tool
