// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the snippets of the pages take for granted; see extract.cmake. Only compiled, never linked.
#pragma once

#include <qga/client.hpp>

#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

extern qga::Client<> ga;

// A snippet shows a call, not what becomes of its result, and may have a `ga` of its own.
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wshadow"
