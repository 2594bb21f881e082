// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A trace shows both directions, and nothing secret.
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "agent.hpp"
#include "catch.hpp"
#include "lines.hpp"
#include "qga/client.hpp"
#include "qga/detail/protocol/base64.hpp"
#include "ways.hpp"

using qga_test::Agent;
using qga_test::Async;
using qga_test::Blocking;
using qga_test::end_of;
using qga_test::error_of;
using qga_test::Lines;
using qga_test::patient;

namespace {

constexpr std::string_view secret = "correct horse battery staple";

/// The secret as base64, at any offset, without what depends on its neighbours.
bool shows(const Lines& lines, std::string_view bytes) {
  if (lines.any(bytes)) return true;
  for (std::size_t cut = 0; cut < 3; ++cut) {
    std::string encoded;
    qga::detail::base64_encode(bytes.substr(cut), encoded);
    if (lines.any(encoded.substr(0, 12))) return true;
  }
  return false;
}

qga::ClientParams traced(Lines& lines) {
  qga::ClientParams params = patient();
  params.trace = lines.trace();
  return params;
}

}  // namespace

TEMPLATE_TEST_CASE("a trace shows both directions", "[agent]", Blocking, Async) {
  const Agent agent;
  Lines lines;
  TestType ga(agent.path(), traced(lines));
  CHECK(ga.sync(123456789) == 123456789);
  CHECK(lines.sent("\"guest-sync-delimited\""));  // the handshake too
  CHECK(lines.sent("{\"execute\":\"guest-sync\",\"arguments\":{\"id\":123456789}"));
  CHECK(lines.received("{\"return\": 123456789"));
  CHECK_THROWS(ga.execute("guest-nothing", {{"visible", true}}));
  CHECK(lines.sent("\"visible\":true"));
  CHECK(lines.received("CommandNotFound"));
  CHECK_FALSE(lines.any("\n"));
}

TEMPLATE_TEST_CASE("a trace shows a request before its answer", "[agent]", Blocking, Async) {
  Agent agent;
  qga::ClientParams params = patient();
  params.trace = [&](qga::TraceDirection direction, std::string_view line) {
    const bool sent = direction == qga::TraceDirection::sent;
    if (sent && line.find("987654") != line.npos) agent.resume();
  };
  TestType ga(agent.path(), std::move(params));
  ga.ping();
  agent.stop();
  CHECK(ga.sync(987654) == 987654);
}

TEMPLATE_TEST_CASE("a trace hides passwords", "[agent]", Blocking, Async) {
  const Agent agent;
  Lines lines;
  TestType ga(agent.path(), traced(lines));
  // Before it is sent.
  for (const auto& command : ga.info().supported_commands) {
    if (command.name == "guest-set-user-password") REQUIRE_FALSE(command.enabled);
  }
  const auto check = [&](const qga::GuestAgentError& error) {
    CHECK(std::string_view(error.what()).find(secret) == std::string_view::npos);
    CHECK(lines.sent("guest-set-user-password"));
    CHECK(lines.sent("nobody-here"));
    CHECK(lines.sent("\"password\""));
    CHECK_FALSE(shows(lines, secret));
  };
  using NotFound = qga::CommandNotFoundError;
  check(error_of<NotFound>([&] { ga.set_user_password("nobody-here", std::string(secret)); }));
  check(
      error_of<NotFound>([&] { ga.set_user_password("nobody-here", std::string(secret), true); }));
  check(error_of<NotFound>([&] {
    ga.execute(
        "guest-set-user-password",
        {{"username", "nobody-here"}, {"password", std::string(secret)}, {"crypted", false}});
  }));
}

TEMPLATE_TEST_CASE("a trace hides what programs read and write", "[agent]", Blocking, Async) {
  const Agent agent;
  Lines lines;
  TestType ga(agent.path(), traced(lines));
  const auto status = end_of(ga, ga.exec("/bin/sh", {.args = {"-c", "tee /dev/stderr"},
                                                     .input_data = std::string(secret),
                                                     .capture_output = true}));
  CHECK(status.out_data == secret);
  CHECK(status.err_data == secret);
  CHECK(lines.sent("\"input-data\""));
  CHECK(lines.received("\"out-data\""));
  CHECK(lines.received("\"err-data\""));
  CHECK_FALSE(shows(lines, secret));
}

TEMPLATE_TEST_CASE("a trace hides the contents of files", "[agent]", Blocking, Async) {
  const Agent agent;
  Lines lines;
  TestType ga(agent.path(), traced(lines));
  const std::int64_t handle = ga.file_open(agent.file("secret"), "w+");
  ga.file_write(handle, secret);
  ga.file_seek(handle, 0, qga::QGASeek::set);
  CHECK(ga.file_read(handle).buf_b64 == secret);
  ga.file_seek(handle, 0, qga::QGASeek::set);
  const nlohmann::json raw = ga.execute("guest-file-read", {{"handle", handle}});
  CHECK(raw["count"] == secret.size());
  ga.file_close(handle);
  CHECK(lines.sent("\"buf-b64\""));
  CHECK(lines.received("\"buf-b64\""));
  CHECK_FALSE(shows(lines, secret));
}

TEMPLATE_TEST_CASE("a tracer that throws does no harm", "[agent]", Blocking, Async) {
  const Agent agent;
  int calls = 0;
  qga::ClientParams params = patient();
  params.trace = [&](qga::TraceDirection, std::string_view) {
    ++calls;
    throw std::runtime_error("no room for another line");
  };
  TestType ga(agent.path(), params);
  for (std::int64_t i = 0; i < 10; ++i) CHECK(ga.sync(i) == i);
  CHECK_THROWS_AS(ga.execute("guest-nothing"), qga::CommandNotFoundError);
  CHECK(ga.sync(11) == 11);
  CHECK(calls > 20);
}
