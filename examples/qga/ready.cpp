// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Puts an epoll descriptor between Asio and a descriptor of the tool.
#include "ready.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/epoll.h>
#include <asio/error.hpp>
#include <asio/post.hpp>

namespace qga_tool {

Ready::Ready(asio::io_context& context, int fd, To what) : context_(context), watch_(context) {
  const int watch = ::epoll_create1(EPOLL_CLOEXEC);
  if (watch < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
  watch_.assign(watch);
  epoll_event event{};
  event.events = what == To::read ? EPOLLIN : EPOLLOUT;
  always_ = ::epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) != 0;
}

void Ready::async_wait(std::function<void()> then) {
  if (always_) return asio::post(context_, std::move(then));
  watch_.async_wait(asio::posix::descriptor_base::wait_read,
                    [then = std::move(then)](const std::error_code& error) {
                      if (error != asio::error::operation_aborted) then();
                    });
}

void Ready::cancel() {
  std::error_code ignored;
  watch_.cancel(ignored);
}

}  // namespace qga_tool
