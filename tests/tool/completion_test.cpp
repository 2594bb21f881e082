// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Completion in zsh and fish: the real shells complete, where this system has them.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>

#include "catch.hpp"
#include "tool.hpp"

using namespace qga_test;

namespace {

bool has_shell(const std::string& path) {
  if (std::filesystem::exists(path)) return true;
  std::cout << "skipped: completion is not tried: this system has no " << path << '\n';
  return false;
}

/// A directory with the script for a shell.
class Script {
 public:
  explicit Script(const std::string& shell, const std::string& name) : path(files_.file(name)) {
    std::ofstream(path) << run_tool({"--completion", shell}).out;
  }

 private:
  TemporaryDirectory files_;

 public:
  const std::string path;
};

/// What fish offers for `line`.
std::set<std::string> offered_by_fish(const Script& script, const std::string& line) {
  const Ended ended =
      Running({"--no-config", "-c", "source $argv[1]; complete -C $argv[2]", script.path, line},
              "/dev/null", "/usr/bin/fish")
          .wait();
  CHECK(ended.err.empty());
  std::set<std::string> words;
  std::istringstream lines(ended.out);
  for (std::string word; std::getline(lines, word);) words.insert(word.substr(0, word.find('\t')));
  return words;
}

}  // namespace

TEST_CASE("fish completes") {
  if (!has_shell("/usr/bin/fish")) return;
  const Script script("fish", "qga.fish");
  using Words = std::set<std::string>;
  const auto offered = [&](const std::string& line) { return offered_by_fish(script, line); };
  CHECK(offered("qga /s st") == Words{"status"});
  CHECK(offered("qga --timeout 5 /s sta") == Words{"status"});
  CHECK(offered("qga -s /a -s /b sus") == Words{"suspend"});
  CHECK(offered("qga /s suspend ") == Words{"ram", "disk", "hybrid"});
  CHECK(offered("qga /s wait --address ") == Words{"any", "v4", "v6"});
  CHECK(offered("qga /s ssh-keys ") == Words{"list", "add", "remove"});
  CHECK(offered("qga /s ssh-keys add --re") == Words{"--reset"});
  CHECK(offered("qga /s run --en") == Words{"--encoding", "--env", "--env-add"});
  CHECK(offered("qga --ti") == Words{"--timeout"});
  CHECK(offered("qga /s run -- --ki").empty());
  CHECK(offered("qga /s cat -- --ra").empty());
  // Files.
  CHECK(offered("qga " + script.path.substr(0, script.path.size() - 2)).contains(script.path));
  CHECK(
      offered("qga /s cp " + script.path.substr(0, script.path.size() - 2)).contains(script.path));
}

TEST_CASE("zsh completes, from a directory of functions and by eval") {
  if (!has_shell("/usr/bin/zsh")) return;
  const Script script("zsh", "_qga");
  const bool by_eval = GENERATE(false, true);
  CAPTURE(by_eval);
  OnTerminal zsh({"-f", "-i"}, "/usr/bin/zsh");
  const std::string directory = script.path.substr(0, script.path.rfind('/'));
  zsh.type((by_eval ? "" : "fpath=(" + directory + " $fpath); ") +
           "autoload -Uz compinit && compinit -D -u" + (by_eval ? "; source " + script.path : "") +
           "; qga() { print -r -- \"GOT:$*\" }; print rea''dy\r");
  zsh.await("ready");
  const auto completes = [&zsh](const std::string& typed, const std::string& to) {
    INFO(typed);
    zsh.type(typed);
    CHECK_NOTHROW(zsh.await(to));
    zsh.type("\x15");  // clears the line
  };
  completes("qga /s stat\t\r", "GOT:/s status\r");
  completes("qga /s --timeout 5 sta\t-q\r", "GOT:/s --timeout 5 status -q\r");
  completes("qga -s /a -s /b sus\thyb\t\r", "GOT:-s /a -s /b suspend hybrid\r");
  completes("qga /s ssh-keys a\t--re\t\r", "GOT:/s ssh-keys add --reset\r");
  completes("qga /s wait --addr\tan\t\r", "GOT:/s wait --address any\r");
  completes("qga /s cat -- " + script.path.substr(0, script.path.size() - 2) + "\t\r",
            "GOT:/s cat -- " + script.path + "\r");
  completes("qga /s s\t", "Show whether file systems are frozen");
  completes("qga /s cp --keep\t\t", "--keep-partial");
  zsh.type("exit\r");
  CHECK(zsh.wait().code == 0);
}
