// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The shell scripts that start a program in the guest. They reach the guest as the input of a
// shell: arguments of a program show in the guest's log.
//
// The first script makes a private directory with what the program needs: its files of output, a
// FIFO or a file for its input, and the second script. It checks what can be checked, so that an
// error is told before anything is started. The second script becomes the program. It removes the
// directory first, because the agent has the files open by then: nothing can be left in the guest.
//
// A faked guest reads the first script back: qga/testing/detail/start_script_parser.hpp.
#pragma once

#include <algorithm>
#include <cctype>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "qga/detail/protocol/errors.hpp"
#include "qga/helpers/start_params.hpp"

namespace qga::inline v0_1::detail {

/// The standard input of a program that is started.
enum class InputKind {
  fifo,  ///< is written while it runs
  file,  ///< is there beforehand
  none,
};

/// A program with all that the scripts need to know.
struct Program {
  std::string path;
  StartParams params;
  InputKind input = InputKind::fifo;
  std::string directory = {};
};

/// What the shell that sets up runs: its input.
inline constexpr std::string_view setup_command = "eval \"$(cat)\"";
/// The first line of that input.
inline constexpr std::string_view setup_mark = "# qga start\n";

/// A word that a POSIX shell takes as it is.
inline std::string shell_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) c == '\'' ? quoted += "'\\''" : quoted += c;
  return quoted + "'";
}

/// `set --` with these words: they are "$@" then.
inline std::string set_arguments(const Program& program) {
  std::string line = "set -- " + shell_quoted(program.path);
  for (const std::string& arg : program.params.args) line += ' ' + shell_quoted(arg);
  return line + '\n';
}

inline std::string working_directory(const StartParams& params) {
  return params.cwd.empty() ? "/" : params.cwd;
}

/// The variables that are set for the program, without that of its terminal. The last of a name
/// counts.
inline std::vector<std::string> variables_of(const StartParams& params) {
  std::vector<std::string> variables = params.env.value_or(std::vector<std::string>());
  variables.insert(variables.end(), params.add_env.begin(), params.add_env.end());
  return variables;
}

/// @return what is wrong with the program; null: nothing
inline std::exception_ptr check_program(const Program& program) {
  const StartParams& params = program.params;
  const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
  std::vector<std::string> all{program.path, params.cwd, params.user};
  const std::vector<std::string> variables = variables_of(params);
  all.insert(all.end(), params.args.begin(), params.args.end());
  all.insert(all.end(), variables.begin(), variables.end());
  if (params.terminal) all.push_back(params.terminal->type);
  const auto refuse = [](const std::string& what) { return wrong_argument("start", what); };
  if (program.path.empty()) return refuse("the program must have a name");
  if (std::any_of(all.begin(), all.end(), has_nul)) {
    return refuse("a program, its arguments and its environment must have no NUL");
  }
  for (const std::string& variable : variables) {
    const std::string name = variable.substr(0, variable.find('='));
    const bool is_name = !name.empty() && name.size() < variable.size() &&
                         std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                         std::all_of(name.begin(), name.end(), [](unsigned char c) {
                           return c < 128 && (std::isalnum(c) != 0 || c == '_');
                         });
    if (!is_name) {
      return refuse("a variable must be NAME=value, with letters, digits and _ in its name: " +
                    printable(variable));
    }
  }
  if (!params.cwd.empty() && !params.cwd.starts_with('/')) {
    return refuse("a working directory must begin with /: " + printable(params.cwd));
  }
  if (params.user.starts_with('-')) return refuse("a user's name must not begin with -");
  if (params.terminal) {
    for (const unsigned size : {params.terminal->rows, params.terminal->columns}) {
      if (size < 1 || size > 65535) return refuse("a terminal's size must be 1 to 65535");
    }
  }
  return nullptr;
}

/// The part that both forms of the second script end with.
inline std::string become_program(const Program& program) {
  const StartParams& params = program.params;
  std::string script = "umask 022\n";
  script += "cd " + shell_quoted(working_directory(params)) + " || exit 126\n";
  script += set_arguments(program);
  if (!params.user.empty()) {
    const std::string user = shell_quoted(params.user);
    script +=
        "qga_user=" + user +
        "\n"
        "if [ \"$(id -u)\" != \"$(id -u -- \"$qga_user\")\" ]; then\n"
        "  qga_group=$(id -g -- \"$qga_user\")\n"
        "  qga_with=$(command -v setpriv)\n"
        "  if [ -n \"$qga_with\" ] && \"$qga_with\" --reuid=\"$qga_user\" --regid=\"$qga_group\""
        " --init-groups true 2>/dev/null; then\n"
        "    HOME=$( (getent passwd \"$qga_user\" || grep \"^$qga_user:\" /etc/passwd) |"
        " cut -d: -f6)\n"
        "    USER=$qga_user LOGNAME=$qga_user\n"
        "    export HOME USER LOGNAME\n"
        "    set -- \"$qga_with\" --reuid=\"$qga_user\" --regid=\"$qga_group\" --init-groups --"
        " \"$@\"\n"
        "  else\n"
        "    set -- \"$(command -v su)\" -s /bin/sh -c 'exec \"$0\" \"$@\"' \"$qga_user\" \"$@\"\n"
        "  fi\n"
        "fi\n";
  }
  // In a session of its own its children can be signalled together. A terminal's is one.
  if (!params.terminal) {
    script += "qga_with=$(command -v setsid) && set -- \"$qga_with\" \"$@\"\n";
  }
  if (params.env) {
    script +=
        "for qga_name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z_0-9]*\\)=.*/\\1/p'); do\n"
        "  unset \"$qga_name\"\n"
        "done\n";
  }
  std::vector<std::string> variables = variables_of(params);
  if (params.terminal) variables.insert(variables.begin(), "TERM=" + params.terminal->type);
  for (const std::string& variable : variables) {
    const auto equals = variable.find('=');
    script += "export " + variable.substr(0, equals) + '=' +
              shell_quoted(std::string_view(variable).substr(equals + 1)) + '\n';
  }
  return script + "exec \"$@\"\n";
}

