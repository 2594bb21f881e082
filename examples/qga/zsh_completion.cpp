// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes the completion for zsh, which shows what commands and options do.
#include <algorithm>
#include <string>
#include <vector>

#include "completion.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

/// A word with its description, as `_describe` has it.
std::string described(const std::string& word, const std::string& description) {
  return quoted(word + ":" + description);
}

std::string zsh_branches(const std::vector<CommandFacts>& all) {
  std::string text;
  for (const CommandFacts& command : all) {
    std::vector<std::string> commands;
    for (const std::string& name : command.commands) {
      const auto sub = std::ranges::find(all, command.path + " " + name, &CommandFacts::path);
      commands.push_back(described(name, sub->description));
    }
    std::vector<std::string> options;
    for (const OptionFacts& option : command.options) {
      for (const std::string& name : option.names) {
        options.push_back(described(name, option.description));
      }
    }
    text += "    " + quoted(command.path) + ")\n      commands=(" + joined(commands, " ") +
            ")\n      choices=(" + joined(command.choices, " ") + ")\n      options=(" +
            joined(options, " ") + ")\n      ;;\n";
  }
  return text;
}

std::string zsh_values(const std::vector<CommandFacts>& all) {
  std::string text;
  for (const CommandFacts& command : all) {
    for (const OptionFacts& option : command.options) {
      if (option.choices.empty()) continue;
      text += "    " + joined(option.names, " | ") + ") compadd -- " + joined(option.choices, " ") +
              " ;;\n";
    }
  }
  return text;
}

}  // namespace

std::string zsh_completion(const std::vector<CommandFacts>& all) {
  return R"(#compdef qga
# zsh completion for qga; made by "qga --completion zsh".
_qga_facts() {
  case $1 in
)" + zsh_branches(all) +
         R"(    *) return 1 ;;
  esac
}
_qga() {
  local at='' socket='' skip='' word
  local -a commands choices options own
  for word in "${(@)words[2,CURRENT-1]}"; do
    if [[ -n $skip ]]; then
      skip=''
      continue
    fi
    case $word in
      --) _files; return ;; # a program follows, or arguments
)" + "      " +
         joined(options_with_values(all), " | ") +
         R"()
        skip=$word
        [[ $word != -s && $word != --socket* ]] || socket=yes
        ;;
      -*) ;;
      *)
        if _qga_facts "$at $word"; then
          at+=" $word"
        else
          socket=yes
        fi
        ;;
    esac
  done
  case $skip in
    '') ;;
)" + zsh_values(all) +
         R"(    *) _files ;;
  esac
  [[ -z $skip ]] || return
  _qga_facts "$at"
  if [[ $PREFIX == -* ]]; then
    own=("${options[@]}")
    [[ -z $at ]] || { _qga_facts ''; own+=("${options[@]}") }
    _describe -o option own
  elif [[ -n $socket && ${#commands} -gt 0 ]]; then
    _describe command commands
  elif [[ -n $socket && ${#choices} -gt 0 ]]; then
    compadd -a choices
  else
    _files
  fi
}
if [[ $funcstack[1] == _qga ]]; then
  _qga "$@" # loaded from a directory of functions
else
  compdef _qga qga # by eval
fi
)";
}

}  // namespace qga_tool
