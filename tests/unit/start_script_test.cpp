// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The shell scripts that start a program: real shells of this machine take every odd word as it is,
// and what no shell can take is refused before.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/helpers/start_script.hpp"

using namespace qga::detail;
using qga_test::TemporaryDirectory;
using Strings = std::vector<std::string>;

namespace start_script_test {

/// Those of this machine.
Strings shells() {
  Strings found{"/bin/sh"};
  if (::access("/bin/dash", X_OK) == 0) found.push_back("/bin/dash");
  if (::access("/bin/bash", X_OK) == 0) found.push_back("/bin/bash --posix");
  return found;
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
std::string get(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Ended {
  int status = -1;
  std::string out;
};

/// Runs a command line of /bin/sh.
Ended run(const std::string& line) {
  std::FILE* const pipe = ::popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  Ended ended;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) ended.out += static_cast<char>(c);
  const int status = ::pclose(pipe);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ended;
}

std::string all_bytes() {
  std::string bytes;
  for (int c = 1; c < 256; ++c) bytes += static_cast<char>(c);
  return bytes;
}

const Strings odd_words{"",      " ",     "a b",      "'",        "''",       "a'b'c",    "\"",
                        "\\",    "\\\\",  "\\n",      "a\nb",     "\n",       "a\n\n",    "\t",
                        "$HOME", "$(id)", "`id`",     "${x}",     "!!",       "*",        "?",
                        "[a-z]", "~",     "#",        "a;b",      "a|b",      "a&b",      "<x",
                        ">x",    "--",    "-n",       "-e",       "=",        "a=b",      "%s",
                        "%d%n",  "\\c",   "\xff\xfe", "\xc3\xa4", "\x01\x7f", all_bytes()};

/// Starts a program as an agent does, in a directory of its own.
class Started {
 public:
  Started(const std::string& shell, Program program) {
    program.directory = place_.file("private");
    const std::string script = place_.file("setup");
    put(script, setup_script(program));
    const auto made = run(shell + " " + script + " 2>" + place_.file("why"));
    why = get(place_.file("why"));
    set_up = made.status == 0;
    if (!set_up) {
      left_behind = std::filesystem::exists(program.directory);
      return;
    }
    // The directory is removed before the program begins: its outputs have other names here.
    for (const char* const name : {"out", "err"}) {
      std::filesystem::create_hard_link(program.directory + "/" + name, place_.file(name));
    }
    const std::string quoted = shell_quoted(program.directory + "/run");
    status = run(shell + " " + quoted + " none").status;
    out = get(place_.file("out"));
    err = get(place_.file("err"));
    left_behind = std::filesystem::exists(program.directory);
  }

  bool set_up = false;
  std::string why;
  std::optional<int> status;
  std::string out;
  std::string err;
  bool left_behind = false;

 private:
  TemporaryDirectory place_;
};

Program program(const std::string& path, qga::StartParams params = {}) {
  return {path, std::move(params), InputKind::none};
}

/// Sorted lines of `env`, without those that a bash sets by itself.
Strings variables(const std::string& text) {
  Strings kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find('='));
    if (name != "_" && name != "PWD" && name != "SHLVL") kept.push_back(line);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace start_script_test

using namespace start_script_test;

TEST_CASE("start: every word is quoted so that a shell takes it as it is") {
  CHECK(shell_quoted("") == "''");
  CHECK(shell_quoted("a b") == "'a b'");
  CHECK(shell_quoted("it's") == R"('it'\''s')");
  TemporaryDirectory place;
  for (const std::string& shell : shells()) {
    std::string script;
    std::string expected;
    for (const std::string& word : odd_words) {
      script += "printf '%s|' " + shell_quoted(word) + '\n';
      expected += word + '|';
    }
    put(place.file("script"), script);
    INFO(shell);
    CHECK(run(shell + " " + place.file("script")).out == expected);
  }
}

TEST_CASE("start: a program gets its arguments as they are, however odd") {
  for (const std::string& shell : shells()) {
    INFO(shell);
    Strings args{"%s|"};
    std::string expected;
    for (const std::string& word : odd_words) {
      args.push_back(word);
      expected += word + '|';
    }
    const Started started(shell, program("/usr/bin/printf", {.args = args}));
    CHECK(started.status == 0);
    CHECK(started.out == expected);
    CHECK_FALSE(started.left_behind);
  }
}

TEST_CASE("start: variables of any value are replaced or added") {
  for (const std::string& shell : shells()) {
    INFO(shell);
    Strings variables_of;
    std::string text = "printf '%s|'";
    std::string expected;
    for (const std::string& value : odd_words) {
      const std::string name = "ODD_" + std::to_string(variables_of.size());
      variables_of.push_back(name + '=' + value);
      text += " \"$" + name + '"';
      expected += value + '|';
    }
    const Started added(shell, program("/bin/sh", {.args = {"-c", text}, .add_env = variables_of}));
    CHECK(added.out == expected);
    const Started replaced(shell, program("/usr/bin/env", {.env = {{"A=b c", "B_1="}}}));
    CHECK(variables(replaced.out) == Strings{"A=b c", "B_1="});
    const Started both(shell,
                       program("/usr/bin/env", {.env = {{"A=1", "B=2"}}, .add_env = {"A=3"}}));
    CHECK(variables(both.out) == Strings{"A=3", "B=2"});
  }
}

TEST_CASE("start: a directory, the outputs, and where they go") {
  for (const std::string& shell : shells()) {
    INFO(shell);
    TemporaryDirectory place;
    const std::string odd = place.file("an 'odd' $name\n");
    std::filesystem::create_directory(odd);
    CHECK(Started(shell, program("/bin/pwd", {.cwd = odd})).out == odd + '\n');
    CHECK(Started(shell, program("pwd")).out == "/\n");
    const std::string text = "echo out; echo err >&2; exit 3";
    const Started apart(shell, program("/bin/sh", {.args = {"-c", text}}));
    CHECK(apart.out == "out\n");
    CHECK(apart.err == "err\n");
    CHECK(apart.status == 3);
    const Started merged(shell, program("/bin/sh", {.args = {"-c", text}, .merge = true}));
    CHECK(merged.out == "out\nerr\n");
    CHECK(merged.err.empty());
  }
}

TEST_CASE("start: a terminal's name is told once its size is set") {
  using namespace start_script_test;
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("bin"));
  // Notes how much has been told.
  put(directory.file("bin/stty"), "#!/bin/sh\nwc -c <err >told\n");
  std::filesystem::permissions(directory.file("bin/stty"), std::filesystem::perms::owner_all);
  Program program{.path = "true", .params = {.terminal = qga::Terminal{30, 90, "vt100"}}};
  program.directory = directory.file("private");
  put(directory.file("script"), terminal_script(program));
  const std::string line =
      "cd '" + directory.file("") + "' && : >err && PATH=$PWD/bin:$PATH sh ./script";
  CHECK(run(line).status == 0);
  CHECK(std::stoi(get(directory.file("told"))) == 0);
  CHECK(std::filesystem::file_size(directory.file("err")) > 0);
}

TEST_CASE("start: a program that opens its output once more writes over nothing") {
  for (const std::string& shell : shells()) {
    INFO(shell);
    const std::string text =
        "echo 1; echo 2 >>/dev/stdout; echo 3; echo a >&2; echo b >>/dev/stderr; echo c >&2";
    const Started started(shell, program("/bin/sh", {.args = {"-c", text}}));
    CHECK(started.out == "1\n2\n3\n");
    CHECK(started.err == "a\nb\nc\n");
  }
}

TEST_CASE("start: what cannot be started is told beforehand, and nothing stays") {
  struct Case {
    Program what;
    std::string said;
  };
  const std::vector<Case> cases{
      {program("/no/such"), "no such program: /no/such"},
      {program("no-such-name"), "no such program: no-such-name"},
      {program("it's $none"), "no such program: it's $none"},
      {program("ls", {.env = {{"PATH=/nowhere"}}}), "no such program: ls"},
      {program("ls", {.add_env = {"PATH=/nowhere"}}), "no such program: ls"},
      {program("/bin/true", {.cwd = "/no/such"}), "/no/such"},
      {program("/bin/true", {.user = "no-such-user"}), "no-such-user"},
      {program("/bin/true", {.user = "$(touch /tmp/qga-x)"}), "$(touch /tmp/qga-x)"},
  };
  for (const std::string& shell : shells()) {
    for (const Case& one : cases) {
      const Started started(shell, one.what);
      INFO(shell << ": " << started.why);
      CHECK_FALSE(started.set_up);
      CHECK(started.why.find(one.said) != std::string::npos);
      CHECK_FALSE(started.left_behind);
    }
  }
  CHECK_FALSE(std::filesystem::exists("/tmp/qga-x"));
}

TEST_CASE("start: what no shell can take is refused") {
  using namespace std::string_literals;
  struct Case {
    Program what;
    std::string said;  ///< empty: it is right
  };
  const std::string nul = "must have no NUL";
  const std::string name = "a variable must be NAME=value";
  const std::string size = "a terminal's size must be 1 to 65535";
  const std::vector<Case> cases{
      {program("x"), ""},
      {program(""), "the program must have a name"},
      {program("a\0b"s), nul},
      {program("x", {.args = {"a\0b"s}}), nul},
      {program("x", {.env = {{"A=\0"s}}}), nul},
      {program("x", {.add_env = {"A=\0"s}}), nul},
      {program("x", {.cwd = "/\0"s}), nul},
      {program("x", {.user = "u\0"s}), nul},
      {program("x", {.terminal = qga::Terminal{.type = "\0"s}}), nul},
      {program("x", {.env = {{"A=b", "_=", "a1_=c=d"}}}), ""},
      {program("x", {.env = {{"A"}}}), name},
      {program("x", {.env = {{""}}}), name},
      {program("x", {.env = {{"=b"}}}), name},
      {program("x", {.add_env = {"1A=b"}}), name},
      {program("x", {.add_env = {"A B=c"}}), name},
      {program("x", {.add_env = {"A;rm=c"}}), name},
      {program("x", {.add_env = {"\xc3\xa4=c"}}), name},
      {program("x", {.add_env = {"A\n=c"}}), name},
      {program("x", {.cwd = "/there"}), ""},
      {program("x", {.cwd = "there"}), "must begin with /"},
      {program("x", {.cwd = "-"}), "must begin with /"},
      {program("x", {.user = "-x"}), "a user's name must not begin with -"},
      {program("x", {.terminal = qga::Terminal{}}), ""},
      {program("x", {.terminal = qga::Terminal{.rows = 65535, .columns = 65535}}), ""},
      {program("x", {.terminal = qga::Terminal{.rows = 0}}), size},
      {program("x", {.terminal = qga::Terminal{.columns = 65536}}), size},
  };
  for (const Case& one : cases) {
    const auto error = check_program(one.what);
    const qga::GuestAgentError* const known = qga::error_of(error);
    const std::string said = known != nullptr ? known->what() : "";
    INFO(one.what.path << ": " << said << ", expected: " << one.said);
    CHECK(!error == one.said.empty());
    CHECK(said.find(one.said) != std::string::npos);
    CHECK((!error || known->outcome() == qga::Outcome::not_sent));
  }
}
