// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Help, manual page and completion: that they are sound, and that they have every command.
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

/// Every command that the issue asks for.
const std::vector<std::string> commands{
    "info",   "ping",        "wait", "run",      "cat",    "cp",      "freeze", "thaw",
    "status", "ls-commands", "fs",   "net",      "disks",  "cpu",     "top",    "users",
    "passwd", "ssh-keys",    "time", "shutdown", "reboot", "suspend", "raw",    "shell"};

/// What bash completes `line` to, a word each.
std::string completed(const std::string& line) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("qga.bash")) << run_tool({"--completion", "bash"}).out;
  const std::string script = R"(
    source "$1" || exit 1
    read -ra COMP_WORDS <<<"$2"
    [[ $2 != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _qga
    echo "${COMPREPLY[*]}")";
  const Ended ended =
      Running({"-uc", script, "bash", directory.file("qga.bash"), line}, "/dev/null", "/bin/bash")
          .wait();
  CHECK(ended.err.empty());
  CHECK(ended.code == 0);
  return ended.out.substr(0, ended.out.find('\n'));
}

}  // namespace

TEST_CASE("help and manual know every command") {
  const Ended help = run_tool({"--help"});
  CHECK(help.code == 0);
  const Ended manual = run_tool({"--man"});
  CHECK(manual.code == 0);
  for (const std::string& command : commands) {
    INFO(command);
    CHECK(contains(help.out, "\n  " + command + " "));
    const Ended own = run_tool({command, "--help"});
    CHECK(own.code == 0);
    CHECK(contains(own.out, "Usage: qga SOCKET " + command));
    std::string roff = command;
    if (const auto dash = roff.find('-'); dash != std::string::npos) roff.insert(dash, "\\");
    CHECK(contains(manual.out, "\n.SS qga SOCKET " + roff));
  }
  CHECK(run_tool({"--version"}).out.starts_with("qga "));
}

TEST_CASE("the help of a command has its examples") {
  CHECK(contains(run_tool({"run", "--help"}).out, "\nExamples:\n  qga vm.sock run -- ls"));
  CHECK(contains(run_tool({"ssh-keys", "add", "--help"}).out, "qga vm.sock ssh-keys add "));
  CHECK(contains(run_tool({"--help"}).out, "\nExamples:\n"));
}

TEST_CASE("no line of a help is wider than a terminal") {
  std::vector<std::string> all = commands;
  all.emplace_back("-q");
  for (const std::string& command : all) {
    std::istringstream help(run_tool({command, "--help"}).out);
    for (std::string line; std::getline(help, line);) {
      INFO(line);
      CHECK(line.size() <= 80);
    }
  }
}

TEST_CASE("an error about the command line says what would be right") {
  const auto said = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/no/socket");
    return run_tool(arguments).err;
  };
  CHECK(said({"dance"}) == "qga: 'dance' is no command: qga --help lists them\n");
  CHECK(said({"ssh-keys"}) ==
        "qga: a command must follow ssh-keys: qga ssh-keys --help lists them\n");
  CHECK(said({"ssh-keys", "steal"}) ==
        "qga: 'steal' is no command: qga ssh-keys --help lists them\n");
  CHECK(said({"run", "ls", "-l"}) ==
        "qga: 'ls' has no place here: a program must stand behind --, as in -- ls\n");
  CHECK(said({"net", "--route"}) == "qga: '--route' is no option of net: see qga net --help\n");
  CHECK(said({"ping", "x"}) == "qga: 'x' has no place here: see qga ping --help\n");
  for (const std::string number : {"x", "0", "-1", "1x"}) {
    CHECK(said({"top", "--count", number}) ==
          "qga: --count: '" + number + "' must be a number, more than 0\n");
  }
  CHECK(said({"fs", "--sockets-from", "/no/file"}).starts_with("qga: cannot read '/no/file'"));
  CHECK(said({"cp", "--owner", "x", ":/x"}) == "qga: --owner must be used with --recursive\n");
  CHECK(said({"cp", "--max-files", "3", "x", ":/x"}) ==
        "qga: --max-files must be used with --recursive\n");
  CHECK(said({}) == "qga: a command must follow SOCKET: see qga --help\n");
  CHECK(run_tool({"", "ping"}).err ==
        "qga: a SOCKET must be named before the command: see qga --help\n");
}

TEST_CASE("the manual page is sound") {
  const TemporaryDirectory directory;
  const std::string page = directory.file("qga.1");
  std::ofstream(page) << run_tool({"--man"}).out;
  const Ended checked =
      Running({"-man", "-Tutf8", "-ww", "-z", page}, "/dev/null", "/usr/bin/groff").wait();
  CHECK(checked.code == 0);
  CHECK(checked.err.empty());
  const Ended shown =
      Running({"-man", "-Tascii", "-P-bcou", page}, "/dev/null", "/usr/bin/groff").wait();
  CHECK(contains(shown.out, R"(raw '{"execute": "guest-get-host-name"}')"));
}

TEST_CASE("bash completes") {
  CHECK(completed("qga /s st") == "status");
  CHECK(completed("qga --timeout 5 /s sta") == "status");
  CHECK(completed("qga tcp : host : 7000 sus") == "suspend");
  CHECK(completed("qga /s suspend ") == "ram disk hybrid");
  CHECK(completed("qga /s ssh-keys ") == "list add remove");
  CHECK(completed("qga /s ssh-keys add --re") == "--reset");
  CHECK(completed("qga /s cp --") ==
        "--completion --for --help --json --keep-partial --man --max-bytes --max-files --offset "
        "--owner --quiet --recursive --socket --sockets-from --timeout --trace --verify --version");
  CHECK(completed("qga --ti") == "--timeout");
  CHECK(completed("qga /s run --en") == "--encoding --env --env-add");
  CHECK(completed("qga /s sh") == "shell shutdown");
  CHECK(completed("qga /s shell --user") == "--user");
  CHECK(completed("qga /s shell -- --us").empty());
  CHECK(completed("qga /s cat -- --ra").empty());
  CHECK(completed("qga /s wait --address ") == "any v4 v6");
  CHECK(completed("qga -s /a -s /b sus") == "suspend");
  CHECK(completed("qga --sockets-from list suspend d") == "disk");
  // Files, which bash adds itself.
  CHECK(completed("qga ").empty());
  CHECK(completed("qga /s cp ").empty());
  CHECK(completed("qga /s freeze -- l").empty());
  CHECK(completed("qga /s --timeout ").empty());
}
