// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Asio's deferred, which has left asio/experimental after 1.22.
#pragma once

#if __has_include(<asio/deferred.hpp>)
#include <asio/deferred.hpp>
namespace qga_test {
using asio::deferred;
}  // namespace qga_test
#else
#include <asio/experimental/deferred.hpp>
namespace qga_test {
using asio::experimental::deferred;
}  // namespace qga_test
#endif
