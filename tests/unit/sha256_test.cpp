// SPDX-License-Identifier: LGPL-3.0-or-later
//
// SHA-256 against the examples of NIST, whatever the pieces in which the bytes come.
#include <algorithm>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "qga/helpers/sha256.hpp"

namespace {

std::string sha256(std::string_view bytes, std::size_t piece = std::string_view::npos) {
  qga::detail::Sha256 hash;
  while (!bytes.empty()) {
    hash.add(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return hash.digest();
}

}  // namespace

TEST_CASE("SHA-256 of the examples of its standard") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not depend on the pieces") {
  for (const std::size_t size : {55U, 56U, 63U, 64U, 65U, 127U, 128U, 1000U}) {
    const std::string bytes(size, 'x');
    for (const std::size_t piece : {1U, 7U, 63U, 64U, 65U})
      CHECK(sha256(bytes, piece) == sha256(bytes));
  }
}
