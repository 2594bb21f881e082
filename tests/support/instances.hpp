// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The algorithms of all helpers as the library runs them, compiled once (instances.cpp) for all
// test programs: each of them would take seconds in every file that calls a few helpers.
// QGA_TEST_INSTANCE is what to say of each.
#include "qga/client.hpp"

namespace qga::detail {

#define QGA_TEST_HELPER(result, algorithm) \
  QGA_TEST_INSTANCE class algorithm<HelperIo<result>>; \
  QGA_TEST_INSTANCE class HelperOperation<result, algorithm>

QGA_TEST_INSTANCE class HelperIo<void>;
QGA_TEST_INSTANCE class AsyncConnect<asio::any_io_executor>;
QGA_TEST_INSTANCE class AsyncDriver<asio::any_io_executor>;
QGA_TEST_INSTANCE class OperationRunner<asio::any_io_executor>;
QGA_TEST_HELPER(File, OpenFile);
QGA_TEST_HELPER(void, WriteTo);
QGA_TEST_HELPER(std::int64_t, SeekIn);
QGA_TEST_HELPER(void, FlushFile);
QGA_TEST_HELPER(void, CloseFile);
QGA_TEST_HELPER(Frozen, Freeze);
QGA_TEST_HELPER(ThawResult, Thaw);
QGA_TEST_HELPER(ThawResult, WhileFrozen);
QGA_TEST_HELPER(RunResult, Run);
QGA_TEST_HELPER(TransferResult, Download);
QGA_TEST_HELPER(TransferResult, Upload);
QGA_TEST_HELPER(std::string, ReadFile);
QGA_TEST_HELPER(std::string, ReadFrom);
QGA_TEST_HELPER(std::size_t, AddKeys);
QGA_TEST_HELPER(ClockChange, SetClock);
QGA_TEST_HELPER(Capabilities, ReadCapabilities);
QGA_TEST_HELPER(Sample, TakeSample);
QGA_TEST_HELPER(Usage, MeasureUsage);
QGA_TEST_HELPER(Readiness, WaitReady);

#undef QGA_TEST_HELPER

}  // namespace qga::detail
