// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The receive buffer, fed as a channel feeds it: in pieces of any size, with garbage of any length,
// within the memory that it promises.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "qga/detail/protocol/reader.hpp"

using qga::detail::Reader;
using namespace std::string_literals;
using Items = std::vector<std::string>;

namespace {

constexpr std::size_t roomy = 1 << 20;

/// What there is now: lines as they are, everything else as a word in brackets.
Items items(Reader& reader, std::size_t limit = roomy) {
  Items found;
  for (;;) {
    switch (reader.next(limit)) {
      case Reader::Item::none:
        return found;
      case Reader::Item::line:
        found.emplace_back(reader.line());
        break;
      case Reader::Item::sentinel:
        found.emplace_back(reader.cut() ? "<cut>" : "<sentinel>");
        break;
      case Reader::Item::overflow:
        found.emplace_back("<overflow>");
    }
  }
}

/// Gives `bytes` to the reader in as many pieces as it wants, asking for items after each.
Items fed(Reader& reader, std::string_view bytes, std::size_t limit = roomy) {
  Items found;
  while (!bytes.empty()) {
    const std::span<char> space = reader.space();
    REQUIRE_FALSE(space.empty());
    const std::size_t size = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), size);
    reader.received(size);
    bytes.remove_prefix(size);
    for (auto& item : items(reader, limit)) found.push_back(std::move(item));
  }
  return found;
}

Items read(std::string_view bytes, std::size_t limit = roomy) {
  Reader reader(4096);
  return fed(reader, bytes, limit);
}

}  // namespace

TEST_CASE("lines come out whole, with everything but their newline") {
  CHECK(read("abc\n") == Items{"abc"});
  CHECK(read("a\nbc\n\nd") == Items{"a", "bc"});
  CHECK(read("a\r\nb\r\n") == Items{"a\r", "b\r"});
  CHECK(read(" a \n") == Items{" a "});
  CHECK(read("a\0b\n"s) == Items{"a\0b"s});
  CHECK(read("\n\r\n \t\r\n\n") == Items{});
  CHECK(read("") == Items{});
  CHECK(read(std::string(100000, '\n')) == Items{});
}

TEST_CASE("a sentinel is told from a line, and what it cut is gone") {
  CHECK(read("\xFF{}\n") == Items{"<sentinel>", "{}"});
  CHECK(read("a\n\xFF\xFF{}\n") == Items{"a", "<sentinel>", "<sentinel>", "{}"});
  CHECK(read("half\xFF{}\n") == Items{"<cut>", "{}"});
  CHECK(read("\xFFhalf\xFF{}\n") == Items{"<sentinel>", "<cut>", "{}"});
  CHECK(read("a\xFF") == Items{"<cut>"});
  CHECK(read("\n\xFF\n") == Items{"<sentinel>"});
}

TEST_CASE("it does not matter how the bytes are split") {
  const std::string stream = "{\"return\": {}}\n\n\xFF{\"return\": 5}\nhalf\xFFx\r\n\xFF\xFF" +
                             std::string(50, 'y') + "\nz\nno end";
  const Items whole = read(stream, 40);
  CHECK(whole == Items{"{\"return\": {}}", "<sentinel>", "{\"return\": 5}", "<cut>", "x\r",
                       "<sentinel>", "<sentinel>", "<overflow>", "z"});
  for (const std::size_t first_read : {1u, 2u, 3u, 7u, 64u, 4096u}) {
    for (std::size_t at = 0; at <= stream.size(); ++at) {
      INFO("split at " << at << ", reading " << first_read);
      Reader reader(first_read);
      Items found = fed(reader, std::string_view(stream).substr(0, at), 40);
      for (auto& item : fed(reader, std::string_view(stream).substr(at), 40)) found.push_back(item);
      REQUIRE(found == whole);
    }
  }
}

TEST_CASE("hunting drops everything up to the sentinel") {
  Reader reader(16);
  CHECK(fed(reader, "a\nhalf a li") == Items{"a"});
  reader.hunt(true);
  CHECK(fed(reader, "ne\nanother\n\n") == Items{});
  CHECK(fed(reader, std::string(1000, 'x') + "\n\xFF") == Items{"<sentinel>"});
  reader.hunt(false);
  CHECK(fed(reader, "{}\n") == Items{"{}"});
}

