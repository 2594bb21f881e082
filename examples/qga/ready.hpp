// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Waits on an io_context for one of the tool's own inputs and outputs. Asio would make the
// descriptor non-blocking for that, which shows in every program that has it too, such as the shell
// that started the tool. So Asio watches an epoll descriptor that watches the other.
#pragma once

#include <functional>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

namespace qga_tool {

class Ready {
 public:
  enum class To { read, write };

  /// @param fd an open descriptor of any kind; files are ready at any time
  Ready(asio::io_context& context, int fd, To what);

  /// Calls a function once the descriptor can be read or written, or has failed. `cancel` does not
  /// keep it from being called where that is due already.
  void async_wait(std::function<void()> then);
  /// Ends the wait.
  void cancel();

 private:
  asio::io_context& context_;
  asio::posix::stream_descriptor watch_;
  bool always_ = false;  ///< epoll refuses files, which never make a reader or a writer wait
};

}  // namespace qga_tool
