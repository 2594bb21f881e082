// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What calls one of the programs of the pages by its name; see extract.cmake.
#pragma once

#include <iostream>
#include <string_view>
#include <type_traits>

inline bool is_named(std::string_view name, int argc, char** argv) {
  return argc > 1 && argv[1] == name;
}

/// Calls the main() of a program with the arguments behind its name.
template <class Main>
int call(Main main, int argc, char** argv) {
  if constexpr (std::is_invocable_v<Main, int, char**>) {
    return main(argc - 1, argv + 1);
  } else {
    return main();
  }
}

inline int unknown_program(int argc, char** argv) {
  std::cerr << "no such program is on the pages: " << (argc > 1 ? argv[1] : "") << '\n';
  return 2;
}
