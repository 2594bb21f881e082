// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What `Client::with` and `Client::async` return: the methods of a client, with options or a
// completion token of their own.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "qga/commands.hpp"
#include "qga/detail/kept_token.hpp"
#include "qga/detail/protocol/raw_request.hpp"
#include "qga/helpers.hpp"
#include "qga/params.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1 {

/// The commands of a client, blocking, with options of their own. Must not outlive the client.
template <class Client>
class WithOptions : public Commands<WithOptions<Client>>, public Helpers<WithOptions<Client>> {
 public:
  /// `Client::with` makes it.
  WithOptions(Client& client, CallOptions options)
      : client_(client), options_(std::move(options)) {}

  /// Does what `Client::execute` does.
  template <Request R, class Project = std::identity>
  auto execute(const R& request, Project project = {}) {
    return client_.run_command(request, std::move(project), options_);
  }
  /// Does what `Client::execute` does.
  nlohmann::json execute(std::string_view command, nlohmann::json arguments = nullptr) {
    return execute(detail::RawRequest(command, std::move(arguments)));
  }
  template <class Result, template <class> class Algorithm, class... Args>
  Result perform(Args&&... args) {
    return client_.template run_helper<Result, Algorithm>(options_, std::forward<Args>(args)...);
  }

 private:
  Client& client_;
  CallOptions options_;
};

/// The commands of a client under a completion token. Must not outlive the client. With a token
/// that can only be moved, it can make only one call.
template <class Client, class Token>
class Async : public Commands<Async<Client, Token>>, public Helpers<Async<Client, Token>> {
 public:
  /// `Client::async` makes it.
  Async(Client& client, Token token, CallOptions options)
      : client_(client), token_(std::move(token)), options_(std::move(options)) {}

  /// Does what `Client::execute` does.
  template <Request R, class Project = std::identity>
  auto execute(const R& request, Project project = {}) {
    return client_.start_command(request, std::move(project), token_.get(), options_);
  }
  /// Does what `Client::execute` does.
  auto execute(std::string_view command, nlohmann::json arguments = nullptr) {
    return execute(detail::RawRequest(command, std::move(arguments)));
  }
  template <class Result, template <class> class Algorithm, class... Args>
  auto perform(Args&&... args) {
    return client_.template start_helper<Result, Algorithm>(token_.get(), options_,
                                                            std::forward<Args>(args)...);
  }

 private:
  Client& client_;
  detail::KeptToken<Token> token_;
  CallOptions options_;
};

}  // namespace qga::inline v0_1
