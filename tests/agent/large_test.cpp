// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The largest of everything, under default deadlines.
#include <cstdint>
#include <random>
#include <string>

#include "agent.hpp"
#include "catch.hpp"
#include "qga/client.hpp"
#include "ways.hpp"

using qga_test::Agent;
using qga_test::Async;
using qga_test::Blocking;
using qga_test::end_of;

namespace {

constexpr std::size_t mebibyte = 1 << 20;

std::string random_bytes(std::size_t size) {
  std::mt19937_64 random(size);
  std::string bytes;
  bytes.reserve(size + 8);
  while (bytes.size() < size) {
    const std::uint64_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

TEMPLATE_TEST_CASE("48 MiB are read at once", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path(), {});
  const std::string bytes = random_bytes(48 * mebibyte);
  agent.put("large", bytes);
  const std::int64_t handle = ga.file_open(agent.file("large"));
  const qga::GuestFileRead read = ga.file_read(handle, 48 * mebibyte);
  CHECK(read.count == 48 * mebibyte);
  CHECK((read.buf_b64 == bytes));
  CHECK(ga.file_read(handle, 1).eof);
  ga.file_close(handle);
}

TEMPLATE_TEST_CASE("40 MiB are written at once", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path(), {});
  const std::string bytes = random_bytes(40 * mebibyte);
  const std::int64_t handle = ga.file_open(agent.file("large"), "w");
  CHECK(ga.file_write(handle, bytes).count == 40 * mebibyte);
  ga.file_flush(handle);
  ga.file_close(handle);
  CHECK((agent.get("large") == bytes));
}

TEMPLATE_TEST_CASE("programs may write 16 MiB", "[agent]", Blocking, Async) {
  const Agent agent;
  TestType ga(agent.path(), {});
  const std::string bytes = random_bytes(16 * mebibyte + 1);
  agent.put("full", bytes.substr(0, 16 * mebibyte));
  agent.put("more", bytes);

  const auto full =
      end_of(ga, ga.exec("/bin/cat", {.args = {agent.file("full")}, .capture_output = true}));
  CHECK(full.exitcode == 0);
  CHECK((full.out_data == bytes.substr(0, 16 * mebibyte)));
  CHECK_FALSE(full.out_truncated.value_or(false));

  const auto more =
      end_of(ga, ga.exec("/bin/cat", {.args = {agent.file("more")}, .capture_output = true}));
  CHECK(more.exitcode == 0);
  CHECK((more.out_data == bytes.substr(0, 16 * mebibyte)));
  // An uncorrected agent leaves the member out unless it has cut something, and then says false.
  CHECK(more.out_truncated.has_value());
  if (full.out_truncated.has_value()) CHECK(more.out_truncated == true);

  const auto both = end_of(
      ga, ga.exec("/bin/sh", {.args = {"-c", "cat \"$0\"; cat \"$0\" >&2", agent.file("more")},
                              .capture_output = true}));
  CHECK((both.out_data == bytes.substr(0, 16 * mebibyte)));
  CHECK((both.err_data == bytes.substr(0, 16 * mebibyte)));
  ga.ping();
}
