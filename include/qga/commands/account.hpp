// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's users: who is there, passwords, SSH keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// A user who is logged in. @since QEMU 2.10
struct GuestUser {
  std::string user;       ///< the name
  double login_time = 0;  ///< of the earliest login: seconds since 1970, with a fraction
  std::optional<std::string> domain;  ///< Windows only

  static void fields(auto& self, auto& visit) {
    visit("user", self.user);
    visit("login-time", self.login_time);
    visit("domain", self.domain);
  }
  friend bool operator==(const GuestUser&, const GuestUser&) = default;
};

/// What `guest-ssh-get-authorized-keys` replies. @since QEMU 5.2
struct GuestAuthorizedKeys {
  std::vector<std::string> keys;  ///< a line each

  static void fields(auto& self, auto& visit) { visit("keys", self.keys); }
  friend bool operator==(const GuestAuthorizedKeys&, const GuestAuthorizedKeys&) = default;
};

/// `guest-set-user-password`. @since QEMU 2.3
struct GuestSetUserPasswordRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-set-user-password";

  std::string username;  ///< whose
  std::string password;  ///< the bytes themselves, not encoded
  bool crypted = false;  ///< `password` is hashed already

  GuestSetUserPasswordRequest() = default;
  GuestSetUserPasswordRequest(std::string username_, std::string password_, bool crypted_ = false)
      : username(std::move(username_)), password(std::move(password_)), crypted(crypted_) {}

  static void fields(auto& self, auto& visit) {
    visit("username", self.username);
    visit.bytes("password", self.password);
    visit("crypted", self.crypted);
  }
};

/// `guest-get-users`. @since QEMU 2.10
struct GuestGetUsersRequest : NoArguments {
  using Reply = std::vector<GuestUser>;
  static constexpr std::string_view command = "guest-get-users";
};

/// `guest-ssh-get-authorized-keys`. @since QEMU 5.2
struct GuestSshGetAuthorizedKeysRequest {
  using Reply = GuestAuthorizedKeys;
  static constexpr std::string_view command = "guest-ssh-get-authorized-keys";

  std::string username;  ///< whose

  GuestSshGetAuthorizedKeysRequest() = default;
  explicit GuestSshGetAuthorizedKeysRequest(std::string username_)
      : username(std::move(username_)) {}

  static void fields(auto& self, auto& visit) { visit("username", self.username); }
};

/// `guest-ssh-add-authorized-keys`. @since QEMU 5.2
struct GuestSshAddAuthorizedKeysRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-ssh-add-authorized-keys";

  std::string username;           ///< whose
  std::vector<std::string> keys;  ///< public keys, a line each
  std::optional<bool> reset;      ///< true: they take the place of all others

  GuestSshAddAuthorizedKeysRequest() = default;
  GuestSshAddAuthorizedKeysRequest(std::string username_, std::vector<std::string> keys_,
                                   bool reset_ = false)
      : username(std::move(username_)), keys(std::move(keys_)) {
    if (reset_) reset = true;
  }

  static void fields(auto& self, auto& visit) {
    visit("username", self.username);
    visit("keys", self.keys);
    visit("reset", self.reset);
  }
};

/// `guest-ssh-remove-authorized-keys`. @since QEMU 5.2
struct GuestSshRemoveAuthorizedKeysRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-ssh-remove-authorized-keys";

  std::string username;           ///< whose
  std::vector<std::string> keys;  ///< whole lines

  GuestSshRemoveAuthorizedKeysRequest() = default;
  GuestSshRemoveAuthorizedKeysRequest(std::string username_, std::vector<std::string> keys_)
      : username(std::move(username_)), keys(std::move(keys_)) {}

  static void fields(auto& self, auto& visit) {
    visit("username", self.username);
    visit("keys", self.keys);
  }
};

/// The commands for users: who is there, passwords, SSH keys. See `Commands` for what holds for all
/// of them.
///
/// All fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class AccountCommands {
 public:
  /// Sets a user's password.
  /// @param username no colon
  /// @param password in the clear, no newline; or, where `crypted`, already hashed as the guest
  ///        stores it. Is encoded here, and never shown in a trace.
  /// @param crypted not on Windows
  /// @throws AgentError no such user; a character that is not allowed; refused by the guest, as
  ///         Debian does an empty password
  /// @timeout 5 s. After a timeout the password may be the old or the new one.
  /// @since QEMU 2.3, FreeBSD, Linux and Windows guests
  auto set_user_password(std::string username, std::string password, bool crypted = false) {
    return detail::carrier_of(*this).execute(
        GuestSetUserPasswordRequest(std::move(username), std::move(password), crypted));
  }

  /// Who is logged in, each user once.
  /// @return `std::vector<GuestUser>`
  /// @throws AgentError the guest could not tell
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.10, POSIX and Windows guests
  auto get_users() { return detail::carrier_of(*this).execute(GuestGetUsersRequest{}); }

  /// The SSH keys that may log in as a user: the lines of the user's authorized_keys file.
  /// @param username a user of the guest
  /// @return `std::vector<std::string>`
  /// @throws AgentError no such user, or the user has no such file
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 5.2, POSIX guests; Windows guests QEMU 9.1
  auto ssh_get_authorized_keys(std::string username) {
    return detail::carrier_of(*this).execute(GuestSshGetAuthorizedKeysRequest(std::move(username)),
                                             &GuestAuthorizedKeys::keys);
  }

  /// Lets SSH keys log in as a user; a key that is there already is not added again.
  /// @param username a user of the guest
  /// @param keys public keys, a line each, comment lines are refused; nothing is removed where
  ///        this is empty, unless `reset`
  /// @param reset replaces all that was there
  /// @throws AgentError no such user, not a public key, no home directory
  /// @timeout 5 s. After a timeout the keys may be added still; to call it again does no harm.
  /// @since QEMU 5.2, POSIX guests; Windows guests QEMU 9.1
  auto ssh_add_authorized_keys(std::string username, std::vector<std::string> keys,
                               bool reset = false) {
    return detail::carrier_of(*this).execute(
        GuestSshAddAuthorizedKeysRequest(std::move(username), std::move(keys), reset));
  }

  /// Removes SSH keys, so that they can no longer log in as a user.
  /// @param username a user of the guest
  /// @param keys whole lines, as `ssh_get_authorized_keys` gives them; others are ignored
  /// @throws AgentError no such user, or the user's file cannot be read or written
  /// @timeout 5 s. After a timeout the keys may be removed still; to call it again does no harm.
  /// @since QEMU 5.2, POSIX guests; Windows guests QEMU 9.1
  auto ssh_remove_authorized_keys(std::string username, std::vector<std::string> keys) {
    return detail::carrier_of(*this).execute(
        GuestSshRemoveAuthorizedKeysRequest(std::move(username), std::move(keys)));
  }
};

}  // namespace qga::inline v0_1
