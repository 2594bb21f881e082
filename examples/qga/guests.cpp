// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Looks up sockets by pattern, and names guests.
#include "guests.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <glob.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tool.hpp"

namespace qga_tool {

namespace {

constexpr std::string_view unix_prefix = "unix:";

std::string_view path_of(std::string_view address) {
  if (address.starts_with(unix_prefix)) address.remove_prefix(unix_prefix.size());
  return address;
}

bool is_pattern(const std::string& address) {
  const std::string path(path_of(address));
  struct stat info {};
  return path.find_first_of("*?[") != std::string::npos && ::stat(path.c_str(), &info) != 0;
}

/// A path that a pattern has found. One that looks like another address is marked as a path.
std::string address_of(std::string path) {
  const bool is_plain = path.starts_with('/') || path.find(':') == std::string::npos;
  return is_plain ? path : "./" + path;
}

int error_of_glob = 0;  // glob has no argument for it

/// The name of a guest whose address was given as it is.
std::string name_of(const std::string& address) {
  std::string_view name = path_of(address);
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  constexpr std::string_view usual = ".sock";
  if (name.size() > usual.size() && name.ends_with(usual)) name.remove_suffix(usual.size());
  return std::string(name);
}

/// The name of a guest that a pattern has found: what stands for the wildcards, with the rest of
/// the words that they are in. So a name does not depend on which guests are there.
std::string name_in(const std::string& pattern, const std::string& found) {
  const std::string_view path = path_of(pattern);
  const std::size_t begin = path.rfind('/', path.find_first_of("*?[")) + 1;
  const std::size_t after = path.find_first_of("./", path.find_last_of("*?]") + 1);
  const std::size_t ending = after == std::string_view::npos ? 0 : path.size() - after;
  if (found.size() <= begin + ending) return name_of(found);
  return found.substr(begin, found.size() - begin - ending);
}

/// Gives guests of the same name their addresses for names.
void make_unique(std::vector<GuestName>& guests) {
  std::map<std::string, int> count;
  for (const GuestName& guest : guests) ++count[guest.name];
  for (GuestName& guest : guests) {
    if (count[guest.name] > 1) guest.name = guest.address;
  }
}

}  // namespace

/// The sockets that a pattern matches, in the order of their names.
const std::vector<std::string>& Guests::matches_of(const std::string& pattern) {
  std::vector<std::string> matches;
  glob_t found{};
  error_of_glob = 0;
  const auto note = [](const char*, int error) {
    error_of_glob = error;
    return 0;
  };
  if (::glob(std::string(path_of(pattern)).c_str(), 0, note, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      struct stat info {};
      const bool is_socket = ::stat(found.gl_pathv[i], &info) == 0 && S_ISSOCK(info.st_mode);
      if (is_socket) matches.push_back(address_of(found.gl_pathv[i]));
    }
  }
  ::globfree(&found);
  std::vector<std::string>& known = matches_[pattern];
  const bool no_descriptor = error_of_glob == EMFILE || error_of_glob == ENFILE;
  if (!no_descriptor) known = std::move(matches);
  return known;
}

bool Guests::are_many() const { return are_listed() || is_pattern(socket); }

const std::string& Guests::one() const {
  if (are_many()) throw UsageError("this command must be used with one SOCKET, not with many");
  return socket;
}

void Guests::read_file() {
  std::ifstream named;
  const bool is_stdin = file == "-";
  if (!is_stdin) named.open(file);
  std::istream& in = is_stdin ? std::cin : named;
  if (!in) throw UsageError("cannot read '" + file + "': it must be a file with a socket a line");
  for (std::string line; std::getline(in, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    line.erase(0, line.find_first_not_of(" \t"));
    if (!line.empty() && line.front() != '#') lines_.push_back(line);
  }
  file_is_read_ = true;
}

std::vector<GuestName> Guests::now() { return find(false); }
std::vector<GuestName> Guests::all() { return find(true); }

std::vector<GuestName> Guests::find(bool each_pattern) {
  if (!file.empty() && !file_is_read_) read_file();
  std::vector<std::string> given = sockets;
  if (!socket.empty()) given.push_back(socket);
  given.insert(given.end(), lines_.begin(), lines_.end());
  std::vector<GuestName> guests;
  std::set<std::string> seen;
  const auto add = [&](std::string name, const std::string& address) {
    if (seen.insert(address).second) guests.push_back({std::move(name), address});
  };
  for (const std::string& address : given) {
    if (!is_pattern(address)) {
      add(name_of(address), address);
      continue;
    }
    const std::vector<std::string>& matches = matches_of(address);
    if (matches.empty() && each_pattern) {
      throw UsageError("no socket matches '" + address + "'");
    }
    for (const std::string& match : matches) add(name_in(address, match), match);
  }
  if (guests.empty()) {
    throw UsageError(given.empty() ? "'" + file + "' names no socket"
                                   : "no socket matches '" + given.front() + "'");
  }
  make_unique(guests);
  return guests;
}

std::size_t most_connected() {
  constexpr std::size_t others = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return others;
  rlimit raised = limit;
  raised.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  const auto all = static_cast<std::size_t>(limit.rlim_cur);
  return std::max({all > others ? all - others : 0, all / 2, std::size_t{1}});
}

}  // namespace qga_tool
