// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How fast replies become structs: one that is nearly all payload, and one of many elements. The
// yardstick is what nlohmann/json takes to parse the same line, from which no struct has come yet.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

#include <qga/client.hpp>

namespace {

/// A mebibyte, in 1.4 MB.
std::string payload_line() {
  std::string line = R"({"return": {"count": 1048576, "buf-b64": ")";
  std::string bytes(1 << 20, '\0');
  std::uint32_t noise = 1;
  for (char& byte : bytes) byte = static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);
  qga::detail::base64_encode(bytes, line);
  return line + R"(", "eof": false}, "id": 1738137421})";
}

std::string blocks_line() {
  std::string line = R"({"return": [)";
  for (int i = 0; i < 1000; ++i) {
    if (i > 0) line += ", ";
    line += R"({"phys-index": )" + std::to_string(i) + R"(, "online": true, "can-offline": false})";
  }
  return line + R"(], "id": 1738137421})";
}

void count_bytes(benchmark::State& state, std::string_view line) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(line.size()));
}

/// As a session does once a line is whole: what the line says of itself, then the reply in it.
template <class Request>
void decode(benchmark::State& state, const std::string& line, const Request& request) {
  const qga::ReplyLimits limits = qga::detail::handling_of(request).limits;
  qga::detail::JsonIndex json;
  for (auto _ : state) {
    json.read(line, limits);
    const auto envelope = qga::detail::envelope_of(json);
    benchmark::DoNotOptimize(qga::detail::decode_reply<typename Request::Reply>(envelope.reply));
  }
  count_bytes(state, line);
}

void parse(benchmark::State& state, const std::string& line) {
  for (auto _ : state) benchmark::DoNotOptimize(nlohmann::json::parse(line));
  count_bytes(state, line);
}

BENCHMARK_CAPTURE(parse, payload, payload_line());
BENCHMARK_CAPTURE(decode, payload, payload_line(), qga::GuestFileReadRequest(1, 1 << 20));
BENCHMARK_CAPTURE(parse, memory_blocks, blocks_line());
BENCHMARK_CAPTURE(decode, memory_blocks, blocks_line(), qga::GuestGetMemoryBlocksRequest());

}  // namespace

BENCHMARK_MAIN();
