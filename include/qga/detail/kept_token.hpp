// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A completion token that is kept for the calls that will be made under it.
#pragma once

#include <concepts>
#include <exception>
#include <optional>
#include <utility>

#include "qga/detail/protocol/errors.hpp"

namespace qga::inline v0_1::detail {

/// Whether a token can be copied. What Asio binds an executor or a slot to a token with says that
/// it can be, also where that token cannot.
template <class Token>
constexpr bool is_copyable() {
  if constexpr (requires { typename Token::target_type; }) {
    return std::copy_constructible<Token> && is_copyable<typename Token::target_type>();
  } else {
    return std::copy_constructible<Token>;
  }
}

template <class Token>
class KeptToken {
 public:
  explicit KeptToken(Token token) : token_(std::move(token)) {}

  /// Returns the token for one call. Each call has a copy, because it moves from what it gets; a
  /// token that can only be moved serves one call. @throws RequestError
  Token get() {
    if constexpr (is_copyable<Token>()) {
      return *token_;
    } else {
      if (!token_) {
        std::rethrow_exception(
            wrong_argument("", "a completion token that can only be moved must be used once"));
      }
      Token moved = std::move(*token_);
      token_.reset();
      return moved;
    }
  }

 private:
  std::optional<Token> token_;
};

}  // namespace qga::inline v0_1::detail
