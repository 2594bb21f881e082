// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What most tests spend their compile time on; see tests/CMakeLists.txt.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/compose.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "ways.hpp"
