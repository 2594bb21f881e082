// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Compares files by SHA-256 sums, which `sha256sum` computes in the guest.
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

#include "../print.hpp"
#include "guest_tree.hpp"
#include "host_tree.hpp"

namespace qga_tool {

namespace {

/// For each group of files: their names, each with a NUL behind it; a NUL; what sha256sum says; a
/// NUL. The names come apart because not every sha256sum escapes line ends in them.
constexpr std::string_view sums_script =
    R"(printf '%s\0' "$@"; printf '\0'; sha256sum -- "$@"; printf '\0')";
/// A guest's list of arguments is shorter.
constexpr std::size_t longest_group = 64 << 20;
constexpr std::size_t digest_size = 64;

/// A name as sha256sum of GNU escapes it.
std::string escaped(const std::string& name) {
  std::string text;
  for (const char c : name) {
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else {
      text += c;
    }
  }
  return text;
}

/// Removes the line about a file from the beginning of what sha256sum says.
/// @return the digest; nothing where the line is about another file
std::optional<std::string> digest_of(std::string_view& said, const std::string& name) {
  std::string_view text = said;
  if (text.starts_with('\\')) text.remove_prefix(1);
  if (text.size() < digest_size + 2) return std::nullopt;
  const std::string digest(text.substr(0, digest_size));
  text.remove_prefix(digest_size + 2);  // two spaces, or a space and a star
  // Older versions of GNU leave a carriage return as it is.
  std::string older = escaped(name);
  for (std::size_t at = 0; (at = older.find("\\r", at)) != std::string::npos;) {
    older.replace(at, 2, "\r");
  }
  for (const std::string& form : {name, escaped(name), older}) {
    if (!text.starts_with(form + "\n")) continue;
    said = text.substr(form.size() + 1);
    return digest;
  }
  return std::nullopt;
}

class Comparison {
 public:
  Comparison(TreeCopy& copy, const std::filesystem::path& host,
             std::optional<std::set<std::string>> names)
      : copy_(copy), tree_(host), names_(std::move(names)) {}

  void run(const std::string& guest) {
    qga::StartParams start;
    start.args = {".",  "-type", "f", "-exec", "sh", "-c", std::string(sums_script),
                  "sh", "{}",    "+"};
    start.add_env = {"LC_ALL=C"};
    start.cwd = guest;
    qga::Process find = copy_.ga().start("find", std::move(start));
    GuestOutput output(find, copy_.limits);
    std::string group;
    for (std::string_view more; !(more = output.next()).empty();) {
      group += more;
      if (group.size() > longest_group) {
        throw std::runtime_error("the guest sends sums that make no sense");
      }
      std::string_view rest = group;
      while (const auto size = size_of_group(rest)) {
        compare(rest.substr(0, *size));
        rest.remove_prefix(*size);
      }
      group.erase(0, group.size() - rest.size());
    }
    if (names_) {
      for (const std::string& name : *names_) differs(name, "is not in the guest");
    }
    copy_.end_progress();
    if (differences_ > 0) {
      throw std::runtime_error("not equal: " + files_text(differences_) +
                               "; equal: " + files_text(equal_));
    }
    const qga::ProcessStatus status = output.status();
    if (status.exit_code != 0 || !group.empty()) {
      show_errors(copy_, output.errors(), true);
      throw std::runtime_error("the guest cannot compute all SHA-256 sums");
    }
  }
  std::uint64_t equal() const { return equal_; }

 private:
  static constexpr std::uint64_t most_shown = 10;

  /// How long the first group is; nothing where it is not complete.
  static std::optional<std::size_t> size_of_group(std::string_view text) {
    // Its names end with an empty one.
    const std::size_t names = text.find(std::string_view("\0\0", 2));
    if (names == std::string::npos) return std::nullopt;
    const std::size_t sums = text.find('\0', names + 2);
    if (sums == std::string::npos) return std::nullopt;
    return sums + 1;
  }

  void compare(std::string_view group) {
    const std::size_t names = group.find(std::string_view("\0\0", 2)) + 1;
    std::string_view said = group.substr(names + 1, group.size() - names - 2);
    for (std::string_view rest = group.substr(0, names); !rest.empty();) {
      const std::size_t size = rest.find('\0');
      const std::string name(rest.substr(0, size));
      rest.remove_prefix(size + 1);
      if (++seen_ > copy_.options.max_files) {
        throw std::runtime_error("the guest has more files than --max-files allows");
      }
      const std::optional<std::string> digest = digest_of(said, name);
      if (names_ && names_->erase(name) == 0) continue;  // a file that was there before
      compare(name, digest);
    }
  }

  void compare(const std::string& name, const std::optional<std::string>& digest) {
    if (!digest) return differs(name, "cannot be read in the guest");
    const Parts parts = parts_of(name);
    if (parts.empty()) throw std::runtime_error("the guest sends sums that make no sense");
    try {
      if (digest != digest_of(tree_.open_file(parts))) return differs(name, "differs");
    } catch (const std::system_error& error) {
      return differs(name, std::string("is not here: ") + error.what());
    }
    ++equal_;
  }

  std::string digest_of(const Descriptor& file) const {
    qga::detail::Sha256 sum;
    std::array<char, 64 << 10> buffer;
    for (ssize_t size = 0; (size = ::read(file.get(), buffer.data(), buffer.size())) != 0;) {
      if (size < 0) throw std::system_error(errno, std::system_category(), "cannot read");
      sum.add({buffer.data(), static_cast<std::size_t>(size)});
      copy_.check_limits();
    }
    return sum.digest();
  }
  static std::optional<std::string> digest_of(std::string_view& said, const std::string& name) {
    return qga_tool::digest_of(said, name);
  }

  void differs(const std::string& name, const std::string& how) {
    copy_.end_progress();
    if (++differences_ <= most_shown) complain("'" + name + "' " + how);
  }

  TreeCopy& copy_;
  HostTree tree_;
  std::optional<std::set<std::string>> names_;  ///< those that have not been seen
  std::uint64_t seen_ = 0;
  std::uint64_t equal_ = 0;
  std::uint64_t differences_ = 0;
};

}  // namespace

std::uint64_t compare_trees(TreeCopy& copy, const std::string& guest,
                            const std::filesystem::path& host,
                            std::optional<std::set<std::string>> names) {
  Comparison comparison(copy, host, std::move(names));
  comparison.run(guest);
  return comparison.equal();
}

}  // namespace qga_tool
