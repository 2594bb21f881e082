// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Writes the completion for bash.
#include <string>
#include <vector>

#include "completion.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

/// The branches of a `case`, one for each command: the words and options that may follow it.
std::string bash_branches(const std::vector<CommandFacts>& all) {
  std::string text;
  for (const CommandFacts& command : all) {
    std::vector<std::string> words = command.commands;
    words.insert(words.end(), command.choices.begin(), command.choices.end());
    std::vector<std::string> options;
    for (const OptionFacts& option : command.options) {
      options.insert(options.end(), option.names.begin(), option.names.end());
    }
    text += "    " + quoted(command.path) + ") words=" + quoted(joined(words, " ")) +
            " options=" + quoted(joined(options, " ")) + " ;;\n";
  }
  return text;
}

/// The branches of a `case`, one for each option that has choices.
std::string bash_values(const std::vector<CommandFacts>& all) {
  std::string text;
  for (const CommandFacts& command : all) {
    for (const OptionFacts& option : command.options) {
      if (option.choices.empty()) continue;
      text += "    " + joined(option.names, " | ") +
              ") words=" + quoted(joined(option.choices, " ")) + " ;;\n";
    }
  }
  return text;
}

}  // namespace

std::string bash_completion(const std::vector<CommandFacts>& all) {
  return R"(# bash completion for qga; made by "qga --completion bash".
_qga() {
  local current=${COMP_WORDS[COMP_CWORD]}
  local path='' socket='' words='' options='' skip='' word
  COMPREPLY=()
  _qga_words() {
    case $1 in
)" + bash_branches(all) +
         R"(    *) return 1 ;;
    esac
  }
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $skip ]]; then
      skip=''
      continue
    fi
    case $word in
      --) return ;; # files: a program follows, or arguments
)" + "      " +
         joined(options_with_values(all), " | ") +
         R"()
        skip=$word
        [[ $word != -s && $word != --socket* ]] || socket=yes
        ;;
      -*) ;;
      *)
        if _qga_words "$path $word"; then
          path+=" $word"
        else
          socket=yes
        fi
        ;;
    esac
  done
  case $skip in
    '') _qga_words "$path" ;;
)" + bash_values(all) +
         R"(    *) return ;;
  esac
  if [[ ! $skip && $current == -* ]]; then
    local own=$options
    _qga_words ''
    mapfile -t COMPREPLY < <(compgen -W "$own $options" -- "$current" | sort -u)
  elif [[ ($skip || $socket) && $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -o bashdefault -o default -F _qga qga
)";
}

}  // namespace qga_tool
