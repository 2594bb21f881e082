// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Files and programs, compared with what the guest's own shell sees.
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "live.hpp"

using namespace vm_test;
using qga::QGASeek;

TEMPLATE_TEST_CASE(
    "guest-file-open guest-file-write guest-file-flush guest-file-seek guest-file-read "
    "guest-file-close",
    "[commands][quick]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string path = "/mnt/a/file";
  const auto size = [&] { return vm.number("stat -c %s " + path); };
  std::string bytes(200'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 3);

  const std::int64_t handle = ga.file_open(path, "w+");
  CHECK(ga.file_write(handle, "hello").count == 5);
  CHECK(size() == 0);  // until it is flushed
  ga.file_flush(handle);
  CHECK(vm.run("cat " + path) == "hello");
  CHECK(ga.file_seek(handle, 1, QGASeek::set).position == 1);
  CHECK(ga.file_write(handle, bytes).count == 200'000);
  CHECK(ga.file_seek(handle, -4, QGASeek::end).position == 199'997);
  const qga::GuestFileRead tail = ga.file_read(handle);
  CHECK(tail.buf_b64 == bytes.substr(199'996));
  CHECK(tail.eof);
  CHECK(ga.file_seek(handle, 0, QGASeek::set).position == 0);
  CHECK(ga.file_read(handle, 300'000).buf_b64 == "h" + bytes);
  ga.file_close(handle);
  CHECK(size() == 200'001);

  vm.run("printf 'from the guest' >" + path);
  const std::int64_t again = ga.file_open(path);
  CHECK(ga.file_read(again).buf_b64 == "from the guest");
  refusal_of(ga, [&] { ga.file_write(again, "x"), ga.file_flush(again); });
  ga.file_close(again);
  refusal_of(ga, [&] { ga.file_close(again); });
  refusal_of(ga, [&] { ga.file_read(again); });

  refusal_of(ga, [&] { ga.file_open(path, "rw"); });
  refusal_of(ga, [&] { ga.file_open(path, ""); });
  refusal_of(ga, [&] { ga.file_open("/nowhere/file", "w"); });
  refusal_of(ga, [&] { ga.file_open("/nowhere"); });
  vm.run("rm " + path);
}

TEMPLATE_TEST_CASE("guest-file-write guest-file-flush: a full disk", "[commands]", Blocking,
                   Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::int64_t handle = ga.file_open("/mnt/tiny/full", "w");
  const std::string reason = refusal_of(ga, [&] {
    for (int i = 0; i < 8; ++i) ga.file_write(handle, std::string(1 << 20, 'x'));
    ga.file_flush(handle);
  });
  CHECK(contains(reason, "No space left"));
  CHECK(vm.run("df /mnt/tiny | awk 'NR == 2 { print $4 }'") == "0");
  ga.file_close(handle);
  vm.run("rm /mnt/tiny/full");
}

TEMPLATE_TEST_CASE("guest-exec guest-exec-status", "[commands][quick]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  {
    const std::int64_t pid = ga.exec("/bin/touch", {.args = {"/run/made by exec"}});
    CHECK(end_of(ga, pid).exitcode == 0);
    CHECK(vm.run("ls '/run/made by exec'") == "/run/made by exec");
    vm.run("rm '/run/made by exec'");
    refusal_of(ga, [&] { ga.exec_status(pid); });  // told once
  }
  {
    const std::int64_t pid = ga.exec("/bin/sleep", {.args = {"1000"}});
    CHECK_FALSE(ga.exec_status(pid).exited);
    CHECK(vm.run("tr '\\0' ' ' </proc/" + std::to_string(pid) + "/cmdline") == "/bin/sleep 1000 ");
    vm.run("kill -9 " + std::to_string(pid));
    const qga::GuestExecStatus status = end_of(ga, pid);
    CHECK(status.signal == 9);
    CHECK_FALSE(status.exitcode);
  }
  {
    qga::GuestExecParams params;
    params.args = {"-c", "cat; echo \"$WHO\" >&2; exit 3"};
    params.env = {"WHO=me"};
    params.input_data = std::string("\0\xFF in", 5);
    params.capture_output = true;
    const qga::GuestExecStatus status = end_of(ga, ga.exec("/bin/sh", params));
    CHECK(status.exitcode == 3);
    CHECK(status.out_data == std::string("\0\xFF in", 5));
    CHECK(status.err_data == "me\n");
  }
  refusal_of(ga, [&] { ga.exec("/nowhere"); });
  refusal_of(ga, [&] { ga.exec_status(999'999); });
}
