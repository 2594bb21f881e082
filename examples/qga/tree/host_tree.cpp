// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Opens each part of a path in the directory before it, without following symbolic links.
#include "host_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qga_tool {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

std::string path_of(const Parts& parts) {
  std::string path;
  for (const std::string& part : parts) path.append(path.empty() ? "" : "/").append(part);
  return path.empty() ? "." : path;
}

Descriptor::~Descriptor() { close(); }

bool Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  return fd < 0 || ::close(fd) == 0;
}

void fail_with_errno(const std::string& what, const Parts& parts) {
  throw std::system_error(errno, std::system_category(), what + " '" + path_of(parts) + "'");
}

Parts parts_of(std::string_view path) {
  if (path.size() >= PATH_MAX) {
    throw std::runtime_error("a path must be shorter than " + std::to_string(PATH_MAX) +
                             " bytes, and the guest has sent one of " +
                             std::to_string(path.size()));
  }
  const auto refuse = [path](const char* why) {
    throw std::runtime_error("the guest has sent the path '" + std::string(path) + "', which " +
                             why);
  };
  if (path.starts_with('/')) refuse("is absolute");
  Parts parts;
  while (!path.empty()) {
    const std::size_t size = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, size);
    if (part == "..") refuse("leads out of the directory");
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(std::min(size + 1, path.size()));
  }
  return parts;
}

HostTree::HostTree(const std::filesystem::path& directory)
    : root_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (root_.get() < 0) {
    throw std::system_error(errno, std::system_category(),
                            "cannot open '" + directory.string() + "'");
  }
}

int HostTree::directory(const Parts& parts, bool make) {
  const bool goes_on = std::ranges::mismatch(at_, parts).in1 == at_.end();
  if (!goes_on) {
    at_.clear();
    reached_ = Descriptor();
  }
  while (at_.size() < parts.size()) {
    const int before = reached_.get() < 0 ? root_.get() : reached_.get();
    const char* const name = parts[at_.size()].c_str();
    const Parts so_far(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(at_.size()) + 1);
    // Others may look into it when its own mode is set.
    if (make && ::mkdirat(before, name, 0700) != 0 && errno != EEXIST) {
      fail_with_errno("cannot make", so_far);
    }
    Descriptor next(::openat(before, name, directory_flags));
    if (next.get() < 0) {
      fail_with_errno("what must be a directory, and no symbolic link, is", so_far);
    }
    reached_ = std::move(next);
    at_.push_back(parts[at_.size()]);
  }
  return reached_.get() < 0 ? root_.get() : reached_.get();
}

int HostTree::parent(const Parts& parts, bool make) {
  return directory(Parts(parts.begin(), parts.end() - 1), make);
}

Descriptor HostTree::open_file(const Parts& parts) {
  // Opening a FIFO would wait without O_NONBLOCK.
  Descriptor file(::openat(parent(parts), parts.back().c_str(),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) fail_with_errno("cannot read", parts);
  if (!S_ISREG(status.st_mode)) {
    errno = ENOTSUP;
    fail_with_errno("cannot read what is no regular file:", parts);
  }
  return file;
}

}  // namespace qga_tool
