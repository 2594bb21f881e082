// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Copies a directory out of the guest: what `tar` writes there is unpacked here as it comes.
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "guest_tree.hpp"
#include "unpack.hpp"

namespace qga_tool {

namespace {

/// A `tar` fills its last block with zeros.
constexpr std::uint64_t longest_padding = 1 << 20;

/// Where the copy goes: as with `cp -r`, into a directory that is there already, or to a new one.
std::filesystem::path target_of(const TreeOptions& options) {
  std::filesystem::path target = options.to;
  if (std::filesystem::is_directory(target)) target /= name_in_path(options.from);
  if (std::filesystem::exists(target) && !std::filesystem::is_directory(target)) {
    throw std::runtime_error("'" + target.string() + "' must be a directory, or not be there");
  }
  return target;
}

/// @return false: it was there already
bool make_directory(const std::filesystem::path& target) {
  if (::mkdir(target.c_str(), 0700) == 0) return true;
  if (errno == EEXIST) return false;
  throw std::system_error(errno, std::system_category(), "cannot make '" + target.string() + "'");
}

}  // namespace

int copy_from_guest(TreeCopy& copy) {
  const std::filesystem::path target = target_of(copy.options);
  if (copy.options.owner && ::geteuid() != 0) {
    throw std::runtime_error("--owner needs root: only root may give files to others");
  }
  // The working directory has no need of quotes, which tar would read in names.
  qga::StartParams start;
  start.args = {"-cf", "-", "."};
  start.add_env = {"LC_ALL=C"};
  start.cwd = copy.options.from;
  qga::Process tar = copy.ga().start("tar", std::move(start));
  GuestOutput output(tar, copy.limits);

  const std::uint64_t most =
      copy.options.max_bytes.value_or(std::numeric_limits<std::uint64_t>::max());
  std::uint64_t received = 0;
  bool ended = false;
  const auto next = [&] {
    const std::string_view piece = output.next();
    ended = piece.empty();
    received += piece.size();
    if (received > most) {
      throw std::runtime_error("the guest has sent more than " + std::to_string(most) +
                               " bytes: --max-bytes allows more");
    }
    return piece;
  };
  UnpackOptions unpacking;
  unpacking.owner = copy.options.owner;
  unpacking.new_directory = make_directory(target);
  unpacking.max_files = copy.options.max_files;
  unpacking.progress = copy.progress();
  unpacking.refuse = copy.refusal();
  try {
    unpack(next, target, unpacking, copy.count);
  } catch (const ArchiveError&) {
    // A tar that failed explains more than what is missing of its archive.
    if (ended) report_tar(copy, output.status(), output.errors());
    throw;
  }
  const std::uint64_t archive_size = received;
  while (!ended) {
    next();
    if (received > archive_size + longest_padding) {
      throw std::runtime_error("the guest goes on sending after the end of the archive");
    }
  }
  report_tar(copy, output.status(), output.errors());
  std::optional<std::uint64_t> compared;
  if (copy.options.verify) compared = compare_trees(copy, copy.options.from, target, std::nullopt);
  return copy.finish(compared);
}

}  // namespace qga_tool
