// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Uses up the descriptors of the process, and gives them back in the end. Those that are open go
// on working.
#pragma once

#include <cerrno>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "catch.hpp"
#include "sanitized.hpp"
#include "sockets.hpp"

namespace faults {

class NoDescriptors {
 public:
  NoDescriptors() {
    if (::getrlimit(RLIMIT_NOFILE, &before_) != 0) fail();
    rlimit few = before_;
    few.rlim_cur = 256;  // with far fewer, poll would refuse its work
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) fail();
    for (;;) {
      const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (fd < 0) break;
      used_.emplace_back(fd);
    }
    if (errno != EMFILE) fail();
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  [[noreturn]] static void fail() { throw std::system_error(errno, std::system_category()); }

  rlimit before_{};
  std::vector<qga_test::Descriptor> used_;
};

/// Whether a test cannot take all descriptors away, which it then says: the undefined-behaviour
/// sanitizer needs some for its own checks.
inline bool needs_descriptors() {
  if (qga_test::sanitized) WARN("skipped: the sanitizer needs descriptors itself");
  return qga_test::sanitized;
}

}  // namespace faults
