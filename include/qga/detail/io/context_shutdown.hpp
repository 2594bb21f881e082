// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells connections that an execution context is being destroyed. Pending operations own handlers,
// which may own the very client they wait for: nobody but the context can break that circle. And a
// client that was bound to a context by its first asynchronous call may outlive it.
#pragma once

#include <mutex>
#include <unordered_set>

#include <asio/execution_context.hpp>

namespace qga::detail {

class ContextUser {
 public:
  /// The context is shutting down: drop what it would have run.
  virtual void on_context_shutdown() noexcept = 0;

 protected:
  ~ContextUser() = default;
};

/// One per execution context. It is made after the reactor, hence shut down before it.
class ContextShutdownService : public asio::execution_context::service {
 public:
  using key_type = ContextShutdownService;
  inline static asio::execution_context::id id;

  explicit ContextShutdownService(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void add(ContextUser& user) {
    const std::lock_guard lock(mutex_);
    users_.insert(&user);
  }
  void remove(ContextUser& user) {
    const std::lock_guard lock(mutex_);
    users_.erase(&user);
  }

 private:
  void shutdown() override {
    while (ContextUser* const user = next_user()) user->on_context_shutdown();
  }

  ContextUser* next_user() {
    const std::lock_guard lock(mutex_);
    if (users_.empty()) return nullptr;
    ContextUser* const user = *users_.begin();
    users_.erase(users_.begin());
    return user;
  }

  std::mutex mutex_;
  std::unordered_set<ContextUser*> users_;
};

}  // namespace qga::detail
