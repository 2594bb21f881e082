// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells clients and connections that an execution context is being destroyed. Pending operations
// own handlers, which may own the very client they wait for: only the context can break that
// circle. And a client, or its connection, may outlive the context whose executor it uses.
#pragma once

#include <mutex>
#include <unordered_set>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/query.hpp>

namespace qga::inline v0_1::detail {

class ContextShutdownService;

/// A ContextUser is told once that its context shuts down, and nothing after that.
class ContextUser {
 public:
  ContextUser(const ContextUser&) = delete;
  ContextUser& operator=(const ContextUser&) = delete;

  /// Drops what the context would have run, because it shuts down.
  virtual void on_context_shutdown() noexcept = 0;

 protected:
  template <class Executor>
  explicit ContextUser(const Executor& executor);
  virtual ~ContextUser();

 private:
  friend class ContextShutdownService;

  ContextShutdownService* service_;  ///< null: the context is gone
};

/// There is one per execution context. It is made after the reactor, and shut down before it.
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
    user->service_ = nullptr;
    return user;
  }

  std::mutex mutex_;
  std::unordered_set<ContextUser*> users_;
};

template <class Executor>
ContextUser::ContextUser(const Executor& executor)
    : service_(&asio::use_service<ContextShutdownService>(
          asio::query(executor, asio::execution::context))) {
  service_->add(*this);
}

inline ContextUser::~ContextUser() {
  if (service_ != nullptr) service_->remove(*this);
}

}  // namespace qga::inline v0_1::detail
