// SPDX-License-Identifier: LGPL-3.0-or-later
//
// How those who wait for a call hear of its end: with an error or with the reply.
#pragma once

#include <exception>
#include <functional>

namespace qga::protocol {

template <class Reply>
struct CompletionSignature {
  using type = void(std::exception_ptr, Reply);
};
template <>
struct CompletionSignature<void> {
  using type = void(std::exception_ptr);
};

/// What a helper does next. Of one type for every step that has the same reply: what carries the
/// step is compiled once for all of them.
template <class Reply>
using Continuation = std::function<typename CompletionSignature<Reply>::type>;

}  // namespace qga::protocol
