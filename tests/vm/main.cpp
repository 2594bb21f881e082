// SPDX-License-Identifier: LGPL-3.0-or-later
//
// main() of the live tests: Catch2's, and then the tables of the report.
#include <iostream>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Listener = Catch::EventListenerBase;
#else
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
using Listener = Catch::TestEventListenerBase;
#endif

#include "report.hpp"
#include "vm.hpp"

namespace {

[[maybe_unused]] const std::string& name_of(const Catch::TestCaseInfo& info) { return info.name; }
[[maybe_unused]] const std::string& name_of(const Catch::TestCaseInfo* info) { return info->name; }

struct Recorder : Listener {
  using Listener::Listener;
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    vm_test::Report::instance().finished(name_of(stats.testInfo), stats.totals.assertions.allOk());
  }
};
CATCH_REGISTER_LISTENER(Recorder)

}  // namespace

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  vm_test::shared_vm().reset();
  const bool complete = vm_test::Report::instance().print(std::cout);
  return result != 0 || complete ? result : 1;
}
