// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The system calls that Linux, macOS and the BSDs do not share. Each has a form here for systems
// that have only what POSIX asks for; that form is compiled everywhere, so that it is tested
// everywhere. Of the other headers only io/resolve.hpp asks which system it is on, for vsock.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#if __has_include(<sys/eventfd.h>)
#include <sys/eventfd.h>
#endif
#if __has_include(<sys/random.h>)
#include <sys/random.h>  // macOS declares getentropy here and nowhere else
#endif

namespace qga::inline v0_1::detail {

inline std::error_code last_error() { return {errno, std::system_category()}; }

/// An open descriptor that closes itself unless released.
class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int fd = -1) : fd_(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : fd_(other.release()) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// Makes a descriptor non-blocking, and keeps it from child processes.
/// @throws std::system_error
inline void set_flags(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    throw std::system_error(last_error());
  }
}

// ---- sockets ---------------------------------------------------------------------------------

/// The form for systems without flags of `socket`: a child process that another thread starts
/// between its two calls inherits the socket.
inline OwnedDescriptor open_socket_in_two_calls(int family, int protocol) {
  OwnedDescriptor opened(::socket(family, SOCK_STREAM, protocol));
  if (opened.get() < 0) throw std::system_error(last_error());
  set_flags(opened.get());
  return opened;
}

/// Opens a stream socket that does not block and that child processes do not inherit.
/// @throws std::system_error
inline OwnedDescriptor open_socket(int family, int protocol) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  OwnedDescriptor opened(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (opened.get() < 0) throw std::system_error(last_error());
  return opened;
#else
  return open_socket_in_two_calls(family, protocol);
#endif
}

/// Lets a socket whose other end is closed report that by an error, and not by SIGPIPE, where the
/// system has that as a setting of the socket; elsewhere `send_some` does.
inline void disable_sigpipe([[maybe_unused]] int socket) {
#ifdef SO_NOSIGPIPE
  const int on = 1;
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on));
#endif
}

/// `send` without SIGPIPE, on a socket for which `disable_sigpipe` was called.
inline ssize_t send_some(int socket, std::string_view bytes) {
#ifdef MSG_NOSIGNAL
  return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
#else
  return ::send(socket, bytes.data(), bytes.size(), 0);
#endif
}

// ---- waking a thread -------------------------------------------------------------------------

/// A PipeSignal is a descriptor that becomes readable when it is set, and stays so.
class PipeSignal {
 public:
  /// @throws std::system_error where the process has no descriptor left
  void open() {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) throw std::system_error(last_error());
    readable_ = OwnedDescriptor(ends[0]);
    writable_ = OwnedDescriptor(ends[1]);
    set_flags(ends[0]);
    set_flags(ends[1]);
  }
  /// The descriptor to wait for; -1: not opened.
  int fd() const { return readable_.get(); }
  /// May be called on any thread, and in a signal handler.
  void set() const noexcept {
    const char one = 1;
    static_cast<void>(!::write(writable_.get(), &one, sizeof one));
  }

 private:
  OwnedDescriptor readable_;
  OwnedDescriptor writable_;
};

#ifdef EFD_CLOEXEC
/// The same with one descriptor instead of two.
class EventSignal {
 public:
  /// @throws std::system_error where the process has no descriptor left
  void open() {
    fd_ = OwnedDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd_.get() < 0) throw std::system_error(last_error());
  }
  int fd() const { return fd_.get(); }
  void set() const noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(fd_.get(), &one, sizeof one));
  }

 private:
  OwnedDescriptor fd_;
};
using WakeSignal = EventSignal;
#else
using WakeSignal = PipeSignal;
#endif

// ---- random bytes ----------------------------------------------------------------------------

/// Fills `size` bytes, 256 at most, with random bits that nobody can guess.
/// @throws std::system_error
inline void fill_with_random(void* bytes, std::size_t size) {
  if (::getentropy(bytes, size) != 0) {
    throw std::system_error(errno, std::system_category(), "no random bytes");
  }
}

}  // namespace qga::inline v0_1::detail
