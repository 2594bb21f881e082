// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the live tests share.
#pragma once

#include <chrono>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "lacks.hpp"
#include "report.hpp"
#include "vm.hpp"
#include "ways.hpp"

namespace vm_test {

using namespace qga_test;
using qga::Outcome;

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// For a deadline that was overrun on a slow machine.
inline constexpr auto tolerance = 15s;

class Stopwatch {
 public:
  /// Seconds since the start, which have to be within a deadline.
  double within(qga::Clock::duration deadline) const {
    const auto took = qga::Clock::now() - start_;
    CHECK(took < deadline + tolerance);
    return std::chrono::duration<double>(took).count();
  }

 private:
  qga::Clock::time_point start_ = qga::Clock::now();
};

/// The agent's refusal, which leaves the client in order.
template <class Way, class Call>
std::string refusal_of(Way& ga, Call&& call) {
  const auto error = error_of<qga::AgentError>(std::forward<Call>(call));
  CHECK(error.code() == qga::err_from_agent);
  CHECK(error.outcome() == Outcome::refused);
  ga.ping();
  return error.what();
}

/// The commands that the guest's agent has, by its own command line: they differ from version to
/// version.
inline std::set<std::string> commands_of_agent(Vm& vm) {
  std::set<std::string> commands;
  std::istringstream listing(vm.run("qemu-ga -b help"));
  for (std::string name; listing >> name;) commands.insert(name);
  return commands;
}

/// A freeze hook of the guest's that does what a test needs; the usual one in the end.
class Hook {
 public:
  Hook(Vm& vm, const std::string& on_freeze, const std::string& on_thaw = "") : vm_(vm) {
    vm_.run(
        "rm -f /run/hook.log && cp -p /etc/qemu/fsfreeze-hook /run/hook.kept && "
        "cat >/etc/qemu/fsfreeze-hook <<'EOF'\n#!/bin/sh\necho $1 >>/run/hook.log\n"
        "case $1 in\n  freeze) " +
        on_freeze + " ;;\n  thaw) " + on_thaw + " ;;\nesac\nEOF\n");
  }
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;
  ~Hook() {
    // A guest that was reset has its own again.
    vm_.run("[ ! -e /run/hook.kept ] || mv /run/hook.kept /etc/qemu/fsfreeze-hook");
  }

  void wait_until_called() { vm_.run("until [ -s /run/hook.log ]; do usleep 20000; done"); }

 private:
  Vm& vm_;
};

}  // namespace vm_test
