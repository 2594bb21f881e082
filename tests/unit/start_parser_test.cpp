// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The scripts of `start`: what a faked guest reads back is what was started, whatever the words.
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "qga/helpers/start_script.hpp"
#include "qga/testing/detail/start_script_parser.hpp"

using qga::detail::InputKind;
using qga::detail::Program;
using qga::detail::variables_of;
using qga::testing::detail::parse_setup_script;

namespace {

/// Words that a shell or a careless parser would take for something else.
const std::vector<std::string> odd_words{
    "plain",
    "",
    " ",
    "two words",
    "it's",
    "'",
    "''",
    "'\\''",
    "\\",
    "a\nb",
    "\n",
    "\"$HOME\" `id` $(id) *",
    "# qga start\n",
    "qga_user='root'\n",
    "\nexport A='b'\n",
    "x' 'y",
    "set -- 'z'\n",
    "for qga_name in $(env | x\ndone\n",
    "umask 022\ncd '/'",
    "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x90\xA7",
    "\xFF\x80\x01",
    "\t\r\x1B[0m",
    std::string(5000, 'l'),
    " >run || exit 1\nprintf %s 'fi\n",
};

/// @return what the script says; it fails where the script is not understood
Program read_back(const Program& program) {
  std::optional<Program> read = parse_setup_script(setup_script(program));
  REQUIRE(read);
  return *read;
}

/// Every kind of program with one word at every place where there can be any word.
std::vector<Program> programs_with(const std::string& word) {
  std::vector<Program> all;
  for (std::size_t bits = 0; bits < 256; ++bits) {
    const auto is_set = [bits](std::size_t bit) { return (bits >> bit & 1) != 0; };
    Program program{"/bin/p" + word, {}, InputKind(bits % 3), "/tmp/qga-0123456789abcdef"};
    program.params.args = {word, "middle", word};
    program.params.cwd = is_set(0) ? "/srv/" + word : "/";
    if (is_set(1)) program.params.user = "user" + word;
    if (is_set(2)) program.params.env = {{"PATH=" + word, "A=" + word + '='}};
    if (is_set(3)) program.params.add_env = {"B_1=" + word, "PATH=/bin:" + word};
    if (is_set(4)) program.params.terminal = qga::Terminal{33, 65535, "vt" + word};
    program.params.merge = is_set(5);
    program.params.leave_behind = is_set(6);
    if (is_set(7)) program.params.args.clear();
    all.push_back(std::move(program));
  }
  return all;
}

}  // namespace

TEST_CASE("start script: what it says is read back", "[unit]") {
  for (const std::string& word : odd_words) {
    INFO("the word: " << word);
    for (const Program& program : programs_with(word)) {
      const Program read = read_back(program);
      CHECK(read.path == program.path);
      CHECK(read.directory == program.directory);
      CHECK(read.input == program.input);
      CHECK(read.params.args == program.params.args);
      CHECK(read.params.cwd == program.params.cwd);
      CHECK(read.params.user == program.params.user);
      CHECK(read.params.env.has_value() == program.params.env.has_value());
      CHECK(variables_of(read.params) == variables_of(program.params));
      CHECK(read.params.merge == (program.params.merge && !program.params.terminal));
      CHECK(read.params.leave_behind == program.params.leave_behind);
      REQUIRE(read.params.terminal.has_value() == program.params.terminal.has_value());
      if (!read.params.terminal) continue;
      CHECK(read.params.terminal->rows == program.params.terminal->rows);
      CHECK(read.params.terminal->columns == program.params.terminal->columns);
      CHECK(read.params.terminal->type == program.params.terminal->type);
    }
  }
}

TEST_CASE("start script: an empty environment is not the agent's", "[unit]") {
  Program program{"/bin/p", {}, InputKind::none, "/tmp/qga-0"};
  CHECK_FALSE(read_back(program).params.env);
  program.params.env.emplace();
  const Program read = read_back(program);
  REQUIRE(read.params.env);
  CHECK(read.params.env->empty());
  CHECK(read.params.cwd == "/");
}

TEST_CASE("start script: what is not such a script is not understood", "[unit]") {
  const Program program{"/bin/p", {.args = {"a"}, .user = "me"}, InputKind::fifo, "/tmp/qga-0"};
  const std::string script = setup_script(program);
  REQUIRE(parse_setup_script(script));
  CHECK_FALSE(parse_setup_script(""));
  CHECK_FALSE(parse_setup_script("# qga start\necho hello\n"));
  CHECK_FALSE(parse_setup_script(script + "echo more\n"));
  for (std::size_t size = 0; size < script.size(); ++size) {
    CHECK_FALSE(parse_setup_script(script.substr(0, size)));
  }
}
