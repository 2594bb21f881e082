// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What a user's program includes and uses, for the strictest warnings: templates are instantiated,
// as most warnings about them come only then.
#include <chrono>
#include <exception>
#include <string>

#include <qga/client.hpp>

#include <asio/io_context.hpp>

template class qga::Client<>;

namespace user {

inline void use(::qga::Client<>& ga, asio::io_context& context) {
  ga.run("true");
  ga.upload(std::string("a"), std::string("b"));
  ga.read_file("a");
  ga.freeze();
  ga.addresses();
  ga.wait_ready(std::chrono::seconds(1));
  ga.async([](std::exception_ptr, const qga::GuestOSInfo&) {}).get_osinfo();
  ga.async([](std::exception_ptr, const qga::RunResult&) {}).run("true");
  ga.async_close([](std::exception_ptr) {});
  context.run();
}

}  // namespace user
