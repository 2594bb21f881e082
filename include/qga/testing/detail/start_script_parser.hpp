// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads the script back by which `start` sets a program up (qga/helpers/start_script.hpp): a faked
// guest has no shell, and has to know which program the client starts, and how.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "qga/helpers/start_script.hpp"

namespace qga::inline v0_1::testing::detail {

/// Reads a script from its beginning to its end. What is not as expected makes it fail, and then
/// nothing more is read.
class ScriptReader {
 public:
  explicit ScriptReader(std::string_view script) : rest_(script) {}

  bool failed() const { return failed_; }

  /// Whether there is a text; passes what is before it, and the text.
  bool find(std::string_view text) {
    const auto at = rest_.find(text);
    if (failed_ || at == rest_.npos) return false;
    rest_.remove_prefix(at + text.size());
    return true;
  }
  /// Passes a text that is to come somewhere.
  void pass(std::string_view text) { failed_ = !find(text); }
  /// Whether a text is next; passes it.
  bool next_is(std::string_view text) {
    if (failed_ || !rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  /// Reads what `shell_quoted` has made.
  std::string word() {
    std::string text;
    failed_ = failed_ || !next_is("'");
    while (!failed_) {
      const auto end = rest_.find('\'');
      failed_ = end == rest_.npos;
      if (failed_) break;
      text += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!next_is("\\''")) break;
      text += '\'';
    }
    return text;
  }
  /// Reads up to a character, and passes it.
  std::string up_to(char last) {
    const auto end = rest_.find(last);
    failed_ = failed_ || end == rest_.npos;
    if (failed_) return {};
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }
  unsigned number() {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    failed_ = failed_ || error != std::errc();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

using StartedProgram = qga::detail::Program;

/// Reads the part that ends with the program: see `become_program`.
inline void parse_program(ScriptReader& reader, StartedProgram& program) {
  StartParams& params = program.params;
  params.leave_behind = !reader.next_is("rm -rf ");
  reader.pass("umask 022\ncd ");
  params.cwd = reader.word();
  reader.pass("set -- ");
  program.path = reader.word();
  while (reader.next_is(" ")) params.args.push_back(reader.word());
  reader.pass("\n");
  if (reader.next_is("qga_user=")) {
    params.user = reader.word();
    reader.pass("\nfi\n");
  }
  if (!params.terminal) reader.pass("setsid) && set -- \"$qga_with\" \"$@\"\n");
  const bool clears = reader.next_is("for qga_name in ");
  if (clears) reader.pass("\ndone\n");
  while (reader.next_is("export ")) {
    const std::string name = reader.up_to('=');
    params.add_env.push_back(name + '=' + reader.word());
    reader.pass("\n");
  }
  if (params.terminal && !params.add_env.empty()) {
    params.terminal->type = params.add_env.front().substr(std::string_view("TERM=").size());
    params.add_env.erase(params.add_env.begin());
  }
  if (clears) params.env = std::exchange(params.add_env, {});
}

/// Reads the script that `setup_script` has made of a program. `env` has all variables then, where
/// the client has replaced the environment. A working directory is never empty.
/// @return none: it is not such a script, or not one of this version of the library
inline std::optional<StartedProgram> parse_setup_script(const std::string& script) {
  StartedProgram program;
  ScriptReader reader(script);
  reader.pass("mkdir ");
  program.directory = reader.word();
  reader.pass(": >err || fail \"$full\"\n");
  const bool has_fifo = reader.next_is("mkfifo in || fail \"$full\"\n");
  reader.pass("printf %s ");
  const std::string run = reader.word();
  ScriptReader run_reader(run);
  run_reader.pass("|| exit 126\nexec ");
  program.input = has_fifo                           ? qga::detail::InputKind::fifo
                  : run_reader.next_is("</dev/null") ? qga::detail::InputKind::none
                                                     : qga::detail::InputKind::file;
  run_reader.pass(" >>out 2>");
  program.params.merge = run_reader.next_is("&1");
  run_reader.pass("\n");
  reader.pass(" >run || fail \"$full\"\n");
  if (reader.next_is("printf %s ")) {
    const std::string within = reader.word();
    ScriptReader terminal_reader(within);
    terminal_reader.pass("stty rows ");
    program.params.terminal.emplace().rows = terminal_reader.number();
    terminal_reader.pass(" cols ");
    program.params.terminal->columns = terminal_reader.number();
    terminal_reader.pass("\ntty >>err\n");
    parse_program(terminal_reader, program);
  } else {
    parse_program(run_reader, program);
  }
  // Whatever was not understood shows here.
  if (qga::detail::setup_script(program) != script) return std::nullopt;
  return program;
}

}  // namespace qga::inline v0_1::testing::detail
