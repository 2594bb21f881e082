// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What is the address of a channel, what is none, and that nothing lies between the two.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catch.hpp"
#include "qga/detail/io/address.hpp"
#include "qga/error.hpp"
#include "written.hpp"

using namespace std::string_literals;
using qga::detail::Address;
using qga::detail::parse_address;

namespace {

std::string operator*(const std::string& text, std::size_t times) {
  std::string result;
  while (times-- > 0) result += text;
  return result;
}

bool refused(const std::string& text, std::errc why = std::errc::invalid_argument) {
  try {
    parse_address(text);
    return false;
  } catch (const qga::ConnectError& error) {
    return error.code() == 1000 && error.err() == why && error.command().empty() &&
           error.outcome() == qga::Outcome::not_sent;
  }
}

std::string words_about(const std::string& text) {
  try {
    parse_address(text);
    return "";
  } catch (const qga::GuestAgentError& error) {
    return error.what();
  }
}

Address unix_path(std::string path) { return {Address::Kind::path, std::move(path)}; }
Address tcp(std::string host, std::uint32_t port) {
  return {Address::Kind::host, std::move(host), 0, port};
}
Address vsock(std::uint32_t cid, std::uint32_t port) {
  return {Address::Kind::vsock, {}, cid, port};
}
Address handle(std::uint32_t number) { return {Address::Kind::handle, {}, number}; }

}  // namespace

TEST_CASE("addresses of UNIX sockets") {
  for (const std::string path :
       {"/run/vm/qga.sock", "/", "./qga.sock", "qga.sock", "run/qga.sock", "/run/a:b", "./a:b",
        "run/tcp:host:7000", "/tcp:1:2", "unix", "tcp", "7000", "@abstract", "~/qga.sock", " ",
        "a b", "\xC3\xA4", "\x1B"}) {
    CAPTURE(path);
    CHECK(parse_address(path) == unix_path(path));
    CHECK(parse_address("unix:" + path) == unix_path(path));
  }
  for (const std::string path : {"a:b", "tcp:host:7000", "unix:x", "fd:3", ":", "//host/path"}) {
    CAPTURE(path);
    CHECK(parse_address("unix:" + path) == unix_path(path));
  }
  const std::string longest = "/"s + "x"s * 106;
  CHECK(parse_address(longest) == unix_path(longest));
  CHECK(parse_address("unix:" + longest) == unix_path(longest));
}

TEST_CASE("no addresses of UNIX sockets") {
  for (const std::string text : {"", "unix:", "Unix:/run/qga.sock", "unix :/run/qga.sock", ":",
                                 ":/run/qga.sock", "a:b", "a:b/c", "file:///run/qga.sock"}) {
    CAPTURE(text);
    CHECK(refused(text));
  }
  const std::string too_long = "/"s + "x"s * 107;
  CHECK(refused(too_long, std::errc::filename_too_long));
  CHECK(refused("unix:" + too_long, std::errc::filename_too_long));
  CHECK(refused("x"s * 1'000'000, std::errc::filename_too_long));
}

TEST_CASE("addresses of TCP") {
  CHECK(parse_address("tcp:localhost:7000") == tcp("localhost", 7000));
  CHECK(parse_address("tcp:a-b_c.example.:1") == tcp("a-b_c.example.", 1));
  CHECK(parse_address("tcp:127.0.0.1:65535") == tcp("127.0.0.1", 65535));
  CHECK(parse_address("tcp:[::1]:7000") == tcp("::1", 7000));
  CHECK(parse_address("tcp:[fd00::2]:7000") == tcp("fd00::2", 7000));
  CHECK(parse_address("tcp:[fe80::1%eth0.5]:7000") == tcp("fe80::1%eth0.5", 7000));
  CHECK(parse_address("tcp:[::ffff:127.0.0.1]:7000") == tcp("::ffff:127.0.0.1", 7000));
  CHECK(parse_address("tcp:1password.example:0080") == tcp("1password.example", 80));
}

