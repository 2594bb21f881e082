// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommands cat and cp. A path in the guest has a colon before it, similar to scp. What cp
// does with a directory is in the directory tree.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <istream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include "input.hpp"
#include "print.hpp"
#include "progress.hpp"
#include "tool.hpp"
#include "tree.hpp"

namespace qga_tool {

namespace {

/// A file that is shown on a terminal is held in memory.
constexpr std::uint64_t longest_shown = 64 << 20;

struct CopyOptions {
  std::string from;
  std::string to;
  bool verify = false;
  bool keep_partial = false;
  std::uint64_t offset = 0;
  bool recursive = false;
  TreeOptions tree;  ///< what only a directory needs
};

/// Copies a file of the guest to stdout.
qga::TransferResult copy_to_stdout(Tool& tool, const std::string& guest,
                                   qga::TransferParams params = {}) {
  try {
    return tool.ga().download(guest, std::cout, std::move(params));
  } catch (const std::exception&) {
    check_stdout();  // where it has failed, it says more about it
    throw;
  }
}

int show_files(Tool& tool, const std::vector<std::string>& paths, bool raw) {
  for (const std::string& path : paths) {
    if (raw || ::isatty(STDOUT_FILENO) == 0) {
      copy_to_stdout(tool, path);
    } else {
      print_bytes(tool.ga().read_file(path, longest_shown), raw);
    }
  }
  return 0;
}

/// The last part of a guest's path, which becomes the name of a file on this machine. Guests with
/// Windows use backslashes, too.
std::string base_name(const std::string& path) {
  const std::string name = path.substr(path.find_last_of("/\\") + 1);
  if (name.empty() || name == "." || name == "..") {
    throw UsageError("'" + path + "' must end with the name of a file");
  }
  return name;
}

qga::TransferResult from_guest(Tool& tool, const CopyOptions& options, qga::TransferParams params) {
  const std::string guest = options.from.substr(1);
  try {
    if (options.to == "-") return copy_to_stdout(tool, guest, std::move(params));
    std::filesystem::path host = options.to;
    if (std::filesystem::is_directory(host)) host /= base_name(guest);
    return tool.ga().download(guest, host, std::move(params));
  } catch (const qga::AgentError& error) {
    // An agent opens a directory, and fails to read it. It says so in the language of the guest.
    if (std::string_view(error.desc()).find("Is a directory") == std::string_view::npos) throw;
    throw std::runtime_error(std::string(error.what()) + "; cp -r copies a directory");
  }
}

qga::TransferResult to_guest(Tool& tool, const CopyOptions& options, qga::TransferParams params) {
  const std::string guest = options.to.substr(1);
  if (options.from != "-") {
    if (std::filesystem::is_directory(options.from)) {
      throw std::runtime_error("'" + options.from + "' is a directory, which only cp -r copies");
    }
    return tool.ga().upload(std::filesystem::path(options.from), guest, std::move(params));
  }
  StdinBuffer buffer(tool.stop);
  std::istream in(&buffer);
  in.exceptions(std::ios::badbit);  // or the stream would hide the exception that Ctrl-C causes
  return tool.ga().upload(in, guest, std::move(params));
}

/// @return the exit code; nothing where there is no directory, but a file
std::optional<int> copy_directory(Tool& tool, const CopyOptions& options) {
  if (options.from == "-" || options.to == "-") {
    throw UsageError("cp -r copies a directory: it cannot be used with stdin or stdout");
  }
  if (options.offset > 0 || options.keep_partial) {
    throw UsageError("--offset and --keep-partial need a file: remove -r");
  }
  TreeOptions tree = options.tree;
  tree.to_host = options.from.starts_with(':');
  tree.from = options.from.substr(tree.to_host ? 1 : 0);
  tree.to = options.to.substr(tree.to_host ? 0 : 1);
  tree.verify = options.verify;
  return copy_tree(tool, tree);
}

int copy(Tool& tool, const CopyOptions& options) {
  const bool to_host = options.from.starts_with(':');
  if (to_host == options.to.starts_with(':')) {
    throw UsageError("cp takes one path of this machine and one of the guest, such as :/tmp/x");
  }
  if ((to_host ? options.from : options.to).size() == 1) throw UsageError("a path must follow ':'");
  if (options.offset > 0 && options.from == "-") {
    throw UsageError("--offset needs a file: it cannot be used with stdin");
  }
  if (options.recursive) {
    if (const std::optional<int> status = copy_directory(tool, options)) return *status;
  }
  Progress progress(!tool.quiet && !tool.json);
  qga::TransferParams params;
  params.offset = options.offset;
  params.verify = options.verify;
  params.keep_partial = options.keep_partial;
  params.progress = [&progress](std::uint64_t bytes, std::optional<std::uint64_t> total) {
    progress.show(bytes, total);
  };

  const auto start = qga::Clock::now();
  const auto result = to_host ? from_guest(tool, options, std::move(params))
                              : to_guest(tool, options, std::move(params));
  const auto time = qga::Clock::now() - start;
  if (tool.json && options.to != "-") {
    nlohmann::json told{{"bytes", result.bytes}};
    if (!result.sha256.empty()) told["sha256"] = result.sha256;
    print_json(told);
  } else {
    progress.remark(size_text(result.bytes) + " in " + seconds_text(time) +
                    (result.sha256.empty() ? "" : ", SHA-256 " + result.sha256));
  }
  return 0;
}

}  // namespace

void define_files(CLI::App& app, Tool& tool) {
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto raw = std::make_shared<bool>(false);
  CLI::App* const cat = define(app, tool, "cat", "Show files of the guest",
                               [&tool, paths, raw] { return show_files(tool, *paths, *raw); });
  cat->add_option("PATH", *paths, "Files of the guest")->required();
  cat->add_flag("--raw-output", *raw, "Do not escape control characters, even on a terminal");

  const auto options = std::make_shared<CopyOptions>();
  CLI::App* const cp =
      define(app, tool, "cp", "Copy a file or a directory into the guest or out of it",
             [&tool, options] { return copy(tool, *options); });
  cp->add_option("SRC", options->from, "What to copy; - is stdin")->required();
  cp->add_option("DST", options->to, "Where to; - is stdout")->required();
  cp->add_flag("--verify", options->verify, "Compare SHA-256 sums of the bytes on both sides");
  cp->add_option("--offset", options->offset, "Skip this many bytes, which are there already")
      ->type_name("BYTES");
  cp->add_flag("--keep-partial", options->keep_partial,
               "Keep what was copied when it fails, to go on with --offset");
  CLI::Option* const recursive =
      cp->add_flag("-r,--recursive", options->recursive, "Copy a directory with all that is in it");
  seconds_option(cp, "--for", options->tree.limit, "With -r: how long all of it may take; no limit")
      ->needs(recursive);
  cp->add_flag("--owner", options->tree.owner,
               "With -r: keep owners, groups (by number) and set-user-id bits, as root")
      ->needs(recursive);
  cp->add_option("--max-files", options->tree.max_files,
                 "With -r: the most files that a guest may send (10000000)")
      ->type_name("N")
      ->needs(recursive);
  cp->add_option("--max-bytes", options->tree.max_bytes,
                 "With -r: the most bytes that a guest may send")
      ->type_name("BYTES")
      ->needs(recursive);
  cp->footer(
      "The path of a file of the guest begins with a colon: qga SOCKET cp :/etc/hosts . copies a "
      "file out of the guest, qga SOCKET cp hosts :/etc/hosts copies one into it. Where DST is a "
      "directory, cp -r makes a directory in it, and DST itself otherwise. cp -r needs tar and a "
      "shell in the guest. It keeps modes, times and symbolic links, and copies neither devices "
      "nor "
      "FIFOs nor sockets; where some were left out it exits with 1.");
}

}  // namespace qga_tool
