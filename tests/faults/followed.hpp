// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A program that was started, with methods that block, whichever way the client has.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <utility>

#include "qga/client.hpp"
#include "ways.hpp"

namespace faults {

template <class Way>
class Followed {
 public:
  /// @param limit of each call that is given no timeout
  Followed(Way& ga, std::string path, qga::StartParams params = {},
           qga::Clock::duration limit = qga_test::long_enough)
      : ga_(ga),
        limit_(limit),
        process_(ga.with({.timeout = limit}).start(std::move(path), std::move(params))) {}

  /// @param options of the call
  qga::ProcessOutput read(qga::CallOptions options = {}) {
    return call<qga::ProcessOutput>([](auto&& program) { return program.read(); }, options);
  }
  void write(const std::string& bytes, qga::CallOptions options = {}) {
    call<void>([&](auto&& program) { return program.write(bytes); }, options);
  }
  void close_input() {
    call<void>([](auto&& program) { return program.close_input(); });
  }
  qga::ProcessStatus status() {
    return call<qga::ProcessStatus>([](auto&& program) { return program.status(); });
  }
  qga::ProcessStatus wait(qga::CallOptions options = {}) {
    return call<qga::ProcessStatus>([](auto&& program) { return program.wait(); }, options);
  }
  void signal(int number) {
    call<void>([&](auto&& program) { return program.signal(number); });
  }
  void resize(unsigned rows, unsigned columns) {
    call<void>([&](auto&& program) { return program.resize(rows, columns); });
  }

  /// Reads until the output has so many bytes, or the program has ended.
  std::string read_bytes(std::size_t count) {
    std::string bytes;
    while (bytes.size() < count) {
      const qga::ProcessOutput output = read();
      if (!output) break;
      bytes += output.bytes;
    }
    return bytes;
  }
  /// Reads to the end. @return what was written to standard output and to standard error
  std::pair<std::string, std::string> read_all() {
    std::pair<std::string, std::string> all;
    while (const qga::ProcessOutput output = read()) {
      (output.stream == qga::ProcessStream::out ? all.first : all.second) += output.bytes;
    }
    return all;
  }

  qga::Process& process() { return process_; }

 private:
  template <class Result, class Method>
  Result call(Method method, qga::CallOptions options = {}) {
    if (!options.timeout) options.timeout = limit_;
    if constexpr (std::same_as<Way, qga_test::Blocking>) {
      return method(process_.with(std::move(options)));
    } else {
      qga_test::Answer<Result> answer;
      method(process_.async(qga_test::to(answer), std::move(options)));
      ga_.settle();
      return answer.get();
    }
  }

  Way& ga_;
  qga::Clock::duration limit_;
  qga::Process process_;
};

}  // namespace faults
