// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A look-up of a name, which cannot be interrupted, may end after the context that it is for, and
// after its client. One name is looked up slowly here, for the whole program.
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <dlfcn.h>
#include <netdb.h>
#include <asio/io_context.hpp>

#include "faults.hpp"

namespace {

constexpr std::string_view slow_name = "slow.example";
std::atomic<int> slow_look_ups_begun = 0;
std::atomic<int> slow_look_ups_ended = 0;

}  // namespace

/// Takes the place of the one of the C library, which it calls.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  using LookUp = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<LookUp>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node == nullptr || node != slow_name) return real(node, service, hints, found);
  ++slow_look_ups_begun;
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  ++slow_look_ups_ended;
  return EAI_NONAME;
}

using namespace faults;

TEST_CASE("look-up: the context may end during it", "[faults]") {
  const bool client_first = GENERATE(true, false);
  CAPTURE(client_first);
  const int before = slow_look_ups_begun;
  const auto owned = std::make_shared<int>(0);
  std::optional<asio::io_context> context(std::in_place);
  std::optional<qga::AnyClient> ga(std::in_place, *context, patient());
  ga->async_connect("tcp:slow.example:7000", [owned](std::exception_ptr) {});
  wait_until([&] {
    context->restart();
    context->poll();
    return slow_look_ups_begun > before;
  });
  REQUIRE(owned.use_count() == 2);
  if (client_first) ga.reset();
  context.reset();
  ga.reset();
  wait_until([&] { return slow_look_ups_ended == slow_look_ups_begun; });
  // The handler is dropped, by whoever has it last.
  wait_until([&] { return owned.use_count() == 1; });
}
