// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the library does with less than Linux has: the forms for other systems, tried on this one.
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "catch.hpp"
#include "qga/detail/number.hpp"
#include "qga/detail/system.hpp"
#include "qga/helpers/host_file.hpp"

using namespace qga::detail;

namespace {

bool is_readable(int fd) {
  pollfd fds{fd, POLLIN, 0};
  return ::poll(&fds, 1, 0) == 1 && fds.revents == POLLIN;
}

bool does_not_block(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }
bool is_kept_from_children(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

template <class Signal>
void check_signal() {
  Signal signal;
  CHECK(signal.fd() == -1);
  signal.open();
  CHECK(does_not_block(signal.fd()));
  CHECK(is_kept_from_children(signal.fd()));
  CHECK_FALSE(is_readable(signal.fd()));
  // More often than a pipe holds bytes: setting it never blocks.
  for (int i = 0; i < 100'000; ++i) signal.set();
  CHECK(is_readable(signal.fd()));
  CHECK(is_readable(signal.fd()));
}

}  // namespace

TEST_CASE("a signal wakes poll, and stays set") {
  check_signal<PipeSignal>();
  check_signal<WakeSignal>();
}

TEST_CASE("a socket does not block and is kept from children, in one call or in two") {
  for (auto* const open : {&open_socket, &open_socket_in_two_calls}) {
    const OwnedDescriptor opened = open(AF_UNIX, 0);
    CHECK(does_not_block(opened.get()));
    CHECK(is_kept_from_children(opened.get()));
  }
  CHECK_THROWS_AS(open_socket(-1, 0), std::system_error);
  CHECK_THROWS_AS(open_socket_in_two_calls(-1, 0), std::system_error);
}

TEST_CASE("sending to a socket whose other end is closed is an error and no signal") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  const OwnedDescriptor here(ends[0]);
  ::close(ends[1]);
  disable_sigpipe(here.get());
  CHECK(send_some(here.get(), "x") < 0);
  CHECK(errno == EPIPE);
}

TEST_CASE("random bytes differ") {
  std::array<std::uint64_t, 2> one{};
  std::array<std::uint64_t, 2> other{};
  fill_with_random(one.data(), sizeof one);
  fill_with_random(other.data(), sizeof other);
  CHECK(one != other);
  char too_many[257];
  CHECK_THROWS_AS(fill_with_random(too_many, sizeof too_many), std::system_error);
}

TEST_CASE("a number keeps its value in a type of another size") {
  CHECK(number_as<std::uint32_t>(std::uint64_t{0xffffffff}) == 0xffffffff);
  CHECK(number_as<std::uint64_t>(std::uint64_t{1} << 40) == std::uint64_t{1} << 40);
}

TEST_CASE("an offset that does not fit into off_t is not cut to one that does") {
  FileSource source("/dev/zero");
  try {
    source.open(std::uint64_t{1} << 63);
    FAIL("opened at an offset that no file has");
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::value_too_large);
  }
}
