// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program may be started with its stdin, stdout or stderr closed. The next file that it opens
// would have the number of that one, such as the socket of a guest: what is to be printed would be
// sent to the guest.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace qga_tool {

/// Opens /dev/null for each of the three that is closed: stdin for writing only and the others for
/// reading only. So what reads or writes them fails, as it does where they are closed. This must
/// be called before anything else is opened.
inline void keep_closed_files() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is this one.
    static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

}  // namespace qga_tool
