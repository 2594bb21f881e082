// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A user's whole program. Nobody listens there, so it must fail, and only in the expected way.
#include <qga/client.hpp>

#include <exception>
#include <iostream>

int main() {
  try {
    qga::Client ga("/nonexistent");
    ga.get_cpustats();
    ga.async([](std::exception_ptr, const auto&) {}).get_cpustats();
  } catch (const qga::ConnectError& e) {
    std::cout << e.what() << '\n';
    return 0;
  }
  return 1;
}