/// What is not needed once the outputs and the input are open. The end of the file `run` tells that
/// they are: see `CloseInput`.
inline std::string remove_directory(const Program& program) {
  return program.params.leave_behind ? "rm -f run terminal in input\n"
                                     : "rm -rf " + shell_quoted(program.directory) + '\n';
}

/// The second script. Its argument is the kind of `script` that the guest has. The FIFO is opened
/// for writing first, because opening it for reading waits for a writer: the agent may have left.
inline std::string run_script(const Program& program) {
  const bool merges = program.params.merge && !program.params.terminal;
  const std::string directory = shell_quoted(program.directory);
  std::string script = "cd " + directory + " || exit 126\n";
  script += program.input == InputKind::none   ? "exec </dev/null"
            : program.input == InputKind::file ? "exec <input"
                                               : "exec 3<>in <in 3>&-";
  script += merges ? " >>out 2>&1\n" : " >>out 2>>err\n";
  if (!program.params.terminal) return script + remove_directory(program) + become_program(program);
  return script +
         "SHELL=/bin/sh\nexport SHELL\ncase $1 in\n"
         "  util-linux) exec script -q -e -c '. ./terminal' /dev/null ;;\n"
         "  busybox) exec script -q -c '. ./terminal' /dev/null ;;\n"
         "  bsd) exec script -q /dev/null /bin/sh ./terminal ;;\n"
         "  *) exec python3 -c 'import os, pty, sys\n"
         "end = pty.spawn([\"/bin/sh\", \"./terminal\"])\n"
         "sys.exit(os.WEXITSTATUS(end) if os.WIFEXITED(end) else 128 + os.WTERMSIG(end))' ;;\n"
         "esac\n";
}

/// The script that runs within the terminal. It tells the terminal's name once its size is set: a
/// client that knows the name may set another size.
inline std::string terminal_script(const Program& program) {
  return "stty rows " + std::to_string(program.params.terminal->rows) + " cols " +
         std::to_string(program.params.terminal->columns) + "\ntty >>err\n" +
         remove_directory(program) + become_program(program);
}

/// The first script. It prints a line for each: the system, the kind of `script`, and where the
/// outputs are, by device and inode, where parts of files can be given back.
inline std::string setup_script(const Program& program) {
  const StartParams& params = program.params;
  std::string path;  // where the program is looked for
  for (const std::string& variable : variables_of(params)) {
    if (!variable.starts_with("PATH=")) continue;
    path = "PATH=" + shell_quoted(std::string_view(variable).substr(5)) + "; ";
  }
  const std::string directory = shell_quoted(program.directory);
  std::string script = std::string(setup_mark) +
                       "umask 077\n"
                       "fail() { echo \"$*\" >&2; exit 1; }\n"
                       "full='the guest cannot write below /tmp: is its disk full?'\n"
                       "mkdir " +
                       directory + " && cd " + directory +
                       " || exit 1\n"
                       "trap 'rm -rf " +
                       program.directory +
                       "' EXIT\n"
                       ": >out && : >err || fail \"$full\"\n";
  if (program.input == InputKind::fifo) script += "mkfifo in || fail \"$full\"\n";
  script += "printf %s " + shell_quoted(run_script(program)) + " >run || fail \"$full\"\n";
  if (params.terminal) {
    script +=
        "printf %s " + shell_quoted(terminal_script(program)) + " >terminal || fail \"$full\"\n";
  }
  if (!params.user.empty()) {
    script += "id -u -- " + shell_quoted(params.user) + " >/dev/null || exit 1\n";
  }
  // Another user may find what this one does not, and the other way round.
  if (params.user.empty()) {
    script += "cd " + shell_quoted(working_directory(params)) + " || exit 1\n";
    script += "qga_program=" + shell_quoted(program.path) + "\n(" + path +
              "command -v -- \"$qga_program\" >/dev/null) ||"
              " fail \"no such program: $qga_program\"\n";
    script += "cd " + directory + " || exit 1\n";
  }
  script += "uname -s\n";
  if (params.terminal) {
    script +=
        "case $(script --help 2>&1) in\n"
        "  *--return*) echo util-linux ;;\n"
        "  *BusyBox*) echo busybox ;;\n"
        "  *) if command -v script >/dev/null; then echo bsd\n"
        "    elif command -v python3 >/dev/null; then echo python3\n"
        "    else fail 'a terminal needs script or python3 in the guest'; fi ;;\n"
        "esac\n";
  } else {
    script += "echo none\n";
  }
  return script +
         "if [ -x /usr/bin/fallocate ]; then stat -c %d:%i out err 2>/dev/null; fi\n"
         "trap - EXIT\nexit 0\n";
}

/// Gives a part of a file back to the disk. Its name is gone, but the agent, which is the parent of
/// this shell, has it open. The path of util-linux is given, because busybox would take its own
/// `fallocate`, which makes no holes. Arguments: device and inode, the length in bytes.
inline constexpr std::string_view give_back_script =
    "for f in /proc/$PPID/fd/*; do"
    " [ \"$(stat -L -c %d:%i \"$f\" 2>/dev/null)\" != \"$1\" ] ||"
    " exec /usr/bin/fallocate --punch-hole --offset 0 --length \"$2\" \"$f\"; done; exit 1";

}  // namespace qga::inline v0_1::detail
