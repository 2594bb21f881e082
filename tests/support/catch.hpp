// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Catch2, version 3 or 2.13. Matchers differ (`Catch::Matchers::ContainsSubstring`, `Contains`):
// use REQUIRE and CHECK on plain expressions.
#pragma once

// An exception in a CHECK ends its test case, which compiles in less time.
#define CATCH_CONFIG_FAST_COMPILE

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