TEST_CASE("hunting takes no memory, whatever comes and however much") {
  Reader reader(4096);
  reader.hunt(true);
  std::size_t most = 0;
  std::size_t left = 64 << 20;
  while (left > 0) {
    const std::span<char> space = reader.space();
    most = std::max(most, space.size());
    const std::size_t size = std::min(left, space.size());
    std::memset(space.data(), left % 3 == 0 ? '\n' : 'x', size);
    reader.received(size);
    left -= size;
    if (reader.next(roomy) != Reader::Item::none) FAIL("an item");
  }
  CHECK(most == 4096);
  CHECK(fed(reader, "x\n\xFF") == Items{"<sentinel>"});
}

TEST_CASE("the limit is the longest line that is kept") {
  for (const std::size_t limit : {1u, 10u, 4095u, 4096u, 4097u, 100000u}) {
    INFO(limit);
    const std::string fits(limit, 'x');
    CHECK(read(fits + "\n", limit) == Items{fits});
    CHECK(read(fits + "\nz\n", limit) == Items{fits, "z"});
    CHECK(read(fits + "x\nz\n", limit) == Items{"<overflow>", "z"});
    CHECK(read(fits, limit) == Items{});
    CHECK(read(fits + "x", limit) == Items{"<overflow>"});
  }
}

TEST_CASE("a line over the limit is told once, and skipped in constant memory") {
  Reader reader(4096);
  CHECK(fed(reader, std::string(1001, 'x'), 1000) == Items{"<overflow>"});
  std::size_t most = 0;
  for (int i = 0; i < 10000; ++i) {
    most = std::max(most, reader.space().size());
    REQUIRE(fed(reader, std::string(1000, 'x'), 1000) == Items{});
  }
  CHECK(most <= 4096);
  CHECK(fed(reader, "end\n{}\n", 1000) == Items{"{}"});
  CHECK(fed(reader, std::string(5000, 'x') + "\xFF{}\n", 1000) ==
        Items{"<overflow>", "<cut>", "{}"});
  CHECK(fed(reader, std::string(1001, 'x'), 1000) == Items{"<overflow>"});
  CHECK(fed(reader, "\xFF\xFF{}\n", 1000) == Items{"<cut>", "<sentinel>", "{}"});
}

TEST_CASE("a line grows the buffer by doubling, to no more than twice the limit") {
  Reader reader(4096);
  std::size_t most = 0;
  std::size_t held = 0;
  for (;;) {
    const std::span<char> space = reader.space();
    most = std::max(most, held + space.size());
    std::memset(space.data(), 'x', space.size());
    reader.received(space.size());
    held += space.size();
    if (reader.next(roomy) == Reader::Item::overflow) break;
    REQUIRE(held <= roomy);
  }
  CHECK(most > roomy);
  CHECK(most <= 2 * roomy);
  CHECK(reader.space().size() <= most);
}

TEST_CASE("a large buffer is given back when it is empty, a middling one when it is not used") {
  Reader reader(4096);
  const std::string large(8 << 20, 'x');
  CHECK(fed(reader, large + "\n", 16 << 20) == Items{large});
  CHECK(reader.space().size() == 4096);

  const std::string middling(1 << 20, 'x');
  CHECK(fed(reader, middling + "\n", 16 << 20) == Items{middling});
  CHECK(reader.space().size() > 1 << 20);  // the next may be as long
  for (int i = 0; i < 100; ++i) CHECK(fed(reader, "{}\n") == Items{"{}"});
  CHECK(reader.space().size() == 4096);
}

TEST_CASE("who rests keeps a little memory, and what has come in") {
  Reader reader(4096);
  for (const std::size_t size : {5000U, 50000U}) {
    CHECK(fed(reader, std::string(size, 'x') + "\n", 1 << 20) == Items{std::string(size, 'x')});
    reader.release_memory();
    CHECK(reader.space().size() == (size == 5000 ? 8192 : 4096));
  }
  CHECK(fed(reader, std::string(50000, 'x'), 1 << 20).empty());
  reader.release_memory();
  CHECK(fed(reader, "y\n", 1 << 20) == Items{std::string(50000, 'x') + "y"});
}

TEST_CASE("many lines in one read cost no growth") {
  Reader reader(4096);
  std::string stream;
  for (int i = 0; i < 100000; ++i) stream += "{\"return\": " + std::to_string(i) + "}\n";
  Items found = fed(reader, stream);
  REQUIRE(found.size() == 100000);
  CHECK(found.front() == "{\"return\": 0}");
  CHECK(found.back() == "{\"return\": 99999}");
  CHECK(reader.space().size() <= 8192);
}
