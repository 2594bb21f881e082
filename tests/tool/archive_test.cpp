// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The archives of `cp -r`: what is packed is unpacked as it was, and what a hostile guest sends
// writes nothing outside of the directory.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../examples/qga/tree/pack.hpp"
#include "../../examples/qga/tree/unpack.hpp"
#include "catch.hpp"
#include "sanitized.hpp"
#include "tree.hpp"

using namespace qga_test;

namespace {

/// Gives an archive in pieces.
qga_tool::ArchiveSource source_of(std::string bytes, std::size_t piece = 1 << 20) {
  return [bytes = std::move(bytes), piece, at = std::size_t{0}]() mutable {
    const std::string_view part = std::string_view(bytes).substr(at, piece);
    at += part.size();
    return part;
  };
}

std::string packed(const std::filesystem::path& directory, qga_tool::PackOptions options = {}) {
  std::string bytes;
  qga_tool::TreeCount count;
  qga_tool::pack(
      directory, [&bytes](std::string_view more) { bytes += more; }, options, count);
  return bytes;
}

/// Unpacks an archive into a directory that has a neighbour with a file, which must stay as it is.
struct Victim {
  Victim() {
    std::filesystem::create_directory(files.file("target"));
    std::filesystem::create_directory(files.file("outside"));
    make_file(files.file("outside/victim"), "old");
    before = outside();
  }
  /// What the whole directory has, but for the target.
  std::map<std::string, std::string> outside() const {
    auto look = look_of(files.file(""));
    std::erase_if(look, [](const auto& file) { return file.first.starts_with("target"); });
    return look;
  }
  /// @return what was wrong; empty: nothing
  std::string unpack(qga_tool::ArchiveSource source) {
    qga_tool::UnpackOptions options = unpacking;
    options.refuse = [this](const std::string& reason) { refused.push_back(reason); };
    try {
      qga_tool::unpack(std::move(source), files.file("target"), options, count);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  TemporaryDirectory files;
  std::map<std::string, std::string> before;
  qga_tool::UnpackOptions unpacking;
  qga_tool::TreeCount count;
  std::vector<std::string> refused;
};

struct Hostile {
  std::string name;
  std::vector<Item> items;
  std::string error;  ///< a part of it
};

/// `@` in a path stands for the absolute path of the directory outside.
std::string placed(std::string text, const std::string& outside) {
  const auto at = text.find('@');
  return at == std::string::npos ? text : text.replace(at, 1, outside);
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

/// The header of an entry of an old tar, without contents.
std::string header(const std::string& name, char type, std::uint64_t size = 0) {
  std::string block(512, '\0');
  const auto put = [&block](std::size_t at, const std::string& text) {
    block.replace(at, text.size(), text);
  };
  const auto octal = [](std::uint64_t number) {
    char text[16];
    std::snprintf(text, sizeof text, "%011llo", static_cast<unsigned long long>(number));
    return std::string(text);
  };
  put(0, name);
  put(100, "0000755");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal(size));
  put(136, octal(1'000'000'000));
  put(148, "        ");
  block[156] = type;
  put(257, "ustar  ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  put(148, std::string(text) + '\0');
  return block;
}

/// The most memory that this process has had, in KiB.
long most_archive_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("what is packed is unpacked as it was") {
  const TemporaryDirectory files;
  make_tree(files.file("from"));
  const std::size_t piece = GENERATE(std::size_t{1}, std::size_t{511}, std::size_t{1} << 20);
  std::filesystem::create_directory(files.file("to"));
  qga_tool::TreeCount count;
  qga_tool::unpack(source_of(packed(files.file("from")), piece), files.file("to"), {}, count);
  CHECK(look_of(files.file("from")) == look_of(files.file("to")));
  CHECK(count.files == look_of(files.file("from")).size() - 1);
}

TEST_CASE("hard links and holes are copied as files, and those of the guest as such") {
  const TemporaryDirectory files;
  std::filesystem::create_directory(files.file("from"));
  std::filesystem::create_directory(files.file("to"));
  make_file(files.file("from/a"), "linked");
  std::filesystem::create_hard_link(files.file("from/a"), files.file("from/b"));
  make_file(files.file("from/hole"), "x");
  std::filesystem::resize_file(files.file("from/hole"), 3'000'000);
  qga_tool::TreeCount count;
  qga_tool::unpack(source_of(packed(files.file("from"))), files.file("to"), {}, count);
  CHECK(look_of(files.file("from")) == look_of(files.file("to")));
  CHECK(std::filesystem::hard_link_count(files.file("to/a")) == 1);

  const std::string linked = archive_of({{"./x"}, {.path = "./y", .hard_link = "./x"}});
  for (int i = 0; i < 2; ++i) {  // the second time they are there already
    qga_tool::unpack(source_of(linked), files.file("to"), {}, count);
    CHECK(std::filesystem::hard_link_count(files.file("to/y")) == 2);
  }
}

TEST_CASE("names come back from every format") {
  const auto format =
      GENERATE(&archive_write_set_format_gnutar, &archive_write_set_format_ustar,
               &archive_write_set_format_pax, &archive_write_set_format_pax_restricted);
  Victim victim;
  CHECK(victim.unpack(source_of(archive_of({{"./h\xc3\xb6her"}, {"./plain"}}, format))).empty());
  CHECK(contents(victim.files.file("target/h\xc3\xb6her")) == "new");
  CHECK(contents(victim.files.file("target/plain")) == "new");
}

TEST_CASE("a hostile archive writes nothing outside") {
  const Hostile hostile = GENERATE(
      Hostile{"absolute", {{"@/new"}}, "is absolute"},
      Hostile{"absolute directory", {{.path = "@/new", .type = AE_IFDIR}}, "is absolute"},
      Hostile{"dots", {{"../outside/new"}}, "leads out"},
      Hostile{"dots to a file", {{"../outside/victim"}}, "leads out"},
      Hostile{"dots within", {{"a/../../outside/new"}}, "leads out"},
      Hostile{"dots at the end", {{.path = "a/..", .type = AE_IFDIR, .mode = 0}}, "leads out"},
      Hostile{"through a link",
              {{.path = "l", .type = AE_IFLNK, .link = "../outside"}, {"l/new"}},
              "no symbolic link"},
      Hostile{"through an absolute link",
              {{.path = "l", .type = AE_IFLNK, .link = "@"}, {"l/victim"}},
              "no symbolic link"},
      Hostile{"through a link deeper",
              {{.path = "a/l", .type = AE_IFLNK, .link = "../../outside"}, {"a/l/b/new"}},
              "no symbolic link"},
      Hostile{"a directory in the place of a link",
              {{.path = "l", .type = AE_IFLNK, .link = "../outside"},
               {.path = "l", .type = AE_IFDIR, .mode = 0}},
              "no symbolic link"},
      Hostile{"a link in the place of a directory",
              {{.path = "l", .type = AE_IFDIR, .mode = 0},
               {.path = "l", .type = AE_IFLNK, .link = "../outside"}},
              "cannot write"},
      Hostile{"a link in the place of the root",
              {{.path = ".", .type = AE_IFLNK, .link = "../outside"}},
              "in the place of the directory"},
      Hostile{"hard link", {{.path = "h", .hard_link = "@/victim"}}, "is absolute"},
      Hostile{"hard link by dots", {{.path = "h", .hard_link = "../outside/victim"}}, "leads out"},
      Hostile{"hard link through a link",
              {{.path = "l", .type = AE_IFLNK, .link = "../outside"},
               {.path = "h", .hard_link = "l/victim"}},
              "no symbolic link"},
      Hostile{"hard link from outside",
              {{"f"}, {.path = "../outside/new", .hard_link = "f"}},
              "leads out"},
      Hostile{"hard link to itself", {{"f"}, {.path = "f", .hard_link = "./f"}}, "itself"},
      Hostile{"hard link to nothing", {{.path = "h", .hard_link = "no"}}, "cannot write"},
      Hostile{"a long name", {{std::string(10'000, 'x')}}, "must be shorter"},
      Hostile{"a long path", {{repeated("a/", 5000) + "b"}}, "must be shorter"},
      Hostile{"a long part", {{std::string(300, 'x')}}, "too long"},
      Hostile{"a link with a long target",
              {{.path = "l", .type = AE_IFLNK, .link = std::string(10'000, 'x')}},
              "too long"});
  INFO(hostile.name);
  Victim victim;
  std::vector<Item> items = hostile.items;
  for (Item& item : items) {
    for (std::string* text : {&item.path, &item.link, &item.hard_link}) {
      *text = placed(*text, victim.files.file("outside"));
    }
  }
  const std::string error = victim.unpack(source_of(archive_of(items)));
  INFO(error.substr(0, 1000));
  CHECK(contains(error, hostile.error));
  CHECK(victim.outside() == victim.before);
}

TEST_CASE("a link is replaced, and what it leads to is not written") {
  Victim victim;
  const std::vector<Item> items{{.path = "f", .type = AE_IFLNK, .link = "../outside/victim"},
                                {.path = "g", .hard_link = "f"},
                                {"f"},
                                {.path = "g", .mode = 0777}};
  CHECK(victim.unpack(source_of(archive_of(items))).empty());
  CHECK(victim.outside() == victim.before);
  CHECK(contents(victim.files.file("target/f")) == "new");
  CHECK(contents(victim.files.file("target/g")) == "new");
}

TEST_CASE("a link that the user has in the target is not followed") {
  Victim victim;
  std::filesystem::create_symlink("../outside", victim.files.file("target/mine"));
  CHECK(contains(victim.unpack(source_of(archive_of({{"mine/victim"}}))), "no symbolic link"));
  CHECK(victim.outside() == victim.before);
}

TEST_CASE("devices and FIFOs are not made, and the others come") {
  Victim victim;
  const std::vector<Item> items{{.path = "c", .type = AE_IFCHR},
                                {.path = "b", .type = AE_IFBLK},
                                {.path = "p", .type = AE_IFIFO},
                                {"f"}};
  CHECK(victim.unpack(source_of(archive_of(items))).empty());
  CHECK(victim.refused.size() == 3);
  CHECK(look_of(victim.files.file("target")).size() == 2);
}

TEST_CASE("a directory gets its mode and time when it has all of its files") {
  Victim victim;
  // The order is that of a tar which returns to a directory.
  std::vector<Item> items{{.path = "./d", .type = AE_IFDIR, .mode = 0555},
                          {.path = "./d/e", .type = AE_IFDIR, .mode = 0},
                          {"./f"},
                          {"./d/g"},
                          {"./d/e/h"},
                          {.path = "./.", .type = AE_IFDIR, .mode = 0500}};
  CHECK(victim.unpack(source_of(archive_of(items))).empty());
  for (const auto& [path, mode] : {std::pair("target", 0500U), std::pair("target/d", 0555U)}) {
    struct stat status {};
    ::stat(victim.files.file(path).c_str(), &status);
    CHECK((status.st_mode & 07777U) == mode);
    CHECK(status.st_mtim.tv_sec == 1'000'000'000);
  }
  if (::geteuid() == 0) CHECK(contents(victim.files.file("target/d/e/h")) == "new");
  std::filesystem::permissions(victim.files.file("target"), std::filesystem::perms(0700));
  std::filesystem::permissions(victim.files.file("target/d"), std::filesystem::perms(0700));
  std::filesystem::permissions(victim.files.file("target/d/e"), std::filesystem::perms(0700));
}

TEST_CASE("set-user-id bits need the owner") {
  Victim victim;
  const std::vector<Item> items{{.path = "f", .mode = 06755},
                                {.path = "d", .type = AE_IFDIR, .mode = 03755}};
  const auto mode = [&](const char* name) {
    struct stat status {};
    ::stat(victim.files.file(name).c_str(), &status);
    return status.st_mode & 07777U;
  };
  CHECK(victim.unpack(source_of(archive_of(items))).empty());
  CHECK(mode("target/f") == 0755);
  CHECK(mode("target/d") == 0755);
  if (::geteuid() != 0) {
    WARN("not root: keeping owners is not tested");
    return;
  }
  victim.unpacking.owner = true;
  CHECK(victim.unpack(source_of(archive_of(items))).empty());
  CHECK(mode("target/f") == 06755);
}

TEST_CASE("bytes that are no archive, or only a part of one, are an error") {
  Victim victim;
  CHECK(contains(victim.unpack(source_of("")), "broken"));
  CHECK(contains(victim.unpack(source_of(repeated("y\n", 100'000))), "broken"));
  const std::string whole = archive_of({{"a"}, {.path = "b", .content = binary(100'000)}});
  CHECK(contains(victim.unpack(source_of(whole.substr(0, 50'000))), "broken"));
  CHECK(contents(victim.files.file("target/a")) == "new");  // it came before
  CHECK(victim.count.files == 2);
}

TEST_CASE("what the source throws comes out") {
  Victim victim;
  int calls = 0;
  const std::string start = archive_of({{.path = "b", .content = binary(100'000)}}).substr(0, 5000);
  const auto source = [&]() -> std::string_view {
    if (++calls > 1) throw std::runtime_error("the line is cut");
    return start;
  };
  CHECK(victim.unpack(source) == "the line is cut");
}

TEST_CASE("a header that never ends is an error") {
  Victim victim;
  std::string bytes;
  constexpr std::size_t size = 1 << 20;
  for (int i = 0; i < 8; ++i) {
    bytes += header("././@LongLink", 'L', size) + std::string(size, 'x');
  }
  CHECK(contains(victim.unpack(source_of(bytes)), "a header of the archive must have"));
}

TEST_CASE("the number of files has a limit") {
  Victim victim;
  victim.unpacking.max_files = 3;
  const std::vector<Item> four{{"a"}, {"b"}, {"c"}, {"d"}};
  CHECK(contains(victim.unpack(source_of(archive_of(four))), "--max-files"));
  CHECK(victim.count.files == 3);
  // The directory itself has a name, too, and may come any number of times.
  const std::vector<Item> same(5, Item{.path = ".", .type = AE_IFDIR});
  CHECK(contains(victim.unpack(source_of(archive_of(same))), "--max-files"));
}

TEST_CASE("a million files take no memory") {
  Victim victim;
  constexpr int files = 1'000'000;
  std::vector<std::string> headers;
  for (int i = 0; i < 97; ++i) {
    headers.push_back(header("d" + std::to_string(i) + "/", '5'));
    headers.push_back(header("d" + std::to_string(i) + "/f", '0'));
  }
  std::string piece;
  int made = 0;
  bool ended = false;
  const auto source = [&]() -> std::string_view {
    piece.clear();
    for (; made < files && piece.size() < (64 << 10); ++made) {
      piece += headers[static_cast<std::size_t>(made / 5 % 97 * 2 + (made % 50 == 0 ? 1 : 0))];
    }
    if (piece.empty() && !std::exchange(ended, true)) piece.assign(1024, '\0');
    return piece;
  };
  const long before = most_archive_memory();
  CHECK(victim.unpack(source).empty());
  CHECK(victim.count.files == files);
  if (!sanitized) CHECK(most_archive_memory() - before < (16 << 10));  // which keeps what was freed
}

TEST_CASE("one directory that comes again and again takes no memory") {
  Victim victim;
  constexpr int times = 300'000;
  const std::string one = header(std::string(49, 'd') + "/" + std::string(49, 'e') + "/", '5');
  std::string piece;
  int made = 0;
  bool ended = false;
  const auto source = [&]() -> std::string_view {
    piece.clear();
    for (; made < times && piece.size() < (64 << 10); ++made) piece += one;
    if (piece.empty() && !std::exchange(ended, true)) piece.assign(1024, '\0');
    return piece;
  };
  const long before = most_archive_memory();
  CHECK(victim.unpack(source).empty());
  CHECK(victim.count.files == times);
  if (!sanitized) CHECK(most_archive_memory() - before < (16 << 10));
}

TEST_CASE("a path that is too long for this system is told, and the rest is packed") {
  Victim victim;
  const std::string from = victim.files.file("outside");
  const std::string part(200, 'p');
  int parent = ::open(from.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 25; ++i) {
    if (::mkdirat(parent, part.c_str(), 0755) != 0) TemporaryDirectory::fail("mkdirat");
    const int next = ::openat(parent, part.c_str(), O_RDONLY | O_DIRECTORY);
    ::close(std::exchange(parent, next));
  }
  ::close(parent);
  std::vector<std::string> refused;
  qga_tool::PackOptions options;
  options.refuse = [&](const std::string& reason) { refused.push_back(reason); };
  CHECK(victim.unpack(source_of(packed(from, options))).empty());
  REQUIRE(refused.size() == 1);
  CHECK(contains(refused.front(), "must be shorter"));
  CHECK(contents(victim.files.file("target/victim")) == "old");
}

TEST_CASE("what cannot be packed is told, and the rest is packed") {
  Victim victim;
  const std::string from = victim.files.file("outside");
  if (::mkfifo((from + "/fifo").c_str(), 0600) != 0) TemporaryDirectory::fail("mkfifo");
  std::vector<std::string> refused;
  qga_tool::PackOptions options;
  options.refuse = [&](const std::string& reason) { refused.push_back(reason); };
  if (::geteuid() != 0) {
    make_file(from + "/secret", "s");
    std::filesystem::permissions(from + "/secret", std::filesystem::perms::none);
  } else {
    WARN("root: that a file cannot be read is not tested");
  }
  CHECK(victim.unpack(source_of(packed(from, options))).empty());
  CHECK(refused.size() == (::geteuid() != 0 ? 2 : 1));
  CHECK(contents(victim.files.file("target/victim")) == "old");
}

TEST_CASE("what the sink throws ends the packing") {
  const TemporaryDirectory files;
  make_tree(files.file("from"));
  qga_tool::TreeCount count;
  const auto sink = [](std::string_view) { throw std::runtime_error("full"); };
  CHECK_THROWS_AS(qga_tool::pack(files.file("from"), sink, {}, count), std::runtime_error);
}