TEST_CASE("no addresses of TCP") {
  for (const std::string rest : {"",
                                 ":",
                                 "host",
                                 "host:",
                                 ":7000",
                                 "host:0",
                                 "host:x",
                                 "host:65536",
                                 "host:-1",
                                 "host:+1",
                                 "host: 1",
                                 "host:1 ",
                                 "host:1.0",
                                 "host:0x10",
                                 "host:http",
                                 "::1:7000",
                                 "[]:7000",
                                 "[::1]",
                                 "[::1]7",
                                 "[::1:7000",
                                 "::1]:7000",
                                 "[host]:7000",
                                 "[1::2::3]",
                                 "[127.0.0.1]:7",
                                 "[::1%]:7",
                                 "[::1%a b]:7",
                                 "[%eth0]:7",
                                 "[[::1]]:7",
                                 "[:7",
                                 "//host:7000",
                                 "a/b:7000",
                                 "a b:7000",
                                 "user@host:70",
                                 "h\nost:7000",
                                 "h\xC3:7",
                                 "host:7000/",
                                 "1:7",
                                 "127.1:7",
                                 "256.0.0.1:7",
                                 "1.2.3.4.5:7",
                                 ".:7",
                                 "host:7:8",
                                 "host:99999999999999999999999999999999999999999"}) {
    CAPTURE(rest);
    CHECK(refused("tcp:" + rest));
  }
  CHECK(refused("TCP:host:7000"));
  CHECK(refused("tcp6:host:7000"));
}

TEST_CASE("addresses of vsock") {
  CHECK(parse_address("vsock:3:1234") == vsock(3, 1234));
  CHECK(parse_address("vsock:0:0") == vsock(0, 0));
  CHECK(parse_address("vsock:4294967294:4294967294") == vsock(4294967294, 4294967294));
}

TEST_CASE("no addresses of vsock") {
  for (const std::string rest :
       {"", ":", "3", "3:", ":1234", "3:1:2", "-1:1234", "3:-1", "4294967295:1", "3:4294967295",
        "4294967299:1", "3:4294967296", "host:1234", "0x3:1234", " 3:1234", "3:1234\n"}) {
    CAPTURE(rest);
    CHECK(refused("vsock:" + rest));
  }
}

TEST_CASE("addresses of descriptors") {
  CHECK(parse_address("fd:0") == handle(0));
  CHECK(parse_address("fd:2147483647") == handle(2147483647));
  for (const std::string rest : {"", "-1", "+3", " 3", "3 ", "3:", "x", "2147483648", "0x3"}) {
    CAPTURE(rest);
    CHECK(refused("fd:" + rest));
  }
}

TEST_CASE("a NUL is in no address") {
  for (const std::string& text : {"\0"s, "/run/qga.sock\0"s, "/run\0/qga.sock"s, "\0abstract"s,
                                  "tcp:host\0:7000"s, "tcp:[::1\0]:7000"s, "fd:3\0"s}) {
    CHECK(refused(text));
  }
}

TEST_CASE("what is wrong with an address is told") {
  CHECK(words_about("tcp:host") ==
        "cannot connect to 'tcp:host': the port is missing: add :PORT (Invalid argument)");
  CHECK(words_about("a\x1B[31m:\n") ==
        "cannot connect to 'a\\x1b[31m:\\x0a': it must begin with unix:, tcp:, vsock: or fd:, "
        "or be a path "
        "(Invalid argument)");
  CHECK(words_about("tcp:" + "x"s * 1'000'000).size() < 2000);
}

TEST_CASE("any text is an address or refused", "[long]") {
  constexpr std::string_view pieces[] = {
      "unix", "tcp", "vsock", "fd", ":", ":", ":",  "::1",        "[",    "]",         "%eth0",
      "/",    ".",   "-",     "+",  " ", "0", "17", "4294967295", "host", "127.0.0.1", "\xFF"};
  std::mt19937 random(1);
  std::size_t addresses = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (auto left = random() % 8; left > 0; --left) text += pieces[random() % std::size(pieces)];
    try {
      const Address address = parse_address(text);
      ++addresses;
      const std::string again = qga::test::written(address);
      if (parse_address(again) != address) FAIL(text + " became " + again);
    } catch (const qga::ConnectError&) {
      if (!refused(text)) FAIL(text);
    }
  }
  CHECK(addresses > 1000);
}
