// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Asio's as_tuple, which has left asio/experimental after 1.22.
#pragma once

#if __has_include(<asio/as_tuple.hpp>)
#include <asio/as_tuple.hpp>
namespace qga_test {
using asio::as_tuple;
}  // namespace qga_test
#else
#include <asio/experimental/as_tuple.hpp>
namespace qga_test {
using asio::experimental::as_tuple;
}  // namespace qga_test
#endif
