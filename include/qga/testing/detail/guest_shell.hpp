// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the library's own helpers run in a guest: `run` with long input and with `kill`, `start` and
// what is done with its `Process`, and `verify` of transfers. A faked guest has no shell; it knows
// these commands by their text. The tests of `Agent` fail where a helper has changed its text and
// this has not.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "qga/helpers/process_end.hpp"
#include "qga/helpers/sha256.hpp"
#include "qga/helpers/start_script.hpp"
#include "qga/helpers/upload.hpp"
#include "qga/testing/program.hpp"

namespace qga::inline v0_1::testing::detail {

/// One of the commands of the library's helpers.
struct ShellCommand {
  enum class Kind {
    none,       ///< another command
    create,     ///< create a file
    remove,     ///< remove a file
    feed,       ///< run a program with a file as its input, and remove the file
    hash_none,  ///< look whether there are the programs that `hash` needs
    hash,       ///< compute the SHA-256 of a part of a file
    set_up,     ///< make the directory of a program that is to be started
    begin,      ///< start that program
    clear,      ///< remove its directory
    signal,     ///< send a signal to a process
    resize,     ///< set the size of a terminal
  };

  Kind kind = Kind::none;
  std::string path = {};     ///< of the file, the directory or the terminal
  std::size_t offset = 0;    ///< where the part begins
  std::size_t bytes = 0;     ///< how long the part is
  std::int64_t pid = 0;      ///< of the process
  int signal = 0;            ///< its number
  unsigned rows = 0;         ///< of the terminal
  unsigned columns = 0;      ///< of the terminal
  ProgramCall program = {};  ///< for `feed`; its path is empty where there is none

  static ShellCommand of(const ProgramCall& call) {
    const auto& args = call.args;
    if (call.path == "/bin/rm" && args.size() == 3 && args[0] == "-f" && args[1] == "--") {
      return {.kind = Kind::remove, .path = args[2]};
    }
    if (call.path == "/bin/rm" && args.size() == 3 && args[0] == "-rf" && args[1] == "--") {
      return {.kind = Kind::clear, .path = args[2]};
    }
    if (call.path != "/bin/sh" || args.size() < 2) return {};
    constexpr std::string_view run = "/run";
    if (args.size() == 2 && args[0].starts_with("/tmp/qga-") && args[0].ends_with(run)) {
      return {.kind = Kind::begin, .path = args[0].substr(0, args[0].size() - run.size())};
    }
    if (args[0] != "-c") return {};
    const std::string_view script = args[1];
    constexpr std::string_view kill = "kill -KILL ";
    if (script == "umask 077 && set -C && : >\"$0\"" && args.size() == 3) {
      return {.kind = Kind::create, .path = args[2]};
    }
    if (script == "exec <\"$0\" && /bin/rm -f -- \"$0\" && exec \"$@\"" && args.size() > 3) {
      return {.kind = Kind::feed,
              .path = args[2],
              .program = {args[3], {args.begin() + 4, args.end()}, call.env}};
    }
    if (script == "head -c 0 </dev/null | tail -c +1 | sha256sum") return {.kind = Kind::hash_none};
    if (script == "tail -c +\"$2\" <\"$1\" | head -c \"$3\" | sha256sum" && args.size() == 6) {
      return {.kind = Kind::hash,
              .path = args[3],
              .offset = number<std::size_t>(args[4]) - 1,
              .bytes = number<std::size_t>(args[5])};
    }
    if (script.starts_with(kill)) {
      return {.kind = Kind::signal,
              .pid = number<std::int64_t>(script.substr(kill.size())),
              .signal = 9};
    }
    if (script == qga::detail::setup_command &&
        call.input.str().starts_with(qga::detail::setup_mark)) {
      return {.kind = Kind::set_up};
    }
    if (script.starts_with(qga::detail::signal_script) && args.size() == 6) {
      return {.kind = Kind::signal,
              .pid = number<std::int64_t>(args[4]),
              .signal = number<int>(args[3])};
    }
    if (script == qga::detail::make_file_script && args.size() == 5) {
      return {.kind = Kind::create, .path = args[3]};
    }
    if (script == qga::detail::resize_script && args.size() == 6) {
      return {.kind = Kind::resize,
              .path = args[5],
              .rows = number<unsigned>(args[3]),
              .columns = number<unsigned>(args[4])};
    }
    return {};
  }

  /// What `sha256sum` prints about its standard input.
  static std::string sha256sum(std::string_view bytes) {
    qga::detail::Sha256 hash;
    hash.add(bytes);
    return hash.digest() + "  -\n";
  }

 private:
  template <class Number>
  static Number number(std::string_view text) {
    Number value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
};

}  // namespace qga::inline v0_1::testing::detail
