// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A user's program that compiles within a second, for the ways to take the library in that differ
// only in how it is found. It includes a header of each of the three libraries, and needs threads.
#include <asio/version.hpp>
#include <nlohmann/json_fwd.hpp>
#include <qga/error.hpp>
#include <qga/version.hpp>

#include <iostream>
#include <thread>

int main() {
  std::thread([] {}).join();
  std::cout << "qga " << qga::version << ", Asio " << ASIO_VERSION << '\n';
  return qga::err_no_connect == 1000 ? 0 : 1;
}
